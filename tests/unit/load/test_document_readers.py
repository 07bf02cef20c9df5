"""Fresh readers of a document, before and beside its editors, and edits taken back; on a server in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from chaos.backends.base import Backend, Entry, Lost, NotSent
from chaos.load.editor import Editor
from chaos.load.fresh import FreshReader
from chaos.load.hold import Hold
from chaos.load.plan import Edit, EditorPlan
from chaos.load.scribe import Scribe
from chaos.load.world import Ways, World
from chaos.model.event import Event
from chaos.model.experiment import LoadSpec
from chaos.model.stack import Bounds, ServiceSpec, Site, StackSpec
from chaos.record import Recorder, read_log

BOUNDS = Bounds(visibility_s=0.2, join_s=1)
LOAD = LoadSpec(patience_s=1, retry="fixed")
REGIONS = {"east": "ws://east/{key}", "north": "ws://north/{key}"}


class Server:
    """One document: what it holds, and who is connected. It may forget, and refuse for a while."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.clients: list[Client] = []
        self.down = False
        self.opened: list[str] = []

    def crash(self, keep: int) -> None:
        """Cut everybody, and keep so many tokens only."""
        del self.tokens[keep:]
        for client in list(self.clients):
            client.end()


class Client:
    """A connection to the server that keeps its copy, and uploads it when it comes back."""

    server: Server

    def __init__(self, entry: Entry) -> None:
        self.session = entry.session
        self.node = "d1"
        self.synced = False
        self.on_gone: Callable[[str], None] | None = None
        self.copy: list[str] = []

    async def open(self) -> None:
        if self.server.down:
            raise NotSent("down")
        self.server.opened.append(self.session)
        self.server.tokens += [token for token in self.copy if token not in self.server.tokens]
        self.copy = list(self.server.tokens)
        self.server.clients.append(self)
        self.synced = True

    async def edit(self, token: str) -> None:
        if not self.synced:
            raise NotSent("not connected")
        self.copy.append(token)
        self.server.tokens.append(token)

    async def delete(self, token: str) -> None:
        if not self.synced:
            raise NotSent("not connected")
        self.copy.remove(token)
        self.server.tokens.remove(token)

    def edit_offline(self, token: str) -> None:
        self.copy.append(token)

    async def settled(self) -> None:
        if not self.synced:
            raise NotSent("not connected")

    async def pulse(self) -> None:
        if not self.synced:
            raise Lost("gone")
        self.copy = list(self.server.tokens)

    def tokens(self) -> tuple[str, ...]:
        return tuple(self.copy)

    def end(self) -> None:
        self.server.clients.remove(self)
        self.synced = False
        if self.on_gone is not None:
            self.on_gone("reset")

    async def cut(self) -> None:
        if self in self.server.clients:
            self.server.clients.remove(self)
        self.synced = False

    close = cut


class Mute(Client):
    """A backend that cannot delete."""

    def __getattribute__(self, name: str) -> Any:
        if name == "delete":
            raise AttributeError(name)
        return super().__getattribute__(name)


Story = Callable[[World, Ways, Server], Coroutine[Any, Any, None]]


def play(
    folder: Path, story: Story, *, client: type[Client] = Client, regions: dict[str, str] = REGIONS
) -> list[Event]:
    """Run a story in a world of its own; returns what it recorded."""
    client.server = server = Server()
    ways = Ways(ServiceSpec(backend="fake", urls=regions, ack="durable"), Backend("fake", "documents", "", "", client))

    async def go() -> None:
        with Recorder(folder / "events" / "load.msgpack", "load") as recorder:
            site = Site(spec=StackSpec(stack="none", services={}, bounds=BOUNDS))
            world = World(site, LOAD, 1, Scribe(recorder), "")
            world.begin()
            await asyncio.wait_for(story(world, ways, server), 15)
            if world.failed.done():
                world.failed.result()
            world.stop()
            world.scribe.end_all()

    asyncio.run(go())
    return list(read_log(folder).events)


def editors(world: World, ways: Ways, *names: str, undo: bool = False) -> list[Editor]:
    """Connected editors that type one token each."""
    found = []
    for name in names:
        edits = (Edit(0.05, f"{name}-1", undo=undo),)
        editor = Editor(world, ways, EditorPlan(name, "doc", "east", refresh=False, at_s=0.0, edits=edits))
        world.spawn(editor.run())
        found.append(editor)
    return found


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within 5 s")


def of(events: list[Event], f: str, kind: str) -> list[Event]:
    return [event for event in events if event.f == f and event.type == kind]


def test_a_fresh_reader_goes_in_before_those_who_were_all_cut_at_once(tmp_path: Path) -> None:
    """What the server forgot is missing in that read, although its editors give it back right afterwards."""
    opened: list[str] = []

    async def story(world: World, ways: Ways, server: Server) -> None:
        hold = Hold(world, ways, "doc")
        for editor in editors(world, ways, "e1", "e2"):
            hold.add(editor)
        await until(lambda: hold.kept == {"e1-1", "e2-1"})
        server.opened.clear()
        server.crash(keep=1)
        await until(lambda: len(server.opened) == 3)
        opened.extend(server.opened)
        await until(lambda: set(server.tokens) == {"e1-1", "e2-1"})

    events = play(tmp_path, story)
    assert opened[0].startswith("k-doc.")
    assert sorted(opened[1:]) == ["e1.1", "e2.1"]
    [read] = of(events, "crash_read", "obs")
    assert len(read.value) == 1
    [asked] = of(events, "crash_read", "invoke")
    assert asked.value["held"] == 2
    assert asked.value["since_ns"] <= asked.t_ns < read.t_ns


def test_who_is_cut_alone_comes_back_without_a_reader(tmp_path: Path) -> None:
    """One of two is dropped: no read after a crash is made, and it is let in again soon."""

    async def story(world: World, ways: Ways, server: Server) -> None:
        hold = Hold(world, ways, "doc")
        for editor in editors(world, ways, "e1", "e2"):
            hold.add(editor)
        await until(lambda: len(hold.kept) == 2)
        server.clients[0].end()
        await until(lambda: len(server.clients) == 2)

    assert of(play(tmp_path, story), "crash_read", "invoke") == []


def test_a_server_that_stays_down_opens_the_door_again(tmp_path: Path) -> None:
    """The read is given up after the join bound, recorded as a gap, and the editors go on trying."""

    async def story(world: World, ways: Ways, server: Server) -> None:
        hold = Hold(world, ways, "doc")
        for editor in editors(world, ways, "e1"):
            hold.add(editor)
        await until(lambda: len(hold.kept) == 1)
        server.down = True
        server.crash(keep=0)
        await asyncio.wait_for(asyncio.shield(_closed(hold)), 5)
        server.down = False
        await until(lambda: "e1-1" in server.tokens)

    [gap] = of(play(tmp_path, story), "crash_read", "gap")
    assert gap.error == "down"


async def _closed(hold: Hold) -> None:
    await asyncio.sleep(0)
    await hold.passed()


def test_an_edit_is_taken_back_once_it_is_acknowledged(tmp_path: Path) -> None:
    """The token is deleted a moment later, with an acknowledgement of its own, and nobody waits for it any more."""

    async def story(world: World, ways: Ways, server: Server) -> None:
        hold = Hold(world, ways, "doc")
        for editor in editors(world, ways, "e1", undo=True):
            hold.add(editor)
        await until(lambda: server.tokens == ["e1-1"])
        await until(lambda: not server.tokens and not hold.kept)

    events = play(tmp_path, story)
    [told] = of(events, "edit", "ok")
    [deleted] = of(events, "delete", "ok")
    assert deleted.t_ns > told.t_ns
    assert deleted.value == {"level": "durable"}
    assert of(events, "delete", "invoke")[0].value == "e1-1"


def test_a_backend_that_cannot_delete_says_so(tmp_path: Path) -> None:
    """The record holds the reason why nothing was deleted."""

    async def story(world: World, ways: Ways, server: Server) -> None:
        editors(world, ways, "e1", undo=True)
        await until(lambda: world.scribe.counts["cannot"] == 1)
        assert server.tokens == ["e1-1"]

    said = play(tmp_path, story, client=Mute)
    assert [event.value for event in of(said, "cannot", "info")] == ["delete"]
    assert of(said, "delete", "invoke") == []


@pytest.mark.parametrize(
    ("regions", "entries"),
    [(REGIONS, ["east", "north"]), ({"east": "ws://east/{key}"}, ["east", "east, again"])],
)
def test_a_document_is_read_afresh_through_two_entries_at_once(
    tmp_path: Path, regions: dict[str, str], entries: list[str]
) -> None:
    """Each round has two fresh readers, one of them an editor whose open copy it is held against."""

    async def story(world: World, ways: Ways, server: Server) -> None:
        [editor] = editors(world, ways, "e1")
        await until(lambda: server.tokens == ["e1-1"])
        server.tokens.clear()
        reader = FreshReader(world, ways, "doc", [editor], 0.0)
        world.spawn(reader.run())
        await until(lambda: world.scribe.counts["reread.obs"] == 2)
        world.stop()
        await reader.ended()

    events = play(tmp_path, story, regions=regions)
    asked, seen = of(events, "reread", "invoke"), of(events, "reread", "obs")
    assert sorted(event.value["entry"] for event in asked) == entries
    assert {event.value["round"] for event in asked} == {1}
    assert [event.value.get("lacks") for event in seen if event.user == "e1"] == [["e1-1"]]
    assert all(event.value["n"] == 0 for event in seen)
    assert len({event.session for event in seen}) == 2


def test_a_fresh_read_that_fails_is_a_gap(tmp_path: Path) -> None:
    """A server that is down gives gaps with the reason, and no reader stays."""

    async def story(world: World, ways: Ways, server: Server) -> None:
        [editor] = editors(world, ways, "e1")
        await until(lambda: server.tokens == ["e1-1"])
        server.down = True
        world.spawn(FreshReader(world, ways, "doc", [editor], 0.0).run())
        await until(lambda: world.scribe.counts["reread.gap"] == 2)

    assert {event.error for event in of(play(tmp_path, story), "reread", "gap")} == {"down"}
