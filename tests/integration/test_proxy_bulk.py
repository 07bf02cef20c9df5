"""The link proxy in bulk transfers: what faults that come and go, ends, resets and slow readers do to them."""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest
from proxy_rig import Rig, receive, rig, until

BLOCK = random.Random(4).randbytes(1 << 20)


def swallow_slowly(until_released: threading.Event, got: list[bytes]) -> Callable[[socket.socket], None]:
    """A session that reads nothing before it is released, then everything, and then says how much."""

    def session(sock: socket.socket) -> None:
        until_released.wait(10)
        seen = hashlib.sha256()
        size = 0
        while data := sock.recv(1 << 18):
            seen.update(data)
            size += len(data)
        got.append(seen.digest())
        sock.sendall(b"%d" % size)

    return session


@contextlib.contextmanager
def sending(sock: socket.socket, payload: bytes) -> Iterator[list[str]]:
    """Send beside what the test does; says in the end how that went."""
    ended: list[str] = []

    def send() -> None:
        try:
            sock.sendall(payload)
            ended.append("sent")
        except OSError as error:
            ended.append(type(error).__name__)

    thread = threading.Thread(target=send)
    thread.start()
    yield ended
    thread.join(20)
    assert not thread.is_alive()


def test_a_bulk_transfer_under_changing_faults_arrives_whole() -> None:
    """94 MB both ways, while faults of every kind that loses nothing come and go 60 times, are the same bytes."""
    effects: list[dict[str, object]] = [
        {"delay_ms": 5},
        {"delay_ms": 3, "jitter_ms": 3},
        {"block": "silent"},
        {"rate_kbps": 400_000},
        {"loss": 0.001, "stall_ms": 2},
        {"read_bps": 30_000_000},
        {"strike": "freeze"},
    ]
    stages, part = 60, 3 << 19
    payload = (BLOCK * stages * 2)[: stages * part]
    rng = random.Random(11)
    got = bytearray()
    with rig() as one, one.connect() as sock, sending(sock, payload):
        for _ in range(stages):
            one.shape(direction=rng.choice(["forward", "backward", "both"]), **rng.choice(effects))
            lift = threading.Timer(rng.random() / 100, one.release)
            lift.start()
            got += receive(sock, part)
            lift.join()
        stats = one.stats()
    assert hashlib.sha256(got).digest() == hashlib.sha256(payload).digest()
    assert stats["bytes_forward"] == stats["bytes_backward"] == len(payload)
    assert stats["delayed_bytes"] > len(payload) / 100


def test_half_close_behind_a_bulk_is_kept() -> None:
    """A client that ends its direction behind 32 MB that the server has not read yet gets its answer after them."""
    go, got = threading.Event(), list[bytes]()
    with rig(swallow_slowly(go, got)) as one, one.connect() as sock:
        with sending(sock, BLOCK * 32):
            until(lambda: one.stats()["bytes_forward"] > 2 << 20)
            go.set()
        sock.shutdown(socket.SHUT_WR)
        assert receive(sock, 100) == b"%d" % (32 << 20)
        assert got == [hashlib.sha256(BLOCK * 32).digest()]
        until(lambda: one.stats()["connections"] == 0)


def test_reset_of_a_client_reaches_the_server_behind_a_bulk() -> None:
    """A client that resets in the middle of a bulk resets the server."""
    ended: list[str] = []

    def session(sock: socket.socket) -> None:
        try:
            while sock.recv(1 << 18):
                pass
            ended.append("end")
        except ConnectionResetError:
            ended.append("reset")

    with rig(session) as one:
        sock = one.connect()
        with sending(sock, BLOCK * 128):
            until(lambda: one.stats()["bytes_forward"] > 4 << 20)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.shutdown(socket.SHUT_RD)
            sock.close()
        assert until(lambda: ended) == ["reset"]
        until(lambda: one.stats()["connections"] == 0)


def test_reset_of_a_server_reaches_a_client_that_sends_a_bulk() -> None:
    """A server that resets in the middle of a bulk resets the client."""

    def session(sock: socket.socket) -> None:
        left = 4 << 20
        while left > 0 and (data := sock.recv(1 << 18)):
            left -= len(data)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with rig(session) as one:
        with one.connect() as sock, pytest.raises(ConnectionError):
            sock.sendall(BLOCK * 128)
        until(lambda: one.stats()["connections"] == 0)


def test_a_loud_block_resets_a_bulk() -> None:
    """Under a loud block a bulk transfer is reset at both ends, though bytes of it wait."""
    ended: list[str] = []

    def session(sock: socket.socket) -> None:
        blocked.wait(10)
        try:
            while sock.recv(1 << 18):
                pass
        except ConnectionResetError:
            ended.append("reset")

    blocked = threading.Event()
    with rig(session) as one, one.connect() as sock:
        with sending(sock, BLOCK * 64) as sent:
            until(lambda: one.stats()["bytes_forward"] > 2 << 20)
            one.shape(block="loud")
            assert until(lambda: sent)[0] in {"ConnectionResetError", "BrokenPipeError"}
        blocked.set()
        assert until(lambda: ended) == ["reset"]
        assert one.stats()["connections"] == 0


@pytest.mark.parametrize("delay_ms", [0, 20])
def test_a_server_that_does_not_read_holds_the_sender_back(delay_ms: int) -> None:
    """Of 64 MB to a server that reads nothing, a proxy takes few, with a delay as without, and all of them later."""
    go, got = threading.Event(), list[bytes]()
    with rig(swallow_slowly(go, got)) as one, one.connect() as sock:
        if delay_ms:
            one.shape(delay_ms=delay_ms)
        with sending(sock, BLOCK * 64) as sent:
            stood = [0, -1]

            def stands() -> bool:
                """Nothing more was taken for 40 looks (0.2 s)."""
                taken = one.stats()["bytes_forward"]
                stood[:] = [stood[0] + 1, taken] if taken == stood[1] > 0 else [0, taken]
                return stood[0] >= 40

            until(stands)
            assert not sent
            assert stood[1] < 40 << 20
            go.set()
        sock.shutdown(socket.SHUT_WR)
        assert receive(sock, 100) == b"%d" % (64 << 20)


def test_a_killed_proxy_ends_its_connections() -> None:
    """SIGKILL of the proxy in the middle of bulk transfers ends them on both sides, and nothing hangs."""
    ended: list[str] = []

    def session(sock: socket.socket) -> None:
        with contextlib.suppress(ConnectionError):
            while sock.recv(1 << 18):
                pass
        ended.append("ended")

    one = Rig(session)
    with contextlib.ExitStack() as stack:
        stack.callback(one.discard)
        socks = [stack.enter_context(one.connect()) for _ in range(4)]
        for sock in socks:
            stack.enter_context(sending(sock, BLOCK * 128))
        until(lambda: one.stats()["bytes_forward"] > 4 << 20)
        one.process.kill()
        until(lambda: len(ended) == len(socks))
