"""`junit.xml`: a test case per check. FAIL is a failure, INCONCLUSIVE and DIRTY are errors."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from chaos.errors import ExitCode
from chaos.model.verdict import CheckResult, Outcome, Verdict
from chaos.report import words

if TYPE_CHECKING:
    from chaos.report.story import Story


def render(story: Story, verdict: Verdict) -> str:
    """The document, UTF-8 declared, with a last newline."""
    seconds = f"{max(0.0, story.end_s - story.start_s):.3f}"
    cases = [_case(check, story) for check in verdict.checks]
    cases += _whole(story, verdict)
    totals = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": str(sum(case.find("error") is not None for case in cases)),
        "skipped": "0",
        "time": seconds,
    }
    root = ET.Element("testsuites", {"name": "collab-chaos"} | totals)
    suite = ET.SubElement(root, "testsuite", {"name": _clean(story.title)} | totals)
    if story.started:
        suite.set("timestamp", story.started.removesuffix("Z"))
    properties = ET.SubElement(suite, "properties")
    facts = {"run": story.run_id, "seed": str(story.seed), "stack": story.stack, "verdict": words.ending(verdict)}
    for name, value in (facts | dict(story.versions)).items():
        ET.SubElement(properties, "property", {"name": _clean(name), "value": _clean(value)})
    suite.extend(cases)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(check: CheckResult, story: Story) -> ET.Element:
    name = words.rule(check)
    case = ET.Element("testcase", {"name": _clean(name), "classname": _clean(f"chaos.{story.title}"), "time": "0"})
    if check.place is not None:
        case.set("file", _clean(check.place.file))
        if check.place.line:
            case.set("line", str(check.place.line))
    if check.outcome is Outcome.PASS:
        ET.SubElement(case, "system-out").text = _clean(words.measured(check))
        return case
    kind = "failure" if check.outcome is Outcome.FAIL else "error"
    told = ET.SubElement(case, kind, {"type": check.id, "message": _clean(f"{name}: {words.measured(check)}")})
    told.text = _clean("\n".join(_details(check)))
    return case


def _details(check: CheckResult) -> list[str]:
    lines = [words.measured(check), *check.reasons]
    for witness in check.witnesses:
        lines.append(witness.says)
        lines += [f"  {event.t_s:8.2f} s  {event.says}" for event in witness.events]
    return [*lines, *([f"at {check.place}"] if check.place else [])]


def _whole(story: Story, verdict: Verdict) -> list[ET.Element]:
    """A case for what no check says: something left behind, a run cut short, a run without any check."""
    judged = {ExitCode.PASS, ExitCode.FAIL, ExitCode.INCONCLUSIVE}
    if verdict.exit_code in judged and verdict.checks:
        return []
    case = ET.Element("testcase", {"name": "the run as a whole", "classname": _clean(f"chaos.{story.title}")})
    message = f"{words.ending(verdict)}: {words.headline(verdict)}"
    error = ET.SubElement(case, "error", {"type": words.ending(verdict), "message": _clean(message)})
    error.text = _clean(verdict.says)
    return [case]


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 cannot carry."""
    return "".join(
        char
        for char in text
        if char in "\t\n\r" or "\x20" <= char <= "\ud7ff" or "\ue000" <= char <= "\ufffd" or char >= "\U00010000"
    )
