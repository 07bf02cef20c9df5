"""Those who watch a run while it happens."""

from __future__ import annotations

import io
import logging
import threading
from typing import Any

import pytest
from rich.console import Console

from chaos.model.view import Unwatched
from chaos.report.feed import Feed, Tick, quantile
from chaos.report.lines import LineView
from chaos.report.live import Guarded, QuietView, view_for
from chaos.report.screen import LiveView, level

SECOND = {
    "t": 12,
    "flows": {
        "join": {"cn-east": {"ok": 5, "bad": 1, "ms": [41.0, 300.0]}, "cn-north": {"ok": 4, "bad": 0, "ms": [38.0]}},
        "edit": {"cn-east": {"ok": 9, "bad": 0, "ms": [12.0]}},
    },
    "live": {"participants": 118, "editors": 24, "offline": 2},
    "last": ["u17 joined room-3 via cn-east in 41 ms"],
}
INTENT = {"id": "f1", "name": "congestion", "band": "#e8a33d", "says": "+240 ms", "duration": 20.0}


class Clock:
    """A clock that stands still until told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def console(*, terminal: bool = False, width: int = 100) -> Console:
    """A console whose output is kept."""
    kind = {"force_terminal": True, "color_system": None} if terminal else {}
    return Console(file=io.StringIO(), width=width, height=30, **kind)  # type: ignore[arg-type]


def output(of: Console) -> str:
    """What was printed."""
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


def play(view: Any) -> None:
    """A short run."""
    view.begin("Classes survive", "embedded", 4711)
    view.say("11 nodes up in 2.1 s")
    view.phase("baseline", 10)
    view.second(SECOND)
    view.phase("fault", 20)
    view.fault("intent", INTENT)
    view.fault("on", {"id": "f1", "reach": {}})
    view.fault("bite", {"id": "f1", "bit": True, "says": "rtt 3 → 243 ms"})
    view.second(SECOND | {"t": 20})
    view.fault("off", {"id": "f1", "says": "lifted"})
    view.fault("off-proof", {"id": "f1", "clean": True, "says": "rtt 3 ms"})


@pytest.mark.parametrize(
    ("terminal", "json", "env", "kind"),
    [
        (True, True, {}, QuietView),
        (True, False, {}, LiveView),
        (True, False, {"CI": "true"}, LineView),
        (True, False, {"TERM": "dumb"}, LineView),
        (False, False, {}, LineView),
    ],
)
def test_view_that_fits(terminal: bool, json: bool, env: dict[str, str], kind: type) -> None:
    """A machine gets silence, a terminal the live view, a log or CI its lines."""
    view = view_for(console(terminal=terminal), json=json, env=env)
    inner = view._view if isinstance(view, Guarded) else view
    assert isinstance(inner, kind)


def test_lines() -> None:
    """A log has a line per event, and a line on how users fare every five seconds."""
    log = console()
    play(LineView(log))
    assert output(log).splitlines() == [
        "Classes survive",
        "stack embedded · seed 4711 · Ctrl-C stops and heals",
        "        11 nodes up in 2.1 s",
        "        baseline, 10 s",
        "  12 s  join 90 % p95 300 ms · edit 100 % p95 12 ms · 118 participants · 24 editors · 2 offline",
        "  12 s  fault, 20 s",
        "  12 s  congestion: +240 ms, 20 s",
        "  12 s  congestion is on",
        "  12 s  congestion bit: rtt 3 → 243 ms",
        "  20 s  join 90 % p95 300 ms · edit 100 % p95 12 ms · 118 participants · 24 editors · 2 offline",
        "  20 s  congestion is off",
        "  20 s  congestion is gone: rtt 3 ms",
    ]


def test_what_is_left_is_shouted() -> None:
    """A fault that is still there stands out in the log."""
    log = console()
    view = LineView(log)
    view.fault("intent", INTENT)
    view.fault("bite", {"id": "f1", "bit": False, "says": "rtt 3 ms"})
    view.fault("off-proof", {"id": "f1", "clean": False, "says": "rtt 240 ms"})
    assert "congestion did not bite: rtt 3 ms" in output(log)
    assert "congestion is STILL THERE: rtt 240 ms" in output(log)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_picture_fits(width: int) -> None:
    """The live picture shows phases, faults, users and how to stop, within the terminal's width and height."""
    clock = Clock()
    screen = console(terminal=True, width=width)
    view = LiveView(screen, clock)
    play(view)
    clock.now += 5
    view.close()
    paper = console(width=width)
    paper.print(view.draw())
    text = output(paper)
    assert max(map(len, text.splitlines())) < width
    assert len(text.splitlines()) < 30
    assert "fault" in text
    assert "Ctrl-C stops and heals" in text
    assert ("all regions" in text) == (width < 80)


def test_live_view_leaves_nothing() -> None:
    """Begun, fed from two threads and closed twice, the live view ends without a word of its own."""
    screen = console(terminal=True)
    view = view_for(screen, json=False, env={})
    view.begin("x", "embedded", 1)
    threads = [threading.Thread(target=lambda: [view.second(SECOND) for _ in range(50)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    view.phase("baseline", 1)
    view.close()
    view.close()
    assert "failed" not in output(screen)


def test_bug_of_a_view_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A view that raises does not reach the run: it is closed, logged with its trace, and told in one line."""

    class Broken(Unwatched):
        closed = 0

        def second(self, data: dict[str, Any]) -> None:
            raise KeyError(str(data))

        def close(self) -> None:
            self.closed += 1

    log, broken = console(), Broken()
    view = Guarded(broken, log)
    with caplog.at_level(logging.ERROR):
        view.second(SECOND)
        view.second(SECOND)
    view.close()
    assert [record.exc_info is not None for record in caplog.records] == [True]
    assert output(log).count("the run goes on") == 1
    assert broken.closed == 2


def test_drawing_that_fails(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that cannot be drawn is replaced by a line, and logged once."""
    screen = console(terminal=True)
    view = LiveView(screen)
    monkeypatch.setattr(view, "draw", lambda: 1 / 0)
    with caplog.at_level(logging.ERROR):
        shown = [str(view._safely_drawn()) for _ in range(2)]
    assert all("cannot be drawn" in text for text in shown)
    assert len(caplog.records) == 1


def test_feed_takes_what_comes() -> None:
    """Seconds with missing or odd parts count as nothing, and raise nothing."""
    feed = Feed()
    feed.add_second({})
    feed.add_second({"t": None, "flows": {"join": {"x": {"ok": "many", "ms": [float("nan")]}}}, "live": None})
    feed.step_of_fault("off", {})
    assert feed.flows() == ["join"]
    assert feed.row("join", None, 5) == [Tick(), Tick(0, 0, (0.0,))]


def test_latencies_are_merged() -> None:
    """A quantile over regions is that of all values together."""
    assert quantile([1.0, 2.0, 3.0, 100.0], 0.5) == 2.0
    assert quantile([], 0.95) is None


@pytest.mark.parametrize(("ms", "bar"), [(1, 0), (5, 1), (50, 4), (1500, 7), (99_999, 7)])
def test_height_of_a_second(ms: float, bar: int) -> None:
    """Sparklines share one logarithmic scale, from 4 ms to about a second."""
    assert level(Tick(1, 0, (ms,))) == bar
