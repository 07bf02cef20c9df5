"""A made-up run that every test of the reports tells: a congested region, and three rules broken."""

from __future__ import annotations

import math
import random

from chaos.errors import ExitCode
from chaos.model.verdict import CheckResult, Kind, Outcome, Place, Verdict, Witness, WitnessEvent
from chaos.report.story import FaultSpan, Figure, PhaseSpan, PlannedFault, Point, Series, Story

FILE = "experiments/network_congestion.json"
PHASES = (
    PhaseSpan("warm-up", 0, 3),
    PhaseSpan("baseline", 3, 13),
    PhaseSpan("fault", 13, 33.4),
    PhaseSpan("recovery", 33.4, 46.4),
    PhaseSpan("final", 46.4, 50),
)
BASES = {"join": (41, 6), "rejoin": (38, 2), "leave": (9, 5), "say": (12, 12), "edit_ack": (12, 24)}
REGIONS = ("cn-east", "cn-north")


def story() -> Story:
    """The run."""
    return Story(
        run_id="2026-11-22T09-00-00-network_congestion-4711",
        title="Classes survive a congested region",
        description="One morning at nine everybody came at once: the lines of a region filled up, and people who "
        "had left a class could not get back in. 120 participants in 8 rooms and 24 editors on 6 documents go "
        "on working while cn-east is congested.",
        file=FILE,
        stack="embedded",
        stack_says="2 regions, 11 nodes",
        seed=4711,
        assurance="measured",
        directory="runs/latest",
        started="2026-11-22T09:00:00Z",
        phases=PHASES,
        faults=(_congestion(), _pause()),
        series=tuple(_series()),
        figures=tuple(_figures()),
        plan=(
            PlannedFault("congestion", "region cn-east: 5 links", "link proxy", "lift the effect from the links", 20.0),
            PlannedFault("store pause", "node store", "supervisor", "let the node go on", 1.5),
        ),
        blast_radius="5 of 22 links, users of 1 of 2 regions",
        versions={"collab-chaos": "0.1.0", "python": "3.11.9", "chaostoolkit-lib": "1.44.0"},
        notes=("The log of worker load ends in the middle of an event.",),
    )


def _congestion() -> FaultSpan:
    return FaultSpan(
        id="f1",
        name="congestion",
        fault="congestion",
        band="#e8a33d",
        says="+240 ms ± 40, 2 % stalls",
        duration_s=20.0,
        on_s=13.0,
        off_s=33.4,
        evidence="rtt 3 → 243 ms",
        bit=True,
        measured={"rtt_ms": {"before": 3.1, "during": 243.0}},
        off_says="rtt 3 ms",
        clean=True,
        reach="cn-east",
    )


def _pause() -> FaultSpan:
    return FaultSpan(
        id="f2",
        name="store pause",
        fault="pause",
        band="#c0504d",
        says="SIGSTOP",
        duration_s=1.5,
        on_s=22.0,
        off_s=23.5,
        evidence="no answer for 1.5 s",
        bit=True,
        clean=True,
        off_says="answers in 1 ms",
        reach="store",
    )


def _hit(second: int, region: str) -> float:
    if region == "cn-east" and 13 <= second < 33:
        return 6.0
    return 1.0 + 5 * math.exp(-(second - 33) / 2) if region == "cn-east" and second >= 33 else 1.0


def _series() -> list[Series]:
    chance = random.Random(7)
    out = []
    for flow, (base, rate) in BASES.items():
        parts: dict[str, list[Point]] = {}
        for region in REGIONS:
            points = parts.setdefault(region, [])
            for second in range(47):
                slow = _hit(second, region)
                paused = 22 <= second < 24
                count = max(0, round(chance.gauss(rate / 2, rate / 8)))
                bad = sum(chance.random() < (0.55 if paused and slow > 2 else 0.04 * (slow > 5)) for _ in range(count))
                middle = base * slow * chance.uniform(0.85, 1.15) + (900 if paused else 0)
                felt = (middle, middle * chance.uniform(1.3, 1.9)) if count - bad else (None, None)
                points.append(Point(second, count - bad, bad, *felt))
            out.append(Series(flow, region, tuple(points)))
        out.append(Series(flow, "", tuple(_both(*pair) for pair in zip(*parts.values(), strict=True))))
    return out


def _both(one: Point, two: Point) -> Point:
    middles = [p.p50_ms for p in (one, two) if p.p50_ms is not None]
    highs = [p.p95_ms for p in (one, two) if p.p95_ms is not None]
    middle = sum(middles) / len(middles) if middles else None
    return Point(one.t_s, one.ok + two.ok, one.bad + two.bad, middle, max(highs, default=None))


def _figures() -> list[Figure]:
    out = []
    for series in _series():
        for phase in PHASES:
            points = [p for p in series.points if phase.start_s <= p.t_s < phase.end_s]
            middles = sorted(p.p50_ms for p in points if p.p50_ms is not None)
            highs = sorted(p.p95_ms for p in points if p.p95_ms is not None)
            if points:
                ok, bad = sum(p.ok for p in points), sum(p.bad for p in points)
                middle = middles[len(middles) // 2] if middles else None
                high = highs[len(highs) * 9 // 10] if highs else None
                out.append(Figure(series.flow, phase.name, series.region, ok, bad, middle, high))
    return out


def check(id_: str, name: str, kind: Kind, phase: str, outcome: Outcome, measured: str, **more: object) -> CheckResult:
    """A check's result, short to write."""
    return CheckResult.model_validate(
        {"id": id_, "name": name, "kind": kind, "phase": phase, "outcome": outcome, "measured": measured, **more}
    )


def _spread(value: float, low: float, high: float, target: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high, "target": target}


def _ghost() -> Witness:
    return Witness(
        says="u17.2 was still listed in room-3 4.1 s after it had left",
        events=(
            WitnessEvent(t_s=21.03, says="u17.2 joins room-3 via cn-east"),
            WitnessEvent(t_s=21.31, says="u17.2 is in, on meet-e1"),
            WitnessEvent(t_s=27.90, says="u17.2 leaves, and is told so"),
            WitnessEvent(t_s=32.00, says="observer o3 looks: u17.2, u40.1, u41.1 (room-3 on meet-e2)"),
        ),
    )


def _lost() -> Witness:
    return Witness(
        says="edit e9.114 was acknowledged as durable and is in no cold read",
        events=(
            WitnessEvent(t_s=22.41, says="e9 writes e9.114 into doc-2"),
            WitnessEvent(t_s=22.97, says="doc-e1 acknowledges e9.114: durable"),
            WitnessEvent(t_s=48.20, says="cold read through cn-east: 411 tokens, e9.114 not among them"),
            WitnessEvent(t_s=48.33, says="cold read through cn-north: 411 tokens, e9.114 not among them"),
        ),
    )


def checks() -> tuple[CheckResult, ...]:
    """Some of everything."""
    good, bad, open_ = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE
    slo, safe, valid = Kind.SLO, Kind.SAFETY, Kind.VALIDITY

    def at(line: int) -> Place:
        return Place(file=FILE, line=line)

    return (
        check("generator", "load on time", valid, "run", good, "lag p99 4 ms, allowed 100 ms"),
        check("null", "null target fast", valid, "run", good, "p99 1.1 ms"),
        check("bite", "faults bit", valid, "fault", good, "2 of 2"),
        check("baseline", "baseline held", valid, "baseline", good, "10 of 10 seconds"),
        check(
            "join.success",
            "join.success >= 99%",
            slo,
            "baseline",
            good,
            "100 %  [95.7, 100]  62 of 62",
            threshold=">= 99%",
            judged=62,
            figures=_spread(1.0, 0.957, 1.0, 0.99),
            place=at(38),
        ),
        check(
            "join.success",
            "join.success >= 99%",
            slo,
            "fault",
            bad,
            "94.2 %  [91.0, 96.3]  113 of 120",
            threshold=">= 99%",
            judged=120,
            figures=_spread(0.942, 0.910, 0.963, 0.99),
            place=at(41),
        ),
        check(
            "rejoin.success",
            "rejoin.success >= 99%",
            slo,
            "fault",
            good,
            "100 %  [92.1, 100]  41 of 41",
            threshold=">= 99%",
            judged=41,
            figures=_spread(1.0, 0.921, 1.0, 0.99),
            place=at(42),
        ),
        check(
            "edit_ack.p95",
            "edit_ack.p95 < 500ms",
            slo,
            "fault",
            good,
            "138 ms  [121, 160]  n 480",
            threshold="< 500 ms",
            judged=480,
            figures=_spread(0.138, 0.121, 0.160, 0.5),
            place=at(43),
        ),
        check(
            "D1",
            "edits.lost == 0",
            safe,
            "run",
            bad,
            "1 of 1 123 acknowledged",
            threshold="== 0",
            judged=1123,
            witnesses=(_lost(),),
            place=at(44),
        ),
        check(
            "M3",
            "ghosts == 0",
            safe,
            "run",
            bad,
            "1 of 214 leaves",
            threshold="== 0",
            judged=214,
            excused=31,
            witnesses=(_ghost(), _ghost(), _ghost()),
            place=at(45),
        ),
        check("D3", "documents.diverged == 0", safe, "run", good, "0 of 6 documents, 36 views", judged=6),
        check("M6", "reentry.refused == 0", safe, "run", good, "0 of 88, twins 88 of 88", judged=88, excused=3),
        check(
            "D8",
            "offline.lost == 0",
            safe,
            "run",
            open_,
            "",
            threshold="== 0",
            reasons=("no samples: nobody edited offline before the fault ended",),
            inconclusive=2,
        ),
        check(
            "recovery",
            "recovery < 15 s",
            Kind.RECOVERY,
            "recovery",
            good,
            "2.6 s, then 10 good seconds",
            threshold="< 15 s",
            judged=1,
            place=at(48),
        ),
    )


def verdict() -> Verdict:
    """FAIL: three rules broken, one open."""
    says = "3 failed, 10 passed, 1 inconclusive"
    return Verdict(outcome=Outcome.FAIL, exit_code=ExitCode.FAIL, checks=checks(), says=says)


def passed() -> Verdict:
    """PASS: only the checks that passed."""
    good = tuple(check for check in checks() if check.outcome is Outcome.PASS)
    return Verdict(outcome=Outcome.PASS, exit_code=ExitCode.PASS, checks=good, says=f"{len(good)} passed")


def unclear() -> Verdict:
    """INCONCLUSIVE: a fault that did not bite."""
    bite = check(
        "bite",
        "faults bit",
        Kind.VALIDITY,
        "fault",
        Outcome.INCONCLUSIVE,
        "1 of 2",
        reasons=("store pause did not bite: it answered in 1 ms all along",),
    )
    rest = tuple(check for check in checks() if check.outcome is not Outcome.FAIL and check.id != "bite")
    says = "9 passed, 2 inconclusive"
    return Verdict(outcome=Outcome.INCONCLUSIVE, exit_code=ExitCode.INCONCLUSIVE, checks=(bite, *rest), says=says)
