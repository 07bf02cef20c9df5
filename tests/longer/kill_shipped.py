"""SIGKILL in the middle of each shipped experiment on the compose stack, and what is left: nothing, or it fails.

Each experiment is run twice. The first time `chaos run` is killed, and everything must be as before within ten
seconds by itself: containers, tc, iptables, quotas, our processes. The second time its agent is killed with it, and
`chaos heal` has the ten seconds. Needs a Docker engine and docker compose.

    python -m tests.longer.kill_shipped
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from compose_rig import Composed, composed
from docker_rig import ROOT
from kill_cans import OUTSIDE, settled, snapshot

from chaos.runtimes.state import root

INTO_S = 2.0
"""The kill comes so long after the first fault is on."""
UNTIL_ON_S = 120.0


class Row(NamedTuple):
    """What became of one kill."""

    experiment: str
    killed: str
    changed: int
    """Containers that were not as before when it was killed."""
    seconds: float
    """Until everything was as before; of a heal from when it was called."""
    left: str


def main() -> int:
    """Kill each experiment twice, print the table, return 0 if nothing was left."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="shipped-") as folder:
        os.environ["COLLAB_CHAOS_STATE"] = str(Path(folder) / "state")
        try:
            with composed(f"collab-shipped-{os.getpid()}") as stack:
                rows = [
                    _kill(stack, name, Path(folder), agent=agent) for name in options.only for agent in (False, True)
                ]
        except pytest.skip.Exception as skip:
            print(f"cannot run here: {skip.msg}")
            return 3
    for row in rows:
        print(
            f"{row.experiment:<20} {row.killed:<18} {row.changed:>2} changed {row.seconds:6.1f} s  {row.left or 'same'}"
        )
    left = sum(bool(row.left) for row in rows)
    print(f"{len(rows)} kills: {left} leftovers")
    return 1 if left else 0


def _options() -> argparse.Namespace:
    shipped = sorted(path.stem for path in (ROOT / "experiments").glob("*.json"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=shipped, choices=shipped)
    return parser.parse_args()


def _kill(stack: Composed, name: str, folder: Path, *, agent: bool) -> Row:
    before = snapshot(stack)
    changed, left = _run_and_kill(stack, before, name, folder, agent=agent)
    began = time.monotonic()
    if agent:
        settled(stack, before, (), "processes")
        left += _heal()
    now = settled(stack, before, (), *(before if agent else OUTSIDE))
    took = time.monotonic() - began
    left += [f"{part}: {now[part]}" for part in (before if agent else OUTSIDE) if now[part] != before[part]]
    left += [] if agent else _heal()
    row = Row(name, "conductor + agent" if agent else "conductor", changed, took, "; ".join(left))
    print(row, flush=True)
    return row


def _run_and_kill(
    stack: Composed, before: dict[str, Any], name: str, folder: Path, *, agent: bool
) -> tuple[int, list[str]]:
    """Returns how many containers the fault had changed, and what went wrong until the kill; that counts as left."""
    log = folder / f"{name}.log"
    words = ["chaos", "run", name, "--stack", str(stack.stack_file(folder)), "--runs-dir", str(folder / "runs")]
    with log.open("w") as out:
        run = subprocess.Popen(
            [sys.executable, "-m", *words], stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True
        )
    until = time.monotonic() + UNTIL_ON_S
    while " is on" not in log.read_text() and run.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    if " is on" in log.read_text():
        time.sleep(INTO_S)
    ended = run.poll()
    now = stack.snapshot()
    if agent:
        for process in _agents():
            process.kill()
    run.kill()
    run.wait()
    changed = sum(now[node] != before["containers"][node] for node in now)
    # A run that never came to its fault, on a starved machine, shows nothing: it does not count as clean.
    trouble = [] if ended is None and changed else [f"exit code {ended}, {changed} changed: {log.read_text()[-1500:]}"]
    return changed, trouble


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
