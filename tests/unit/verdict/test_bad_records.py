"""Records that are none, as the command line meets them: an error that says so, or a verdict that is no pass."""

from __future__ import annotations

import json
import math
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
from click.testing import CliRunner
from histories import BOUNDS
from whole_runs import FAULT, LOAD, RULES, clean

from chaos.cli.main import main
from chaos.model.event import Event, Type
from chaos.model.experiment import Experiment
from chaos.model.plan import Plan
from chaos.model.stack import StackSpec
from chaos.record import Recorder

FILE = "load.msgpack"
WRONG = (
    None,
    True,
    1.5,
    math.nan,
    math.inf,
    b"\xff",
    [1],
    {"a": {1: 2}},
    msgpack.Timestamp(1, 2),
    msgpack.ExtType(5, b""),
)
"""None of them is the text or the whole number that a field has to be."""
Spoil = Callable[[Path], Any]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that passes."""
    directory = tmp_path_factory.mktemp("runs") / "good"
    directory.mkdir()
    experiment = Experiment(file="e.json", title="t", document={}, load=LOAD, thresholds=RULES, injections=(FAULT,))
    plan = Plan(experiment=experiment, spec=StackSpec(stack="s", services={}, bounds=BOUNDS), seed=1)
    (directory / "plan.json").write_text(json.dumps(plan.model_dump(mode="json")))
    events = clean().history().events
    for worker in sorted({event.worker for event in events}):
        with Recorder(directory / "events" / f"{worker}.msgpack", worker) as recorder:
            for event in (event for event in events if event.worker == worker):
                recorder.record(
                    Type(event.type), event.f, t_ns=event.t_ns, **dict(zip(Event._fields[5:], event[5:], strict=True))
                )
    return directory


@pytest.fixture
def bad(good: Path) -> Path:
    """A copy of it, to be spoilt."""
    directory = good.with_name("bad")
    shutil.rmtree(directory, ignore_errors=True)
    return shutil.copytree(good, directory)


def call(directory: Path, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, [*words, "--runs-dir", str(directory.parent)], prog_name="chaos")
    return done.exit_code, done.output


def rewritten(
    header: Callable[[dict[str, Any]], Any], row: Callable[[int, list[Any]], Any] = lambda _, row: row
) -> Spoil:
    """The load's file with other contents, count and checksum right."""

    def spoil(directory: Path) -> None:
        file = directory / "events" / FILE
        unpacker = msgpack.Unpacker(strict_map_key=False)
        unpacker.feed(file.read_bytes())
        first, *rows, _end = unpacker
        parts = [header(first), *(row(number, one) for number, one in enumerate(rows))]
        body = b"".join(msgpack.packb(part) for part in parts)
        file.write_bytes(body + msgpack.packb({"events": len(rows), "crc32": zlib.crc32(body)}))

    return spoil


def headed(**changes: Any) -> Spoil:
    return rewritten(lambda header: header | changes)


def with_field(name: str, value: Callable[[int], Any]) -> Spoil:
    """The same events, one field of each set."""
    at = Event._fields.index(name)
    return rewritten(lambda header: header, lambda number, row: [*row[:at], value(number), *row[at + 1 :]])


def holding(data: bytes, name: str = FILE) -> Spoil:
    return lambda directory: (directory / "events" / name).write_bytes(data)


def planned(change: Callable[[dict[str, Any]], Any]) -> Spoil:
    def spoil(directory: Path) -> None:
        plan = json.loads((directory / "plan.json").read_text())
        change(plan)
        (directory / "plan.json").write_text(json.dumps(plan))

    return spoil


def nested(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = [value]
    return value


def test_the_run_that_is_spoilt_here_is_good(good: Path) -> None:
    """Untouched it passes, so that every other outcome below is the damage's."""
    assert [
        call(good, *words)[0] for words in (("judge", "good"), ("compare", "good", "good"), ("export", "good"))
    ] == [0] * 3


REFUSED: dict[str, tuple[Spoil, str]] = {
    "random bytes": (holding(bytes(range(256)) * 20), "no header"),
    "other msgpack": (holding(msgpack.packb({"rows": [1, 2]})), "no header"),
    "a text": (holding(b"hello\n" * 99), "no header"),
    "nothing": (holding(b""), "no header"),
    "a text beside": (holding(b"hello", "notes.msgpack"), "no header"),
    "a directory": (lambda run: (run / "events" / "x.msgpack").mkdir(), "no file"),
    "a pipe": (lambda run: os.mkfifo(run / "events" / "x.msgpack"), "no file"),
    "a dangling link": (lambda run: (run / "events" / "x.msgpack").symlink_to("gone"), "cannot be read: No such file"),
    "a link to itself": (lambda run: (run / "events" / "x.msgpack").symlink_to("x.msgpack"), "read: Too many"),
    "no events": (lambda run: [file.unlink() for file in (run / "events").iterdir()], "holds no record"),
    "a file of events": (lambda run: (shutil.rmtree(run / "events"), holding(b"x", "")(run)), "holds no record"),
    "a newer version": (headed(version=3), "of version 3"),
    "a version in words": (headed(version="2"), "of version '2'"),
    "no version": (headed(version=None), "of version None"),
    "fewer fields": (headed(fields=list(Event._fields[:-1])), "other fields"),
    "fields in another order": (headed(fields=list(reversed(Event._fields))), "other fields"),
    "no fields": (headed(fields=7), "other fields"),
    "no writer": (headed(worker=7), "under another name"),
    "a copy": (lambda run: shutil.copy(run / "events" / FILE, run / "events" / "load-2.msgpack"), "under another name"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_record_is_refused(case: str, bad: Path) -> None:
    """Judged, compared or exported: exit 2, and the message says what the file is."""
    spoil, says = REFUSED[case]
    spoil(bad)
    for words in (("judge", "bad"), ("compare", "bad", "good"), ("export", "bad")):
        code, said = call(bad, *words)
        assert (code, says in " ".join(said.split())) == (2, True), (words, said)


PLANS: dict[str, Spoil] = {
    "a newer plan": planned(lambda plan: plan.update(format=3)),
    "a newer experiment": planned(lambda plan: plan["experiment"].update(judged_by="moonlight")),
    "a newer load": planned(lambda plan: plan["experiment"]["load"].update(robots=7)),
    "a bound that is no number": planned(lambda plan: plan["spec"]["bounds"].update(visibility_s=math.nan)),
    "bytes": lambda run: (run / "plan.json").write_bytes(b"\xff\xfe\x00"),
    "too deep": lambda run: (run / "plan.json").write_text("[" * 100_000),
    "a directory": lambda run: ((run / "plan.json").unlink(), (run / "plan.json").mkdir()),
}


@pytest.mark.parametrize("case", PLANS)
def test_a_plan_that_is_not_understood_is_refused(case: str, bad: Path) -> None:
    """What a newer chaos wrote is not judged by the half of it that is known."""
    PLANS[case](bad)
    for words in (("judge", "bad"), ("compare", "bad", "good")):
        code, said = call(bad, *words)
        assert code == 2, said
        assert "plan.json" in said


DAMAGED: dict[str, Spoil] = {
    "cut short": lambda run: os.truncate(run / "events" / FILE, 5000),
    "never a time": with_field("t_ns", lambda _: math.nan),
    "a time beyond all clocks": with_field("t_ns", lambda number: 2**64 - 1 - number),
    "a time before all clocks": with_field("t_ns", lambda number: -1 - number),
    "a number twice": with_field("seq", lambda number: number // 2),
    "another's events": with_field("worker", lambda number: "load" if number % 2 else "conductor"),
    "rows with less": rewritten(lambda header: header, lambda _, row: row[:-1]),
    "rows that are none": rewritten(lambda header: header, lambda _, row: row[1]),
    "a value too deep to read": with_field("value", lambda number: None if number % 50 else nested(500)),
}
DAMAGED |= {
    f"{name} of wrong types": with_field(name, lambda number: WRONG[number % len(WRONG)]) for name in Event._fields
}
DAMAGED |= {f"{name} beyond all clocks": with_field(name, lambda _: 2**64 - 1) for name in ("intended_ns", "seq")}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_record_is_inconclusive_and_exported_as_far_as_it_goes(case: str, bad: Path) -> None:
    """Judged or compared: exit 3, never a pass; what is exported is JSON, and 3 where the file is not whole."""
    DAMAGED[case](bad)
    for words in (("judge", "bad"), ("compare", "bad", "good")):
        code, said = call(bad, *words)
        assert code == 3, said
    code, said = call(bad, "export", "bad")
    assert code in {0, 3}
    lines = [line for line in said.splitlines() if not line.startswith("note: ")]
    assert all(set(json.loads(line)) == set(Event._fields) for line in lines)
    assert (code == 3) == (len(lines) < len(said.splitlines()))
