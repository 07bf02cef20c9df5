"""The experiments that are shipped."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.experiment.document import load, shipped
from chaos.experiment.schema import schema
from chaos.faults import registry

ROOT = Path(__file__).parents[2]
NAMES = (
    "broken_sockets",
    "flaky_network",
    "network_congestion",
    "network_detour",
    "region_loss",
    "region_partition",
    "region_slowdown",
    "rejoin_churn",
    "rolling_restart",
    "server_loss",
)
WITHOUT_EXPERIMENT = {
    "burst_loss": "network_congestion has its even loss; lossy links in bursts are told in docs/docker.md",
    "clock_skew": "takes a library that not every machine has",
    "corrupt": "on a stack without TLS a changed byte is a changed edit, so no such stack can pass",
    "disk_full": "takes containers",
    "disk_slow": "takes containers",
    "dns_failure": "takes containers",
    "duplicate": "takes a carrier of packets: containers or a sandbox",
    "memory_pressure": "takes containers",
    "oom": "takes containers",
    "slow_close": "nobody's service suffers from it alone; ghosts and limits are what it can bring to light",
    "reorder": "takes a carrier of packets: containers or a sandbox",
}
"""Faults that no shipped experiment shows, and why."""


def test_all_are_there() -> None:
    """In the checkout's folder, from which the wheel takes them."""
    assert tuple(shipped()) == NAMES
    assert all(path.parent == ROOT / "experiments" for path in shipped().values())


@pytest.mark.parametrize("name", NAMES)
def test_each_is_valid_and_whole(name: str) -> None:
    """It says what incident it stands for, and has a hypothesis, rollbacks, and thresholds for every phase."""
    experiment = load(name)
    document = experiment.document
    assert len(experiment.description) > 200
    assert document["$schema"] == "../docs/experiment.schema.json"
    assert document["steady-state-hypothesis"]["probes"]
    assert document["rollbacks"]
    assert document["runtime"] == {"hypothesis": {"strategy": "default"}, "rollbacks": {"strategy": "always"}}
    assert {rule.phase for rule in experiment.thresholds} == {"baseline", "fault", "recovery", "run"}
    assert "recovery" in {rule.metric for rule in experiment.thresholds}


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_judged_and_is_short(name: str) -> None:
    """Its load gives every threshold a third more than the samples it needs, within about 45 seconds."""
    from chaos.execute import Options, prepare

    plan = prepare(Options(name)).plan
    assert plan.total_s <= 45
    assert [one.threshold for one in plan.samplings if 0 <= one.expected < one.needed * 4 / 3] == []
    assert [note for note in plan.notes if "allowed because" not in note] == []


@pytest.mark.parametrize("name", NAMES)
def test_each_brings_enough_people_with_its_own_seed(name: str) -> None:
    """The arrivals of the very seed that is shipped give 40 or more of what each phase's thresholds count."""
    from chaos.execute import Options, prepare
    from chaos.load import arrivals

    plan = prepare(Options(name)).plan
    load_spec, regions = plan.experiment.load, tuple(plan.spec.regions)
    warm_up_s = plan.experiment.phases.warm_up
    people = arrivals.make_plan(load_spec, plan.seed, regions, plan.horizon_s, warm_up_s=warm_up_s).people
    visits = [visit for person in people for visit in person.visits]
    for phase in plan.phases:
        end_s = phase.starts_s + phase.seconds
        here = [visit for visit in visits if phase.starts_s <= visit.at_s < end_s]
        gone = [visit for visit in visits if phase.starts_s <= visit.until_s < end_s]
        seen = {
            "join.success": sum(not visit.after for visit in here),
            "rejoin.success": sum(bool(visit.after) for visit in here),
            "leave.success": sum(visit.end == "leave" for visit in gone),
        }
        asked = {rule.metric for rule in plan.experiment.thresholds if rule.phase == phase.name}
        assert {metric: seen[metric] for metric in asked & set(seen) if seen[metric] < 40} == {}


def test_every_fault_has_an_experiment() -> None:
    """A fault that no example shows is hard to find; those without one are named, with the reason."""
    shown = {one.fault for name in NAMES for one in load(name).injections}
    assert set(registry()) - shown == set(WITHOUT_EXPERIMENT)


@pytest.mark.parametrize("name", NAMES)
def test_the_stock_toolkit_accepts_each(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Its own validation, as `chaos validate` of the stock toolkit calls it, has nothing against the file."""
    from chaoslib.experiment import ensure_experiment_is_valid

    caplog.set_level(logging.CRITICAL, "chaostoolkit")
    assert ensure_experiment_is_valid(json.loads(shipped()[name].read_text(encoding="utf-8"))) is None


def test_the_schema_in_the_documentation_is_up_to_date() -> None:
    """`chaos schema --out docs/experiment.schema.json` would change nothing."""
    saved = json.loads((ROOT / "docs" / "experiment.schema.json").read_text(encoding="utf-8"))
    assert saved == schema()


def test_validating_needs_neither_engine_nor_load() -> None:
    """Checking a file imports no more than it needs: probes are looked at without what they would start."""
    script = (
        "import sys; from chaos.experiment.document import load; load('server_loss');"
        "print([name for name in sys.modules if name.startswith(('chaos.engine', 'chaos.load', 'chaoslib', 'docker'))])"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"
