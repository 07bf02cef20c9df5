"""How long each fault takes to put in and to take out on the embedded stack, and what it measured of what was asked."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from chaos.engine.injector import LEASE_S, Injector
from chaos.engine.ledger import Ledger
from chaos.faults import registry
from chaos.faults.base import Injection
from chaos.faults.targets import resolve
from chaos.runtimes.process import start_stack
from chaos.runtimes.stackfile import load_stack

TIMES = 5
CASES: dict[str, dict[str, Any]] = {
    "congestion": {"target": {"region": "cn-east", "kind": "access"}, "delay_ms": 120, "jitter_ms": 20, "loss": 0.02},
    "partition": {"target": {"kind": "region"}},
    "pause": {"target": {"node": "doc-e1"}},
    "server_loss": {"target": {"node": "doc-e1"}},
    "slowdown": {"target": {"region": "cn-east"}, "cpu_share": 0.3, "delay_ms": 40},
}


def run() -> dict[str, Any]:
    """Measure every case `TIMES` times; medians in milliseconds."""
    with start_stack(load_stack("embedded", {})) as stack, tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.create("bench", Path(folder))
        figures: dict[str, Any] = {}
        for name, arguments in CASES.items():
            fault = registry()[name].model_validate({**arguments, "duration": 2})
            aim = resolve(fault.target, stack.site.spec, 1)
            into, out = [], []
            for number in range(TIMES):
                injection = Injection(f"bench.{name}.{number}", aim, stack.runtime, 1, LEASE_S)
                began = time.perf_counter()
                ledger.intent(injection.id, name, fault.undo(injection.id, stack.site))
                fault.inject(injection)
                ledger.step(injection.id, "injected")
                injected = time.perf_counter()
                ledger.heal()
                into.append((injected - began) * 1000)
                out.append((time.perf_counter() - injected) * 1000)
            evidence = Injector(stack.runtime, ledger, 1, threading.Event(), lambda *_: None).run(fault, name)
            figures[name] = {
                "asked": fault.says(),
                "inject_ms": round(statistics.median(into), 1),
                "heal_ms": round(statistics.median(out), 1),
                "measured": evidence.says,
                "bit": evidence.bit,
            }
    return figures
