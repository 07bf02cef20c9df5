"""A wish that is tried until it is granted, refused for good, or out of patience."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from chaos.backends.base import BackendError, Lost, NotSent, Refused
from chaos.load.attempt import Outcome, attempt


def _try(answers: list[BackendError | None], patience_s: float = 5.0, policy: str = "full-jitter") -> Outcome:
    async def call() -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    async def go() -> Outcome:
        until_s = time.monotonic() + patience_s
        return await attempt(call, until_s=until_s, each_s=1.0, policy=policy, rng=_Quick())

    return asyncio.run(go())


class _Quick(random.Random):
    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002
        return a


def test_granted_at_once() -> None:
    """A wish that is granted at once took one attempt."""
    assert _try([None]) == Outcome(granted=True, attempts=1)


def test_granted_after_refusals() -> None:
    """Refusals and missing connections are tried again, and counted."""
    assert _try([Refused("full"), NotSent("reset"), None]) == Outcome(granted=True, attempts=3)


@pytest.mark.parametrize("reason", ["expired", "bad-token"])
def test_final_refusals_are_final(reason: str) -> None:
    """A refusal that no other attempt can change ends the wish, certainly not applied."""
    outcome = _try([Refused(reason, node="n1")])
    assert outcome == Outcome(granted=False, attempts=1, certain=True, error=f"refused: {reason}", node="n1")


def test_a_lost_attempt_leaves_it_open() -> None:
    """Once an attempt may have been applied, the wish cannot be certainly unapplied any more."""
    outcome = _try([Lost("reset"), Refused("expired")])
    assert not outcome.granted
    assert not outcome.certain


def test_without_retry_there_is_one_attempt() -> None:
    """With the policy `none` the first failure is the last."""
    assert _try([Refused("full")], policy="none").attempts == 1


def test_patience_ends() -> None:
    """A pause that would outlast the patience is not begun."""
    outcome = _try([Refused("full", retry_after_s=60.0)])
    assert (outcome.granted, outcome.certain, outcome.attempts) == (False, True, 1)


def test_a_late_wish_is_not_even_tried() -> None:
    """A wish whose patience is over before it begins is open, with no attempt."""
    assert _try([], patience_s=-1.0) == Outcome(granted=False, attempts=0, certain=False, error="timeout")
