"""Losses in bursts, as probabilities."""

from __future__ import annotations

import math


def gilbert_elliott(loss: float, burst: float, density: float) -> tuple[float, float]:
    """Give p and r of the chain (netem's names): the probability, per packet, to turn bad, and to turn good again.

    `loss`: share of all packets that are lost; `burst`: mean packets of a bad state; `density`: share of them that it
    loses. r = 1 / burst, and p so that the chain is bad for loss / density = p / (p + r) of the time. Above 1 where
    bursts of that kind cannot lose so much.
    """
    bad, good_again = loss / density, 1 / burst
    return (good_again * bad / (1 - bad) if bad < 1 else math.inf), good_again
