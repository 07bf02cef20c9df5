"""A run on disk, made ready for judging: its plan's rules and its record."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from chaos.errors import InvalidInput, Problem
from chaos.record import read_log
from chaos.verdict import confirmation
from chaos.verdict.confirmation import Confirmation, weighed
from chaos.verdict.history import History, build
from chaos.verdict.judge import judge
from chaos.verdict.rules import Checks, checks_from_plan

if TYPE_CHECKING:
    from pathlib import Path

    from chaos.model.verdict import Verdict


@dataclass(frozen=True)
class RunRecord:
    """What `judge` and the reports need of a run."""

    directory: Path
    title: str
    seed: int
    history: History
    checks: Checks
    plan: dict[str, Any]
    """`plan.json` as it is."""
    second: Confirmation | None = None
    """What a second run with the same seed has shown."""

    @cached_property
    def verdict(self) -> Verdict:
        """The judgement of the record, second look included."""
        return weighed(judge(self.history, self.checks), self.second)


def load_run(directory: Path) -> RunRecord:
    """Read `plan.json` and `events/` of a run directory; raises `InvalidInput` on what is no run of ours."""
    plan = _read_plan(directory / "plan.json")
    checks = checks_from_plan(plan, str(directory / "plan.json"))
    log = read_log(directory)
    seed = plan.get("seed", plan["experiment"].get("seed", 0))
    return RunRecord(
        directory=directory,
        title=str(plan["experiment"].get("title", "")),
        seed=seed if isinstance(seed, int) else 0,
        history=build(log.events, log.damage),
        checks=checks,
        plan=plan,
        second=confirmation.read(directory),
    )


def _read_plan(file: Path) -> dict[str, Any]:
    try:
        plan = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput((Problem(str(file), 0, 0, f"cannot be read: {error.strerror}"),)) from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput((Problem(str(file), 0, 0, f"is not JSON: {error}"),)) from error
    if not isinstance(plan, dict):
        raise InvalidInput((Problem(str(file), 0, 0, "is not the plan of a run"),))
    return plan
