"""The reports of a made-up run, letter by letter; `REPORT_GOLDEN=write` writes the files anew."""

from __future__ import annotations

import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from chaos.errors import ChaosError, InvalidInput, Problem, StackFailed
from chaos.model.verdict import Verdict
from chaos.report import html, junit, registry, summary, terminal
from chaos.report.story import Story
from tests.unit.report import sample

GOLDEN = Path(__file__).parent / "report"
VERDICTS = {"fail": sample.verdict, "pass": sample.passed, "inconclusive": sample.unclear}


def same(name: str, text: str) -> None:
    """Compare with the golden file, line ends normalised."""
    text = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    file = GOLDEN / name
    if os.environ.get("REPORT_GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def printed(verdict: Verdict, width: int, *, encoding: str = "utf-8", terminal_like: bool = False) -> str:
    """The verdict block as bytes of a stream with that encoding, read back."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    console = Console(file=stream, width=width, highlight=False, force_terminal=terminal_like, color_system=None)
    terminal.print_verdict(verdict, sample.story(), console)
    stream.flush()
    return raw.getvalue().decode(encoding)


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("outcome", VERDICTS)
def test_terminal_at_80_columns(outcome: str) -> None:
    """The verdict block at 80 columns is as agreed, and no line is longer."""
    text = printed(VERDICTS[outcome](), 80)
    same(f"terminal_{outcome}.txt", text)
    assert max(map(len, text.splitlines())) <= 80


def test_terminal_on_a_tty_has_failures_first() -> None:
    """On a terminal failures come first, in a log last."""
    tty, log = printed(sample.verdict(), 120, terminal_like=True), printed(sample.verdict(), 120)
    assert tty.index("✗ edits.lost") < tty.index("✓ rejoin")
    assert log.index("✗ edits.lost") > log.index("✓ rejoin")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "gbk"])
def test_terminal_with_a_small_alphabet(encoding: str) -> None:
    """Where the encoding lacks a sign, a plain one stands in; nothing raises and no failure looks like a pass."""
    text = printed(sample.verdict(), 80, encoding=encoding)
    marks = [line.split()[0] for line in text.splitlines() if "edits.lost" in line]
    assert marks in (["x"], ["✗"])
    if encoding == "ascii":
        same("terminal_ascii.txt", text)


@pytest.mark.parametrize("no_color", [True, False])
def test_no_color(monkeypatch: pytest.MonkeyPatch, no_color: bool) -> None:
    """With NO_COLOR set, a terminal gets no colour."""
    monkeypatch.setenv("TERM", "xterm-256color")
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system="standard")
    terminal.print_verdict(sample.verdict(), sample.story(), console)
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-9]", out.getvalue())) is not no_color


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("stack", StackFailed("stack embedded did not start: doc-e1 did not answer /healthz in 10 s",
                              evidence=("doc-e1: exited with 1", "OSError: [Errno 98] address already in use"),
                              hint="chaos stack logs doc-e1")),
        ("input", InvalidInput((Problem("a.json", 4, 9, "unknown fault 'congestoin'", "did you mean congestion?"),
                                Problem("a.json", 2, 1, "no title")))),
    ],
)  # fmt: skip
def test_error_at_80_columns(name: str, error: ChaosError) -> None:
    """An error says what happened, its evidence, and what to do next."""
    out = io.StringIO()
    terminal.print_error(error, Console(file=out, width=80, highlight=False))
    same(f"error_{name}.txt", out.getvalue())


def test_control_characters_never_reach_the_terminal() -> None:
    """A text of the record cannot move the cursor or change colours."""
    evil = sample.verdict().model_copy(update={"says": "\x1b[2Jgone\r\x07"})
    assert "\x1b[2J" not in printed(evil, 80)


def test_junit() -> None:
    """JUnit: failed is a failure, inconclusive is an error, with the place and the witness."""
    text = junit.render(sample.story(), sample.verdict())
    same("junit.xml", text)
    suite = ET.fromstring(text.encode()).find("testsuite")  # noqa: S314 - our own text
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("14", "3", "1")


def test_junit_of_what_no_check_says() -> None:
    """A run that left something behind has an error of its own; odd characters cannot break the file."""
    dirty = sample.passed().model_copy(update={"exit_code": 4, "says": "left \x00 behind"})
    root = ET.fromstring(junit.render(Story(run_id="r", title="a\x1bb"), dirty).encode())  # noqa: S314 - our own text
    assert root.get("errors") == "1"
    assert "DIRTY" in {error.get("type") for error in root.iter("error")}


def test_markdown() -> None:
    """The Markdown summary is as agreed."""
    same("summary.md", summary.render(sample.story(), sample.verdict()))


def test_markdown_keeps_texts_literal() -> None:
    """A title cannot become a link, a table cell or an element."""
    assert summary.escape("a|b <b> [x](y)\n# z") == r"a\|b \<b\> \[x\](y) \# z"


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize("outcome", VERDICTS)
def test_html_stands_alone(outcome: str) -> None:
    """The page is one small file: nothing is loaded, every check is in it, no inline handler or style attribute."""
    text = html.render(sample.story(), VERDICTS[outcome]())
    assert len(text.encode()) <= 300_000
    page = _Page()
    page.feed(text)
    for tag, attributes in page.tags:
        assert tag not in {"link", "img", "iframe", "object", "base"}
        assert not {"src", "href", "style"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", text)
    bare = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    for check in VERDICTS[outcome]().checks:
        assert check.measured.split("  ")[0] in bare
    assert bare.count("<svg") > 6


def test_html_has_every_section() -> None:
    """Verdict, story, charts, witnesses, faults, plan and how to run it again are all there, and can be printed."""
    text = html.render(sample.story(), sample.verdict())
    for section in ("happened", "verdict", "witnesses", "flows", "faults", "plan", "again"):
        assert f'<section id="{section}">' in text
    assert "@media print" in text
    assert "prefers-color-scheme: dark" in text


def test_every_format_takes_an_empty_story() -> None:
    """A run of which hardly anything is known still gives every report, and says what is missing."""
    empty = Story(run_id="r", title="t")
    nothing = sample.verdict().model_copy(update={"checks": (), "says": "nothing was judged"})
    for name, renderer in registry().items():
        text = renderer.render(empty, nothing)
        assert text.strip(), name
