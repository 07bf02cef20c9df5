"""How reports say things: numbers, rules, sentences, and the next command to type. Pure."""

from __future__ import annotations

import math
import re
import shlex
from typing import TYPE_CHECKING

from chaos.errors import ExitCode
from chaos.model.verdict import CheckResult, Kind, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chaos.report.story import Story

_TENTHS_BELOW = 10
_MINUTES_FROM = 120
_SECOND_MS = 1000
_UNIT = re.compile(r"(?<=\d)(%|ms\b|s\b)")

DURING = {"baseline": "before", "fault": "during", "recovery": "after", "run": ""}
"""A phase as the end of a rule: `join.success ≥ 99 % during`."""

FLOW_NAMES = {
    "join": "Join a meeting",
    "rejoin": "Get back in",
    "resume": "Resume a cut session",
    "leave": "Leave",
    "say": "Speak",
    "edit": "Edit a document",
    "edit_ack": "Edit a document",
}

BROKEN = {
    "M1": "Joins got stuck.",
    "M2": "People who were in a room were not shown in it.",
    "M3": "People who had gone stayed in the roster.",
    "M4": "A room fell apart: people in it did not see each other.",
    "M5": "People could not leave.",
    "M6": "People could not get back in.",
    "M7": "A short loss of connection had consequences.",
    "M8": "People were in a room twice.",
    "M9": "A room did not keep its limit.",
    "M10": "People were dropped from a room without a cause.",
    "M11": "Messages were lost, repeated or out of order.",
    "M12": "People whom the fault did not reach were served worse.",
    "D1": "Acknowledged edits were lost.",
    "D2": "Durable edits were forgotten in a crash.",
    "D3": "Copies of a document never agreed.",
    "D4": "Edits were applied more than once.",
    "D5": "A document held what nobody wrote into it.",
    "D6": "Deleted edits came back.",
    "D7": "Edits changed their order.",
    "D8": "Edits made offline were lost, or came too late.",
    "D9": "People no longer saw what they had written or seen.",
    "D10": "People who had gone were still shown in a document.",
    "D11": "A document stopped taking edits.",
    "D12": "A document was served as two.",
    "recovery": "The stack did not come back in time.",
    "warning": "No alert of the stack's own warned in time.",
    "stop": "Users fared so badly that the run was stopped.",
}
"""What a failed check means to the people who use the product."""

BROKEN_FLOWS = {
    "join": "joining a meeting",
    "rejoin": "getting back in",
    "resume": "resuming a cut session",
    "leave": "leaving",
    "say": "speaking",
    "edit": "editing",
    "edit_ack": "editing",
}

ENDINGS = {
    ExitCode.DIRTY: "DIRTY",
    ExitCode.INTERNAL: "BUG",
    ExitCode.USAGE: "NOT RUN",
    ExitCode.HANGUP: "INTERRUPTED",
    ExitCode.INTERRUPTED: "INTERRUPTED",
    ExitCode.TERMINATED: "INTERRUPTED",
}


def ending(verdict: Verdict) -> str:
    """PASS, FAIL, INCONCLUSIVE, or what outranks them: DIRTY, INTERRUPTED."""
    return ENDINGS.get(verdict.exit_code, verdict.outcome.value.upper())


def tone(verdict: Verdict) -> str:
    """The ending as one of four colours' names: pass, fail, inconclusive, dirty."""
    return "dirty" if ending(verdict) in {"DIRTY", "BUG"} else verdict.outcome.value


def seconds(value: float) -> str:
    """`0.4 s`, `20 s`, `2 min 05 s`."""
    if value < 1 or (value < _TENTHS_BELOW and round(value, 1) != round(value)):
        return f"{value:.1f} s"
    whole = round(value)
    return f"{whole} s" if whole < _MINUTES_FROM else f"{whole // 60} min {whole % 60:02d} s"


def millis(value: float | None) -> str:
    """`4.2 ms`, `41 ms`, `1.24 s`; `no answer` for infinite, `?` where nothing was measured."""
    if value is None:
        return "?"
    if math.isinf(value):
        return "no answer"
    if value >= _SECOND_MS:
        return f"{value / _SECOND_MS:.2f} s"
    return f"{value:.0f} ms" if value >= _TENTHS_BELOW else f"{value:.1f} ms"


def share(value: float | None) -> str:
    """`99.2 %`; never rounded up to 100 %; `?` where there was nothing to count."""
    if value is None:
        return "?"
    if value < 1:
        value = min(value, 0.999)
    text = f"{value * 100:.1f}"
    return f"{text.removesuffix('.0')} %"


def pretty(text: str) -> str:
    """A rule with typographic signs: `>= 99%` -> `≥ 99 %`."""
    for plain, sign in ((">=", "≥"), ("<=", "≤"), ("==", "=")):
        text = text.replace(plain, sign)
    return _UNIT.sub(r" \1", text)


def rule(check: CheckResult) -> str:
    """A check as one line says it: its name, and when it must hold."""
    name = pretty(check.name or check.id)
    when = DURING.get(check.phase, check.phase)
    if check.kind in {Kind.VALIDITY, Kind.RECOVERY} or not when or name.endswith(f" {when}"):
        return name
    return f"{name} {when}"


def measured(check: CheckResult) -> str:
    """What was measured; missing data is said, and so is what was excused."""
    text = pretty(check.measured).strip()
    if not text:
        text = "nothing measured"
    return f"{text}, {check.excused} excused" if check.excused and "excused" not in text else text


def count(number: int, one: str, many: str = "") -> str:
    """`1 fault`, `2 faults`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def in_order(checks: Iterable[CheckResult], *, failures_last: bool = False) -> list[CheckResult]:
    """Failures first (or last), then inconclusive, then passed; otherwise as the verdict has them."""
    rank = {Outcome.FAIL: 0, Outcome.INCONCLUSIVE: 1, Outcome.PASS: 2}
    return sorted(checks, key=lambda check: -rank[check.outcome] if failures_last else rank[check.outcome])


def headline(verdict: Verdict) -> str:
    """The verdict in one sentence, for people who will read nothing else."""
    word = ending(verdict)
    if word == "DIRTY":
        return "Something that was injected is still there."
    if word == "INTERRUPTED":
        return "The run was stopped before its end; everything was healed."
    failed = [check for check in verdict.checks if check.outcome is Outcome.FAIL and check.kind is not Kind.VALIDITY]
    if verdict.outcome is Outcome.FAIL and failed:
        return _broken(failed)
    if verdict.outcome is Outcome.INCONCLUSIVE:
        open_checks = [check for check in verdict.checks if check.outcome is not Outcome.PASS]
        return _unproven(open_checks)
    if verdict.outcome is Outcome.FAIL:
        return "The run failed."
    return "It held: every rule was met, on what users really felt."


def _broken(failed: list[CheckResult]) -> str:
    order = {Kind.SAFETY: 0, Kind.RECOVERY: 1, Kind.SLO: 2}
    sentences = list(dict.fromkeys(_sentence(check) for check in sorted(failed, key=lambda c: order.get(c.kind, 3))))
    rest = len(sentences) - 2
    return " ".join(sentences[:2]) + (f" And {count(rest, 'thing')} more." if rest > 0 else "")


def _sentence(check: CheckResult) -> str:
    if check.id in BROKEN:
        return BROKEN[check.id]
    flow, _, what = check.id.partition(".")
    doing = BROKEN_FLOWS.get(flow)
    when = {"baseline": " before the fault", "fault": " during the fault", "recovery": " after the heal"}
    if doing and what:
        trouble = "failed too often" if what.startswith("success") else "was too slow"
        return f"{doing.capitalize()} {trouble}{when.get(check.phase, '')}."
    return f"{pretty(check.name)} was not met."


def _unproven(open_checks: list[CheckResult]) -> str:
    invalid = [check for check in open_checks if check.kind is Kind.VALIDITY]
    first = next(iter(invalid or open_checks), None)
    if first is None:
        return "This run cannot give a verdict."
    reason = first.reasons[0] if first.reasons else f"{pretty(first.name)} could not be judged"
    return f"This run proves nothing yet: {reason.rstrip('.')}."


def next_step(verdict: Verdict, story: Story) -> tuple[str, str]:
    """The next command to type, and why; a command of ours that exists."""
    file = shlex.quote(story.file or "EXPERIMENT")
    again = (
        f"chaos run --replay {shlex.quote(story.replay)}" if story.replay else f"chaos run {file} --seed {story.seed}"
    )
    word = ending(verdict)
    if word == "DIRTY":
        return f"chaos heal --run {story.run_id}", "takes out what is left"
    if word == "BUG":
        return "chaos doctor", "says what can run here"
    if verdict.outcome is Outcome.FAIL:
        return again, "the same users and targets again, once it is fixed"
    if verdict.outcome is Outcome.INCONCLUSIVE:
        invalid = any(c.kind is Kind.VALIDITY and c.outcome is not Outcome.PASS for c in verdict.checks)
        if invalid or word == "INTERRUPTED":
            return again, "the same again; see `chaos doctor` too"
        return f"chaos plan {file}", "says how many sessions a verdict takes"
    return "chaos list experiments", "what else to try"
