"""The load process against the embedded stack: what it records, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from chaos.errors import LoadFailed
from chaos.load.client import Load
from chaos.load.observer import digest
from chaos.model.event import Event
from chaos.record import Log, read_log
from chaos.runtimes.process import RunningStack, start_stack
from chaos.runtimes.stackfile import load_stack

if TYPE_CHECKING:
    from collections.abc import Iterator

LOAD = {
    "participants": 20,
    "rooms": 4,
    "editors": 8,
    "documents": 2,
    "stay_s": 3.0,
    "say_every_s": 1.0,
    "offline_s": 0.6,
    "refresh": 0.5,
    "undo": 0.2,
}
SECONDS = 6
EDITS = {"edit", "offline_edit"}
PAIRED = {
    "join",
    "rejoin",
    "resume",
    "leave",
    "say",
    "own_roster",
    "knock",
    "knock_leave",
    "patient_join",
    "edit",
    "offline_edit",
}
PAIRED |= {"delete", "roster", "tokens", "reread", "view", "cold_read"}


def pair(event: Event) -> tuple[str, int]:
    """What an invoke and its end have in common."""
    return event.worker, event.op


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    """The embedded stack, up for this file."""
    running = start_stack(load_stack("embedded"))
    yield running
    running.close()


def _plan(stack: RunningStack, workers: int = 1) -> dict[str, Any]:
    return {
        "site": stack.site.model_dump(mode="json"),
        "load": LOAD | {"workers": workers},
        "seed": 7,
        "phases": {"warm_up": 1},
        "horizon_s": SECONDS + 4,
    }


@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.thorough)], ids="{} workers".format)
def run(
    request: pytest.FixtureRequest, stack: RunningStack, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Log, Load]:
    """One short load, begun, left alone and finished."""
    folder = tmp_path_factory.mktemp("run")
    load = Load.start(_plan(stack, request.param), folder)
    try:
        load.begin()
        while load.seconds.told.get(timeout=15)["t"] < SECONDS:
            load.check()
        load.finish(60)
    finally:
        load.kill()
    return read_log(folder), load


def test_the_secrets_of_the_plan_do_not_stay(run: tuple[Log, Load]) -> None:
    """What the load was started with is not in the run's directory any more: what it did is all there is."""
    _, load = run
    assert {file.name for file in load.workers[0].log.parents[1].iterdir()} == {"logs", "events"}


def test_workers_share_one_clock_and_tell_their_own_part(run: tuple[Log, Load]) -> None:
    """Each says of its own share how many were due, counted from the same moment, and asks its own null target."""
    log, load = run
    last = {event.worker: event.value for event in log.events if event.f == "arrivals"}
    assert set(last) == set(load.names) == {event.worker for event in log.events if event.f == "null"}
    assert len({value["start_ns"] for value in last.values()}) == 1
    begun = [event for event in log.events if event.type == "invoke" and event.f in {"join", "edit", "offline_edit"}]
    came = {event.user for event in begun if not (isinstance(event.value, dict) and event.value.get("twin"))}
    assert 20 < sum(value["planned"] for value in last.values()) <= len(came)


def test_every_operation_ends(run: tuple[Log, Load]) -> None:
    """Each invoke has exactly one end, of the same function, and no end lacks its invoke."""
    begun: dict[int, str] = {}
    ended: Counter[int] = Counter()
    for event in run[0].events:
        if event.type == "invoke":
            begun[pair(event)] = event.f
        elif event.op >= 0:
            assert begun[pair(event)] == event.f
            ended[pair(event)] += 1
    assert set(begun.values()) <= PAIRED
    assert ended == dict.fromkeys(begun, 1)


def test_nothing_fails_on_a_healthy_stack(run: tuple[Log, Load]) -> None:
    """Without a fault every wish is granted, and nobody is dropped."""
    bad = [event for event in run[0].events if event.type == "fail" or (event.type == "info" and event.op >= 0)]
    assert {(event.f, event.error) for event in bad} <= {("knock", "refused: full")}
    assert not [event for event in run[0].events if event.f in {"dropped", "gone_home", "refreshed"}]


def test_sessions_are_unique(run: tuple[Log, Load]) -> None:
    """A session enters once, belongs to one user, and its wish has an intended time no later than its invoke."""
    entered = [event for event in run[0].events if event.type == "invoke" and event.f in {"join", "rejoin"}]
    assert len({event.session for event in entered}) == len(entered) >= 40
    assert all(event.session.startswith(f"{event.user}.") for event in entered)
    assert all(0 < event.intended_ns <= event.t_ns for event in entered)


def test_reentries_have_twins(run: tuple[Log, Load]) -> None:
    """Each rejoin has one fresh twin in the same room, with the same intended time."""
    twins, rejoins = {}, {}
    for event in run[0].events:
        if event.type == "invoke" and isinstance(event.value, dict) and "pair" in event.value:
            (twins if event.value.get("twin") else rejoins)[event.value["pair"]] = event
    assert rejoins
    assert twins.keys() == rejoins.keys()
    for pair, twin in twins.items():
        assert (twin.f, rejoins[pair].f) == ("join", "rejoin")
        assert (twin.key, twin.intended_ns) == (rejoins[pair].key, rejoins[pair].intended_ns)


def test_cold_reads_hold_every_edit(run: tuple[Log, Load]) -> None:
    """Each document is read cold through each region, after its last view, with every acknowledged edit once."""
    events = run[0].events
    reads = [event for event in events if event.f == "cold_read" and event.type == "obs"]
    assert {(event.key, event.region) for event in reads} == {
        (f"doc-{number}", region) for number in (0, 1) for region in ("cn-east", "cn-north")
    }
    for read in reads:
        acked = {pair(event) for event in events if event.f in EDITS and event.type == "ok"}
        tokens = [
            event.value for event in events if event.type == "invoke" and pair(event) in acked and event.key == read.key
        ]
        deleted = {event.value for event in events if event.f == "delete" and event.type == "invoke"}
        # The stack keeps what an earlier load wrote, under tags of its own.
        tags = {token.partition("-")[0] for token in tokens}
        assert sorted(token for token in read.value if token.partition("-")[0] in tags) == sorted(set(tokens) - deleted)
        assert len(tokens) > 8
        assert all(event.t_ns < read.t_ns for event in events if event.f == "view" and event.key == read.key)


def test_views_end_equal(run: tuple[Log, Load]) -> None:
    """The last view of every copy of a document is the same, and one of each kind was taken after the quiet."""
    for document in ("doc-0", "doc-1"):
        mine = [event for event in run[0].events if event.key == document]
        quiet = next(event.t_ns for event in mine if event.f == "quiet")
        views = [event for event in mine if event.f == "view" and event.type == "obs"]
        assert {"stayed", "observer", "fresh"} <= {event.value["kind"] for event in views}
        assert all(event.t_ns >= quiet for event in views)
        assert len({event.value["sha"] for event in {event.user: event for event in views}.values()}) == 1


def test_looks_rebuild_the_document(run: tuple[Log, Load]) -> None:
    """The splices of an observer, applied one after the other, give what its digests say."""
    copies: dict[str, list[str]] = {}
    looks = [event for event in run[0].events if event.f == "tokens" and event.type == "obs"]
    assert len(looks) >= SECONDS
    for event in looks:
        copy = copies.setdefault(event.session, [])
        start, gone, come = event.value["splice"]
        copy[start : start + gone] = come
        assert (len(copy), digest(copy)) == (event.value["n"], event.value["sha"])


def test_deletes_and_fresh_reads_are_made(run: tuple[Log, Load]) -> None:
    """Some edits are taken back with an acknowledgement; fresh readers come in pairs and lack nothing saved."""
    events = run[0].events
    assert [event for event in events if event.f == "delete" and event.type == "ok"]
    reads = [event for event in events if event.f == "reread" and event.type == "obs"]
    begun = {pair(event): event for event in events if event.type == "invoke"}
    saved = {begun[pair(event)].value: event.t_ns for event in events if event.f in EDITS and event.type == "ok"}
    deleted = {event.value for event in events if event.f == "delete" and event.type == "invoke"}
    own = [event for event in reads if "lacks" in event.value]
    assert own
    for event in own:
        lacks = set(event.value["lacks"]) - deleted
        assert not {token for token in lacks if saved.get(token, event.t_ns) < begun[pair(event)].t_ns}
    rounds = Counter(
        (event.key, event.value["round"]) for event in events if event.f == "reread" and event.type == "invoke"
    )
    assert set(rounds.values()) == {2}
    assert not [event for event in events if event.f == "crash_read"]


def test_observers_see_who_is_present(run: tuple[Log, Load]) -> None:
    """A look at a document names sessions of its editors as present."""
    looks = [event for event in run[0].events if event.f == "tokens" and event.type == "obs"]
    assert any(session.startswith("e") for event in looks for session in event.value["present"])


def test_offline_edits_arrive_without_a_nudge(run: tuple[Log, Load]) -> None:
    """An editor that was offline names its tokens when it is back, and types nothing until its idle time ends."""
    idle: dict[str, str] = {}
    written: dict[str, list[str]] = {}
    groups = 0
    for event in run[0].events:
        if event.type == "invoke" and event.f == "offline_edit":
            written.setdefault(event.user, []).append(event.value)
        if event.f == "online":
            idle[event.user] = event.value["group"]
            assert event.value["tokens"] == written.pop(event.user, [])
            groups += len(event.value["tokens"]) >= 2  # of one whom the end of the load called back it may be fewer
        elif event.f == "idle_end":
            assert idle.pop(event.user) == event.value["group"]
        elif event.type == "invoke" and event.f in EDITS:
            assert event.user not in idle
    assert groups
    assert not idle


def test_what_is_said_is_heard_once(run: tuple[Log, Load]) -> None:
    """Each room's first observer hears each acknowledged word once, and counts right; the second nothing else."""
    events = run[0].events
    for room in range(LOAD["rooms"]):  # type: ignore[call-overload]
        said = [event.value for event in events if (event.f, event.type, event.key) == ("say", "ok", f"room-{room}")]
        heard = {name: [e.value for e in events if e.f == "heard" and e.session == f"o-room-{room}{name}"]
                 for name in ("", "-b")}  # fmt: skip
        assert said
        assert sorted(said) == sorted(value["text"] for value in heard[""])
        assert {value["text"] for value in heard["-b"]} <= set(said)
        assert all([value["i"] for value in values] == list(range(1, len(values) + 1)) for values in heard.values())


def test_more_knock_than_a_room_admits(run: tuple[Log, Load]) -> None:
    """At the room with a limit as many get in as fit beside its observer, and the others are told that it is full."""
    answers = Counter(event.type for event in run[0].events if event.f == "knock" and event.op >= 0)
    assert answers["fail"] >= 3
    assert answers["ok"] >= 5
    assert [event.value for event in run[0].events if event.f == "limit"] == [6]


def test_windows_know_what_happened(run: tuple[Log, Load]) -> None:
    """A window probe sees the flows of the last seconds, and the null target answered in time."""
    load = run[1]
    assert load.seconds.window("join", 60).ok >= 20
    assert load.seconds.window("edit_ack", 60).success == 1.0
    assert (load.seconds.window("null", 60).percentile(50) or 99.0) < 50
    assert load.counts["join.ok"] >= 30


def test_without_its_owner_the_load_is_gone(stack: RunningStack, tmp_path: Path) -> None:
    """When its standard input ends the worker exits at once, its null target too, and the record is readable."""
    load = Load.start(_plan(stack), tmp_path)
    try:
        process = load.workers[0].process
        children = psutil.Process(process.pid).children()
        assert children
        load.begin()
        load.seconds.told.get(timeout=15)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(15) != 0
        _gone, alive = psutil.wait_procs(children, timeout=15)
        assert not alive
        with pytest.raises(LoadFailed, match="died"):
            load.check()
    finally:
        load.kill()
    assert any(event.error == "load ended" or event.type == "ok" for event in read_log(tmp_path).events)


CONDUCTOR = """
import json, sys, time
from pathlib import Path
from chaos.load.client import Load
folder = Path(sys.argv[1])
load = Load.start(json.loads(sys.stdin.read()), folder)
load.begin()
load.seconds.told.get(timeout=15)
print(*(worker.process.pid for worker in load.workers), flush=True)
time.sleep(60)
"""


def test_a_killed_conductor_leaves_no_worker_behind(stack: RunningStack, tmp_path: Path) -> None:
    """After SIGKILL of the process that started them, both workers and their null targets end."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", CONDUCTOR, str(tmp_path)], stdin=pipe, stdout=pipe, text=True
    ) as owner:
        assert owner.stdin is not None
        assert owner.stdout is not None
        owner.stdin.write(json.dumps(_plan(stack, 2)))
        owner.stdin.close()
        workers = [psutil.Process(int(pid)) for pid in owner.stdout.readline().split()]
        everybody = [*workers, *(child for worker in workers for child in worker.children())]
        owner.kill()
    assert len(everybody) == 4
    assert not psutil.wait_procs(everybody, timeout=15)[1]


def test_one_worker_that_dies_fails_the_load(stack: RunningStack, tmp_path: Path) -> None:
    """The others may be well: without one the load is not what was planned, and its end is the end of all."""
    load = Load.start(_plan(stack, 2), tmp_path)
    try:
        load.begin()
        first, second = load.workers
        second.process.kill()
        second.process.wait()
        with pytest.raises(LoadFailed, match="died"):
            load.check()
        with pytest.raises(LoadFailed, match=r"takes no orders|ended before it said `done`"):
            load.finish(60)
        assert first.process.poll() is not None
    finally:
        load.kill()


def test_a_load_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A plan that cannot be read ends in LoadFailed with the reason, within seconds."""
    begun = time.monotonic()
    with pytest.raises(LoadFailed, match="cannot read the load's plan"):
        Load.start({"site": {}, "load": {}}, tmp_path)
    assert time.monotonic() - begun < 15
