"""A stack in a private network of the tests' own, and what packets and live connections go through in it."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import itertools
import os
import socket
import statistics
import threading
import time
from typing import TYPE_CHECKING, NoReturn, Self

import pytest
from http_node import write_node

from chaos.engine import injector
from chaos.model.link import LinkEffect
from chaos.runtimes import control, docker_net, docker_shape, launch, process, sandbox
from chaos.runtimes.process import start_stack
from chaos.runtimes.stackfile import load_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chaos.runtimes.process import RunningStack

LINK = "users--web"
EMULATED = os.environ.get("NETEM_GUEST") == "yes"
"""In a machine without hardware virtualisation (`.ci/netem`): everything takes ten times as long, or more."""
AS_USER = ("setpriv", "--bounding-set=-sys_admin,-net_admin,-net_raw", "--inh-caps=-all")
"""Root without what makes it root over networks: it has to take the way of ordinary users."""
LEASE_S = 900.0 if EMULATED else 30.0
SLACK = 3.0 if EMULATED else 1.0
"""How much more than asked for a packet may wait."""
PACE = 12.0 if EMULATED else 1.0
"""How much longer a fault lasts, so that a look at it comes in time."""
PATIENCE_S = 100.0 if EMULATED else 10.0
"""How long one answer may take."""
LOCAL = "127.0.0.1"
NEW_NETWORK = 0x40000000
STACK = """
stack: boxed
environment: staging
regions: {east: {}}
services:
  web:
    role: meetings
    nodes:
      - {name: web, region: east, command: ["${python}", "${here}/node.py", "${port}", "HTTP/1.1"]}
links:
  - {name: users--web, source: users, target: web, kind: access, regions: [east]}
"""


def write_stack(folder: Path) -> Path:
    """The stack file and its server."""
    write_node(folder)
    (folder / "stack.yaml").write_text(STACK)
    return folder / "stack.yaml"


def skip_without_sandbox() -> None:
    """Go on only where a sandbox can be made, by somebody who can come back from it."""
    if why := sandbox.why_not():
        _leave_out(f"no sandbox here: {why}")
    if os.geteuid() != 0:
        _leave_out("the tests move into a sandbox and back, which takes root")


def skip_without_netem() -> None:
    """Go on only where the kernel has netem."""
    if why := docker_shape.why_not(LinkEffect(delay_ms=1), netem=True):
        _leave_out(f"no netem in this kernel ({why}); `make test-netem` boots one that has it")


def _leave_out(why: str) -> NoReturn:
    """Skip; but the emulated machine is there to have everything."""
    (pytest.fail if EMULATED else pytest.skip)(why)


@contextlib.contextmanager
def private_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Move this thread, and whatever it starts, into a sandbox; and back, which takes root."""
    if EMULATED:
        monkeypatch.setattr(docker_net, "RUN_S", PATIENCE_S)
    skip_without_sandbox()
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    assert libc.unshare(NEW_NETWORK) == 0
    try:
        sandbox.bring_up_loopback()
        monkeypatch.setattr(sandbox, "_entered", True)
        yield
    finally:
        assert libc.setns(home, NEW_NETWORK) == 0
        os.close(home)


@contextlib.contextmanager
def boxed_stack(folder: Path) -> Iterator[RunningStack]:
    """The stack in the sandbox that this thread is in."""
    with pytest.MonkeyPatch.context() as patch:
        if EMULATED:
            patch.setattr(launch, "START_S", 300.0)
            patch.setattr(injector, "LEASE_S", LEASE_S)
            patch.setattr(process, "LINKS_S", PATIENCE_S)
            patch.setattr(process, "RELEASE_S", PATIENCE_S)
            patch.setitem(control.call.__kwdefaults__ or {}, "timeout_s", PATIENCE_S)
        with start_stack(load_stack(str(write_stack(folder)))) as running:
            assert running.site.kernel
            yield running


class User:
    """One live connection through the link, over which requests are sent one after the other."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(LOCAL, port, timeout=PATIENCE_S)
        self.ask()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self) -> float:
        """Milliseconds of one request; raises OSError once the connection was cut."""
        began = time.perf_counter()
        if self._connection.sock is None:
            self._connection.connect()
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.auto_open = 0  # a new connection would be another user
        try:
            self._connection.request("GET", "/healthz")
            self._connection.getresponse().read()
        except http.client.HTTPException as error:
            raise ConnectionResetError(str(error)) from error
        return (time.perf_counter() - began) * 1000


class Packets:
    """Datagrams to the link's port, which its packet filters meet as they meet those of TCP, one by one."""

    def __init__(self, port: int, count: int, *, size: int = 200, every_s: float = 0.002) -> None:
        """Send them all and wait until the last that comes has come."""
        self._sent: dict[int, float] = {}
        self._came: dict[int, float] = {}
        self._order: list[int] = []
        with socket.socket(type=socket.SOCK_DGRAM) as ear, socket.socket(type=socket.SOCK_DGRAM) as mouth:
            ear.bind((LOCAL, port))
            ear.settimeout(1.0 if not EMULATED else 10.0)
            listener = threading.Thread(target=self._listen, args=(ear, count))
            listener.start()
            began = time.perf_counter()
            for number in range(count):
                while (left := began + number * every_s - time.perf_counter()) > 0:
                    time.sleep(left)
                self._sent[number] = time.perf_counter()
                mouth.sendto(number.to_bytes(4).ljust(size, b"x"), (LOCAL, port))
            listener.join()
        self._size = size

    def _listen(self, ear: socket.socket, count: int) -> None:
        with contextlib.suppress(TimeoutError):
            while len(self._order) < 2 * count:
                number = int.from_bytes(ear.recv(65536)[:4])
                self._came.setdefault(number, time.perf_counter())
                self._order.append(number)
                if len(self._came) == count:
                    ear.settimeout(0.2 if not EMULATED else 2.0)

    @property
    def waits_ms(self) -> list[float]:
        return [(came - self._sent[number]) * 1000 for number, came in self._came.items()]

    @property
    def delay_ms(self) -> float:
        return statistics.median(self.waits_ms)

    @property
    def jitter_ms(self) -> float:
        return statistics.pstdev(self.waits_ms)

    @property
    def lost(self) -> float:
        """Share of what was sent."""
        return 1 - len(self._came) / len(self._sent)

    @property
    def burst(self) -> float:
        """Mean number of packets lost in a row."""
        lost = [number not in self._came for number in self._sent]
        runs = sum(now and not before for before, now in itertools.pairwise([False, *lost]))
        return sum(lost) / max(1, runs)

    @property
    def twice(self) -> float:
        """Share of what was sent that came again."""
        return (len(self._order) - len(self._came)) / len(self._sent)

    @property
    def early(self) -> float:
        """Share of what came before something that was sent earlier."""
        last = list(itertools.accumulate(reversed(self._order), min))[::-1]
        return sum(number > least for number, least in zip(self._order, last[1:], strict=False)) / len(self._order)

    @property
    def tail(self) -> float:
        """How much longer the slowest wait than the middle, against the fastest: 1 where both sides are alike."""
        fast, middle, slow = (statistics.quantiles(self.waits_ms, n=40)[at] for at in (0, 19, 38))
        return (slow - middle) / max(0.001, middle - fast)

    @property
    def rate_kbps(self) -> float:
        """Of what came between the first and the last, with the headers of IP and UDP."""
        times = sorted(self._came.values())
        return (len(times) - 1) * (self._size + 28) * 8 / 1000 / (times[-1] - times[0])
