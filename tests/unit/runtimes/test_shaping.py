"""The arithmetic of impairments, on a clock that the test holds."""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.model.bursts import gilbert_elliott
from chaos.runtimes.shaping import QUEUE_S, SEGMENT, SPREADS, Bucket, Chain, Effect, Impairment, lost_segments


class Clock:
    """A clock and the timers set on it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []

    def __call__(self) -> float:
        return self.now

    def call_later(self, seconds: float, function: Callable[[], None]) -> Timer:
        timer = Timer(self.now + seconds, function)
        self.timers.append(timer)
        return timer

    def run(self, until: float) -> None:
        while due := [one for one in self.timers if one.when <= until]:
            first = min(due, key=lambda one: one.when)
            self.timers.remove(first)
            self.now = max(self.now, first.when)
            if not first.cancelled:
                first.function()
        self.now = until


class Timer:
    """A call in the future."""

    def __init__(self, when: float, function: Callable[[], None]) -> None:
        self.when = when
        self.function = function
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Sender:
    """Wants to get `left` bytes through a bucket, slice by slice."""

    def __init__(self, bucket: Bucket, left: int) -> None:
        self.bucket = bucket
        self.left = left
        self.through = 0.0

    def pump(self, now: float, *, turn: bool = False) -> None:
        while self.left:
            if self.bucket.must_wait(now, turn=turn):
                self.bucket.wait(self)
                return
            size = min(self.left, self.bucket.slice)
            self.left -= size
            self.through = self.bucket.charge(now, size)
            turn = False


@given(loss=st.floats(0.001, 0.999), seed=st.integers(0, 2**32), size=st.integers(0, 200_000))
def test_lost_segments_are_segments_in_order(loss: float, seed: int, size: int) -> None:
    """Stalls lie on segment borders, inside the chunk, each once, in order."""
    found = lost_segments(random.Random(seed), loss, size)
    assert found == sorted(set(found))
    assert all(offset % SEGMENT == 0 and 0 <= offset < size for offset in found)


def test_losses_are_as_many_as_asked() -> None:
    """Over 100,000 segments, 3 % are lost, give or take chance."""
    rng = random.Random(5)
    lost = sum(len(lost_segments(rng, 0.03, SEGMENT)) for _ in range(50_000))
    lost += len(lost_segments(rng, 0.03, 50_000 * SEGMENT))
    assert abs(lost - 3000) < 200


def test_loss_of_everything_and_of_nothing() -> None:
    """Loss 1 stalls every segment begun; loss 0 none."""
    assert lost_segments(random.Random(1), 1.0, 2 * SEGMENT + 1) == [0, SEGMENT, 2 * SEGMENT]
    assert Impairment(Effect(), "s", None).stalls(10**6) == []


def test_delay_has_mean_and_deviation_asked_for() -> None:
    """Draws have the mean and the standard deviation asked for, and stay within their clip."""
    one = Impairment(Effect(delay_ms=100, jitter_ms=10), "seed", None)
    draws = [one.delay_s() * 1000 for _ in range(4000)]
    assert abs(statistics.fmean(draws) - 100) < 1
    assert abs(statistics.pstdev(draws) - 10) < 1
    assert 0 <= min(draws) <= max(draws) <= 140
    assert Impairment(Effect(delay_ms=7), "seed", None).delay_s() == 0.007


@pytest.mark.parametrize("distribution", sorted(SPREADS))
def test_every_distribution_has_the_mean_and_the_deviation_asked_for(distribution: str) -> None:
    """Whatever its shape; and the clip holds for all of them."""
    one = Impairment(Effect(delay_ms=100, jitter_ms=10, distribution=distribution), "seed", None)
    draws = [one.delay_s() * 1000 for _ in range(8000)]
    assert abs(statistics.fmean(draws) - 100) < 1
    assert abs(statistics.pstdev(draws) - 10) < 1
    assert 0 <= min(draws) <= max(draws) <= 140


def test_a_pareto_delay_has_rare_long_ones() -> None:
    """Most are below the mean, and the longest are further from it than the shortest."""
    one = Impairment(Effect(delay_ms=100, jitter_ms=10, distribution="pareto"), "seed", None)
    draws = sorted(one.delay_s() * 1000 for _ in range(8000))
    assert statistics.median(draws) < 98
    assert draws[-80] - 100 > 2 * (100 - draws[80])


@pytest.mark.parametrize(("loss", "burst", "density"), [(0.1, 5.0, 1.0), (0.02, 20.0, 1.0), (0.1, 10.0, 0.5)])
def test_a_chain_loses_the_asked_share_in_bursts_of_the_asked_length(loss: float, burst: float, density: float) -> None:
    """Over 400,000 packets; where a bad state loses all, losses in a row are as long as it is."""
    effect = Effect(burst_loss=loss, burst=burst, density=density)
    chain = Chain(effect, random.Random(7))
    lost = [chain.loses() for _ in range(400_000)]
    assert statistics.fmean(lost) == pytest.approx(loss, rel=0.1)
    if density == 1:
        runs = sum(now and not before for before, now in itertools.pairwise([False, *lost]))
        assert sum(lost) / runs == pytest.approx(burst, rel=0.1)
    assert (gilbert_elliott(loss, burst, density)[1]) == 1 / burst


def test_stalls_come_in_bursts() -> None:
    """On a stream each lost segment is a stall, and they lie side by side."""
    one = Impairment(Effect(burst_loss=0.1, burst=20), "seed", None)
    found = one.stalls(SEGMENT * 50_000)
    assert len(found) == pytest.approx(5000, rel=0.3)
    beside = sum(after - before == SEGMENT for before, after in itertools.pairwise(found))
    assert beside > 0.85 * len(found)


def test_same_seed_same_draws() -> None:
    """An impairment repeats itself from its seed."""
    effect = Effect(delay_ms=50, jitter_ms=20, loss=0.1)
    first, second = (Impairment(effect, "4711/f/0/forward", None) for _ in range(2))
    assert [first.delay_s() for _ in range(9)] == [second.delay_s() for _ in range(9)]
    assert first.stalls(10**6) == second.stalls(10**6)


def test_bucket_lets_its_rate_through_and_shares_it() -> None:
    """Three senders through 1 MB/s finish when the sum is through, at nearly the same time."""
    clock = Clock()
    bucket = Bucket(1e6, clock, clock.call_later)
    senders = [Sender(bucket, 2_000_000) for _ in range(3)]
    for sender in senders:
        sender.pump(clock.now)
    clock.run(120.0)
    ends = [sender.through - 100 for sender in senders]
    assert all(sender.left == 0 for sender in senders)
    assert abs(max(ends) - 6.0) < 0.01
    assert min(ends) > 0.85 * max(ends)


def test_bucket_admits_no_further_ahead_than_its_queue() -> None:
    """What a bucket has admitted is through within its queue's length and a slice."""
    clock = Clock()
    bucket = Bucket(1e6, clock, clock.call_later)
    Sender(bucket, 10**6).pump(clock.now)
    assert QUEUE_S <= bucket.backlog_s(clock.now) <= QUEUE_S + bucket.slice / 1e6
    assert bucket.must_wait(clock.now, turn=True)


def test_closed_bucket_pumps_nobody() -> None:
    """After a release, or when a sender has gone, the bucket's timer wakes nobody."""
    clock = Clock()
    bucket = Bucket(1e6, clock, clock.call_later)
    first, second = Sender(bucket, 10**6), Sender(bucket, 10**6)
    first.pump(clock.now)
    second.pump(clock.now)
    bucket.forget(second)
    left = second.left
    clock.run(100.5)
    assert second.left == left > 0
    assert first.left < 10**6
    bucket.close()
    left = first.left
    clock.run(105.0)
    assert first.left == left
    Bucket(1e6, clock, clock.call_later).close()
