"""The little statistics that a verdict needs: one-sided 95 % bounds that hold on small samples."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Z95 = 1.6448536269514722
"""The 95 % point of the standard normal distribution: each bound below errs in one run of twenty."""
ERROR = 0.05


MOST_FLIPS = 20
"""So many values have a million sign patterns, which take about a second."""


class Interval(NamedTuple):
    """A lower and an upper bound, each of which holds with 95 % confidence by itself."""

    low: float
    high: float


def z_of(error: float) -> float:
    """The point of the standard normal distribution that is exceeded with this chance."""
    return Z95 if error == ERROR else NormalDist().inv_cdf(1 - error)


def wilson(successes: int, n: int, z: float = Z95) -> Interval:
    """Bounds of a share, by the score method (E. B. Wilson, JASA 22, 1927); [0, 1] where n is 0."""
    if n <= 0:
        return Interval(0.0, 1.0)
    share = successes / n
    shrink = 1 + z * z / n
    middle = (share + z * z / (2 * n)) / shrink
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / shrink
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == n else min(1.0, middle + half)
    return Interval(low, high)


def needed(target: float, failures: int = 0, z: float = Z95) -> int:
    """The fewest operations that prove a share of `target` (0 < target < 1) although `failures` of them failed."""
    if not 0 < target < 1:
        message = f"a share that can be proven lies between 0 and 1, not {target}"
        raise ValueError(message)
    high = failures + 1
    while wilson(high - failures, high, z).low < target:
        high *= 2
    low = high // 2
    while low < high:
        middle = (low + high) // 2
        if middle > failures and wilson(middle - failures, middle, z).low >= target:
            high = middle
        else:
            low = middle + 1
    return high


def quantile(ordered: Sequence[float], q: float) -> float:
    """The smallest value that at least the share `q` of `ordered` (ascending, not empty) does not exceed."""
    return ordered[max(0, math.ceil(q * len(ordered) - 1e-9) - 1)]


def quantile_interval(ordered: Sequence[float], q: float, error: float = ERROR) -> Interval:
    """Bounds of a quantile from order statistics, whatever the distribution (H. A. David, Order Statistics, 2.5).

    Where the sample is too small for a bound it is minus or plus infinity: the upper one of p95 takes 59 values.
    """
    low, high = -math.inf, math.inf
    below = 0.0
    for k, mass in enumerate(_binomial(len(ordered), q)):
        if k and below <= error:
            low = ordered[k - 1]
        below += mass
        if below >= 1 - error - 1e-12 and k < len(ordered):
            high = ordered[k]
            break
    return Interval(low, high)


def exceedance(k: int, n: int, p: float = 0.5) -> float:
    """The chance of `k` or more successes in `n` trials of chance `p`."""
    return min(1.0, sum(mass for i, mass in enumerate(_binomial(n, p)) if i >= k))


def sign_flip(differences: Sequence[float]) -> float:
    """The exact one-sided chance of a sum as large as this one, had each difference been as likely with the other sign.

    All 2 ** n sign patterns are gone through (n <= 20), so the smallest answer is 2 ** -n; 1 for no differences.
    """
    if len(differences) > MOST_FLIPS:
        message = f"{len(differences)} differences have too many sign patterns; {MOST_FLIPS} at most"
        raise ValueError(message)
    sums = [0.0]
    for one in differences:
        sums = [total + signed for total in sums for signed in (one, -one)]
    seen = math.fsum(differences) - 1e-12
    return sum(total >= seen for total in sums) / len(sums)


def subset_means(values: Sequence[float]) -> list[float]:
    """The means of all subsets that are not empty, ascending (at most 20 values)."""
    if len(values) > MOST_FLIPS:
        message = f"{len(values)} values have too many subsets; {MOST_FLIPS} at most"
        raise ValueError(message)
    sums = [(0.0, 0)]
    for value in values:
        sums += [(total + value, count + 1) for total, count in sums]
    return sorted(total / count for total, count in sums if count)


def holm(chances: Sequence[float]) -> list[float]:
    """The chances, corrected for their number (S. Holm, Scand. J. Statistics 6, 1979), in the order given."""
    adjusted = [0.0] * len(chances)
    worst = 0.0
    for rank, at in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        worst = max(worst, min(1.0, chances[at] * (len(chances) - rank)))
        adjusted[at] = worst
    return adjusted


def _binomial(n: int, p: float) -> Iterator[float]:
    whole, yes, no = math.lgamma(n + 1), math.log(p), math.log1p(-p)
    for k in range(n + 1):
        yield math.exp(whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * yes + (n - k) * no)
