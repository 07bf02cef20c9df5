"""Our experiment under the toolkit's own run, which knows nothing of us but the control in the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STOCK_RUN = """
import json, sys
from chaoslib.experiment import ensure_experiment_is_valid, load_experiment, run_experiment
experiment = load_experiment(sys.argv[1])
ensure_experiment_is_valid(experiment)
print(json.dumps(run_experiment(experiment)["status"]))
"""


def stock_run(path: Path) -> subprocess.CompletedProcess[str]:
    """What the toolkit's `chaos run` does with a file, without its command line."""
    command = [sys.executable, "-c", STOCK_RUN, str(path)]
    env = os.environ | {"PYTHONPATH": str(ROOT), "CI": "true"}
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=path.parent, timeout=150, check=False)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_the_control_starts_stack_and_load_and_gives_the_verdict(tmp_path: Path) -> None:
    """Window probes answer, the fault bites, and the run directory holds a verdict, as under our own run."""
    experiment = json.loads((ROOT / "experiments/network_congestion.json").read_text())
    experiment["extensions"][0]["phases"] = {"warm_up": 2, "baseline": 5, "recovery": 10}
    (tmp_path / "mine.json").write_text(json.dumps(experiment))
    ended = stock_run(tmp_path / "mine.json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1]) == "completed", ended.stdout + ended.stderr
    verdict = json.loads((tmp_path / "runs" / "latest" / "verdict.json").read_text())
    outcomes = {check["id"]: check["outcome"] for check in verdict["checks"]}
    assert outcomes["steady-state.before"] == outcomes["D1"] == "pass"
    assert [fault["bit"] for fault in verdict["faults"]] == [True]


def test_what_keeps_it_from_starting_is_told(tmp_path: Path) -> None:
    """The toolkit swallows what a control raises while it is set up; the user hears it all the same."""
    experiment = json.loads((ROOT / "experiments/network_congestion.json").read_text())
    experiment["extensions"][0]["stack"] = "nowhere"
    (tmp_path / "mine.json").write_text(json.dumps(experiment))
    ended = stock_run(tmp_path / "mine.json")
    assert "interrupted" in ended.stdout
    assert "nowhere" in ended.stderr
