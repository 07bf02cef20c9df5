"""How long each fault takes to put in and to take out, by which carrier, and what it proved of what was asked.

Processes are the embedded stack; containers are two small ones on the engine of this machine, if it has one.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks._containers import containers
from chaos.engine.injector import LEASE_S, Injector
from chaos.engine.ledger import Ledger
from chaos.faults import registry
from chaos.faults.base import Fault, Injection
from chaos.faults.targets import resolve
from chaos.model.stack import Site
from chaos.runtimes.base import Runtime
from chaos.runtimes.carriers import survey
from chaos.runtimes.process import start_stack
from chaos.runtimes.stackfile import load_stack

TIMES = 5
USERS = 5
ACCESS = {"region": "cn-east", "kind": "access"}
NODE = {"node": "doc-e1"}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "burst_loss": {"target": ACCESS, "loss": 0.3, "burst": 3},
    "congestion": {"target": ACCESS, "delay_ms": 120, "jitter_ms": 20, "loss": 0.02},
    "corrupt": {"target": ACCESS, "probability": 1.0},
    "cut": {"target": ACCESS, "percentage": 60},
    "half_open": {"target": ACCESS},
    "partition": {"target": {"kind": "region"}},
    "pause": {"target": NODE},
    "restart": {"target": NODE},
    "server_loss": {"target": NODE},
    "slow_close": {"target": ACCESS, "linger_ms": 200},
    "slow_reader": {"target": ACCESS, "bytes_per_s": 300},
    "slowdown": {"target": {"region": "cn-east"}, "cpu_share": 0.3, "delay_ms": 40},
}
"""On the embedded stack. A fault that is not here is in the figures as one without."""
ON_CONTAINERS: dict[str, dict[str, Any]] = {
    "burst_loss": {"target": {"link": "users--web"}, "loss": 0.3, "burst": 3},
    "congestion": {"target": {"link": "*--web"}, "delay_ms": 60, "jitter_ms": 5},
    "duplicate": {"target": {"link": "*--web"}, "share": 0.5},
    "partition": {"target": {"link": "users--web"}},
    "pause": {"target": {"node": "web"}},
    "reorder": {"target": {"link": "*--web"}, "share": 0.4, "delay_ms": 30},
    "server_loss": {"target": {"node": "web"}},
    "slowdown": {"target": {"node": "web"}, "cpu_share": 0.2, "delay_ms": 30},
}


def run() -> dict[str, Any]:
    """Measure every case `TIMES` times; medians in milliseconds."""
    found: dict[str, Any] = {}
    with start_stack(load_stack("embedded", {})) as stack, _users(stack.site):
        found["process"] = _all(stack.runtime, ARGUMENTS)
    with containers() as (there, why_not):
        found["docker"] = why_not if there is None else _all(there.stack.runtime, ON_CONTAINERS)
    return found


def _all(runtime: Runtime, cases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    figures: dict[str, Any] = {name: _why_not(runtime, name) for name in registry() if name not in cases}
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in cases.items():
            fault = registry()[name].model_validate({**arguments, "duration": 1.5})
            figures[name] = _one(runtime, Ledger.create(name, Path(folder)), fault)
    return dict(sorted(figures.items()))


def _one(runtime: Runtime, ledger: Ledger, fault: Fault) -> dict[str, Any]:
    aim = resolve(fault.target, runtime.site.spec, 1)
    into, out = [], []
    for number in range(TIMES):
        injection = Injection(f"bench.{fault.name}.{number}", aim, runtime, 1, LEASE_S)
        began = time.perf_counter()
        ledger.intent(injection.id, fault.name, fault.undo(injection.id, runtime.site))
        fault.inject(injection)
        ledger.step(injection.id, "injected")
        injected = time.perf_counter()
        ledger.heal()
        into.append((injected - began) * 1000)
        out.append((time.perf_counter() - injected) * 1000)
    evidence = Injector(runtime, ledger, 1, threading.Event(), lambda *_: None).run(fault, fault.name)
    return {
        "asked": fault.says(),
        "carriers": _carriers(runtime.site.spec.runtime, fault),
        "inject_ms": round(statistics.median(into), 1),
        "heal_ms": round(statistics.median(out), 1),
        "measured": evidence.says,
        "bit": evidence.bit,
    }


def _why_not(runtime: Runtime, name: str) -> str:
    """Why there is nothing to measure."""
    example = registry()[name].example()
    if example.acting is not example:
        return "puts in another fault, again and again"
    tried = survey(runtime.site.spec.runtime, example.asks())
    refusals = [one for ask in example.asks() for one in tried.tried[ask]]
    if any(not one.why_not for one in refusals):
        return "has no case in this benchmark"
    return "; ".join(dict.fromkeys(f"{one.carrier}: {one.why_not}" for one in refusals)) or "has no carrier here"


def _carriers(runtime: str, fault: Fault) -> list[str]:
    """Those that a plan picks."""
    tried = survey(runtime, fault.asks())
    return list(dict.fromkeys(tried.means(ask, ()).carrier for ask in fault.asks()))


@contextlib.contextmanager
def _users(site: Site) -> Iterator[None]:
    """Connections through the access links that live and trickle, for faults on what lives."""
    done = threading.Event()
    ports = [site.link_ports[link.name] for link in site.spec.links if link.kind == "access"]
    thread = threading.Thread(target=_talk, args=(ports * USERS, done))
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _talk(ports: list[int], done: threading.Event) -> None:
    socks: dict[int, tuple[int, socket.socket]] = {}
    while not done.wait(0.1):
        for number, port in enumerate(ports):
            try:
                if number not in socks:
                    socks[number] = port, socket.create_connection(("127.0.0.1", port), timeout=1)
                    socks[number][1].sendall(b"GET /")
                socks[number][1].sendall(b"x")
            except OSError:  # cut: the next takes its place
                if number in socks:
                    socks.pop(number)[1].close()
    for _, sock in socks.values():
        sock.close()
