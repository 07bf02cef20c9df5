"""A run whose recovery phase is too short for its rules: it goes on, says so, and is judged the same way later."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FEW = ("load.participants=24", "phases.recovery=11", "phases.extend=30")
"""Some 22 joins in the recovery phase, where a rule needs 30."""

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(300)]


def chaos(*arguments: str) -> str:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "chaos", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=250, check=False).stdout


def test_recovery_goes_on_until_enough_have_come(tmp_path: Path) -> None:
    """The record says for which rule and how long; the rule has its samples then, or the budget is used up."""
    sets = [word for value in FEW for word in ("--set", value)]
    verdict = json.loads(chaos("run", "network_congestion", "--json", "--runs-dir", str(tmp_path), *sets))
    events = [json.loads(line) for line in chaos("export", str(tmp_path / "latest")).splitlines()]
    more = [event["value"] for event in events if event["f"] == "extended"]
    opened = {event["f"]: event["t_ns"] / 1e9 for event in events if event["type"] == "phase"}
    assert 1 <= len(more) <= 3
    assert any("join.success >= 99% (recovery)" in rule for rule in more[0]["rules"])
    assert opened["final"] - opened["recovery"] >= 11 + sum(one["seconds"] for one in more)
    (joins,) = (one for one in verdict["checks"] if (one["id"], one["phase"]) == ("join.success", "recovery"))
    assert joins["judged"] >= 30 or len(more) == 3
    again = json.loads(chaos("judge", str(tmp_path / "latest"), "--json"))
    assert again["checks"] == verdict["checks"]
