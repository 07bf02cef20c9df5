"""SIGKILL in the middle of each shipped experiment on the compose stack, and what is left: nothing, or it fails.

Each experiment is run twice. In its first fault `chaos run` is killed, and everything must be as before within ten
seconds by itself: containers, tc, iptables, quotas, our processes. In its last fault its agent is killed with it, and
`chaos heal` has the ten seconds. A kill counts only if it met a fault: its ledger says that one was in, and the stack
was not as before. Needs a Docker engine and docker compose.

What containers cannot carry must be refused there, with nothing touched, and is killed on the processes of the embedded
stack instead. Method and targets are as shipped, but the load is light, the baseline is short, and nobody asks for the
steady state before the method: these runs are not judged, and a busy machine that misses it would keep its faults back.

    python -m tests.longer.kill_shipped
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import psutil
import pytest
from compose_rig import composed
from docker_rig import ROOT
from kill_cans import OUTSIDE, settled, snapshot

from chaos.engine.ledger import ledgers
from chaos.runtimes.process import start_stack, stop_stack
from chaos.runtimes.stackfile import load_stack
from chaos.runtimes.state import root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.runtimes.process import RunningStack

INTO_S = 0.5
"""The kill comes so long after the fault is on, and a look at all containers later; the shortest fault lasts 3 s."""
UNTIL_ON_S = 120.0
LOOKS_S = 12.0
LIGHT = {"load": {"participants": 30, "editors": 8}, "phases": {"warm_up": 2, "baseline": 4}}
NOT_ON_CONTAINERS = ("broken_sockets",)
"""They freeze connections and slow readers down, which takes a link proxy."""


class Stack(Protocol):
    """What experiments are run on."""

    def snapshot(self) -> dict[str, Any]:
        """Everything that a fault may change, by node or kind; equal as long as nothing is changed."""

    def lives(self) -> dict[str, Any]:
        """By node, what is another one after each start of it."""


class Processes:
    """The embedded stack, which outlives the runs on it."""

    def __init__(self, stack: RunningStack) -> None:
        self._runtime = stack.runtime

    def snapshot(self) -> dict[str, Any]:
        """Nodes, leases, frozen connections."""
        nodes = {name: (state.state, state.faults) for name, state in self._runtime.states().items()}
        frozen = {link: stats.frozen for link, stats in self._runtime.link_stats().items() if stats.frozen}
        return {**nodes, "leases": self._runtime.active(), "frozen": frozen}

    def lives(self) -> dict[str, Any]:
        """Process ids."""
        return {name: state.pid for name, state in self._runtime.states().items()}


class Kill(NamedTuple):
    """One to come."""

    experiment: str
    place: str
    """What `chaos run --stack` is given."""
    fault: int
    """In which fault of the experiment, from 1."""
    agent: bool
    """With the agent."""


class Row(NamedTuple):
    """What became of one kill."""

    experiment: str
    killed: str
    fault: str
    """Which one was in, by the ledger that the kill left."""
    changed: int
    """Containers (or nodes, or kinds of harm) that were not as before when it was killed."""
    seconds: float
    """Until everything was as before; of a heal from when it was called."""
    left: str


def main() -> int:
    """Kill each experiment twice, print the table, return 0 if nothing was left."""
    options = _options()
    apart = [name for name in options.only if name in NOT_ON_CONTAINERS]
    with tempfile.TemporaryDirectory(prefix="shipped-") as name:
        folder = Path(name)
        os.environ["COLLAB_CHAOS_STATE"] = str(folder / "state")
        try:
            with composed(f"collab-shipped-{os.getpid()}") as cans:
                file = str(cans.stack_file(folder))
                rows = [_refused(cans, one, file, folder) for one in apart]
                rows += [
                    _kill(cans, Kill(one, file, fault, agent), folder)
                    for one in options.only
                    for fault, agent in ((1, False), (_faults(one), True))
                    if one not in apart
                ]
        except pytest.skip.Exception as skip:
            print(f"cannot run here: {skip.msg}")
            return 3
        for one in apart:
            with _embedded() as stack:
                kills = [Kill(one, stack.site.id, fault, agent=False) for fault in range(1, _faults(one) + 1)]
                rows += [_kill(Processes(stack), kill, folder) for kill in kills]
    return _tell(rows)


def _tell(rows: list[Row]) -> int:
    for row in rows:
        print(
            f"{row.experiment:<19} {row.killed:<18} in {row.fault[:34]:<34} {row.changed:>2} changed"
            f" {row.seconds:5.1f} s  {row.left or 'same'}"
        )
    left = sum(bool(row.left) for row in rows)
    print(f"{len(rows)} kills and refusals: {left} leftovers")
    return 1 if left else 0


def _options() -> argparse.Namespace:
    shipped = sorted(path.stem for path in (ROOT / "experiments").glob("*.json"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=shipped, choices=shipped)
    return parser.parse_args()


def _faults(name: str) -> int:
    method = json.loads((ROOT / "experiments" / f"{name}.json").read_text(encoding="utf-8"))["method"]
    return sum(step["provider"]["func"] == "inject" for step in method)


@contextlib.contextmanager
def _embedded() -> Iterator[RunningStack]:
    stack = start_stack(load_stack("embedded"), detached=True)
    try:
        yield stack
    finally:
        stop_stack(stack.site.id)


def _refused(stack: Stack, name: str, place: str, folder: Path) -> Row:
    before = snapshot(stack), stack.lives()
    began = time.monotonic()
    done = subprocess.run(_words(name, place, folder), cwd=ROOT, capture_output=True, text=True, check=False)
    took = time.monotonic() - began
    same = (snapshot(stack), stack.lives()) == before
    left = "" if done.returncode == 2 and same else f"exit code {done.returncode}, same: {same}: {done.stderr}"
    return Row(name, "refused", "none, on containers", 0, took, left)


def _kill(stack: Stack, kill: Kill, folder: Path) -> Row:
    before = snapshot(stack)
    fault, changed, left = _run_and_kill(stack, before, kill, folder)
    began = time.monotonic()
    if kill.agent:
        settled(stack, before, (), "processes")
        left += _heal()
    parts = tuple(before) if kill.agent else OUTSIDE
    now = settled(stack, before, (), *parts)
    took = time.monotonic() - began
    left += [f"{part}: {now[part]}" for part in parts if now[part] != before[part]]
    left += [] if kill.agent else _heal()
    killed = "conductor + agent" if kill.agent else "conductor"
    row = Row(kill.experiment, killed, fault, changed, took, "; ".join(left))
    print(row, flush=True)
    return row


def _run_and_kill(stack: Stack, before: dict[str, Any], kill: Kill, folder: Path) -> tuple[str, int, list[str]]:
    """Returns the fault that was in, how much was changed, and what went wrong until the kill; that counts as left."""
    log = folder / f"{kill.experiment}.log"
    lives, run = stack.lives(), _start(kill, log, folder)
    if _comes_to(kill.fault, run, log):
        lives = lives if kill.fault == 1 else stack.lives()  # the faults before it may have started nodes again
        time.sleep(INTO_S)
    changed = _changed(stack, before["containers"], lives)
    for process in _agents() if kill.agent else ():
        process.kill()
    run.kill()
    ended = run.wait()
    # What the ledger says after the kill was so when it came.
    *_, fault = "none", *(one.says for book in ledgers() for one in book.open_entries() if one.step == "injected")
    # A kill that met no fault, on a starved machine, shows nothing: it does not count as clean.
    met = ended == -signal.SIGKILL and changed and fault != "none"
    missed = f"exit code {ended}, {fault} in, {changed} changed: {log.read_text()[-1500:]}"
    return fault, changed, [] if met else [missed]


def _start(kill: Kill, log: Path, folder: Path) -> subprocess.Popen[bytes]:
    words = _words(kill.experiment, kill.place, folder)
    with log.open("w") as out:
        return subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True)


def _comes_to(fault: int, run: subprocess.Popen[bytes], log: Path) -> bool:
    """Wait until so many faults have been on; no if the run ends before."""
    until = time.monotonic() + UNTIL_ON_S
    while run.poll() is None and time.monotonic() < until:
        if log.read_text().count(" is on ") >= fault:
            return True
        time.sleep(0.05)
    return False


def _changed(stack: Stack, before: dict[str, Any], lives: dict[str, Any]) -> int:
    """How many nodes were started again, or, if none was, how much else is not as before: that takes a second to see.

    It looks again when a flap is just off.
    """
    until = time.monotonic() + LOOKS_S
    while True:
        if changed := _unlike(stack.lives(), lives):
            return changed
        now = snapshot(stack)["containers"]
        if not isinstance(now, str) and ((changed := _unlike(now, before)) or time.monotonic() > until):
            return changed  # words say that one of them is just being started


def _unlike(now: dict[str, Any], before: dict[str, Any]) -> int:
    return sum(value != before.get(name) for name, value in now.items())


def _words(name: str, place: str, folder: Path) -> list[str]:
    document = json.loads((ROOT / "experiments" / f"{name}.json").read_text(encoding="utf-8"))
    for group, values in LIGHT.items():
        document["extensions"][0][group] |= values
    document["runtime"]["hypothesis"]["strategy"] = "after-method-only"
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return [sys.executable, "-m", "chaos", "run", str(path), "--stack", place, "--runs-dir", str(folder / "runs")]


def _agents() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        if "chaos.runtimes.docker_agent" in line and str(root()) in line[-1]:
            found.append(process)
    return found


def _heal() -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "heal"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    return [] if done.returncode == 0 else [f"heal: {done.stdout}{done.stderr}"]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
