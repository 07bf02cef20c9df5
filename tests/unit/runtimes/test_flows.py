"""When packets of a queue are due, on a clock that the test holds."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.runtimes.flows import MOST, TOGETHER_S, Flows, flow

EVERY_S = 0.002


def packet(user: int, *, protocol: int = 6, options: int = 0, fragment: int = 0) -> bytes:
    head = bytes([0x45 + options, 0]) + bytes(4) + fragment.to_bytes(2, "big") + bytes([64, protocol, 0, 0])
    addresses = bytes([10, 0, user // 256 % 256, user % 256, 10, 1, 0, 1])
    return head + addresses + bytes(4 * options) + (40_000 + user // 65536).to_bytes(2, "big") + (80).to_bytes(2, "big")


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 0.01), st.floats(0, 0.2)), max_size=60))
def test_nothing_overtakes_within_a_flow(packets: list[tuple[int, float, float]]) -> None:
    """Whatever is drawn, packets of one flow are due in their order, and none before it came."""
    now, last = 100.0, dict[int, float]()
    drawn = iter([delay for _, _, delay in packets])
    flows = Flows(lambda: next(drawn))
    for user, later, _ in packets:
        now += later
        due = flows.due(now, packet(user))
        assert due >= max(now, last.get(user, 0.0))
        last[user] = due


def test_many_users_each_feel_the_jitter() -> None:
    """On a link with 500 packets a second the delays have the mean and the deviation that were asked for."""
    rng = random.Random(1)
    flows = Flows(lambda: rng.gauss(0.1, 0.02))
    waits = [flows.due(number * EVERY_S, packet(number % 200)) - number * EVERY_S for number in range(4000)]
    assert statistics.mean(waits) == pytest.approx(0.1, rel=0.03)
    assert statistics.stdev(waits) == pytest.approx(0.02, rel=0.05)


def test_what_a_flow_sends_together_shares_a_draw() -> None:
    """An acknowledgement and the request behind it wait equally long, and are not due at the later of two draws."""
    draws = iter([0.05, 0.3, 0.01])
    flows = Flows(lambda: next(draws))
    assert flows.due(1.0, packet(1)) == pytest.approx(1.05)
    assert flows.due(1.0 + TOGETHER_S / 2, packet(1)) == pytest.approx(1.05 + TOGETHER_S / 2)
    assert flows.due(1.0, packet(2)) == pytest.approx(1.3)
    assert flows.due(2.0, packet(1)) == pytest.approx(2.01)


def test_a_flow_is_a_protocol_and_two_ends() -> None:
    """Options of the header change nothing; users and protocols do; fragments of one user stay together."""
    assert flow(packet(1)) == flow(packet(1, options=3))
    assert len({flow(packet(1)), flow(packet(2)), flow(packet(65536 + 1)), flow(packet(1, protocol=17))}) == 4
    assert flow(packet(1, fragment=0x2000)) == flow(packet(65536 + 1, fragment=0x0010))


def test_flows_with_nothing_on_its_way_are_forgotten() -> None:
    """A link that sees ever new users holds no more than it has to."""
    flows = Flows(lambda: 0.01)
    for user in range(MOST + 2):
        flows.due(user * 0.001, packet(user))
    assert len(flows._flows) < 20
