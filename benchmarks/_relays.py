"""A server, the ways to it (direct, through the link proxy, through Toxiproxy), and what one sends over them."""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks._toxiproxy import Toxiproxy, program, toxiproxy
from chaos.runtimes import control, ports

MESSAGE = b"x" * 64

SERVER = """
import selectors, socket, sys
selector = selectors.DefaultSelector()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=512)
selector.register(listener, selectors.EVENT_READ)
buffer = memoryview(bytearray(1 << 18))
print("ready", flush=True)
while True:
    for key, _ in selector.select():
        sock = key.fileobj
        if sock is listener:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(sock, selectors.EVENT_READ, b"")
            continue
        try:
            if not key.data:
                mode = sock.recv(1)
                selector.modify(sock, selectors.EVENT_READ, mode)
                size = len(mode)
            else:
                size = sock.recv_into(buffer)
                if key.data == b"e" and size:
                    sock.sendall(buffer[:size])
                elif key.data == b"s" and not size:
                    sock.sendall(b"!")
        except ConnectionError:
            size = 0
        if not size:
            selector.unregister(sock)
            sock.close()
"""


class Relays:
    """What is between a client and the server."""

    def __init__(self, ways: dict[str, int], socket_path: str, pids: dict[str, int], toxi: Toxiproxy | None) -> None:
        self.ways = ways
        self._socket = socket_path
        self._processes = {way: psutil.Process(pid) for way, pid in pids.items()}
        self._toxi = toxi

    @contextlib.contextmanager
    def connect(self, way: str, mode: bytes = b"e") -> Iterator[socket.socket]:
        """Mode `e` echoes, `s` swallows and says when everything is there."""
        with socket.create_connection(("127.0.0.1", self.ways[way]), timeout=60) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(mode)
            yield sock

    def cpu_s(self, way: str) -> float:
        """Processor time that what is in the way has taken so far; 0 for nothing."""
        process = self._processes.get(way)
        if process is None:
            return 0.0
        times = process.cpu_times()
        return float(times.user + times.system)

    @contextlib.contextmanager
    def shaped(self, **effect: Any) -> Iterator[None]:
        """With an effect on the link proxy."""
        control.call(self._socket, "shape", fault="f", links=["link"], effect=effect, lease_s=170, seed=1)
        try:
            yield
        finally:
            control.call(self._socket, "release", fault="f")

    @contextlib.contextmanager
    def delayed(self, delay_ms: int) -> Iterator[None]:
        """With a delay each way, in both proxies."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.shaped(delay_ms=delay_ms))
            if self._toxi is not None:
                stack.enter_context(self._toxi.delayed(delay_ms))
            yield

    def stats(self) -> dict[str, Any]:
        """Counters of the link proxy."""
        stats: dict[str, Any] = control.call(self._socket, "stats")["link"]
        return stats

    def trips_ms(self, way: str, count: int) -> list[float]:
        """Round trips of a small message on one connection."""
        trips = []
        with self.connect(way) as sock:
            for _ in range(count):
                began = time.perf_counter()
                sock.sendall(MESSAGE)
                left = len(MESSAGE)
                while left:
                    left -= len(sock.recv(left))
                trips.append((time.perf_counter() - began) * 1000)
        return trips

    def messages_us(self, way: str, connections: int, rounds: int) -> float:
        """Time per message when so many connections each have one on its way, again and again."""
        with contextlib.ExitStack() as stack:
            selector = stack.enter_context(contextlib.closing(selectors.DefaultSelector()))
            for _ in range(connections):
                sock = stack.enter_context(self.connect(way))
                selector.register(sock, selectors.EVENT_READ, [rounds, 0])
                sock.sendall(MESSAGE)
            began = time.perf_counter()
            while selector.get_map():
                for key, _ in selector.select():
                    _echoed(selector, key)
            return (time.perf_counter() - began) / (connections * rounds) * 1e6

    def bulk_s(self, way: str, size: int) -> float:
        """Seconds until the server has so many bytes."""
        block = memoryview(bytes(1 << 20))
        with self.connect(way, b"s") as sock:
            began = time.perf_counter()
            for start in range(0, size, len(block)):
                sock.sendall(block[: min(len(block), size - start)])
            sock.shutdown(socket.SHUT_WR)
            sock.recv(1)
            return time.perf_counter() - began


def _echoed(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    """Part of a message is back; the next follows a whole one."""
    sock, state = key.fileobj, key.data
    assert isinstance(sock, socket.socket)  # noqa: S101 - all that were registered are
    state[1] += len(sock.recv(len(MESSAGE)))
    if state[1] == len(MESSAGE):
        state[:] = [state[0] - 1, 0]
        if state[0]:
            sock.sendall(MESSAGE)
        else:
            selector.unregister(sock)


@contextlib.contextmanager
def relays(*, with_toxiproxy: bool = False) -> Iterator[tuple[Relays, str]]:
    """Start server and proxies, and end them; also says why Toxiproxy is not among them, if it was asked for."""
    with contextlib.ExitStack() as stack:
        claim = ports.claim(4)
        stack.callback(claim.close)
        direct, through, api, toxic = claim.ports
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        orders, path = Path(folder) / "orders.json", f"{folder}/proxy.sock"
        link = {"name": "link", "port": through, "to": direct}
        orders.write_text(json.dumps({"proxy": {"socket": path, "links": [link]}}))
        server = subprocess.Popen([sys.executable, "-c", SERVER, str(direct)], stdout=subprocess.PIPE)
        stack.callback(server.wait)
        stack.callback(server.terminate)
        assert server.stdout is not None  # noqa: S101 - a pipe was asked for
        stack.enter_context(server.stdout).readline()
        proxy = subprocess.Popen(
            [sys.executable, "-m", "chaos.runtimes.proxy", str(orders)],
            stdin=subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[1],
        )
        stack.callback(proxy.wait)
        assert proxy.stdin is not None  # noqa: S101 - a pipe was asked for
        stack.callback(proxy.stdin.close)
        while not Path(path).exists():
            time.sleep(0.01)
        ways, pids, toxi = {"direct": direct, "proxy": through}, {"proxy": proxy.pid}, None
        binary, why_not = program() if with_toxiproxy else (None, "")
        if binary is not None:
            toxi = stack.enter_context(toxiproxy(binary, api, toxic, direct))
            ways["toxiproxy"], pids["toxiproxy"] = toxic, toxi.pid
        yield Relays(ways, path, pids, toxi), why_not
