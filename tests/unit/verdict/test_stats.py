"""The statistics against published values and exact sums."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.verdict.stats import (
    exceedance,
    holm,
    needed,
    quantile,
    quantile_interval,
    sign_flip,
    subset_means,
    wilson,
)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(successes: int, n: int, low: float, high: float) -> None:
    """The four examples of Newcombe (Statistics in Medicine 17, 1998, table I, method 3) at 95 % two-sided."""
    assert wilson(successes, n, z=1.959964) == pytest.approx((low, high), abs=5e-5)


def test_wilson_of_nothing_says_nothing() -> None:
    """Without a sample every share is possible."""
    assert wilson(0, 0) == (0.0, 1.0)


def test_the_bounds_of_a_clean_sample_have_a_closed_form() -> None:
    """With no failure in n the lower bound is n / (n + z²)."""
    assert wilson(88, 88).low == pytest.approx(88 / (88 + 1.6448536**2))


@pytest.mark.parametrize(("failures", "n"), [(0, 268), (1, 446)])
def test_how_many_sessions_prove_99_percent(failures: int, n: int) -> None:
    """99 % is proven by 268 clean sessions, or 446 with one failure, and by no fewer."""
    assert needed(0.99, failures) == n
    assert wilson(n - failures, n).low >= 0.99
    assert wilson(n - 1 - failures, n - 1).low < 0.99


@pytest.mark.parametrize("target", [0, 1, 1.5])
def test_no_number_proves_certainty(target: float) -> None:
    """A share of 100 % cannot be proven by sampling."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        needed(target)


@pytest.mark.parametrize(("n", "q"), [(59, 0.95), (299, 0.99), (29, 0.90), (5, 0.5)])
def test_the_smallest_sample_that_bounds_a_quantile(n: int, q: float) -> None:
    """The classic 95 % tolerance samples: the largest of 59 values bounds p95 from above, of 58 it does not."""
    values = [float(i) for i in range(n)]
    assert quantile_interval(values, q).high == values[-1]
    assert quantile_interval(values[:-1], q).high == math.inf


def test_the_second_largest_of_93_bounds_p95() -> None:
    """With 93 values one may exceed the bound, with 92 none may."""
    values = [float(i) for i in range(93)]
    assert quantile_interval(values, 0.95).high == values[-2]
    assert quantile_interval(values[:-1], 0.95).high == values[-2]


def test_quantiles_are_order_statistics() -> None:
    """The p95 of 1..100 is 95, the p50 of one value is that value."""
    assert quantile(list(range(1, 101)), 0.95) == 95
    assert quantile([7.0], 0.5) == 7.0


@given(st.lists(st.floats(0, 100), min_size=1, max_size=80), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_a_quantile_lies_in_its_interval(values: list[float], q: float) -> None:
    """The bounds enclose the measured quantile, whatever the sample."""
    low, high = quantile_interval(sorted(values), q)
    assert low <= quantile(sorted(values), q) <= high


@given(st.integers(1, 500), st.data())
def test_a_share_lies_in_its_interval(n: int, data: st.DataObject) -> None:
    """The bounds enclose the measured share and never leave [0, 1]."""
    k = data.draw(st.integers(0, n))
    low, high = wilson(k, n)
    assert 0 <= low <= k / n <= high <= 1


def test_seven_against_none_is_no_chance() -> None:
    """Seven of seven heads come in less than one of a hundred tries, six of six do not."""
    assert exceedance(7, 7) == pytest.approx(1 / 128)
    assert exceedance(6, 6) > 0.01
    assert exceedance(0, 5) == pytest.approx(1.0)


def test_sign_flip_of_fishers_darwin_data() -> None:
    """Fisher's example, fifteen pairs of maize: 863 of 32768 patterns are as large (The Design, section 21)."""
    darwin = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    assert sign_flip(darwin) == 863 / 32768


def test_sign_flip_of_one_direction_is_as_small_as_it_gets() -> None:
    """Eight differences of one sign: one pattern of 256; none: no evidence."""
    assert sign_flip([1.0] * 8) == 1 / 256
    assert sign_flip([]) == 1.0


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=8))
def test_sign_flip_is_a_chance(differences: list[float]) -> None:
    """It lies between the smallest there is and one, whatever the differences."""
    assert 2.0 ** -len(differences) <= sign_flip(differences) <= 1.0


@pytest.mark.parametrize("function", [sign_flip, subset_means])
def test_too_many_differences_are_refused(function: Callable[[list[float]], object]) -> None:
    """Twenty are a second's work; more are an error and no endless wait."""
    with pytest.raises(ValueError, match="20 at most"):
        function([0.0] * 21)


def test_subset_means_are_all_of_them_in_order() -> None:
    """Of three values the seven means."""
    assert subset_means([1.0, 2.0, 6.0]) == [1.0, 1.5, 2.0, 3.0, 3.5, 4.0, 6.0]


def test_holm_gives_the_textbook_values() -> None:
    """Each chance times how many are left, never below the one before it, in the order given."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
