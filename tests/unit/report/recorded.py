"""A small run directory on disk, written by the recorder itself: a plan, a load of three users, a fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chaos.model.event import Type
from chaos.model.experiment import Experiment
from chaos.model.fault import Evidence
from chaos.model.plan import Blast, Plan, PlannedInjection
from chaos.model.stack import NodeSpec, ServiceSpec, StackSpec
from chaos.record import Recorder

SECOND = 1_000_000_000
NAME = "20261122T090000Z-made-up-00ff"


def write(root: Path) -> Path:
    """The run's directory under `root`."""
    directory = root / NAME
    directory.mkdir()
    (directory / "plan.json").write_text(json.dumps(_plan().model_dump(mode="json")), encoding="utf-8")
    _conductor(directory / "events" / "conductor.msgpack")
    _load(directory / "events" / "load.msgpack")
    return directory


def _plan() -> Plan:
    nodes = (NodeSpec(name="doc-1", region="east"), NodeSpec(name="doc-2", region="north"))
    spec = StackSpec(
        stack="made-up",
        environment="staging",
        regions={"east": {}, "north": {}},
        services={"documents": ServiceSpec(role="documents", backend="hocuspocus", nodes=nodes)},
    )
    injection = PlannedInjection(
        name="slow east",
        fault="congestion",
        says="+120 ms",
        band="#d69e2e",
        target="region=east",
        links=("users--east",),
        carriers=("link proxy",),
        undo=("lift the effect from the links",),
        duration_s=2.0,
    )
    experiment = Experiment(file="made_up.json", title="Made up", description="Nothing real.", document={}, seed=3)
    blast = Blast(services={"documents": 0.5}, users={"east": 1.0, "north": 0.0})
    return Plan(experiment=experiment, spec=spec, seed=3, injections=(injection,), blast=blast)


def _conductor(path: Path) -> None:
    with Recorder(path, "conductor", clock=lambda: 0) as recorder:

        def at(seconds: float, kind: Type, f: str, **parts: Any) -> None:
            recorder.record(kind, f, t_ns=round(seconds * SECOND), **parts)

        for second, phase in (
            (1, "warm-up"),
            (2, "baseline"),
            (5, "fault"),
            (9, "recovery"),
            (12, "final"),
            (13, "end"),
        ):
            at(second, Type.PHASE, phase, value={"seconds": 1})
        intent = {"name": "slow east", "fault": "congestion", "band": "#d69e2e", "says": "+120 ms", "duration": 2.0}
        bite = Evidence(bit=True, says="rtt 3 -> 243 ms", measured={"rtt_ms": 243.0})
        at(5.0, Type.FAULT, "intent", key="f1", value=intent)
        at(5.5, Type.FAULT, "on", key="f1", value={"reach": {"regions": ["east"]}})
        at(6.0, Type.FAULT, "bite", key="f1", value=bite.model_dump())
        at(8.0, Type.FAULT, "off", key="f1", value={"says": "lifted"})
        at(8.2, Type.FAULT, "off-proof", key="f1", value={"clean": True, "says": "rtt 3 ms"})


def _load(path: Path) -> None:
    """A join a second through each region; east takes a second longer in the fault, and loses one."""
    with Recorder(path, "load", clock=lambda: 0) as recorder:
        recorder.record(Type.INFO, "arrivals", t_ns=SECOND, value={"planned": 22, "start_ns": SECOND})
        for second in range(1, 12):
            for region in ("east", "north"):
                op = recorder.next_op()
                begin = second * SECOND
                who = {"user": f"u{op}", "session": f"u{op}.1", "key": "room-1", "region": region, "op": op}
                recorder.record(Type.INVOKE, "join", t_ns=begin, intended_ns=begin, **who)
                slow = region == "east" and 5 <= second < 8
                took = SECOND if slow else SECOND // 25
                if slow and second == 6:
                    recorder.record(Type.FAIL, "join", t_ns=begin + took, error="refused: full", **who)
                else:
                    recorder.record(Type.OK, "join", t_ns=begin + took, value={"attempts": 1}, **who)
