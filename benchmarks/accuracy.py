"""What was asked of each carrier and what came: delay, jitter, loss and rate, by the link proxy and in the kernel.

The link proxy's are measured on a stream, where a loss is a stall for every segment that is lost; the kernel's, in the
network namespaces of two containers, on single datagrams and on a live connection.

- *delay*: the median round trip less that without the fault, beside twice the delay, for both ways have it.
- *jitter*: the standard deviation of the times that messages take which are delayed one way (round trips in the link
  proxy; datagrams in the kernel), beside the deviation that was asked for. They are apart by four deviations: within a
  connection nothing overtakes, so what follows sooner feels the longer of two draws, and spreads less.
- *loss*: the share of datagrams that do not arrive, or of segments at which the stream stalled.
- *rate*: payload a second. In the link proxy that is what is asked; the kernel counts headers too, and of a full frame
  of 1514 bytes 1448 are payload: a ratio of 0.956 is exact.
"""

from __future__ import annotations

import socket
import statistics
import struct
import sys
import threading
import time
from typing import Any

from benchmarks._containers import Containers, containers
from benchmarks._relays import Relays, relays
from chaos.model.carrier import Ask
from chaos.model.link import LinkEffect
from chaos.runtimes.carriers import survey

SEGMENT = 1460
SEGMENTS = 8_000
TRIPS = 12
JITTERED = 300
"""Trips; the deviation that they show is off by 5 % itself (one standard error)."""
DATAGRAMS = 4_000
DELAYS_MS = (5, 50, 120)
JITTER_MS = (50, 10)
LOSSES = (0.01, 0.05)
PROXY_KBPS = (2_000, 20_000, 200_000)
KERNEL_KBPS = (2_000, 20_000)
LINK = "front--web"
CLOCK = struct.Struct("d")


def run() -> dict[str, Any]:
    """Measure, print a table, and return its rows."""
    with relays() as (one, _):
        found: dict[str, Any] = {"link proxy": _proxy(one)}
    with containers() as (there, why_not):
        found["kernel, on containers"] = why_not if there is None else _kernel(there)
    _print(found)
    return found


def _proxy(one: Relays) -> list[dict[str, Any]]:
    base = statistics.median(one.trips_ms("proxy", 100))
    rows = []
    for delay_ms in DELAYS_MS:
        with one.shaped(delay_ms=delay_ms):
            rows.append(
                _row("delay, round trip ms", 2 * delay_ms, statistics.median(one.trips_ms("proxy", TRIPS)) - base)
            )
    delay_ms, jitter_ms = JITTER_MS
    with one.shaped(delay_ms=delay_ms, jitter_ms=jitter_ms, direction="forward"):
        rows.append(_row("jitter, ms", jitter_ms, _spread(one.trips_ms("proxy", JITTERED))))
    for loss in LOSSES:
        before = one.stats()["stalls"]
        with one.shaped(loss=loss, stall_ms=0.1, direction="forward"):
            one.bulk_s("proxy", SEGMENTS * SEGMENT)
        rows.append(_row("loss, % of segments", 100 * loss, 100 * (one.stats()["stalls"] - before) / SEGMENTS))
    for rate_kbps in PROXY_KBPS:
        size = rate_kbps * 125
        with one.shaped(rate_kbps=rate_kbps, direction="forward"):
            rows.append(_row("rate, kbit/s", rate_kbps, size / 125 / one.bulk_s("proxy", size)))
    return rows


def _kernel(there: Containers) -> list[dict[str, Any]]:
    import docker_rig

    address = (docker_rig.docker_address(there.cans), 8080)
    rows = []
    with docker_rig.live_connection(there.cans, address) as sock:

        def trips_ms(count: int) -> list[float]:
            return [docker_rig.ask(sock) * 1000 for _ in range(count)]

        base = statistics.median(trips_ms(100))
        for delay_ms in DELAYS_MS:
            with _Shaped(there, LinkEffect(delay_ms=delay_ms)) as by:
                rows.append(_row("delay, round trip ms", 2 * delay_ms, statistics.median(trips_ms(TRIPS)) - base, by))
    delay_ms, jitter_ms = JITTER_MS
    with _Shaped(there, LinkEffect(delay_ms=delay_ms, jitter_ms=jitter_ms, direction="forward")) as by:
        rows.append(_row("jitter, ms", jitter_ms, _spread(_waits_ms(there, JITTERED, 4 * jitter_ms)), by))
    for loss in LOSSES:
        with _Shaped(there, LinkEffect(loss=loss, direction="forward")) as by:
            lost = docker_rig.datagrams_lost(there.cans, DATAGRAMS)
        rows.append(_row("loss, % of datagrams", 100 * loss, 100 * lost, by))
    for rate_kbps in KERNEL_KBPS:
        with _Shaped(there, LinkEffect(rate_kbps=rate_kbps, direction="backward")) as by:
            rows.append(_row("rate, kbit/s of payload", rate_kbps, _download_kbps(there, address, rate_kbps * 500), by))
    return rows


def _waits_ms(there: Containers, count: int, every_ms: float) -> list[float]:
    """How long single datagrams from one container to the other take; both ends of them are here."""
    import docker_rig

    from chaos.runtimes.docker_net import inside

    def bound() -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("0.0.0.0", docker_rig.PORTS["web"]))  # noqa: S104 - inside a container
        sock.settimeout(2.0)
        return sock

    to = (docker_rig.docker_address(there.cans), docker_rig.PORTS["web"])
    waits: list[float] = []
    with (
        inside(there.cans.pid("web"), bound) as ear,
        inside(there.cans.pid("front"), lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as mouth,
    ):

        def hear() -> None:
            for _ in range(count):
                (sent,) = CLOCK.unpack(ear.recv(CLOCK.size))
                waits.append((time.perf_counter() - sent) * 1000)

        hearing = threading.Thread(target=hear)
        hearing.start()
        for _ in range(count):
            mouth.sendto(CLOCK.pack(time.perf_counter()), to)
            time.sleep(every_ms / 1000)
        hearing.join()
    return waits


def _download_kbps(there: Containers, address: tuple[str, int], size: int) -> float:
    """Of the second half of a download, when queues and windows are full.

    The kernel lets up to 64 KiB pass at once and then keeps the link busy for as long as they take: the time between
    two arrivals is that of what came with the first of them.
    """
    import docker_rig

    with docker_rig.live_connection(there.cans, address) as sock:
        sock.sendall(b"GET /bulk/%d HTTP/1.1\r\nHost: web\r\n\r\n" % size)
        seen: list[tuple[float, int]] = []
        got = 0
        while got < size:
            came = len(sock.recv(1 << 20))
            seen.append((time.perf_counter(), got))
            got += came
    first, last = next(one for one in seen if one[1] >= size / 2), seen[-1]
    return (last[1] - first[1]) / 125 / (last[0] - first[0])


class _Shaped:
    """With an effect on the link between the containers; says which carrier it has."""

    def __init__(self, there: Containers, effect: LinkEffect) -> None:
        self._runtime = there.stack.runtime
        self._effect = effect

    def __enter__(self) -> str:
        self._runtime.shape("bench.accuracy", (LINK,), self._effect, 60.0, 1)
        asks = Ask.parts(self._effect)
        tried = survey("docker", asks)
        return ", ".join(dict.fromkeys(tried.means(ask, ()).carrier for ask in asks))

    def __exit__(self, *_: object) -> None:
        self._runtime.release("bench.accuracy")


def _spread(values: list[float]) -> float:
    """Standard deviation of a normal distribution with these deciles: a late machine moves only the tail."""
    deciles = statistics.quantiles(values, n=10)
    return (deciles[-1] - deciles[0]) / 2.563


def _row(what: str, asked: float, measured: float, carrier: str = "proxy") -> dict[str, Any]:
    ratio = round(measured / asked, 3)
    return {"carrier": carrier, "what": what, "asked": asked, "measured": round(measured, 2), "ratio": ratio}


def _print(found: dict[str, Any]) -> None:
    for name, rows in found.items():
        if isinstance(rows, str):
            print(f"{name}: not measured: {rows}", file=sys.stderr)
            continue
        print(f"\n{name:28}{'carrier':12}{'asked':>10}{'measured':>12}{'ratio':>9}")
        for row in rows:
            print(f"{row['what']:28}{row['carrier']:12}{row['asked']:>10g}{row['measured']:>12}{row['ratio']:>9}")


if __name__ == "__main__":
    run()
