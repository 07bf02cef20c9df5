"""The link proxy on real sockets: silent and loud blocks of live and of new connections."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from proxy_rig import Rig, receive, rig, round_trip_ms, until


def test_silent_block_holds_bytes_until_it_is_lifted(proxy: Rig) -> None:
    """Under a silent block nothing arrives, both ends stay open, and what was sent flows on at the lift."""
    with proxy.connect() as sock:
        round_trip_ms(sock)
        proxy.shape(block="silent")
        sock.sendall(b"held")
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        assert proxy.stats()["connections"] == 1
        assert proxy.stats()["blocked_bytes"] >= 4
        sock.settimeout(5)
        proxy.release()
        assert receive(sock, 4) == b"held"


def test_silent_block_hangs_new_connections(proxy: Rig) -> None:
    """A connection made during a silent block gets no answer until the lift, then works."""
    proxy.shape(block="silent")
    with proxy.connect(timeout_s=0.3) as sock:
        sock.sendall(b"new")
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(5)
        proxy.release()
        assert receive(sock, 3) == b"new"


def test_silent_block_of_one_direction(proxy: Rig) -> None:
    """Blocked backward, bytes still reach the server, but its answers wait."""
    got: list[bytes] = []

    def session(sock: socket.socket) -> None:
        while data := sock.recv(100):
            got.append(data)
            sock.sendall(data)

    with rig(session) as one, one.connect() as sock:
        round_trip_ms(sock)
        one.shape(block="silent", direction="backward")
        sock.sendall(b"through")
        until(lambda: got[-1:] == [b"through"])
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(5)
        one.release()
        assert receive(sock, 7) == b"through"


def test_silent_block_hides_a_close(proxy: Rig) -> None:
    """A client that closes during a silent block is noticed by the server only after the lift."""
    ended: list[float] = []

    def session(sock: socket.socket) -> None:
        while sock.recv(100):
            pass
        ended.append(time.monotonic())

    with rig(session) as one:
        sock = one.connect()
        sock.sendall(b"here")
        until(lambda: one.stats()["bytes_forward"] == 4)
        one.shape(block="silent")
        sock.close()
        time.sleep(0.2)
        assert not ended
        lifted = time.monotonic()
        one.release()
        assert until(lambda: ended)[0] >= lifted


def test_silent_block_is_bounded(proxy: Rig) -> None:
    """A sender into a silent block is slowed by back-pressure; everything it sent arrives after the lift."""
    payload = bytes(range(256)) * (40 << 10)
    with proxy.connect() as sock:
        proxy.shape(block="silent", direction="forward")
        sender = threading.Thread(target=sock.sendall, args=(payload,))
        sender.start()
        until(lambda: proxy.stats()["blocked_bytes"] > 100_000)
        time.sleep(0.2)
        assert sender.is_alive()
        assert proxy.stats()["blocked_bytes"] < 2 << 20
        proxy.release()
        assert receive(sock, len(payload)) == payload
        sender.join()


def test_loud_block_resets_live_and_new_connections(proxy: Rig) -> None:
    """Under a loud block live connections are reset at once and new ones too; after the lift new ones work."""
    before = proxy.stats()["reset"]
    with proxy.connect() as sock:
        round_trip_ms(sock)
        proxy.shape(block="loud")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    with pytest.raises(ConnectionError), proxy.connect() as sock:
        round_trip_ms(sock)
    assert proxy.stats()["reset"] == before + 2
    proxy.release()
    with proxy.connect() as sock:
        round_trip_ms(sock)
