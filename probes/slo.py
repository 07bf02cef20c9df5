"""What the users of the run in progress felt in the last seconds; raises when there is nothing to say."""

from __future__ import annotations

import math

from chaos.errors import CannotJudge, UsageError

FLOWS = ("join", "rejoin", "resume", "leave", "say", "edit_ack")


class NoSamples(CannotJudge):
    """Nothing of the kind happened in the window, so no figure would be true."""


def success_rate(flow: str, window_s: float = 5.0, region: str | None = None) -> float:
    """Share (0 to 1) of a flow's operations of the last `window_s` seconds that succeeded."""
    good, bad, _ = _window(flow, window_s, region)
    return good / (good + bad)


def latency_ms(flow: str, quantile: float = 0.95, window_s: float = 5.0, region: str | None = None) -> float:
    """The latency, in milliseconds, that a `quantile` (0 to 1) of the last seconds' successful operations kept to."""
    if not 0 < quantile <= 1:
        raise UsageError(f"a quantile is above 0 and at most 1, not {quantile:g}", hint="0.95 is the 95th percentile")
    _, _, taken = _window(flow, window_s, region)
    if not taken:
        raise NoSamples(f"no {flow} succeeded in the last {window_s:g} s")
    return sorted(taken)[math.ceil(quantile * len(taken)) - 1]


def _window(flow: str, window_s: float, region: str | None) -> tuple[int, int, list[float]]:
    from chaos.engine.session import current  # noqa: PLC0415 - the engine is heavy, and validating needs none

    if flow not in FLOWS:
        raise UsageError(f"there is no flow {flow!r}", hint=f"there is {', '.join(FLOWS)}")
    seen = current().load.seconds.window(flow, window_s, region=region)
    if not seen.ok + seen.bad:
        where = f" in {region}" if region else ""
        raise NoSamples(f"no {flow} ended in the last {window_s:g} s{where}")
    return seen.ok, seen.bad, list(seen.latencies)
