"""Faults on containers: a conductor as a process of its own, traffic inside namespaces, waiting for a snapshot."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from docker_engine import Cans

from chaos.runtimes import http
from chaos.runtimes.docker import DockerStack
from chaos.runtimes.docker_net import inside

ROOT = Path(__file__).resolve().parents[2]
FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "delay": ("congestion", {"target": {"link": "*--web"}, "delay_ms": 60, "jitter_ms": 5}),
    "dns": ("dns_failure", {"target": {"service": "web"}}),
    "loss": ("congestion", {"target": {"link": "users--web"}, "loss": 0.3}),
    "rate": ("congestion", {"target": {"link": "users--web"}, "rate_kbps": 400}),
    "silent": ("partition", {"target": {"link": "users--web"}, "mode": "silent"}),
    "loud": ("partition", {"target": {"link": "front--web"}, "mode": "loud"}),
    "disk_full": ("disk_full", {"target": {"node": "web"}, "leave_kb": 64}),
    "disk_slow": ("disk_slow", {"target": {"node": "front"}, "write_kb_s": 1024, "iops": 20}),
    "memory_pressure": ("memory_pressure", {"target": {"node": "web"}, "leave_mb": 4}),
    "oom": ("oom", {"target": {"node": "web"}}),
    "pause": ("pause", {"target": {"node": "web"}}),
    "server_loss": ("server_loss", {"target": {"node": "web"}}),
    "stop": ("stop", {"target": {"node": "web"}, "grace": 1}),
    "slowdown": ("slowdown", {"target": {"node": "web"}, "cpu_share": 0.2, "delay_ms": 30}),
}
"""One fault per kind of undo, and their arguments."""
OF_PACKETS: dict[str, tuple[str, dict[str, Any]]] = {
    "cut": ("cut", {"target": {"link": "front--web"}, "percentage": 60}),
    "burst loss": ("burst_loss", {"target": {"link": "users--web"}, "loss": 0.3, "burst": 3}),
    "duplicate": ("duplicate", {"target": {"link": "front--web"}, "share": 0.5}),
    "pareto": (
        "congestion",
        {"target": {"link": "front--web"}, "delay_ms": 40, "jitter_ms": 8, "distribution": "pareto"},
    ),
    "reorder": ("reorder", {"target": {"link": "front--web"}, "share": 0.4, "delay_ms": 30}),
}
"""Those that hit single packets or connections; taken back as a delay or a loss is."""
CONDUCTOR = """
import json, sys, threading
from chaos.engine.injector import Injector
from chaos.engine.ledger import Ledger
from chaos.faults import registry
from chaos.runtimes.docker import attach
from chaos.runtimes.stackfile import load_stack

stack = attach(load_stack(sys.argv[1]))
def tell(step, fault, data):
    print(step, stack.agent.pid, flush=True)
fault = registry()[sys.argv[2]].model_validate({**json.loads(sys.argv[3]), "duration": float(sys.argv[4])})
Injector(stack.runtime, Ledger.create("run"), 1, threading.Event(), tell).run(fault, "fault")
"""


class Conductor:
    """Runs one fault for a minute, unless it is killed before."""

    def __init__(self, stack: Path, fault: str, arguments: str, log: Path, duration: float = 60.0) -> None:
        with log.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", CONDUCTOR, str(stack), fault, arguments, str(duration)],
                stdout=subprocess.PIPE, stderr=err, text=True, cwd=ROOT,
            )  # fmt: skip
        self.agent = 0
        self._log = log

    def reach(self, step: str) -> None:
        """Return once it says this step."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said, agent = line.split()
            self.agent = int(agent)
            if said == step:
                return
        raise AssertionError(self._log.read_text())

    def kill(self) -> None:
        """SIGKILL, and collect it."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def kill_agent(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.agent, signal.SIGKILL)


def same_within(before: dict[str, Any], cans: Cans, seconds: float = 10.0) -> float:
    """Wait until everything is as it was; returns how long that took."""
    began = time.monotonic()
    while (now := cans.snapshot()) != before:
        assert time.monotonic() - began < seconds, f"before {before}\nafter {now}"
        time.sleep(0.1)
    return time.monotonic() - began


@contextlib.contextmanager
def left_as_it_was(cans: Cans, stack: DockerStack) -> Iterator[dict[str, Any]]:
    """Whatever is done to the containers, afterwards they have to be the same; what a failed test left is released."""
    snapshot = cans.snapshot()
    yield snapshot
    for fault in stack.runtime.active():
        stack.runtime.release(fault)
    same_within(snapshot, cans)


def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait for a condition; fails loudly when it does not come true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.05)
    return value


@contextlib.contextmanager
def traffic(port: int) -> Iterator[None]:
    """Somebody fetches 100 kB through the published port, again and again."""
    stop = threading.Event()

    def fetch() -> None:
        while not stop.wait(0.02):
            with contextlib.suppress(http.NoAnswer):
                http.get(port, "/bulk/100000", 2.0)

    thread = threading.Thread(target=fetch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def passes(port: int) -> bool:
    """Whether a request comes back within 0.2 s."""
    with contextlib.suppress(http.NoAnswer):
        return http.get(port, "/healthz", 0.2).elapsed_s < 0.2
    return False


def fetch_s(port: int, size: int) -> float:
    """Seconds that a download takes."""
    answer = http.get(port, f"/bulk/{size}", 20.0)
    assert len(answer.body) == size
    return answer.elapsed_s


def datagrams_lost(cans: Cans, count: int) -> float:
    """The share of datagrams from `front` to port 8080 of `web` that do not arrive."""
    address = docker_address(cans)
    receiver = inside(cans.pid("web"), lambda: _bound(("0.0.0.0", 8080)))  # noqa: S104 - inside a container
    sender = inside(cans.pid("front"), lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    arrived = 0
    with receiver, sender:
        for _ in range(count // 50):
            for _ in range(50):
                sender.sendto(b"x", (address, 8080))
            arrived += _drain(receiver)
    return 1 - arrived / count


def datagrams(cans: Cans, count: int, *, back: bool) -> list[int]:
    """Send numbered datagrams from `front` to port 8080 of `web`, or back from it; the numbers as they arrive."""
    ends = {name: inside(cans.pid(name), lambda port=port: _bound(("0.0.0.0", port))) for name, port in PORTS.items()}  # noqa: S104 - inside a container
    source, target = ("web", "front") if back else ("front", "web")
    to, seen = (docker_address(cans, target), PORTS[target]), list[int]()
    with ends["web"], ends["front"]:
        ear = threading.Thread(target=lambda: seen.extend(_numbers(ends[target])))
        ear.start()
        for number in range(count):
            ends[source].sendto(number.to_bytes(4), to)
            time.sleep(0.001)
        ear.join()
    return seen


PORTS = {"web": 8080, "front": 9090}


def _numbers(sock: socket.socket) -> Iterator[int]:
    sock.settimeout(1.0)
    with contextlib.suppress(TimeoutError):
        while True:
            yield int.from_bytes(sock.recv(16))


def docker_address(cans: Cans, node: str = "web") -> str:
    """Where a node is found on its network."""
    from docker_engine import docker

    return docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", cans.name(node)).strip()


def _bound(address: tuple[str, int]) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(address)
    return sock


def _drain(receiver: socket.socket) -> int:
    got = 0
    receiver.settimeout(0.1)
    with contextlib.suppress(TimeoutError):
        while True:
            receiver.recv(16)
            got += 1
    return got


def live_connection(cans: Cans, to: tuple[str, int]) -> socket.socket:
    """A connection from `front` to `web` that has carried a request already and stays open."""
    sock = inside(cans.pid("front"), lambda: socket.create_connection(to, timeout=5))
    assert ask(sock) > 0
    return sock


def ask(sock: socket.socket) -> float:
    """Seconds of one request and its answer on a live connection; raises what the socket raises."""
    began = time.perf_counter()
    sock.sendall(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
    data = b""
    while not data.endswith(b"ok"):
        part = sock.recv(4096)
        if not part:
            raise ConnectionResetError("the server closed")
        data += part
    return time.perf_counter() - began
