"""The link proxy on real sockets: connections that are cut or frozen, bytes that are changed or read slowly."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from proxy_rig import Rig, receive, rig, round_trip_ms, until


@contextlib.contextmanager
def connected(proxy: Rig, count: int, link: str = "a") -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as exits:
        socks = [exits.enter_context(proxy.connect(link)) for _ in range(count)]
        for sock in socks:
            round_trip_ms(sock)
        yield socks


def echo_until_end(ended: list[float]) -> Callable[[socket.socket], None]:
    """A session that answers with what it is sent, and notes when it learns of its client's end."""

    def session(sock: socket.socket) -> None:
        with contextlib.suppress(ConnectionError):
            while data := sock.recv(100):
                sock.sendall(data)
        ended.append(time.monotonic())

    return session


def was_reset(sock: socket.socket) -> bool:
    sock.settimeout(0.2)
    try:
        sock.recv(1)
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
    return False


def test_a_cut_resets_its_share_of_the_live_connections_once(proxy: Rig) -> None:
    """Of ten connections on two links a 40 % cut resets four; the others and new ones work on."""
    before = proxy.stats("a")["reset"] + proxy.stats("b")["reset"]
    with connected(proxy, 5, "a") as some, connected(proxy, 5, "b") as others:
        proxy.shape(links="a b", strike="reset", share=0.4)
        kept = [sock for sock in (*some, *others) if not was_reset(sock)]
        assert len(kept) == 6
        for sock in (*kept, proxy.connect()):
            sock.settimeout(5)
            round_trip_ms(sock)
            sock.close()
    assert proxy.stats("a")["reset"] + proxy.stats("b")["reset"] == before + 4


def test_a_cut_meets_the_connections_of_one_room_alone(proxy: Rig) -> None:
    """Connections are told apart by the request that they begin with; a share is one of the room's."""
    with contextlib.ExitStack() as exits:
        socks = [exits.enter_context(proxy.connect("a" if number < 4 else "b")) for number in range(6)]
        for number, sock in enumerate(socks):
            request = f"GET /rooms/room%20{number % 2}?token=x HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            sock.sendall(request)
            assert sock.recv(len(request), socket.MSG_WAITALL) == request
        until(lambda: proxy.stats("a")["keys"] == {"room 0": 2, "room 1": 2} and proxy.stats("b")["keys"])
        proxy.shape(links="a b", strike="reset", key="room 1")
        assert [was_reset(sock) for sock in socks] == [False, True] * 3
        assert proxy.stats("a")["keys"] == {"room 0": 2}


def test_what_is_no_request_names_no_room(proxy: Rig) -> None:
    """Bytes of another protocol pass as they are, and no key matches them."""
    with connected(proxy, 2) as socks:
        proxy.shape(strike="reset", key="room-1")
        assert [was_reset(sock) for sock in socks] == [False, False]
        assert proxy.stats()["keys"] == {}


def test_the_seed_decides_which_connections_are_cut(proxy: Rig) -> None:
    """The same seed cuts the same connections, counted in the order in which they came."""
    cuts = []
    for seed in (1, 1, 2, 3, 4):
        with connected(proxy, 8) as socks:
            proxy.shape(strike="reset", share=0.5, seed=seed)
            cuts.append([was_reset(sock) for sock in socks])
            proxy.release()
        until(lambda: proxy.stats()["connections"] == 0)
    assert cuts[0] == cuts[1]
    assert any(one != cuts[0] for one in cuts)


def test_frozen_connections_hold_both_ways_and_new_ones_work(proxy: Rig) -> None:
    """What was alive is held until the lift and then flows on in order; who connects meanwhile notices nothing."""
    with connected(proxy, 1) as (sock,):
        proxy.shape(strike="freeze")
        assert proxy.stats()["frozen"] == 1
        sock.sendall(b"held")
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        with proxy.connect() as new:
            assert round_trip_ms(new) < 500
        proxy.release()
        sock.settimeout(5)
        assert receive(sock, 4) == b"held"
        assert proxy.stats()["frozen"] == 0


def test_a_client_that_resets_while_frozen_is_noticed_after_the_lift() -> None:
    """The server of a frozen connection learns of its client's reset when the fault is lifted, not before."""
    ended: list[float] = []
    with rig(echo_until_end(ended)) as one:
        sock = one.connect()
        round_trip_ms(sock)
        one.shape(strike="freeze")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
        until(lambda: one.stats()["connections"] == 0)
        assert not ended
        lifted = time.monotonic()
        one.release()
        assert until(lambda: ended)[0] >= lifted


def test_corrupt_changes_single_bytes_as_often_as_asked(proxy: Rig) -> None:
    """Of 2000 segments with 5 %, about 100 bytes come back changed, as many as are counted, and none is lost."""
    payload = bytes(1460 * 2000)
    before = proxy.stats()["corrupted"]
    with proxy.connect() as sock:
        proxy.shape(corrupt=0.05, direction="forward")
        sender = threading.Thread(target=sock.sendall, args=(payload,))
        sender.start()
        got = receive(sock, len(payload))
        sender.join()
    changed = sum(byte != 0 for byte in got)
    assert len(got) == len(payload)
    assert 50 <= changed <= 170
    assert proxy.stats()["corrupted"] - before == changed


def test_a_slow_reader_lets_its_rate_through(proxy: Rig) -> None:
    """40 kB read at 40 kB/s take about a second on each of two connections at once, whole and in order."""
    payload = bytes(range(250)) * 160
    with connected(proxy, 2) as socks:
        proxy.shape(read_bps=40_000, direction="backward")
        began = time.perf_counter()
        for sock in socks:
            sock.sendall(payload)
        for sock in socks:
            assert receive(sock, len(payload)) == payload
        assert 0.8 <= time.perf_counter() - began <= 2.5


def test_a_slow_reader_fills_the_senders_buffers() -> None:
    """A server that sends to a slow reader blocks, since the proxy takes no more than the reader does."""
    sent: list[int] = []

    def session(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(b"s" * 65536)
                sent.append(65536)

    with rig(session) as one:
        one.shape(read_bps=5000, direction="backward")
        with one.connect():
            until(lambda: one.stats()["unread_bytes"] > 0)
            stood = [0, 0]

            def stands() -> bool:
                """Nothing more was taken for 40 looks (0.2 s)."""
                stood[:] = [stood[0] + 1, stood[1]] if sum(sent) == stood[1] else [0, sum(sent)]
                return stood[0] >= 40

            until(stands)
            assert sum(sent) < 16 << 20
            assert one.stats()["bytes_backward"] < 1 << 20


def test_a_slow_close_holds_back_the_end_and_nothing_else(proxy: Rig) -> None:
    """Bytes come back at once; the end that follows them does so after the time each way, or as the fault is lifted."""
    with proxy.connect() as sock, proxy.connect() as other:
        proxy.shape(close_ms=400)
        sock.sendall(b"last words")
        assert receive(sock, 10) == b"last words"
        began = time.perf_counter()
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
        assert time.perf_counter() - began >= 0.8
        assert proxy.stats()["held_ends"] == 2
        proxy.shape(close_ms=60_000)
        other.shutdown(socket.SHUT_WR)
        until(lambda: proxy.stats()["held_ends"] == 3)
        proxy.release()
        other.settimeout(10)
        assert other.recv(1) == b""


def test_a_reset_is_late_too_where_ends_are() -> None:
    """The server of a client that resets learns of it after the time, and answers nobody meanwhile."""
    ended: list[float] = []
    with rig(echo_until_end(ended)) as one:
        sock = one.connect()
        round_trip_ms(sock)
        one.shape(close_ms=500, direction="forward")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        gone = time.monotonic()
        sock.close()
        until(lambda: one.stats()["connections"] == 0)
        assert until(lambda: ended)[0] - gone >= 0.5
