"""The link proxy on real sockets: what passes, what each effect does to live connections, and what lifts it."""

from __future__ import annotations

import contextlib
import resource
import socket
import statistics
import threading
import time

import pytest
from proxy_rig import Rig, Server, echo, receive, rig, round_trip_ms, until

from chaos.model.link import LinkEffect, LinkStats
from chaos.runtimes import control


def test_bytes_pass_unchanged_and_are_counted(proxy: Rig) -> None:
    """A megabyte comes back byte for byte, and the counters of both directions say so."""
    payload = bytes(range(256)) * 4096
    before = proxy.stats()
    with proxy.connect() as sock:
        sender = threading.Thread(target=sock.sendall, args=(payload,))
        sender.start()
        assert receive(sock, len(payload)) == payload
        sender.join()
    after = proxy.stats()
    assert after["bytes_forward"] - before["bytes_forward"] == len(payload)
    assert after["bytes_backward"] - before["bytes_backward"] == len(payload)
    assert after["opened"] - before["opened"] == 1
    assert LinkStats.model_validate(after).delayed_bytes == before["delayed_bytes"]


def test_half_close_is_kept(proxy: Rig) -> None:
    """A client that ends its direction still receives the answer, and then the end of the other."""
    with proxy.connect() as sock:
        sock.sendall(b"last words")
        sock.shutdown(socket.SHUT_WR)
        assert receive(sock, 100) == b"last words"
    until(lambda: proxy.stats()["connections"] == 0)


def test_refused_upstream_resets_the_client(proxy: Rig) -> None:
    """When nobody listens behind a link, the client gets a reset and the link counts a refusal."""
    before = proxy.stats("none")["refused"]
    with pytest.raises(ConnectionResetError), proxy.connect("none") as sock:  # at connect, or at the first read
        sock.recv(1)
    assert proxy.stats("none")["refused"] == before + 1


def test_client_reset_reaches_the_server() -> None:
    """A reset on one side arrives as a reset on the other."""
    seen: list[str] = []

    def session(sock: socket.socket) -> None:
        sock.sendall(b"hello")
        try:
            seen.append("end" if sock.recv(1) == b"" else "data")
        except ConnectionResetError:
            seen.append("reset")

    with rig(session) as one:
        sock = one.connect()
        assert receive(sock, 5) == b"hello"
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
        until(lambda: seen)
    assert seen == ["reset"]


def test_server_that_goes_on_sending_learns_that_the_client_is_gone() -> None:
    """A client that closes with an answer still on its way resets the server, as without a proxy."""
    ended: list[str] = []

    def session(sock: socket.socket) -> None:
        try:
            while True:
                sock.sendall(b"more" * 10_000)
        except ConnectionError as error:
            ended.append(type(error).__name__)

    with rig(session) as one:
        with one.connect() as sock:
            receive(sock, 100_000)
        assert until(lambda: ended)[0] in {"ConnectionResetError", "BrokenPipeError"}
        until(lambda: one.stats()["connections"] == 0)


def test_delay_acts_on_a_live_connection_and_lifts(proxy: Rig) -> None:
    """100 ms each way make a round trip of 200 to 260 ms on a connection that was open before; release ends it."""
    with proxy.connect() as sock:
        assert round_trip_ms(sock) < 60
        proxy.shape(delay_ms=100)
        trips = [round_trip_ms(sock) for _ in range(4)]
        proxy.release()
        after = min(round_trip_ms(sock) for _ in range(3))
    assert min(trips) >= 200
    assert statistics.median(trips) <= 260
    assert after < 60
    stats = LinkStats.model_validate(proxy.stats())
    assert stats.delayed_bytes >= 4 * 2 * 64
    assert 100 <= statistics.median(stats.dwell_ms) <= 130


def test_delay_of_one_direction(proxy: Rig) -> None:
    """A delay forward adds itself once to the round trip."""
    with proxy.connect() as sock:
        proxy.shape(delay_ms=100, direction="forward")
        assert 100 <= round_trip_ms(sock) <= 160


def test_delay_keeps_the_pipeline_full(proxy: Rig) -> None:
    """A delay does not turn into a rate: 4 MB under 50 ms arrive in a fraction of what stop-and-wait would take."""
    payload = b"p" * (4 << 20)
    with proxy.connect() as sock:
        proxy.shape(delay_ms=50)
        began = time.perf_counter()
        sender = threading.Thread(target=sock.sendall, args=(payload,))
        sender.start()
        assert receive(sock, len(payload)) == payload
        sender.join()
        assert time.perf_counter() - began < 2.0


def test_release_lets_delayed_bytes_out_in_order(proxy: Rig) -> None:
    """Bytes under a long delay come out at once at the release, in order."""
    with proxy.connect() as sock:
        proxy.shape(delay_ms=30_000, direction="forward")
        for number in range(50):
            sock.sendall(b"%03d" % number)
        until(lambda: proxy.stats()["connections"] == 1)
        time.sleep(0.05)
        began = time.perf_counter()
        proxy.release()
        assert receive(sock, 150) == b"".join(b"%03d" % number for number in range(50))
        assert time.perf_counter() - began < 1.0


def test_jitter_varies_the_delay_and_keeps_order(proxy: Rig) -> None:
    """Delays spread by about the jitter asked for, and what was sent in order arrives in order."""
    with proxy.connect() as sock:
        proxy.shape(delay_ms=30, jitter_ms=10, direction="forward", seed=7)
        trips = [round_trip_ms(sock) for _ in range(40)]
        for number in range(200):
            sock.sendall(b"%03d" % number)
        assert receive(sock, 600) == b"".join(b"%03d" % number for number in range(200))
    lower, middle, upper = statistics.quantiles(trips, n=4)
    assert 20 <= middle <= 50
    # A normal distribution's quartiles lie 1.35 standard deviations apart; a late machine moves only the tail.
    assert 4 <= upper - lower <= 30


def test_loss_is_a_stall(proxy: Rig) -> None:
    """With loss 1 each message stands still for the stall, and it is counted."""
    before = proxy.stats()["stalls"]
    with proxy.connect() as sock:
        proxy.shape(loss=1.0, stall_ms=150, direction="forward")
        assert 150 <= round_trip_ms(sock) < 300
        assert 300 <= round_trip_ms(sock, b"y" * 2000) < 600, "two segments, two stalls"
    assert proxy.stats()["stalls"] == before + 3


def test_loss_comes_as_often_as_asked(proxy: Rig) -> None:
    """Of 4000 segments with 5 % loss, about 200 stall."""
    before = proxy.stats()["stalls"]
    with proxy.connect() as sock:
        proxy.shape(loss=0.05, stall_ms=1, direction="forward")
        payload = b"z" * (1460 * 4000)
        sender = threading.Thread(target=sock.sendall, args=(payload,))
        sender.start()
        assert len(receive(sock, len(payload))) == len(payload)
        sender.join()
    assert 140 <= proxy.stats()["stalls"] - before <= 300


def test_rate_is_shared_by_connections_and_links(proxy: Rig) -> None:
    """Two connections on two links together get the rate asked for, and each a fair part of it."""
    rate_kbps, size = 4000, 300_000  # the first to come may fill the queue of 100 kB
    done: dict[str, float] = {}

    def pull(link: str) -> None:
        with proxy.connect(link) as sock:
            sender = threading.Thread(target=sock.sendall, args=(b"r" * size,))
            sender.start()
            assert len(receive(sock, size)) == size
            done[link] = time.perf_counter() - began
            sender.join()

    proxy.shape(links="a b", rate_kbps=rate_kbps, direction="forward")
    began = time.perf_counter()
    pulls = [threading.Thread(target=pull, args=(link,)) for link in ("a", "b")]
    for one in pulls:
        one.start()
    for one in pulls:
        one.join()
    asked = 2 * size * 8 / (rate_kbps * 1000)
    assert 0.8 * asked <= max(done.values()) <= 1.5 * asked
    assert min(done.values()) >= 0.6 * max(done.values())


def test_rate_leaves_room_for_small_messages(proxy: Rig) -> None:
    """Beside a bulk transfer on a slow link, a small message waits for a short queue, not for the bulk."""
    proxy.shape(rate_kbps=2000, direction="forward")
    with proxy.connect() as bulk, proxy.connect() as small:
        bulk.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            bulk.sendall(b"b" * 1_000_000)
        trip = round_trip_ms(small)
        proxy.release()
    assert 20 <= trip <= 800


def test_lease_expires_by_itself(proxy: Rig) -> None:
    """An effect that nobody renews is lifted when its lease is over, and renewal prolongs it."""
    with proxy.connect() as sock:
        proxy.shape(delay_ms=100, lease_s=0.4)
        proxy.call("renew", fault="f", lease_s=1.0)
        began = time.monotonic()
        until(lambda: not proxy.call("active"))
        assert 0.8 <= time.monotonic() - began <= 2.0
        assert round_trip_ms(sock) < 60


def test_faults_compose_and_lift_one_by_one(proxy: Rig) -> None:
    """Delays of two faults add up, and releasing one leaves the other."""
    with proxy.connect() as sock:
        proxy.shape("one", delay_ms=50)
        proxy.shape("two", delay_ms=70, direction="forward")
        assert 170 <= min(round_trip_ms(sock) for _ in range(3)) < 300
        proxy.release("one")
        assert 70 <= min(round_trip_ms(sock) for _ in range(3)) < 150
        proxy.release("two")
        assert min(round_trip_ms(sock) for _ in range(3)) < 60


def test_delay_and_rate_and_loss_together_lose_nothing(proxy: Rig) -> None:
    """Under everything at once, with effects coming and going, the stream stays whole and in order."""
    payload = b"".join(b"%08d" % number for number in range(60_000))
    with proxy.connect() as sock:
        proxy.shape("one", delay_ms=20, jitter_ms=10, loss=0.01, stall_ms=20)
        proxy.shape("two", rate_kbps=20_000)
        sender = threading.Thread(target=sock.sendall, args=(payload,))
        sender.start()
        got = receive(sock, 150_000)
        proxy.release("two")
        got += receive(sock, 100_000)
        proxy.shape("two", block="silent")
        proxy.release("two")
        proxy.release("one")
        got += receive(sock, len(payload) - len(got))
        sender.join()
    assert got == payload


def test_release_of_an_unknown_fault_is_no_error(proxy: Rig) -> None:
    """Release and renew of an id that is not there change nothing and succeed."""
    proxy.release("never")
    proxy.call("renew", fault="never", lease_s=1)
    assert proxy.call("active") == []


def test_bad_requests_are_refused_with_a_reason(proxy: Rig) -> None:
    """An unknown link, effect or request is answered with an error and changes nothing."""
    with pytest.raises(control.AgentRefused, match="no such link: nowhere"):
        proxy.shape(links="nowhere", delay_ms=1)
    with pytest.raises(control.AgentRefused, match="colour"):
        proxy.shape(colour="red")
    with pytest.raises(control.AgentRefused, match="unknown request"):
        proxy.call("dance")
    assert proxy.call("active") == []


def test_effect_has_the_fields_of_the_model() -> None:
    """The proxy's effect and the model's have the same fields and defaults."""
    from dataclasses import asdict

    from chaos.runtimes.shaping import Effect

    assert asdict(Effect()) == LinkEffect().model_dump()


def test_many_connections_at_once(proxy: Rig) -> None:
    """150 connections live side by side under a delay, each with its own bytes."""
    proxy.shape(delay_ms=20)
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(proxy.connect()) for _ in range(150)]
        for number, sock in enumerate(socks):
            sock.sendall(b"%04d" % number)
        assert [receive(sock, 4) for sock in socks] == [b"%04d" % number for number in range(150)]


def test_server_of_the_rig_is_plain() -> None:
    """The echo server answers without a proxy, so that what tests see is the proxy's."""
    from chaos.runtimes import ports

    claim = ports.claim(1)
    server = Server(echo, claim.ports[0])
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
        assert min(round_trip_ms(sock) for _ in range(5)) < 60
    server.close()
    claim.close()


@pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="limits of another process are set with prlimit: Linux only"
)
def test_without_descriptors_it_goes_on_when_there_are_some_again() -> None:
    """Without descriptors left clients wait or are reset, those that are there go on, faults can be put in and out."""
    with rig() as one, one.connect() as kept, contextlib.ExitStack() as crowd:
        round_trip_ms(kept)
        _, most = resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE, (60, most))
        for _ in range(60):
            crowd.enter_context(one.connect())
        until(lambda: one.stats()["opened"] >= 15)
        one.shape(delay_ms=50)
        assert round_trip_ms(kept) >= 100
        one.release()
        assert one.stats()["opened"] < 60
        resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE, (most, most))
        with one.connect() as late:
            round_trip_ms(late)
        crowd.close()
        until(lambda: one.stats()["connections"] == 1)
