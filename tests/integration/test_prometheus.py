"""The stack's own alerts as a run asks for them: of a real Prometheus, and of what only looks like one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_rig import configure, monitor
from stack_rig import until

from chaos.engine.alerts import AlertWatch
from chaos.errors import ChaosError, StorageFailed
from chaos.model.event import Event, Type
from chaos.model.experiment import Threshold
from chaos.model.stack import Alerts
from chaos.model.verdict import Outcome
from chaos.record import Recorder, read_log
from chaos.verdict.history import build
from chaos.verdict.rules import Checks
from chaos.verdict.warning import warning

RULE = Threshold(text="warning < 30 s", phase="run", metric="warning", op="<", value=30)


@contextlib.contextmanager
def served(answer: Callable[[str], tuple[int, str]]) -> Iterator[int]:
    """A server of loopback that answers each path as told; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.send_header("Location", "/moved")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Run:
    """What a run keeps of its watch: the record, and what its view was told."""

    def __init__(self, folder: Path, url: str) -> None:
        self._lock = threading.Lock()
        self._recorder = Recorder(folder / "events" / "conductor.msgpack", "conductor")
        self.folder = folder
        self.events: list[Event] = []
        self.said: list[str] = []
        self.failed: list[ChaosError] = []
        self.watch = AlertWatch(Alerts(prometheus=url), self.record, self.said.append, self.failed.append)

    def record(self, kind: Type, f: str, **parts: Any) -> None:
        with self._lock:
            self.events.append(self._recorder.record(kind, f, **parts))

    def looks(self, kind: Type) -> list[Event]:
        return [event for event in list(self.events) if event.f == "alerts" and event.type == kind]

    def close(self) -> None:
        self.watch.end()
        self._recorder.close()


@contextlib.contextmanager
def watching(folder: Path, url: str) -> Iterator[Run]:
    with contextlib.closing(Run(folder, url)) as run:
        run.watch.start()
        yield run


@pytest.mark.slow
def test_an_alert_of_a_real_prometheus_is_a_warning(tmp_path: Path) -> None:
    """It is silent, it fires after the fault, it is gone; it ends, and the record and the line say so."""
    broken = threading.Event()

    def metrics(_path: str) -> tuple[int, str]:
        return 200, f"joins_failing {int(broken.is_set())}\n"

    with (
        served(metrics) as port,
        monitor(configure(tmp_path, {"web": port}, "HighJoinErrors", "joins_failing > 0")) as prometheus,
        watching(tmp_path, prometheus.url) as run,
    ):
        until(lambda: run.looks(Type.OBS), 30)
        run.record(Type.PHASE, "fault", value={"seconds": 1})
        run.record(Type.FAULT, "intent", key="f-1", value={"name": "f", "fault": "pause"})
        run.watch.look_now()
        broken.set()
        until(lambda: any(event.value for event in run.looks(Type.OBS)), 20)
        broken.clear()
        until(lambda: run.looks(Type.OBS)[-1].value == [], 20)
        prometheus.end()
        until(lambda: run.events[-1].type == Type.GAP, 20)
        run.close()
        words = f"alert HighJoinErrors (instance=127.0.0.1:{port}, job=stack, node=web)"
        assert [said for said in run.said if said.startswith("alert")] == [f"{words} fires", f"{words} has ended"]
        assert run.said[-1] == "the stack's alerts cannot be asked: it cannot be reached"
    fired = next(event.value for event in run.looks(Type.OBS) if event.value)
    assert fired[0]["labels"]["node"] == "web"
    assert fired[0]["active_at"].startswith("2")
    history = build(read_log(tmp_path).events)
    (line,) = warning(history, Checks(thresholds=(RULE,), alerts=Alerts(prometheus=prometheus.url)), {})
    assert line.outcome is Outcome.PASS
    assert line.measured.startswith("alert HighJoinErrors ")
    assert 0 < line.figures["warning_s"] < 30
    assert not run.failed


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((503, "starting"), "it answers with HTTP 503"),
        ((302, ""), "it answers with HTTP 302"),
        ((200, "<html>"), "its answer is not that of a Prometheus"),
        ((200, " " * (5 << 20)), "its answer is longer than 4 MiB"),
    ],
)
def test_what_is_no_answer_is_a_gap_with_its_reason(answer: tuple[int, str], why: str, tmp_path: Path) -> None:
    """A look that told nothing is in the record, and the view hears of it once."""
    with served(lambda _path: answer) as port, watching(tmp_path, f"http://127.0.0.1:{port}/") as run:
        until(lambda: run.looks(Type.GAP))
        run.watch.look_now()
        until(lambda: len(run.looks(Type.GAP)) > 1)
    assert {event.error for event in run.looks(Type.GAP)} == {why}
    assert run.said == [f"the stack's alerts cannot be asked: {why}"]
    assert [event.op for event in run.looks(Type.INVOKE)][:2] == [1, 2]


def test_whoever_does_not_answer_is_given_up(tmp_path: Path) -> None:
    """A look has a bound, and the end of a run does not wait for longer."""
    hold = threading.Event()

    def late(_path: str) -> tuple[int, str]:
        hold.wait(20)
        return 503, ""

    with served(late) as port, watching(tmp_path, f"http://127.0.0.1:{port}") as run:
        try:
            until(lambda: run.looks(Type.GAP))
        finally:
            hold.set()
    assert run.looks(Type.GAP)[0].error == "no answer within 2 s"


def test_a_full_disk_ends_the_watch_and_is_told(tmp_path: Path) -> None:
    """What cannot be recorded is the run's trouble."""
    failed: list[ChaosError] = []

    def full(*_: object, **__: object) -> None:
        raise StorageFailed("no space left")

    watch = AlertWatch(Alerts(prometheus="http://127.0.0.1:1"), full, lambda _text: None, failed.append)
    watch.start()
    until(lambda: failed)
    watch.end()
    watch.end()
    assert isinstance(failed[0], StorageFailed)


def test_without_alerts_nobody_is_asked() -> None:
    """A stack that names no monitoring costs a run nothing."""
    watch = AlertWatch(None, lambda *_, **__: pytest.fail("recorded"), lambda _text: None, lambda _error: None)
    watch.start()
    watch.look_now()
    watch.end()
