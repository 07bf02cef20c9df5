"""What is asked of the kernel and what single datagrams feel of it: our carriers beside plain `tc netem`.

Everything happens on `lo` of a network namespace of its own. The reference needs a kernel with netem; without, only our
other carriers are measured. `make bench-netem` boots such a kernel and writes its figures as `netem_vm.json`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chaos.model.carrier import Ask
from chaos.model.link import LinkEffect
from chaos.runtimes import carriers, docker_net, docker_shape, sandbox
from chaos.runtimes.kernel_agent import Agent

PORT = 20_001
LEASE_S = 900.0
PATIENCE_S = 10.0
"""After which a datagram counts as lost: an emulated machine is slow."""
CASES: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "delay 20 ms": ({"delay_ms": 20}, "delay 20ms", {"count": 200, "every_s": 0.005}),
    "delay 120 ms": ({"delay_ms": 120}, "delay 120ms", {"count": 200, "every_s": 0.005}),
    "delay 100 ms, jitter 10 ms": (
        {"delay_ms": 100, "jitter_ms": 10},
        "delay 100ms 10ms distribution normal",
        {"count": 200, "every_s": 0.04},
    ),
    "loss 2 %": ({"loss": 0.02}, "loss 2%", {"count": 4000, "every_s": 0.001}),
    "loss 20 %": ({"loss": 0.2}, "loss 20%", {"count": 2000, "every_s": 0.001}),
    "rate 1000 kbit/s": ({"rate_kbps": 1000}, "rate 1000kbit limit 1000", {"count": 200, "size": 1000}),
    "rate 8000 kbit/s": ({"rate_kbps": 8000}, "rate 8000kbit limit 1000", {"count": 600, "size": 1000}),
}
"""What is asked of us, the same in words of `tc netem`, and the datagrams that are sent."""


def run() -> dict[str, Any]:
    """Measure in a process of its own: whoever enters a namespace stays there."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.netem"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _measure() -> dict[str, Any]:
    sandbox.enter()
    if "NETEM_OUT" in os.environ:  # an emulated machine
        docker_net.RUN_S = 100.0
    plain = not (why := docker_shape.why_not(LinkEffect(delay_ms=1), netem=True))
    print(f"netem: {why or 'works'}", file=sys.stderr, flush=True)
    figures: dict[str, Any] = {"untouched": _figures(_send(200, every_s=0.005))}
    with _agent() as ask:
        for name, (asked, words, packets) in CASES.items():
            figures[name] = {"ours": _ours(ask, asked, packets)}
            if plain:
                figures[name]["tc netem"] = _reference(words, packets)
            print(name, figures[name], file=sys.stderr, flush=True)
    return figures


def _ours(ask: Any, asked: dict[str, Any], packets: dict[str, Any]) -> dict[str, Any]:
    effect = LinkEffect(**asked, direction="forward")
    survey = carriers.survey(carriers.SANDBOX, Ask.parts(effect))
    by = [survey.means(one, ()).carrier for one in Ask.parts(effect)]
    ask(do="shape", fault="bench", links=["link"], effect=effect.model_dump(), lease_s=LEASE_S, seed=1)
    try:
        return {"by": ", ".join(by), **_figures(_send(**packets))}
    finally:
        ask(do="release", fault="bench")


def _reference(words: str, packets: dict[str, Any]) -> dict[str, Any]:
    subprocess.run(["tc", "qdisc", "add", "dev", "lo", "root", "netem", *words.split()], check=True)
    try:
        return _figures(_send(**packets))
    finally:
        subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], check=True)


@contextlib.contextmanager
def _agent() -> Iterator[Any]:
    """The agent of a sandbox, on a thread of its own; yields what asks it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def make() -> Agent:
        return Agent({"links": [{"name": "link", "port": PORT}], "socket": ""})

    agent = asyncio.run_coroutine_threadsafe(make(), loop).result()
    try:
        yield lambda **request: asyncio.run_coroutine_threadsafe(agent.handle(request), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _send(count: int, *, size: int = 200, every_s: float = 0.0) -> tuple[int, int, dict[int, float], list[float]]:
    """Send datagrams; how many, their size, when each came, and how long each took, in ms."""
    sent: dict[int, float] = {}
    came: dict[int, float] = {}
    with socket.socket(type=socket.SOCK_DGRAM) as ear, socket.socket(type=socket.SOCK_DGRAM) as mouth:
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        ear.bind(("127.0.0.1", PORT))
        ear.settimeout(PATIENCE_S)
        listener = threading.Thread(target=_listen, args=(ear, count, came))
        listener.start()
        began = time.perf_counter()
        for number in range(count):
            while (left := began + number * every_s - time.perf_counter()) > 0:
                time.sleep(left)
            sent[number] = time.perf_counter()
            mouth.sendto(number.to_bytes(4, "big").ljust(size, b"x"), ("127.0.0.1", PORT))
        listener.join()
    return count, size, came, [(at - sent[number]) * 1000 for number, at in came.items()]


def _listen(ear: socket.socket, count: int, came: dict[int, float]) -> None:
    with contextlib.suppress(TimeoutError):
        while len(came) < count:
            number = int.from_bytes(ear.recv(65536)[:4], "big")
            came[number] = time.perf_counter()


def _figures(seen: tuple[int, int, dict[int, float], list[float]]) -> dict[str, Any]:
    """Rates count the headers of IP and UDP, as the kernel does."""
    count, size, came, waits = seen
    if not came:
        return {"lost": 1.0}
    first, last = min(came.values()), max(came.values())
    return {
        "delay_ms": round(statistics.median(waits), 2),
        "jitter_ms": round(statistics.pstdev(waits), 2),
        "lost": round(1 - len(came) / count, 4),
        "kbps": round((len(came) - 1) * (size + 28) * 8 / 1000 / (last - first)),
    }


def main() -> int:
    """Print the figures; in the machine that `.ci/netem` boots also leave them where it takes results from."""
    text = json.dumps(_measure(), indent=2)
    print(text)
    if "NETEM_OUT" in os.environ:
        kernel = os.uname()
        where = {"system": f"{kernel.sysname} {kernel.release} {kernel.machine}", "emulated": True}
        result = {"name": "netem_vm", "result": json.loads(text), "machine": where}
        (Path(os.environ["NETEM_OUT"]) / "netem_vm.json").write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
