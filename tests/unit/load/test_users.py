"""What users do when they are cut off, shown on backends that live in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar

from chaos.backends.base import Backend, BackendError, Entry, Lost, NotSent, Refused
from chaos.load.editor import Editor
from chaos.load.participant import Rooms
from chaos.load.plan import Edit, EditorPlan, Person, Visit
from chaos.load.scribe import Scribe
from chaos.load.world import Ways, World
from chaos.model.event import Event
from chaos.model.experiment import LoadSpec
from chaos.model.stack import Bounds, ServiceSpec, Site, StackSpec
from chaos.record import Recorder, read_log

BOUNDS = Bounds(leave_s=0.2, resume_s=0.5, visibility_s=0.2)
LOAD = LoadSpec(patience_s=0.6, retry="fixed")
SERVICE = ServiceSpec(backend="fake", urls={"here": "ws://nowhere/{key}"}, ack="durable")


class FakeRoom:
    """A participant's connection whose answers are scripted by class attributes."""

    made: ClassVar[list[FakeRoom]] = []
    resume_error: BackendError | None = None
    leave_hangs = False
    says_on_join: ClassVar[tuple[str, ...]] = ()

    def __init__(self, entry: Entry) -> None:
        self.session = entry.session
        self.node = "n1"
        self.on_gone: Callable[[str], None] | None = None
        self.on_heard: Callable[[str, str], None] | None = None
        self.was_cut = False
        type(self).made.append(self)

    async def join(self) -> None:
        for text in self.says_on_join:
            assert self.on_heard is not None
            self.on_heard("u9.1", text)

    async def roster(self) -> tuple[str, ...]:
        return (self.session,)

    async def resume(self) -> None:
        if self.resume_error is not None:
            raise self.resume_error

    async def say(self, text: str) -> None: ...

    async def leave(self) -> None:
        if self.leave_hangs:
            await asyncio.sleep(60)

    async def cut(self) -> None:
        self.was_cut = True


class FakeDocument:
    """An editor's connection that loses its first edit, and acknowledges what it is asked about later."""

    made: ClassVar[list[FakeDocument]] = []

    def __init__(self, entry: Entry) -> None:
        self.session = entry.session
        self.node = "d1"
        self.synced = False
        self.on_gone: Callable[[str], None] | None = None
        self.copy: list[str] = []
        self.loses = not type(self).made
        type(self).made.append(self)

    async def open(self) -> None:
        self.synced = True

    async def edit(self, token: str) -> None:
        if not self.synced:
            raise NotSent("not connected")
        self.copy.append(token)
        if self.loses:
            self.loses = self.synced = False
            assert self.on_gone is not None
            self.on_gone("reset")
            raise Lost("reset")

    def edit_offline(self, token: str) -> None:
        self.copy.append(token)

    async def settled(self) -> None:
        if not self.synced:
            raise NotSent("not connected")

    async def cut(self) -> None:
        self.synced = False

    close = cut


def _play(folder: Path, session: Any, story: Callable[[World, Ways], Coroutine[Any, Any, None]]) -> tuple[Event, ...]:
    """Run a story in a world of its own; returns what it recorded."""
    session.made = []
    ways = Ways(SERVICE, Backend("fake", "meetings", "applied", "", session))

    async def go() -> None:
        with Recorder(folder / "events" / "load.msgpack", "load") as recorder:
            site = Site(spec=StackSpec(stack="none", services={}, bounds=BOUNDS))
            world = World(site, LOAD, 1, Scribe(recorder), "t-")
            world.begin()
            await asyncio.wait_for(story(world, ways), 10)
            world.scribe.end_all()

    asyncio.run(go())
    return read_log(folder).events


def _said(events: tuple[Event, ...], user: str = "") -> list[tuple[str, str, str]]:
    return [(event.f, event.type, event.error) for event in events if not user or event.user == user]


async def _until(holds: Callable[[], bool]) -> None:
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within 5 s")


async def _cut_after_join(world: World, ways: Ways) -> None:
    rooms = Rooms(world, ways)
    rooms.start(Person("u1", "room-1", "here", (Visit(0.0, 0.3, "leave"),)))
    await _until(lambda: any(person.inside for person in rooms.live))
    gone = FakeRoom.made[0].on_gone
    assert gone is not None
    gone("closed 1012")
    await _until(lambda: not any(person.person.user == "u1" for person in rooms.live))
    rooms.stop()
    world.stop()


def test_a_cut_user_resumes(tmp_path: Path) -> None:
    """Who is cut off takes his session up again, and leaves as planned."""
    FakeRoom.resume_error, FakeRoom.leave_hangs = None, False
    assert _said(_play(tmp_path, FakeRoom, _cut_after_join)) == [
        ("join", "invoke", ""),
        ("join", "ok", ""),
        ("dropped", "info", "closed 1012"),
        ("resume", "invoke", ""),
        ("resume", "ok", ""),
        ("leave", "invoke", ""),
        ("leave", "ok", ""),
    ]


def test_who_cannot_resume_comes_in_again_with_a_twin(tmp_path: Path) -> None:
    """After an expired resume the user rejoins as a new session, and a fresh twin joins at the same moment."""
    FakeRoom.resume_error, FakeRoom.leave_hangs = Refused("expired"), False
    events = _play(tmp_path, FakeRoom, _cut_after_join)
    assert ("resume", "fail", "refused: expired") in _said(events, "u1")
    rejoin = next(event for event in events if event.f == "rejoin" and event.type == "invoke")
    twin = next(event for event in events if event.type == "invoke" and event.user == "u1t1")
    assert (rejoin.session, rejoin.value["after"]) == ("u1.2", "dropped")
    assert twin.value == {"pair": rejoin.value["pair"], "twin": True}
    assert abs(twin.intended_ns - rejoin.intended_ns) < 1000


async def _cut_by_plan(world: World, ways: Ways) -> None:
    rooms = Rooms(world, ways)
    looks: list[str] = []
    rooms.look = looks.append
    rooms.start(Person("u1", "room-1", "here", (Visit(0.0, 1.0, "leave", cut_s=0.1),)))
    await _until(lambda: not rooms.live)
    assert looks == ["room-1"]
    world.stop()


def test_a_short_cut_is_resumed_watched_and_listened_to(tmp_path: Path) -> None:
    """A planned cut is recorded, the observers look meanwhile, the session resumes, looks itself, and had ears."""
    FakeRoom.resume_error, FakeRoom.leave_hangs, FakeRoom.says_on_join = None, False, ("hello", "there")
    try:
        events = _play(tmp_path, FakeRoom, _cut_by_plan)
    finally:
        FakeRoom.says_on_join = ()
    assert [(event.f, event.type) for event in events] == [
        ("join", "invoke"),
        ("listening", "info"),
        ("heard", "obs"),
        ("heard", "obs"),
        ("join", "ok"),
        ("cut", "info"),
        ("resume", "invoke"),
        ("resume", "ok"),
        ("own_roster", "invoke"),
        ("own_roster", "obs"),
        ("leave", "invoke"),
        ("leave", "ok"),
        ("heard_total", "info"),
    ]
    assert [event.value for event in events if event.f.startswith("heard")] == [
        {"from": "u9.1", "text": "hello", "i": 1},
        {"from": "u9.1", "text": "there", "i": 2},
        2,
    ]


def test_a_stuck_leave_is_told(tmp_path: Path) -> None:
    """A leave without an answer within the bound is recorded as a timeout, and then the user cuts the socket."""
    FakeRoom.resume_error, FakeRoom.leave_hangs = None, True
    events = _play(tmp_path, FakeRoom, _cut_after_join)
    assert _said(events)[-1] == ("leave", "info", "timeout")
    assert FakeRoom.made[0].was_cut


def _editing(*, refresh: bool) -> Callable[[World, Ways], Coroutine[Any, Any, None]]:
    async def story(world: World, ways: Ways) -> None:
        edits = (Edit(0.1, "e1-1"), Edit(0.2, "e1-2"))
        editor = Editor(world, ways, EditorPlan("e1", "doc-1", "here", refresh, 0.0, edits))
        await editor.run()
        world.stop()
        await editor.finish()

    return story


def test_a_keeper_gets_its_lost_edit_acknowledged(tmp_path: Path) -> None:
    """An editor that keeps its copy waits for the lost edit over the reconnect, in the same session."""
    events = _play(tmp_path, FakeDocument, _editing(refresh=False))
    ended = [
        (event.type, event.session, event.value) for event in events if event.f == "edit" and event.type != "invoke"
    ]
    assert ended == [("ok", "e1.1", {"level": "durable"})] * 2
    assert FakeDocument.made[0].copy == ["t-e1-1", "t-e1-2"]


def test_a_reloader_leaves_its_lost_edit_open(tmp_path: Path) -> None:
    """An editor that reloads the page has lost the edit in flight, and goes on as a new session."""
    events = _play(tmp_path, FakeDocument, _editing(refresh=True))
    assert [event.session for event in events if event.f == "refreshed"] == ["e1.2"]
    ended = [(event.type, event.error) for event in events if event.f == "edit" and event.type != "invoke"]
    assert ended == [("info", "lost: the copy was thrown away"), ("ok", "")]
    assert [session.copy for session in FakeDocument.made] == [["t-e1-1"], ["t-e1-2"]]
