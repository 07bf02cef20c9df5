"""When a user tries again: a pure function of the policy, the attempt and what the server asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

BASE_S = 0.25
CAP_S = 2.0


def delay_s(policy: str, attempt: int, rng: random.Random, retry_after_s: float | None = None) -> float | None:
    """Seconds to wait after the failed attempt number `attempt` (from 1); None: the user does not try again.

    Policies: none; fixed; exponential (doubles, capped); full-jitter (uniform between 0 and the exponential delay,
    after Brooker, "Exponential Backoff and Jitter", 2015). What the server asked for is waited at least.
    """
    if policy == "none":
        return None
    wait = BASE_S if policy == "fixed" else min(CAP_S, BASE_S * 2 ** min(attempt - 1, 16))
    if policy == "full-jitter":
        wait = rng.uniform(0.0, wait)
    return max(wait, retry_after_s or 0.0)
