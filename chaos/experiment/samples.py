"""How many instances a load gives, and how many a threshold asks for (one-sided 95 % Wilson score bound)."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from chaos.experiment.thresholds import METRICS, Dimension
from chaos.model.experiment import PhaseSpec
from chaos.model.plan import PlannedPhase, Sampling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.model.experiment import LoadSpec, Threshold

Z = 1.6448536269514722
"""The standard normal's 95th percentile."""
MEASURED = 30
"""Fewer instances give no verdict on a threshold."""
CHURN_STAY_S, CHURN_REJOIN = 5.0, 0.9
"""What the load makes of the profile `churn` at least; a test holds these to the load's own."""


def lower_bound(good: int, of: int, z: float = Z) -> float:
    """The lower end of the one-sided interval for a share (Wilson 1927), of 95 % by default."""
    share = good / of
    middle = share + z * z / (2 * of)
    spread = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (middle - spread) / (1 + z * z / of)


def proving(share: float, failures: int = 0, looks: int = 1) -> int:
    """The fewest instances, `failures` of them bad, whose lower bound reaches the share; 0 where none does.

    `looks`: how often they may be looked at, with 5 % over all looks together.
    """
    if share >= 1:
        return 0
    z = NormalDist().inv_cdf(1 - 0.05 / looks) if looks > 1 else Z
    low, high = failures, failures + 1
    while lower_bound(high - failures, high, z) < share:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if lower_bound(middle - failures, middle, z) < share:
            low = middle
        else:
            high = middle
    return high


def rates(load: LoadSpec) -> dict[str, float]:
    """Instances per second of each flow whose number the load decides.

    The population stays level: as many go as come, and a share r of those who go come back, each with a fresh twin
    who does not. So of all who come 1/(1+r) are new and r/(1+r) return. Resumes happen only when something cuts.
    """
    churn = load.profile == "churn"
    stay_s = min(load.stay_s, CHURN_STAY_S) if churn else load.stay_s
    back = max(load.rejoin, CHURN_REJOIN) if churn else load.rejoin
    turnover = load.participants / stay_s
    return {
        "join": turnover / (1 + back),
        "rejoin": turnover * back / (1 + back),
        "leave": turnover * (1 - load.vanish),
        "say": load.participants / load.say_every_s,
        "edit_ack": load.editors / load.edit_every_s,
    }


def expected(load: LoadSpec, seconds: float) -> dict[str, int]:
    """Instances of each flow in so many seconds, rounded down."""
    return {flow: int(rate * seconds) for flow, rate in rates(load).items()}


def samplings(
    thresholds: Sequence[Threshold], load: LoadSpec, phases: Sequence[PlannedPhase], lengths: PhaseSpec | None = None
) -> tuple[Sampling, ...]:
    """For each threshold on a flow: what it will have and what it needs; `lengths` say how much longer it may take."""
    lengths = lengths or PhaseSpec()
    per_second = rates(load)
    found = []
    for threshold in thresholds:
        if METRICS[threshold.metric] not in {Dimension.SHARE, Dimension.LATENCY}:
            continue
        flow, _, part = threshold.metric.partition(".")
        share = threshold.value if part == "success" else int(part[1:]) / 100
        seconds = sum(phase.seconds for phase in phases if threshold.phase in {phase.name, "run"})
        rate = per_second.get(flow)
        looks = lengths.looks(threshold.phase)
        longer = seconds + (lengths.extend if looks > 1 else 0)
        proven = proving(share, 0, looks)
        found.append(
            Sampling(
                threshold=threshold.text,
                phase=threshold.phase,
                expected=-1 if rate is None else int(rate * seconds),
                at_most=-1 if rate is None else int(rate * longer),
                needed=MEASURED,
                proven=proven,
                proven_one_failure=proving(share, 1, looks),
                proven_s=math.ceil(proven / rate) if rate else 0.0,
                place=threshold.place,
            )
        )
    return tuple(found)
