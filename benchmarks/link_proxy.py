"""The link proxy against a direct socket, in pairs of one run; and what it does against what it was asked to do.

Absolute figures depend on the machine and on what else it does; the ratios are what can be compared.
"""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from chaos.runtimes import control, ports

ROUNDS = 5
PINGS = 400
BULK = 64 << 20
SEGMENT = 1460

SERVER = """
import socket, sys, threading
def serve(sock):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock:
        if sock.recv(1) == b"e":
            while data := sock.recv(1 << 18):
                sock.sendall(data)
        else:
            while sock.recv(1 << 18):
                pass
            sock.sendall(b"!")
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


class Bench:
    """A server, and a proxy before it."""

    def __init__(self, direct: int, through: int, sock: str) -> None:
        self.ports = {"direct": direct, "proxy": through}
        self._socket = sock

    def connect(self, way: str, mode: bytes) -> socket.socket:
        """Mode `e` echoes, `s` swallows and says when everything is there."""
        sock = socket.create_connection(("127.0.0.1", self.ports[way]), timeout=60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(mode)
        return sock

    @contextlib.contextmanager
    def shaped(self, **effect: Any) -> Iterator[None]:
        """With an effect on the link."""
        control.call(self._socket, "shape", fault="f", links=["link"], effect=effect, lease_s=120, seed=1)
        try:
            yield
        finally:
            control.call(self._socket, "release", fault="f")

    def stalls(self) -> int:
        """Stalls counted so far."""
        return int(control.call(self._socket, "stats")["link"]["stalls"])


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """Start both processes, and end them."""
    claim = ports.claim(2)
    direct, through = claim.ports
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        orders = Path(folder) / "orders.json"
        path = f"{folder}/proxy.sock"
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
        yield Bench(direct, through, path)
    claim.close()


def ping_us(one: Bench, way: str, count: int = PINGS) -> float:
    """Median round trip of 64 bytes, in microseconds."""
    trips = []
    with one.connect(way, b"e") as sock:
        for _ in range(count):
            began = time.perf_counter()
            sock.sendall(b"x" * 64)
            left = 64
            while left:
                left -= len(sock.recv(left))
            trips.append(time.perf_counter() - began)
    return statistics.median(trips) * 1e6


def bulk_s(one: Bench, way: str, size: int = BULK) -> float:
    """Seconds until the server has everything."""
    block = memoryview(bytes(1 << 20))
    with one.connect(way, b"s") as sock:
        began = time.perf_counter()
        for start in range(0, size, len(block)):
            sock.sendall(block[: min(len(block), size - start)])
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1)
        return time.perf_counter() - began


def pairs(measure: Callable[[str], float]) -> tuple[float, float, float]:
    """Medians of direct and proxied, and the median ratio of neighbours; their order alternates."""
    found = []
    for number in range(ROUNDS):
        ways = ["direct", "proxy"] if number % 2 else ["proxy", "direct"]
        found.append({way: measure(way) for way in ways})
    direct, proxy = (statistics.median(one[way] for one in found) for way in ("direct", "proxy"))
    return direct, proxy, statistics.median(one["proxy"] / one["direct"] for one in found)


def asked_and_measured(one: Bench) -> list[dict[str, Any]]:
    """Delay, rate and loss: what was asked for, what came."""
    rows = []
    base_ms = ping_us(one, "proxy", 50) / 1000
    for delay_ms in (5, 50, 120):
        with one.shaped(delay_ms=delay_ms):
            rows.append(_row("delay, round trip ms", 2 * delay_ms, ping_us(one, "proxy", 8) / 1000 - base_ms))
    for rate_kbps in (2_000, 20_000, 200_000):
        size = rate_kbps * 125
        with one.shaped(rate_kbps=rate_kbps, direction="forward"):
            rows.append(_row("rate, kbit/s", rate_kbps, size / 125 / bulk_s(one, "proxy", size)))
    for loss in (0.01, 0.05):
        before, segments = one.stalls(), 8_000
        with one.shaped(loss=loss, stall_ms=0.1, direction="forward"):
            bulk_s(one, "proxy", segments * SEGMENT)
        rows.append(_row("loss, % of segments", 100 * loss, 100 * (one.stalls() - before) / segments))
    return rows


def _row(what: str, asked: float, measured: float) -> dict[str, Any]:
    return {"what": what, "asked": asked, "measured": round(measured, 2), "ratio": round(measured / asked, 3)}


def run() -> dict[str, Any]:
    """Measure, print a table, and return the figures."""
    with bench() as one:
        ping_us(one, "proxy")
        trip = pairs(lambda way: ping_us(one, way))
        rate = pairs(lambda way: bulk_s(one, way))
        shaped = asked_and_measured(one)
    mib = BULK / (1 << 20)
    figures = {
        "round_trip_us": {"direct": round(trip[0], 1), "proxy": round(trip[1], 1), "ratio": round(trip[2], 2)},
        "throughput_mib_s": {
            "direct": round(mib / rate[0]),
            "proxy": round(mib / rate[1]),
            "ratio": round(1 / rate[2], 2),
        },
        "asked_and_measured": shaped,
    }
    _print(figures)
    return figures


def _print(figures: dict[str, Any]) -> None:
    print(f"{'':24}{'direct':>12}{'proxy':>12}{'ratio':>9}")
    for name, key in (("round trip 64 B, us", "round_trip_us"), ("throughput, MiB/s", "throughput_mib_s")):
        one = figures[key]
        print(f"{name:24}{one['direct']:>12}{one['proxy']:>12}{one['ratio']:>9}")
    print(f"\n{'':24}{'asked':>12}{'measured':>12}{'ratio':>9}")
    for row in figures["asked_and_measured"]:
        print(f"{row['what']:24}{row['asked']:>12g}{row['measured']:>12}{row['ratio']:>9}")


if __name__ == "__main__":
    run()
