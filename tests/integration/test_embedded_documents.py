"""Documents of the embedded stack: what was acknowledged is durable, whoever dies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest
from embedded_harness import Editor, Stack, cold_read, play, running, until
from pycrdt import Doc

from chaos.stacks.embedded import hocuspocus as wire
from chaos.stacks.embedded.hocuspocus import Kind, Sync

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running() as up:
        yield up


def test_edits_reach_everybody_and_offline_edits_are_merged(stack: Stack) -> None:
    """Edits through both regions meet in one document; what was written offline arrives with the next handshake."""

    async def scene() -> None:
        east, north = Editor("shared"), Editor("shared")
        await east.open(stack.url("cn-east", "/docs/shared"))
        await north.open(stack.url("cn-north", "/docs/shared"))
        assert await stack.owner("shared") == east.node == north.node
        await asyncio.gather(east.edit("e1"), north.edit("n1"))
        await until(lambda: _reads(north, {"e1", "n1"}))
        north.cut()
        north.write("off1")
        north.write("off2")
        await east.edit("e2")
        acknowledged = north.acknowledged
        await north.open(stack.url("cn-north", "/docs/shared"))
        await until(lambda: _true(north.acknowledged == acknowledged + 1))
        await until(lambda: _reads(east, {"e1", "n1", "e2", "off1", "off2"}))
        assert east.tokens() == north.tokens()
        await east.close()
        await north.close()
        for region in ("cn-east", "cn-north"):
            assert await cold_read(stack, region, "shared") == east.tokens()

    play(scene())


def test_awareness_is_relayed_and_dropped_with_its_socket(stack: Stack) -> None:
    """The presence of an editor is shown to the others, and withdrawn when its socket dies."""

    async def scene() -> None:
        watcher, present = Editor("aware"), Editor("aware")
        await watcher.open(stack.url("cn-east", "/docs/aware"))
        await present.open(stack.url("cn-east", "/docs/aware"))
        assert present.socket is not None
        state = wire.uint(1) + wire.uint(77) + wire.uint(3) + wire.var('{"name":"x"}')
        await present.socket.send(wire.awareness("aware", state))
        await until(lambda: _true(state in watcher.awareness))
        late = Editor("aware")
        await late.open(stack.url("cn-north", "/docs/aware"))
        assert late.awareness == [state]
        present.cut()
        gone = wire.uint(1) + wire.uint(77) + wire.uint(4) + wire.var("null")
        await until(lambda: _true(gone in watcher.awareness))

    play(scene())


def test_unreadable_update_is_refused_and_spoils_nothing(stack: Stack) -> None:
    """A frame that is no Yjs update closes its sender with 4205, and never reaches the log."""

    async def scene() -> None:
        bad = Editor("spoiled")
        await bad.open(stack.url("cn-east", "/docs/spoiled"))
        await bad.edit("good")
        assert bad.socket is not None
        await bad.socket.send(wire.sync("spoiled", Sync.UPDATE, b"\xff\xff\xff"))
        await until(lambda: _true(bad.close_code == 4205))
        assert await cold_read(stack, "cn-north", "spoiled") == ["good"]

    play(scene())


def test_one_socket_may_carry_several_documents(stack: Stack) -> None:
    """Frames are sorted by the document that they name, also with a session after the name."""

    async def scene() -> None:
        editor = Editor("many-a")
        await editor.open(stack.url("cn-east", "/docs/many-a"))
        assert editor.socket is not None
        address = "many-a\0session"
        other = Editor(address)
        editor.also[address] = other
        await editor.socket.send(wire.sync(address, Sync.STEP1, Doc().get_state()))
        await editor.socket.send(wire.var(address) + bytes((Kind.AUTH, wire.AUTH_TOKEN)) + wire.var(""))
        await asyncio.wait_for(other.synced.wait(), 15)
        await editor.edit("one")
        await until(lambda: _reads(other, {"one"}))

    play(scene())


@pytest.mark.parametrize("victim", ["owner", "store", "both"])
def test_acknowledged_edits_survive_sigkill(victim: str) -> None:
    """After SIGKILL of the owner, the store or both, a cold read holds every acknowledged edit."""

    async def scene(stack: Stack) -> None:
        acknowledged: list[str] = []
        editor = Editor("kept")
        await editor.open(stack.url("cn-east", "/docs/kept"))
        writing = asyncio.create_task(_write(editor, acknowledged))
        await until(lambda: _true(len(acknowledged) > 20))
        owner = await stack.owner("kept")
        victims = {"owner": [owner], "store": ["store"], "both": ["store", owner]}[victim]
        for name in victims:
            await stack.kill(name)
        writing.cancel()
        await editor.close()
        for name in victims:
            await stack.release(name)
        for region in ("cn-east", "cn-north"):
            assert set(acknowledged) <= set(await cold_read(stack, region, "kept"))

    with running() as stack:
        play(scene(stack))


def test_editor_goes_on_while_the_store_restarts() -> None:
    """A store that is back within the time to live costs waiting, but neither the connection nor an edit."""

    async def scene(stack: Stack) -> None:
        editor = Editor("waiting")
        await editor.open(stack.url("cn-east", "/docs/waiting"))
        await editor.edit("before")
        await stack.kill("store")
        editing = asyncio.create_task(editor.edit("during", 10))
        await stack.release("store")
        await editing
        assert editor.close_code is None
        assert await cold_read(stack, "cn-north", "waiting") == ["before", "during"]

    with running() as stack:
        play(scene(stack))


def test_stopped_owner_acknowledges_nothing_after_it_lost_the_document() -> None:
    """An owner stopped past its lease acks nothing when it wakes; the new owner has every acknowledged edit."""

    async def scene(stack: Stack) -> None:
        url = stack.url("cn-east", "/docs/fenced")
        old = Editor("fenced")
        await old.open(url)
        await old.edit("before")
        owner = await stack.owner("fenced")
        direct = Editor("fenced")
        await direct.open(f"ws://127.0.0.1:{stack.site.node_ports[owner]}/docs/fenced")
        await stack.pause(owner)
        assert direct.socket is not None
        stale = direct.write("stale")
        for frame in (wire.sync("fenced", Sync.UPDATE, stale), wire.sync("fenced", Sync.STEP1, b"\0")):
            await direct.socket.send(frame)
        await until(lambda: _true(old.close_code == 1012))
        new = Editor("fenced")
        await new.open(url)
        assert await stack.moved("fenced", owner)
        await new.edit("after")
        heard = direct.acknowledged
        direct.synced.clear()
        await stack.release(owner)
        await until(lambda: _true(direct.close_code == 1012))
        assert direct.acknowledged == heard
        assert not direct.synced.is_set()
        assert await cold_read(stack, "cn-north", "fenced") == ["before", "after"]

    with running() as stack:
        play(scene(stack))


def test_owner_cut_off_from_the_store_sends_its_clients_away() -> None:
    """An owner that cannot renew stops serving within its time to live, and another one takes the document."""

    async def scene(stack: Stack) -> None:
        editor = Editor("cut-off")
        await editor.open(stack.url("cn-east", "/docs/cut-off"))
        await editor.edit("before")
        owner = await stack.owner("cut-off")
        await stack.block(f"{owner}--store")
        lost = asyncio.create_task(editor.edit("unheard", 5))
        await until(lambda: _true(editor.close_code == 1012), 4)
        await editor.open(stack.url("cn-east", "/docs/cut-off"))
        await stack.moved("cut-off", owner)
        with contextlib.suppress(AssertionError):
            await lost
        assert await cold_read(stack, "cn-north", "cut-off") == ["before", "unheard"]
        await stack.unblock(f"{owner}--store")
        assert await cold_read(stack, "cn-east", "cut-off") == ["before", "unheard"]

    with running() as stack:
        play(scene(stack))


async def _write(editor: Editor, acknowledged: list[str]) -> None:
    number = 0
    while True:
        number += 1
        await editor.edit(f"t{number}")
        acknowledged.append(f"t{number}")


async def _reads(editor: Editor, tokens: set[str]) -> bool:
    return set(editor.tokens()) == tokens


async def _true(value: bool) -> bool:
    return value
