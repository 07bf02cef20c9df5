"""A small detached stack, conductors that end themselves by SIGKILL where they are told to, and snapshots of it all.

Conductors are forked off one prepared process (`python kill_rig.py`), so that each takes milliseconds.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil
from http_node import write_node

from chaos.engine import runs
from chaos.engine.injector import Injector
from chaos.engine.ledger import Ledger
from chaos.engine.steps import Step
from chaos.faults import registry
from chaos.faults.measure import round_trips
from chaos.model.fault import Evidence
from chaos.runtimes.process import RunningStack, attach_stack, list_stacks, start_stack, stop_stack
from chaos.runtimes.stackfile import load_stack
from chaos.runtimes.state import root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.faults.base import Fault
    from chaos.model.stack import Site

ROOT = Path(__file__).parents[2]
Harm = tuple[str, dict[str, Any]]
"""A fault and its arguments, but for the duration."""
FAULTS: dict[str, Harm] = {
    "link": ("congestion", {"target": {"link": "users--a"}, "delay_ms": 200}),
    "cut": ("partition", {"target": {"link": "users--a"}, "mode": "silent"}),
    "pause": ("pause", {"target": {"node": "b"}}),
    "throttle": ("slowdown", {"target": {"node": "c"}, "cpu_share": 0.2}),
    "kill": ("server_loss", {"target": {"node": "d"}}),
    "both": ("slowdown", {"target": {"node": "a"}, "cpu_share": 0.3, "delay_ms": 200}),
}
"""One for every undo primitive and every kind of lease; `both` has two undos."""
WITHIN_S = 10.0
QUICK_MS = 300.0
"""A round trip below this knows of no delay of 200 ms each way."""

STACK = """
stack: mortal
environment: staging
services:
  web:
    role: gateway
    nodes:
      - {name: a, command: ["${python}", "${here}/node.py", "${port}"]}
      - {name: b, command: ["${python}", "${here}/node.py", "${port}"]}
      - {name: c, command: ["${python}", "${here}/node.py", "${port}"]}
      - {name: d, command: ["${python}", "${here}/node.py", "${port}"]}
links:
  - {name: users--a, source: users, target: a, kind: access}
"""


@contextmanager
def detached(folder: Path) -> Iterator[RunningStack]:
    """The stack, as `chaos stack up` leaves it; ended in the end."""
    write_node(folder)
    (folder / "stack.yaml").write_text(STACK)
    stack = start_stack(load_stack(str(folder / "stack.yaml")), detached=True)
    try:
        yield stack
    finally:
        if stack.site.id in {site.id for site in list_stacks()}:
            stop_stack(stack.site.id)


class Conductors:
    """Starts conductors; a context manager."""

    def __init__(self) -> None:
        env = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([sys.executable, __file__], stdin=pipe, stdout=pipe, text=True, env=env)
        self.pid = self._process.pid
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def prepare(self, module: str) -> None:
        """Import a module once, for all conductors to come."""
        self._ask({"import": module})

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=30)

    def start(self, stack: str, what: Harm, **how: Any) -> int:
        """Fork one that injects `what` and dies: `at` a step, or `after_s`; returns its pid.

        `stack` is the id of a running stack, or the file of one of containers. `agent` too: the conductor takes the
        agent of the containers with it.
        """
        self._count += 1
        name, arguments = what
        order = {"stack": stack, "fault": name, "arguments": arguments, "duration": 0.3, **how}
        return int(self._ask(order | {"run": f"mortal-{self._process.pid}-{self._count:04}"})["pid"])

    def wait(self, pid: int) -> int:
        """How it ended: minus the signal's number, or its exit code."""
        return int(self._ask({"wait": pid})["code"])

    def run(self, stack: str, what: Harm, **how: Any) -> int:
        """Start one and wait for its end."""
        return self.wait(self.start(stack, what, **how))

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def snapshot(stack: RunningStack) -> dict[str, Any]:
    """Everything that a fault could have left: nodes, what the kernel says of them, leases, the link, files."""
    states = stack.runtime.states()
    return {
        "nodes": {name: (state.state, state.faults) for name, state in states.items()},
        "kernel": {name: _stands_still(state.pid) for name, state in states.items()},
        "leases": stack.runtime.active(),
        "link": _is_quick(stack.site),
        "processes": _processes(stack),
        "files": files(),
    }


def files() -> list[str]:
    """Files of the state directory, but for logs and for ledgers that were put away."""
    found = (path.relative_to(root()) for path in root().rglob("*") if path.is_file())
    return sorted(str(path) for path in found if not {"done", "logs", "crashes"} & set(path.parts))


def settled(stack: RunningStack, before: dict[str, Any], *parts: str) -> dict[str, Any]:
    """A snapshot that equals the one before (in these parts), or the last one taken within the promised time."""
    until = time.monotonic() + WITHIN_S
    while True:
        now = snapshot(stack)
        if all(now[part] == before[part] for part in parts or before) or time.monotonic() > until:
            return now
        time.sleep(0.05)


def _is_quick(site: Site) -> bool:
    """Whether the link passes bytes without a fault's 400 ms; the best of five, for the machine may be busy."""
    for _ in range(5):
        (rtt,) = round_trips(site, ("users--a",), tries=1).values()
        if rtt is not None and rtt < QUICK_MS:
            return True
    return False


def _stands_still(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}
    except psutil.NoSuchProcess:
        return True


def _processes(stack: RunningStack) -> list[str]:
    """The stack's processes and every conductor, by what they are."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or ())
        if stack.site.directory in line and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(line)
    return sorted(found)


# The conductors' side.


def _quick(model: type[Fault]) -> type[Fault]:
    """The same harm and the same undo without the proofs, which take seconds."""

    class Quick(model):  # type: ignore[valid-type,misc]
        def measure(self, *_: Any) -> dict[str, Any]:
            return {}

        def evidence(self, *_: Any) -> Evidence:
            return Evidence(bit=True, says="")

        def healed(self, *_: Any) -> Evidence:
            return Evidence(bit=False, says="")

    return Quick


def _conduct(order: dict[str, Any]) -> None:
    """What a run does about its faults, with an observer that ends it."""
    stack = _attach(order["stack"])

    def end() -> None:
        if order.get("agent"):
            os.kill(stack.agent.pid, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    def die(step: Step) -> None:
        if step == order.get("at"):
            end()

    if order.get("after_s"):
        threading.Timer(order["after_s"], end).start()
    place = runs.enrol(runs.RunFile(run=order["run"], target=order["run"]))
    ledger = Ledger.create(order["run"], steps=die)
    fault = _quick(registry()[order["fault"]]).model_validate({**order["arguments"], "duration": order["duration"]})
    Injector(stack.runtime, ledger, 1, threading.Event(), lambda *_: None, steps=die).run(fault, fault.name)
    ledger.put_away()
    stack.close()
    place.leave()


def _attach(stack: str) -> Any:
    if not stack.endswith(".yaml"):
        return attach_stack(stack)
    from chaos.runtimes.docker import attach

    return attach(load_stack(stack))


def main() -> None:
    """Fork a conductor for each order."""
    for line in sys.stdin:
        order = json.loads(line)
        if "import" in order:
            importlib.import_module(order["import"])
            answer = {}
        elif "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            answer = {"code": os.waitstatus_to_exitcode(status)}
        else:
            pid = os.fork()
            if not pid:
                _conduct(order)
                os._exit(0)
            answer = {"pid": pid}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
