"""Probes that read the load of the run in progress."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import chaos.engine.session as sessions
from chaos.errors import UsageError
from chaos.load.seconds import WindowStats
from probes.slo import NoSamples, latency_ms, success_rate


class FakeLoad:
    """Answers every window with the same figures, and remembers what it was asked."""

    def __init__(self, ok: int, bad: int, ms: list[float]) -> None:
        self.seen = WindowStats(ok, bad, tuple(ms))
        self.asked: list[tuple[Any, ...]] = []

    def window(self, flow: str, seconds: float, region: str | None = None) -> WindowStats:
        self.asked.append((flow, seconds, region))
        return self.seen


def running(monkeypatch: pytest.MonkeyPatch, ok: int, bad: int, ms: list[float]) -> FakeLoad:
    load = FakeLoad(ok, bad, ms)
    monkeypatch.setattr(sessions, "current", lambda: SimpleNamespace(load=SimpleNamespace(seconds=load)))
    return load


def test_the_success_rate_is_the_share_of_those_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flow, window and region are asked for as given."""
    load = running(monkeypatch, 3, 1, [1, 2, 3])
    assert success_rate("join", 7, "cn-east") == 0.75
    assert load.asked == [("join", 7, "cn-east")]


@pytest.mark.parametrize(("quantile", "expected"), [(0.5, 2.0), (0.95, 4.0), (1.0, 4.0), (0.01, 1.0)])
def test_a_latency_is_one_that_was_measured(monkeypatch: pytest.MonkeyPatch, quantile: float, expected: float) -> None:
    """The nearest rank, in whatever order the figures came."""
    running(monkeypatch, 4, 0, [3.0, 1.0, 4.0, 2.0])
    assert latency_ms("edit_ack", quantile) == expected


def test_without_samples_there_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe raises then: a silent 0 or 100 % would be a lie, and None would break the toolkit."""
    running(monkeypatch, 0, 0, [])
    with pytest.raises(NoSamples, match=r"no join ended in the last 5 s in cn-east"):
        success_rate("join", region="cn-east")
    running(monkeypatch, 0, 3, [])
    assert success_rate("join") == 0.0
    with pytest.raises(NoSamples, match="no join succeeded"):
        latency_ms("join")


def test_arguments_that_mean_nothing_are_usage_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown flow and a quantile in percent."""
    running(monkeypatch, 1, 0, [1.0])
    with pytest.raises(UsageError, match="no flow 'joins'"):
        success_rate("joins")
    with pytest.raises(UsageError, match="not 95"):
        latency_ms("join", 95)
