"""How long a verdict on a record of a million events takes, and how much memory: `python -m benchmarks judge`."""

from __future__ import annotations

import hashlib
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
NS = 1_000_000_000
EVENTS = 1_000_000
DOCUMENTS = 40
ROOMS = 100
TOKENS = 2000
"""Per document, at most."""


def synthesise(total: int = EVENTS, seed: int = 1) -> list[Any]:  # noqa: C901 - a straight story
    """A clean hour-long record: joins, leaves, talk, edits, looks at rooms and documents, one fault, cold reads."""
    from chaos.model.event import Event

    chance = random.Random(seed)
    events: list[Event] = []
    span = total * NS // 500
    op = 0

    def do(f: str, t: int, took: int, kind: str = "ok", *, value: Any = None, answer: Any = None, **parts: str) -> None:
        nonlocal op
        op += 1
        events.append(Event(len(events), t, "invoke", f, "load", op=op, value=value, intended_ns=t, **parts))
        events.append(Event(len(events), t + took, kind, f, "load", op=op, value=answer, intended_ns=t, **parts))

    def ears(room: str) -> dict[str, str]:
        return {"user": "w", "session": f"w-{room}", "key": room, "region": "cn-east"}

    heard = {f"room-{number}": 0 for number in range(0, ROOMS, 10)}
    events += [Event(at, NS, "info", "listening", "load", **ears(room)) for at, room in enumerate(heard)]
    tokens: dict[str, list[str]] = {}
    looked: dict[str, int] = {}
    for number in range(total // 8):
        t = NS + number * span // (total // 8)
        room, document = f"room-{number % ROOMS}", f"doc-{number % DOCUMENTS}"
        region = "cn-east" if number % 2 else "cn-north"
        who = {"user": f"u{number}", "session": f"u{number}.1", "key": room, "region": region}
        do("join", t, chance.randrange(10**7, 10**8), **who)
        do("leave", t + 20 * NS, 10**7, **who)
        mine = tokens.setdefault(document, [])
        if number % 8 == 0 and len(mine) < TOKENS:
            mine.append(f"t{number}")
            who = {"user": f"e{number % 200}", "session": f"e{number % 200}.1", "key": document, "region": region}
            do("edit", t, 10**7, value=f"t{number}", answer={"level": "durable"}, **who)
        if number % 10 == 0:
            there = [f"u{number - earlier * ROOMS}.1" for earlier in range(1, 13) if number >= earlier * ROOMS]
            do("roster", t, 10**6, "obs", answer=there, user="w", session=f"w-{room}", key=room, region=region)
            heard[room] += 1
            told = {"from": f"u{number}.1", "text": f"u{number}-1", "i": heard[room]}
            who = {"user": f"u{number}", "session": f"u{number}.1", "key": room, "region": region}
            do("say", t + 5 * NS, 10**7, value=told["text"], **who)
            events.append(Event(len(events), t + 5 * NS + 10**6, "obs", "heard", "load", value=told, **ears(room)))
        if number % 41 == 1:
            since = looked.get(document, 0)
            looked[document] = len(mine)
            sha = hashlib.sha256("\n".join(mine).encode()).hexdigest()[:16]
            answer = {"splice": [since, 0, mine[since:]], "n": len(mine), "sha": sha, "present": []}
            who = {"user": "o", "session": f"o-{document}", "key": document, "region": region}
            do("tokens", t + 5 * 10**8, 10**6, "obs", answer=answer, **who)
            for entry in ("cn-east", "cn-north"):
                who |= {"user": "r", "session": f"r-{number}-{entry}", "region": entry}
                do("reread", t + 6 * 10**8, 10**6, "obs", value={"entry": entry, "round": number},
                   answer=answer | {"lacks": []}, **who)  # fmt: skip
        events.append(Event(len(events), t + 10**6, "ok", "null", "load", intended_ns=t))
        while len(events) < 8 * number:
            do("say", t + 5 * NS, 10**7, user=f"u{number}", session=f"u{number}.1", key=room, region=region)
    events += [
        Event(at, span + 45 * NS, "info", "heard_total", "load", value=heard[room], **ears(room))
        for at, room in enumerate(heard)
    ]
    for document, mine in tokens.items():
        events.append(Event(len(events), span + 50 * NS, "info", "quiet", "load", key=document))
        for region in ("cn-east", "cn-north"):
            do("cold_read", span + 60 * NS, NS, "obs", answer=mine, user="r", key=document, region=region)
    return events + _frame(span)


def _frame(span: int) -> list[Any]:
    """Phases and a fault."""
    from chaos.model.event import Event

    frame = [("baseline", 2 * NS), ("fault", span // 3), ("recovery", span // 2), ("final", span + 40 * NS)]
    frame.append(("end", span + 70 * NS))
    events = [Event(at, t, "phase", name, "conductor") for at, (name, t) in enumerate(frame)]
    steps: list[tuple[str, int, dict[str, Any]]] = [
        ("intent", span // 3, {"name": "congestion", "fault": "congestion"}),
        ("on", span // 3 + 1, {"reach": {"regions": ["cn-east"]}}),
        ("off", span // 2, {}),
    ]
    for step, t, value in steps:
        events.append(Event(len(events), t, "fault", step, "conductor", key="f1", value=value))
    return events


def write(directory: Path) -> None:
    """The record as files, each writer's own."""
    from chaos.model.event import Type
    from chaos.record import Recorder

    events = synthesise()
    for worker in ("load", "conductor"):
        with Recorder(directory / "events" / f"{worker}.msgpack", worker) as recorder:
            for _, t_ns, kind, f, _, *rest in (event for event in events if event.worker == worker):
                recorder.record(Type(kind), f, t_ns=t_ns, **dict(zip(events[0]._fields[5:], rest, strict=True)))


def run() -> dict[str, Any]:
    """Seconds to read, to index and to judge, and the peak memory of this process, which only does that.

    The processor's seconds are what one core needs; the clock's are longer where the machine has other things to do.
    """
    from chaos.record import read_log
    from chaos.verdict.history import build
    from chaos.verdict.judge import judge
    from chaos.verdict.rules import Checks

    steps = {}

    def step(name: str, work: Callable[[], Any]) -> Any:
        began, began_cpu = time.perf_counter(), time.process_time()
        done = work()
        steps[f"{name}_s"] = round(time.perf_counter() - began, 1)
        steps[f"{name}_cpu_s"] = round(time.process_time() - began_cpu, 1)
        return done

    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "benchmarks.judge", folder], check=True, cwd=ROOT)
        size = sum(file.stat().st_size for file in Path(folder).glob("events/*"))
        log = step("read", lambda: read_log(Path(folder)))
    history = step("index", lambda: build(log.events, log.damage))
    verdict = step("judge", lambda: judge(history, Checks()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "events": len(log.events),
        "record_mb": round(size / 1e6),
        **steps,
        "all_cpu_s": round(sum(steps[f"{name}_cpu_s"] for name in ("read", "index", "judge")), 1),
        "peak_mb": round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024)),
        "safety_checks": sum(check.kind.value == "safety" for check in verdict.checks),
        "failed": [check.id for check in verdict.checks if check.outcome.value == "fail"],
    }


if __name__ == "__main__":
    write(Path(sys.argv[1]))
