"""A link proxy as a process of its own, before servers that live in threads of the test."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from chaos.runtimes import control, ports

ROOT = Path(__file__).resolve().parents[2]
PROXY = ("-m", "chaos.runtimes.proxy")
WITHOUT_UVLOOP = (
    "-c",
    "import sys; sys.modules['uvloop'] = None; from chaos.runtimes.proxy import main; sys.exit(main(sys.argv))",
)


def until(condition: Callable[[], Any], within_s: float = 15.0) -> Any:
    """Wait for a condition; fails loudly when it does not come true."""
    end = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.005)
    return value


class Server:
    """A TCP server on a free port whose connections each run `session` in a thread."""

    def __init__(self, session: Callable[[socket.socket], None], port: int) -> None:
        self.port = port
        self._session = session
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self._threads = [threading.Thread(target=self._accept)]
        self._socks: list[socket.socket] = []
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._socks.append(sock)
                thread = threading.Thread(target=self._serve, args=(sock,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            self._session(sock)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)


def echo(sock: socket.socket) -> None:
    """Send back what comes; after its end, an end."""
    while data := sock.recv(65536):
        sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


class Rig:
    """Links `a` and `b` to an echo server, `none` to a port where nobody listens."""

    def __init__(self, session: Callable[[socket.socket], None] = echo, program: tuple[str, ...] = PROXY) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rig-")
        self._claim = ports.claim(5)
        a, b, none, target, self.nobody = self._claim.ports
        self.server = Server(session, target)
        self.ports = {"a": a, "b": b, "none": none}
        self.socket = f"{self._folder.name}/proxy.sock"
        to = {"a": target, "b": target, "none": self.nobody}
        orders = Path(self._folder.name) / "orders.json"
        links = [{"name": name, "port": port, "to": to[name]} for name, port in self.ports.items()]
        orders.write_text(json.dumps({"proxy": {"socket": self.socket, "links": links}}))
        self._said = Path(self._folder.name) / "stderr"
        with self._said.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-X", "dev", *program, str(orders)],
                stdin=subprocess.PIPE,
                stderr=stderr,
                cwd=ROOT,
            )
        until(Path(self.socket).exists)

    def call(self, do: str, **arguments: Any) -> Any:
        return control.call(self.socket, do, **arguments)

    def shape(self, fault: str = "f", links: str = "a", lease_s: float = 20.0, seed: int = 1, **effect: Any) -> None:
        self.call("shape", fault=fault, links=links.split(), effect=effect, lease_s=lease_s, seed=seed)

    def release(self, fault: str = "f") -> None:
        self.call("release", fault=fault)

    def stats(self, link: str = "a") -> dict[str, Any]:
        stats: dict[str, Any] = self.call("stats")[link]
        return stats

    def connect(self, link: str = "a", timeout_s: float = 10.0) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.ports[link]), timeout=timeout_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def quiet(self) -> None:
        """Nothing shaped and nobody connected: as new."""
        for fault in self.call("active"):
            self.release(fault)
        until(lambda: not any(one["connections"] for one in self.call("stats").values()))

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(15) == 0
        self.server.close()
        self._claim.close()
        # Debug mode also tells of slow callbacks: on a busy machine that is no news of the proxy.
        lines = self._said.read_text().splitlines()
        said = "\n".join(line for line in lines if not line.startswith("Executing "))
        self._folder.cleanup()
        assert not said, said


@contextlib.contextmanager
def rig(session: Callable[[socket.socket], None] = echo, program: tuple[str, ...] = PROXY) -> Iterator[Rig]:
    """A rig that is closed at the end, whatever happens."""
    one = Rig(session, program)
    try:
        yield one
    finally:
        one.close()


def round_trip_ms(sock: socket.socket, payload: bytes = b"x" * 64) -> float:
    """Milliseconds for a payload to come back whole."""
    began = time.perf_counter()
    sock.sendall(payload)
    assert receive(sock, len(payload)) == payload
    return (time.perf_counter() - began) * 1000


def receive(sock: socket.socket, size: int) -> bytes:
    """Exactly so many bytes, or fewer if the stream ends."""
    data = b""
    while len(data) < size and (part := sock.recv(min(65536, size - len(data)))):
        data += part
    return data
