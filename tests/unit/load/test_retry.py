"""Retry policies."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.load.retry import BASE_S, CAP_S, delay_s

policies = st.sampled_from(["fixed", "exponential", "full-jitter"])


@given(policies, st.integers(1, 10_000), st.integers(0, 99))
def test_no_pause_exceeds_the_cap(policy: str, attempt: int, seed: int) -> None:
    """Without a word of the server a pause lies between 0 and the cap."""
    pause = delay_s(policy, attempt, random.Random(seed))
    assert pause is not None
    assert 0 <= pause <= CAP_S


@given(policies, st.integers(1, 50), st.floats(0, 30))
def test_the_server_is_heard(policy: str, attempt: int, retry_after_s: float) -> None:
    """What the server asked for is waited at least, whatever the policy."""
    pause = delay_s(policy, attempt, random.Random(1), retry_after_s)
    assert pause is not None
    assert pause >= retry_after_s


def test_none_never_tries_again() -> None:
    """With the policy `none` there is no second attempt, not even when the server asks for one."""
    assert delay_s("none", 1, random.Random(1), 0.5) is None


@pytest.mark.parametrize(("attempt", "pause"), [(1, 0.25), (2, 0.5), (3, 1.0), (4, 2.0), (9, 2.0)])
def test_exponential_doubles(attempt: int, pause: float) -> None:
    """Exponential pauses double up to the cap, fixed ones stay."""
    assert delay_s("exponential", attempt, random.Random(1)) == pause
    assert delay_s("fixed", attempt, random.Random(1)) == BASE_S
