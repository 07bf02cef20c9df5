"""Writing the reports of a run."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest

from chaos import report
from chaos.errors import InternalError, StorageFailed
from chaos.verdict.judge import judge
from chaos.verdict.run import load_run
from tests.unit.report import recorded, sample

FILES = ["junit.xml", "report.html", "summary.md", "verdict.json"]


def test_every_format_is_written(tmp_path: Path) -> None:
    """All formats are there under their names, and nothing else is left."""
    written = report.publish(sample.story(), sample.verdict(), tmp_path / "run")
    assert sorted(path.name for path in written) == FILES
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == FILES


def test_a_recorded_run_is_published(tmp_path: Path) -> None:
    """From a record on disk to all reports, through the judge."""
    directory = recorded.write(tmp_path)
    record = load_run(directory)
    report.publish(record, judge(record.history, record.checks), directory)
    document = json.loads((directory / "verdict.json").read_text(encoding="utf-8"))
    assert document["run"] == recorded.NAME
    assert [fault["name"] for fault in document["faults"]] == ["slow east"]


def test_verdict_document() -> None:
    """The document holds per check what programs ask for, with the line that set it."""
    document = json.loads(report.registry()["json"].render(sample.story(), sample.verdict()))
    assert (document["format"], document["version"]) == ("collab-chaos-verdict", 1)
    assert (document["outcome"], document["exit_code"], document["seed"]) == ("fail", 1, 4711)
    lost = next(check for check in document["checks"] if check["id"] == "D1")
    assert lost["place"] == {"file": sample.FILE, "line": 44, "col": 0}
    assert lost["witnesses"][0]["events"][0] == {"t_s": 22.41, "says": "e9 writes e9.114 into doc-2"}
    wanted = "id name kind phase outcome measured threshold judged excused inconclusive reasons witnesses place"
    assert set(wanted.split()) <= set(lost)
    assert document["faults"][0]["evidence"] == "rtt 3 → 243 ms"


def test_document_is_json_whatever_was_measured() -> None:
    """Infinite and undefined figures become null: the document stays JSON."""
    story = sample.story()
    odd = replace(story.faults[0], measured={"rtt": float("inf"), "all": [float("nan"), 1.0]})
    document = json.loads(report.registry()["json"].render(replace(story, faults=(odd,)), sample.verdict()))
    assert document["faults"][0]["measured"] == {"rtt": None, "all": [None, 1.0]}


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that refuses is told as such, and no file is there in part."""

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "verdict.json").write_text("old", encoding="utf-8")
    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(StorageFailed, match="No space left"):
        report.publish(sample.story(), sample.verdict(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["verdict.json"]
    assert (tmp_path / "verdict.json").read_text(encoding="utf-8") == "old"


def test_a_bug_in_one_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A format that cannot be made costs only itself, and is named."""

    def broken(*_: object) -> str:
        raise LookupError("oops")

    monkeypatch.setattr("chaos.report.html.render", broken)
    with pytest.raises(InternalError, match="html") as caught:
        report.publish(sample.story(), sample.verdict(), tmp_path)
    assert caught.value.evidence == ("html: LookupError: oops",)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["junit.xml", "summary.md", "verdict.json"]
