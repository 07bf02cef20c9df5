"""Whole runs in the record language: a clean one that passes, to be spoilt by each test in its own way."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from histories import BOUNDS, NS, ORIGIN, Record, rule

from chaos.model.event import Type
from chaos.model.experiment import Injection, LoadSpec
from chaos.record import Recorder
from chaos.verdict.rules import Checks
from chaos.verdict.run import RunRecord

RULES = (
    rule("join.success >= 99%", "baseline", 3),
    rule("join.success >= 99%", "fault", 4),
    rule("edit_ack.p95 < 500ms", "fault", 5),
    rule("edits.lost == 0", "run", 6),
    rule("ghosts == 0", "run", 7),
    rule("recovery < 15s", "recovery", 8),
)
LOAD = LoadSpec(participants=20, editors=4, rooms=1, documents=1, rejoin=0.5, offline=0.25)
FAULT = Injection(name="congestion", fault="congestion", arguments={})


def checks(**changes: Any) -> Checks:
    known: dict[str, Any] = {"bounds": BOUNDS, "thresholds": RULES, "load": LOAD, "injections": (FAULT,)}
    return Checks(**known | changes)


def _observe(record: Record) -> None:
    """Two observers from 1 s on, who see everybody who is there, and hear what p20 says at 4 s, and p80 at 16 s."""
    begun = {(event.session, event.f): event for event in record.events if event.type in {"ok", "invoke"}}
    stays = [
        (name, (event.t_ns - ORIGIN) / NS, (left.t_ns - ORIGIN) / NS if left is not None else 60.0)
        for (name, f), event in begun.items()
        if f in {"join", "rejoin"} and event.type == "ok"
        for left in [begun.get((name, "leave"))]
    ]
    said = [(4.0, "p20.1-1"), (16.0, "p120.1-1")]
    for at, text in said:
        record.say(at, text)
    for number, user in enumerate(("watcher", "watcher2")):
        record.listen(1, 49.5, *((at + 0.01, text) for at, text in said), user=user)
        for t in range(3, 50, 2):
            at = t + number / 2
            there = [name for name, since, until in stays if since < at < until]
            record.look(at, ["watcher.1", "watcher2.1", *there], user=user)


def clean(
    *, faults: bool = True, bad_joins: tuple[float, ...] = (), region: str = "cn-east", healed_at: float = 20
) -> Record:
    """5 joins and 5 edits a second; users stay 5 s; observers, twins, an offline editor, views and cold reads.

    Joins intended in a span of `bad_joins` (from, to) time out. The fault is off at 20 s, and
    recovery opens at `healed_at`.
    """
    record = Record(healed_at=healed_at).pulse(0, 58)
    tokens: list[str] = []
    people = 0
    for tenth in range(2, 490, 2):
        t = tenth / 10
        name = f"p{tenth}"
        people += 1
        bad = bool(bad_joins) and bad_joins[0] <= t < bad_joins[1]
        if bad:
            record.do("join", t, t + 5, "info", user=name, error="timeout", intended=t, region=region)
        elif t < 43:
            record.stay(t, t + 5, user=name, region=region)
        else:
            record.do("join", t, t + 0.05, user=name, intended=t, region=region)
        record.edit(t, f"t{tenth}", user=f"e{tenth % 4}", region=region)
        tokens.append(f"t{tenth}")
    record.do("rejoin", 8, 8.1, user="p2", session="p2.2", value={"pair": 1, "after": "leave"}, intended=8)
    record.do("join", 8, 8.1, user="twin", value={"pair": 1, "twin": True}, intended=8)
    _observe(record)
    for t in range(3, 50, 2):
        seen = ["off"] * (t > 28) + tokens[: max(0, t * 5 - 6)]
        record.sight(t, seen, present=[])
        here = {"number": t, "key": "doc-1", "polite": t % 4 == 1}
        record.reread(t + 0.5, seen, user="e0", entry="cn-east", lacks=[], **here)
        record.reread(t + 0.5, seen, user="r1", entry="cn-north", **here)
    away: dict[str, Any] = {"user": "e0", "key": "doc-1", "value": {"group": 1}}
    record.fact("offline", 26, **away)
    record.do("offline_edit", 27, 28.2, user="e0", key="doc-1", value="off", answer={"level": "durable"})
    record.fact("online", 28, **away).fact("idle_end", 36, **away)
    record.fact("quiet", 50.2, user="", key="doc-1")
    record.edit(40, "typo", user="e1").delete(41, "typo", user="e1")
    tokens.insert(0, "off")
    record.view(50.5, tokens, user="e1").view(50.5, tokens, user="e2", kind="fresh")
    record.cold(52, tokens, region="cn-east").cold(52, tokens, region="cn-north")
    if faults:
        record.fault(10, 20, regions=["cn-east"])
    value = {"planned": people + 3, "start_ns": ORIGIN, "until_ns": ORIGIN + 50 * NS}
    record.add(0, "info", "arrivals", value=value)
    return record


def run_of(record: Record) -> RunRecord:
    return RunRecord(Path("r"), "Classes survive", 1, record.history(), checks(thresholds=()), {"experiment": {}})


def busy(seed: int, *, slower: float = 1.0, lost: float = 0.0, every: int = 1) -> RunRecord:
    """The clean record with messages said besides: 50 ms each, give or take; some are never answered."""
    record = clean()
    rng = random.Random(seed)
    for hundredth in range(200, 4900, 9 * every):
        t = hundredth / 100
        done = None if rng.random() < lost else t + 0.05 * slower * rng.uniform(0.8, 1.25)
        record.do("say", t, done or t + 6, "ok" if done else "info", user=f"s{hundredth}", intended=t)
    known = [event for event in record.events if event.f == "arrivals"]
    for event in known:  # the messages are planned, too
        record.events[record.events.index(event)] = event._replace(
            value={"planned": 10, "start_ns": ORIGIN, "until_ns": ORIGIN + 50 * NS}
        )
    return run_of(record)


def write(directory: Path) -> Path:
    """The clean run as a directory."""
    rules = checks()
    told = rules.model_dump(mode="json")
    experiment = {name: told[name] for name in told.keys() - {"bounds", "alerts"}} | {
        "title": "Classes survive",
        "file": "e.json",
    }
    plan = {
        "experiment": experiment,
        "spec": {"stack": "s", "bounds": told["bounds"], "alerts": told["alerts"]},
        "seed": 4711,
    }
    (directory / "plan.json").write_text(json.dumps(plan))
    history = clean().history()
    for worker in ("load", "conductor", "phases"):
        with Recorder(directory / "events" / f"{worker}.msgpack", worker) as recorder:
            for event in history.events:
                if event.worker == worker:
                    parts = event._asdict()
                    known = {k: parts[k] for k in parts if k not in {"seq", "t_ns", "type", "f", "worker"}}
                    recorder.record(Type(event.type), event.f, t_ns=event.t_ns, **known)
    return directory
