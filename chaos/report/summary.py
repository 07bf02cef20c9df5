"""`summary.md`: the verdict for the summary page of a CI job, with the run as a Mermaid gantt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chaos.model.verdict import CheckResult, Kind, Outcome, Verdict
from chaos.report import words

if TYPE_CHECKING:
    from chaos.report.story import Story

MARKS = {Outcome.PASS: "✓", Outcome.FAIL: "✗", Outcome.INCONCLUSIVE: "?"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$!&])")


def render(story: Story, verdict: Verdict) -> str:
    """Markdown of the GitHub kind."""
    facts = [f"stack {story.stack}" if story.stack else "", story.stack_says, f"seed {story.seed}", story.run_id]
    lines = [
        f"## {words.ending(verdict)} – {escape(story.title)}",
        "",
        f"**{escape(words.headline(verdict))}** {escape(verdict.says)}; exit {int(verdict.exit_code)}.",
        "",
        escape(" · ".join(filter(None, facts))),
        "",
        *_gantt(story),
        *_table(verdict),
        *_witnesses(verdict),
        *_faults(story),
        *[f"> {escape(note)}\n" for note in story.notes],
    ]
    command, why = words.next_step(verdict, story)
    lines += [f"Next: {_code(command)} – {escape(why)}.", ""]
    return "\n".join(lines)


def escape(text: str) -> str:
    """The text as Markdown shows it literally, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    fence = "``" if "`" in text else "`"
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{' '.join(text.split())}{pad}{fence}"


def _gantt(story: Story) -> list[str]:
    if not story.phases:
        return []
    lines = ["```mermaid", "gantt", "  dateFormat x", "  axisFormat %M:%S", "  section phases"]
    lines += [f"  {_bare(p.name)} : {_ms(p.start_s)}, {_ms(max(p.end_s, p.start_s))}" for p in story.phases]
    faults = [fault for fault in story.faults if fault.on_s is not None]
    if faults:
        lines.append("  section faults")
    for fault in faults:
        off = story.end_s if fault.off_s is None else fault.off_s
        lines.append(f"  {_bare(fault.name or fault.fault)} : crit, {_ms(fault.on_s or 0.0)}, {_ms(off)}")
    return [*lines, "```", ""]


def _bare(text: str) -> str:
    """A name without the signs that Mermaid reads."""
    return re.sub(r"[^\w .+-]", " ", text).strip() or "?"


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def _table(verdict: Verdict) -> list[str]:
    shown = [c for c in words.in_order(verdict.checks) if c.kind is not Kind.VALIDITY or c.outcome is not Outcome.PASS]
    lines = ["| | rule | measured | at |", "| --- | --- | --- | --- |"]
    lines += [_row(check) for check in shown]
    valid = [escape(words.pretty(check.name)) for check in verdict.checks if check not in shown]
    return [*lines, "", *([f"Valid: {', '.join(valid)}.", ""] if valid else [])]


def _row(check: CheckResult) -> str:
    figures = "; ".join([words.measured(check), *check.reasons])
    rule = escape(words.rule(check))
    bold = rule if check.outcome is Outcome.PASS else f"**{rule}**"
    # A table's cells end at a bar, even inside code.
    place = _code(str(check.place)).replace("|", "\\|") if check.place else ""
    return f"| {MARKS[check.outcome]} | {bold} | {escape(figures)} | {place} |"


def _witnesses(verdict: Verdict) -> list[str]:
    lines = []
    for check in verdict.checks:
        if check.outcome is Outcome.FAIL and check.witnesses:
            witness = check.witnesses[0]
            lines += [f"<details><summary>{_html(words.rule(check))}: {_html(witness.says)}</summary>", ""]
            lines += [f"- {event.t_s:.2f} s {escape(event.says)}" for event in witness.events]
            lines += ["", "</details>", ""]
    return lines


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _faults(story: Story) -> list[str]:
    lines = []
    for fault in story.faults:
        bit = {True: "bit", False: "**did not bite**", None: "bite not measured"}[fault.bit]
        gone = {True: "gone", False: "**still there**", None: "absence not measured"}[fault.clean]
        reach = f" on {escape(fault.reach)}" if fault.reach else ""
        proof = f": {escape(fault.evidence)}" if fault.evidence else ""
        lines.append(f"- {escape(fault.name)}: {escape(fault.says)}{reach}; {bit}{proof}; {gone}")
    return [*lines, ""] if lines else []
