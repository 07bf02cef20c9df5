"""`verdict.json`: the judgement for programs; what `chaos run --json` prints."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chaos.model.verdict import CheckResult, Verdict
    from chaos.report.story import Story

FORMAT = "collab-chaos-verdict"
VERSION = 1


def render(story: Story, verdict: Verdict) -> str:
    """The document as indented JSON with a last newline."""
    plain = finite(document(story, verdict))
    return json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def document(story: Story, verdict: Verdict) -> dict[str, Any]:
    """The document; times are seconds since the load began."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "run": story.run_id,
        "title": story.title,
        "experiment": story.file,
        "outcome": verdict.outcome.value,
        "exit_code": int(verdict.exit_code),
        "says": verdict.says,
        "seed": story.seed,
        "stack": story.stack,
        "versions": dict(story.versions),
        "phases": [{"name": p.name, "start_s": _round(p.start_s), "end_s": _round(p.end_s)} for p in story.phases],
        "faults": [
            {
                "id": fault.id,
                "name": fault.name,
                "fault": fault.fault,
                "on_s": _round(fault.on_s),
                "off_s": _round(fault.off_s),
                "bit": fault.bit,
                "evidence": fault.evidence,
                "measured": dict(fault.measured),
                "clean": fault.clean,
            }
            for fault in story.faults
        ],
        "checks": [_check(check) for check in verdict.checks],
        "notes": list(story.notes),
    }


def _check(check: CheckResult) -> dict[str, Any]:
    return check.model_dump(mode="json")


def finite(value: Any) -> Any:
    """The value with null where JSON has no number: NaN and the infinities."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
