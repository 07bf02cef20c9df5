"""Paired windows of users' operations: how much slower, and how much more often in vain, beyond what chance explains.

A window of one side is paired with one of the other; per pair the 95th percentiles are compared as a ratio, and the
shares of failures as a difference. The exact sign-flip test on these (R. A. Fisher, The Design of Experiments, 1935)
says how likely they are if they lay at what is allowed; the caller corrects for the number of its lines (Holm). The
interval holds 90 % of the means of all subsets of the pairs (J. A. Hartigan, JASA 64, 1969): no distribution is
assumed. The noise is what the first side's own windows differ by when each is cut in two, so that a reader sees what
this machine can tell apart.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from chaos.model.verdict import Outcome
from chaos.verdict.stats import Interval, quantile, sign_flip, subset_means

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from chaos.verdict.flows import Unit

MARGIN = 1.5
"""How much slower p95 may be."""
POINT = 0.01
"""How much higher a share of failures may be."""
ALPHA = 0.05
LONGEST_S = 60.0
"""Stands for a user who was never served: far beyond every deadline, and finite, so that a mean exists."""
SHORTEST_S = 0.001
"""Below a millisecond a ratio says more of the clock than of a server."""


class Pair(NamedTuple):
    """The operations of one window, and of the one that it is compared with."""

    first: list[Unit]
    second: list[Unit]


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison, before the correction."""

    ratio: bool
    """Whether the differences are logarithms of ratios of p95; else they are differences of shares of failures."""
    before: float
    after: float
    differences: tuple[float, ...]
    """Of each pair."""
    allowed: float
    """What a difference may be."""
    noise: float
    """The 95 % point of the first side's differences with itself."""
    p: float
    """The chance of such differences if they lay at what is allowed."""

    @property
    def interval(self) -> Interval:
        """Of the mean difference, 90 %: 5 % beyond each end."""
        means = subset_means(self.differences)
        return Interval(quantile(means, 0.05), quantile(means, 0.95))

    def outcome(self, p: float) -> Outcome:
        """Fail: worse than allowed, by the corrected chance. Pass: shown to be within it. Inconclusive: neither."""
        if p <= ALPHA:
            return Outcome.FAIL
        return Outcome.PASS if self.interval.high <= self.allowed else Outcome.INCONCLUSIVE

    def text(self) -> str:
        """The mean difference with its interval, both sides and the noise."""
        low, high = self.interval
        mean = sum(self.differences) / len(self.differences)
        if self.ratio:
            return (
                f"{math.exp(mean):.2f}×  [{math.exp(low):.2f}, {math.exp(high):.2f}]  "
                f"{_ms(self.before)} → {_ms(self.after)}, noise {math.exp(self.noise):.2f}×"
            )
        return (
            f"{mean * 100:+.1f} points  [{low * 100:+.1f}, {high * 100:+.1f}]  failed "
            f"{self.before:.1%} → {self.after:.1%}, noise {self.noise * 100:.1f}"
        )

    def figures(self, p: float) -> dict[str, float]:
        """The same as numbers: ratios, or shares; with the corrected chance."""
        plain = math.exp if self.ratio else float
        low, high = self.interval
        mean = sum(self.differences) / len(self.differences)
        sides = {"before": self.before, "after": self.after, "p": p}
        return sides | {"mean": plain(mean), "low": plain(low), "high": plain(high), "noise": plain(self.noise)}


UNDECIDED = "neither shown to be worse than allowed nor shown to be within it"


def slower(pairs: Sequence[Pair], allowed: float = MARGIN, floors: Iterable[float] = ()) -> Line:
    """By p95: allowed is a ratio. `floors`: seconds that the first side of each pair is given before (none: 0)."""
    given = itertools.chain(floors, itertools.repeat(0.0))
    differences = [
        _log_ratio(p95(one.first) + floor, p95(one.second)) for one, floor in zip(pairs, given, strict=False)
    ]
    return _line(pairs, differences, p95, _log_ratio, math.log(allowed), ratio=True)


def failing(pairs: Sequence[Pair], allowed: float = POINT) -> Line:
    """By the share of failures: allowed is a difference."""
    differences = [failures(one.second) - failures(one.first) for one in pairs]
    return _line(pairs, differences, failures, lambda a, b: b - a, allowed, ratio=False)


def p95(units: Sequence[Unit]) -> float:
    """Seconds, with what was never served, or at once, at the ends of the scale."""
    return quantile(sorted(min(LONGEST_S, max(SHORTEST_S, unit.seconds)) for unit in units), 0.95)


def failures(units: Sequence[Unit]) -> float:
    """The share that was not served in time."""
    return sum(not unit.good for unit in units) / len(units)


def _line(
    pairs: Sequence[Pair],
    differences: Sequence[float],
    figure: Callable[[Sequence[Unit]], float],
    difference: Callable[[float, float], float],
    allowed: float,
    *,
    ratio: bool,
) -> Line:
    halves = sorted(abs(difference(figure(one.first[::2]), figure(one.first[1::2]))) for one in pairs)
    return Line(
        ratio=ratio,
        before=figure([unit for one in pairs for unit in one.first]),
        after=figure([unit for one in pairs for unit in one.second]),
        differences=tuple(differences),
        allowed=allowed,
        noise=quantile(halves, 0.95),
        p=sign_flip([one - allowed for one in differences]),
    )


def _log_ratio(before: float, after: float) -> float:
    return math.log(after / before)


def _ms(seconds: float) -> str:
    return "never" if seconds >= LONGEST_S else f"{seconds * 1000:.0f} ms"
