"""`--sandbox` through the command line: a run whole, in a network of its own, and what cannot be in one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sandbox_rig import AS_USER, skip_without_sandbox

from chaos.experiment.document import shipped

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.sandbox]
NO_NAMESPACES = ("unshare", "-Ur", "sh", "-c", 'echo 0 >/proc/sys/user/max_net_namespaces && exec "$@"', "sh")
"""A user who may make no network namespace."""


@pytest.fixture(scope="module", autouse=True)
def possible() -> None:
    skip_without_sandbox()


@pytest.fixture
def chaos(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    env = os.environ | {"COLLAB_CHAOS_STATE": str(tmp_path / "state"), "PYTHONPATH": str(ROOT)}

    def run(*words: str, under: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        command = [*under, sys.executable, "-m", "chaos", *words]
        return subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=110, check=False)

    return run


def write(folder: Path) -> str:
    """A short experiment: few users, three seconds of congestion."""
    document: dict[str, Any] = json.loads(shipped()["network_congestion"].read_text())
    document["extensions"][0] |= {
        "load": {"participants": 24, "rooms": 4, "editors": 4},
        "phases": {"warm_up": 1, "baseline": 3, "recovery": 3},
        "thresholds": {"fault": ["join.success >= 10%"]},
    }
    target = {"region": "cn-east", "kind": "access"}
    for activity in document["method"]:
        if activity["provider"]["func"] == "inject":
            arguments = {"fault": "congestion", "delay_ms": 80, "loss": 0.05, "target": target, "duration": 3}
            activity["provider"]["arguments"] = arguments
    document.pop("steady-state-hypothesis")
    (folder / "short.json").write_text(json.dumps(document, indent=1))
    return "short.json"


def test_a_run_of_an_ordinary_user_is_judged_with_evidence_from_the_kernel(
    chaos: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """The fault bit by packets that were dropped and delayed, the files are the user's, and the record says how."""
    done = chaos("run", "--sandbox", write(tmp_path), "--json", under=AS_USER)
    verdict = json.loads(done.stdout)
    assert done.returncode in {0, 3}, done.stderr  # a run so short may have too few samples for its thresholds
    (fault,) = verdict["faults"]
    assert fault["bit"]
    assert fault["clean"]
    (folder,) = (path for path in (tmp_path / "runs").iterdir() if not path.is_symlink())
    plan = json.loads((folder / "plan.json").read_text())
    assert plan["sandbox"]
    assert not any("proxy" in carrier for carrier in plan["injections"][0]["carriers"])
    (ledger,) = (json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines() if '"undo"' in line)
    assert ledger["undo"][0]["primitive"] == "sandbox.release.v1"
    assert {path.stat().st_uid for path in folder.rglob("*")} == {os.geteuid()}


def test_a_plan_names_the_kernels_carriers_first(chaos: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """What the link proxy would do outside, the kernel does in there; outside the plan says how to get it."""
    inside = chaos("plan", "--sandbox", "region_partition")
    assert "in a sandbox" in inside.stdout
    assert "by       iptables" in inside.stdout
    outside = chaos("plan", "region_partition")
    assert "by       link proxy" in outside.stdout
    assert "(--sandbox)" in outside.stdout


def test_what_cannot_be_in_a_sandbox_is_refused(chaos: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Containers have networks of their own, and a stack that runs already is outside: exit code 2, nothing touched."""
    compose = chaos("run", "--sandbox", "network_congestion", "--stack", "compose")
    assert compose.returncode == 2
    assert "made of containers" in compose.stderr
    up = json.loads(chaos("stack", "up", "--json").stdout)
    try:
        running = chaos("run", "--sandbox", "network_congestion", "--stack", up["id"])
        assert running.returncode == 2
        assert "runs already, outside of the sandbox" in running.stderr
    finally:
        chaos("stack", "down", "--all")


def test_without_namespaces_it_says_why_and_starts_nothing(
    chaos: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Exit code 2, the reason, and what carries the faults instead."""
    done = chaos("run", "--sandbox", "network_congestion", under=NO_NAMESPACES)
    assert done.returncode == 2, done
    assert "no sandbox here" in done.stderr
    assert "without --sandbox the link proxy carries the faults" in done.stderr
    assert not (tmp_path / "runs").exists()
