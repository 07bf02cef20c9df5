"""Every fault of the registry on real processes and real sockets: it bites, it heals, it heals twice.

The stack is a small one of its own (one web server behind one link), so that each fault has something to hit in
a second. A fault that is dropped into `chaos/faults` is in this suite as soon as it has a line in `ARGUMENTS`;
`test_every_fault_is_here` fails until it has.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from chaos.engine.injector import Injector
from chaos.engine.ledger import Ledger
from chaos.errors import StackFailed
from chaos.faults import registry
from chaos.runtimes.carriers import survey
from chaos.runtimes.process import start_stack
from chaos.runtimes.stackfile import load_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chaos.faults.base import Fault
    from chaos.runtimes.process import RunningStack

ARGUMENTS: dict[str, dict[str, Any]] = {
    "burst_loss": {"target": {"link": "users--web"}, "loss": 0.3, "burst": 3},
    "congestion": {"target": {"link": "users--web"}, "delay_ms": 60},
    "corrupt": {"target": {"link": "users--web"}, "probability": 1.0},
    "cut": {"target": {"link": "users--web"}, "percentage": 60},
    "flap": {
        "target": {"link": "users--web"},
        "of": "congestion",
        "arguments": {"delay_ms": 60},
        "period": 1.0,
        "spread": 0.1,
    },
    "half_open": {"target": {"link": "users--web"}},
    "interleave": {"target": {"link": "users--web"}, "of": "congestion", "arguments": {"delay_ms": 60}, "settle": 0},
    "partition": {"target": {"link": "users--web"}, "mode": "silent"},
    "pause": {"target": {"node": "web"}},
    "ramp": {
        "target": {"link": "users--web"},
        "of": "congestion",
        "figure": "delay_ms",
        "start": 10,
        "end": 80,
        "levels": 3,
    },
    "region_loss": {"target": {"region": "east"}},
    "restart": {"target": {"node": "web"}},
    "server_loss": {"target": {"node": "web"}},
    "slow_close": {"target": {"link": "users--web"}, "linger_ms": 200},
    "slow_reader": {"target": {"link": "users--web"}, "bytes_per_s": 300},
    "stop": {"target": {"node": "web"}},
    "slowdown": {"target": {"node": "web"}, "cpu_share": 0.2, "delay_ms": 30},
}
ELSEWHERE = {"clock_skew"}
"""What takes more than these processes: tests/integration/test_clocks.py."""
ONLY_THERE: dict[str, dict[str, Any]] = {
    "disk_full": {"target": {"node": "web"}},
    "disk_slow": {"target": {"node": "web"}, "write_kb_s": 100},
    "memory_pressure": {"target": {"node": "web"}},
    "oom": {"target": {"node": "web"}},
}
"""What nothing carries on processes: `tests/integration/test_docker_faults.py` has them on containers."""
DURATION_S = 1.5
USERS = 5

SERVER = """
import json, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"ok"
        if self.path.startswith("/work"):
            wall, cpu = time.perf_counter(), time.thread_time()
            while time.thread_time() - cpu < 0.02:
                pass
            figures = {"wall_ms": (time.perf_counter() - wall) * 1000, "cpu_ms": (time.thread_time() - cpu) * 1000}
            body = json.dumps(figures).encode()
        elif self.path == "/owned":
            body = b'{"keys": ["room-1"]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

STACK = """
stack: small
environment: staging
runtime: process
regions: {east: {}}
services:
  web:
    role: meetings
    nodes:
      - {name: web, region: east, command: ["${python}", "SCRIPT", "${port}"]}
links:
  - {name: users--web, source: users, target: web, kind: access, regions: [east]}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    folder = tmp_path_factory.mktemp("small")
    (folder / "server.py").write_text(SERVER)
    (folder / "stack.yaml").write_text(STACK.replace("SCRIPT", str(folder / "server.py")))
    with start_stack(load_stack(str(folder / "stack.yaml"), {})) as running:
        yield running


@pytest.fixture(autouse=True)
def users(stack: RunningStack) -> Iterator[None]:
    """Connections that live through the link and never end their request, for faults on what lives."""
    port, done = stack.site.link_ports["users--web"], threading.Event()

    def talk() -> None:
        with contextlib.ExitStack() as exits:
            socks = [exits.enter_context(_connection(port)) for _ in range(USERS)]
            for sock in socks:
                with contextlib.suppress(OSError):  # cut, where the test before has just brought the server back
                    sock.sendall(b"GET /")
            connected.set()
            while not done.wait(0.1):
                for sock in socks:
                    with contextlib.suppress(OSError):
                        sock.sendall(b"x")

    connected = threading.Event()
    thread = threading.Thread(target=talk)
    thread.start()
    assert connected.wait(20)
    yield
    done.set()
    thread.join(10)


def _connection(port: int) -> socket.socket:
    """A connection through the link; the test before may have brought the server back only just now."""
    end = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 5)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


class Told(list[tuple[str, str, dict[str, Any]]]):
    """What an injector told, step by step."""

    def __call__(self, step: str, fault: str, data: dict[str, Any]) -> None:
        self.append((step, fault, data))

    def data(self, step: str) -> dict[str, Any]:
        """What was told with a step."""
        return next(data for name, _, data in self if name == step)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.create("run", tmp_path)


def made(name: str) -> Fault:
    return registry()[name].model_validate({**ARGUMENTS[name], "duration": DURATION_S})


def test_every_fault_is_here() -> None:
    """No installed fault of ours that something here can carry is left out of this suite."""
    ours = {name for name, fault in registry().items() if fault.__module__.startswith("chaos.")}
    assert {name for name in ours - ELSEWHERE if carried(registry()[name])} == set(ARGUMENTS)


def carried(fault: type[Fault]) -> bool:
    asks = fault.example().asks()
    found = survey("process", asks)
    return all(found.means(ask, ()).carrier for ask in asks)


@pytest.mark.parametrize("name", sorted(ONLY_THERE))
def test_what_processes_cannot_suffer_touches_nothing(name: str, stack: RunningStack, ledger: Ledger) -> None:
    """The plan refuses it with the reason; were it injected all the same, it would end before anything is done."""
    fault = registry()[name].model_validate({**ONLY_THERE[name], "duration": DURATION_S})
    (ask,) = fault.asks()
    means = survey("process", (ask,)).means(ask, ("web",))
    assert not means.carrier
    assert all(one.why_not for one in means.instead_of)
    with pytest.raises(StackFailed, match="knows no"):
        Injector(stack.runtime, ledger, 1, threading.Event(), Told()).run(fault, name)
    assert stack.runtime.active() == ()
    assert ledger.open_entries() == ()


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_it_bites_and_heals(name: str, stack: RunningStack, ledger: Ledger) -> None:
    """It proves on real sockets or processes that it bit, and afterwards that it is gone."""
    told = Told()
    evidence = Injector(stack.runtime, ledger, 1, threading.Event(), told).run(made(name), name)
    assert evidence.bit, evidence
    assert [step for step, _, _ in told if step != "step"] == ["intent", "on", "bite", "off", "off-proof"]
    assert told.data("off-proof")["clean"], told
    assert ledger.open_entries() == ()
    assert stack.runtime.active() == ()


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_its_proof_fails_when_nothing_is_injected(name: str, stack: RunningStack, ledger: Ledger) -> None:
    """The evidence is a measurement, so a fault whose injection does nothing is found not to have bitten."""

    class Toothless(registry()[name]):  # type: ignore[misc]  # the class is known only at run time
        def inject(self, injection: Any) -> None: ...

    fault = Toothless.model_validate({**ARGUMENTS[name], "duration": 0.5})
    evidence = Injector(stack.runtime, ledger, 1, threading.Event(), Told()).run(fault, name)
    assert not evidence.bit, evidence


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_healing_again_or_without_injection_is_no_error(name: str, stack: RunningStack, ledger: Ledger) -> None:
    """The undo is idempotent, and harmless when its fault was never put in."""
    fault = made(name)
    ledger.intent("run.1", fault.says(), fault.undo("run.1", stack.site))
    assert ledger.heal() == ()
    ledger.intent("run.1", fault.says(), fault.undo("run.1", stack.site))
    assert ledger.heal() == ()
    assert stack.runtime.active() == ()


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_a_stop_ends_it_early_and_healed(name: str, stack: RunningStack, ledger: Ledger) -> None:
    """When the run is told to stop, the fault is taken back at once instead of held."""
    stop = threading.Event()
    told = Told()

    def tell(step: str, fault: str, data: dict[str, Any]) -> None:
        told(step, fault, data)
        if step == "on":
            stop.set()

    fault = registry()[name].model_validate({**ARGUMENTS[name], "duration": 60})
    Injector(stack.runtime, ledger, 1, stop, tell).run(fault, name)
    assert told[-1][0] == "off-proof"
    assert ledger.open_entries() == ()
    assert stack.runtime.active() == ()


def test_a_fault_in_the_background_ends_with_its_proofs(stack: RunningStack, ledger: Ledger) -> None:
    """When the run goes on to recovery, a fault that would last longer is taken back and says so itself."""
    told = Told()
    on = threading.Event()

    def tell(step: str, fault: str, data: dict[str, Any]) -> None:
        told(step, fault, data)
        if step == "on":
            on.set()

    injector = Injector(stack.runtime, ledger, 1, threading.Event(), tell)
    fault = registry()["congestion"].model_validate({**ARGUMENTS["congestion"], "duration": 60})
    background = threading.Thread(target=injector.run, args=(fault, "congestion"))
    background.start()
    assert on.wait(10)
    injector.end_all()
    assert told[-1][0] == "off-proof"
    assert stack.runtime.active() == ()
    background.join(10)
    assert not background.is_alive()
