"""Meetings of the embedded stack, over real processes and sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from embedded_harness import Person, Stack, play, running, until
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running(capacity="6") as up:
        yield up


def test_join_say_roster_and_leave_cross_the_regions(stack: Stack) -> None:
    """Two participants who came in through different regions meet in one room, hear each other, and leave cleanly."""

    async def scene() -> None:
        east, north = Person("a1.1"), Person("a2.1")
        await east.join(stack.url("cn-east", "/rooms/meet"))
        welcome = await north.join(stack.url("cn-north", "/rooms/meet"))
        assert welcome["roster"] == ["a1.1", "a2.1"]
        assert welcome["node"] == await stack.owner("meet") in {"meet-e1", "meet-e2"}
        assert {"t": "arrived", "session": "a2.1"} in east.pushed
        n = (await north.ask("say", text="hello"))["n"]
        heard = {"t": "heard", "from": "a2.1", "n": n, "text": "hello"}
        await until(lambda: _has(east, heard))
        assert heard in north.pushed
        assert (await north.ask("leave"))["t"] == "left"
        await until(lambda: _has(east, {"t": "gone", "session": "a2.1", "why": "leave"}))
        assert await east.roster() == ["a1.1"]
        await until(lambda: _closed(north, 1000))
        await east.ask("leave")

    play(scene())


def test_cut_session_is_resumed_without_a_flap(stack: Stack) -> None:
    """A session whose socket was cut stays in the roster, is resumed, and gets what was said meanwhile."""

    async def scene() -> None:
        url = stack.url("cn-east", "/rooms/resume")
        stays, cut = Person("b1.1"), Person("b2.1")
        await stays.join(url)
        await cut.join(url)
        cut.cut()
        await asyncio.sleep(0.3)
        n = (await stays.ask("say", text="missed"))["n"]
        assert await stays.roster() == ["b1.1", "b2.1"]
        assert (await cut.resume(url))["resumed"] is True
        await until(lambda: _has(cut, {"t": "heard", "from": "b1.1", "n": n, "text": "missed"}))
        assert not [push for push in stays.pushed if push["t"] == "gone"]
        await cut.ask("leave")
        assert (await _refused_resume(cut, url))["reason"] == "expired"
        await stays.ask("leave")

    play(scene())


@pytest.mark.parametrize("how", ["cut", "silent"])
def test_vanished_participant_is_gone_within_the_bound(stack: Stack, how: str) -> None:
    """Who vanishes, with its socket cut or open but silent, leaves the roster within the declared 5 s."""

    async def scene() -> None:
        url = stack.url("cn-east", f"/rooms/ghost-{how}")
        stays, ghost = Person("c1.1"), Person("c2.1")
        await stays.join(url)
        await ghost.join(url, beating=False)
        if how == "cut":
            ghost.cut()
        began = time.monotonic()
        await until(lambda: _has(stays, {"t": "gone", "session": "c2.1", "why": "timeout"}))
        assert 1.8 < time.monotonic() - began < 5
        assert await stays.roster() == ["c1.1"]
        ghost.stop()
        await stays.ask("leave")

    play(scene())


def test_user_is_in_a_room_once_and_joins_are_repeatable(stack: Stack) -> None:
    """A second session of a user replaces the first; the same session again takes it over without a flap."""

    async def scene() -> None:
        url = stack.url("cn-east", "/rooms/once")
        watcher, first, second, again = Person("d9.1"), Person("d1.1"), Person("d1.2"), Person("d1.2")
        await watcher.join(url)
        await first.join(url)
        await second.join(url)
        assert {"t": "gone", "session": "d1.1", "why": "replaced"} in watcher.pushed
        await until(lambda: _closed(first, 4001))
        before = len(watcher.pushed)
        await again.join(url)
        await until(lambda: _closed(second, 4001))
        assert await watcher.roster() == ["d1.2", "d9.1"]
        assert len(watcher.pushed) == before
        await again.ask("leave")
        await watcher.ask("leave")

    play(scene())


def test_admission_refuses_quickly_with_a_reason(stack: Stack) -> None:
    """A full node and a bad token are refused at once; the full node says when to come back."""

    async def scene() -> None:
        url = stack.url("cn-east", "/rooms/full")
        crowd = [Person(f"e{i}.1") for i in range(6)]
        for person in crowd:
            assert (await person.join(url))["t"] == "joined"
        late = Person("e6.1")
        began = time.monotonic()
        refused = await late.join(url)
        assert time.monotonic() - began < 1
        assert (refused["reason"], refused["retry_after_s"]) == ("full", 0.5)
        forged = await late.ask("join", user="e6", session="e6.1", token="0" * 64)
        assert forged["reason"] == "bad-token"
        await crowd[0].ask("leave")
        assert (await Person("e6.1").join(url))["t"] == "joined"
        for person in crowd[1:]:
            await person.ask("leave")

    play(scene())


def test_every_node_has_its_admin_endpoints(stack: Stack) -> None:
    """Each node answers /healthz, /metrics, /owned and /work on its own port."""

    async def scene() -> None:
        for name in stack.site.node_ports:
            assert await stack.get(name, "/healthz") == "ok\n"
            assert f'embedded_up{{node="{name}"' in await stack.get(name, "/metrics")
            assert set(await stack.get(name, "/owned")) <= {"keys", "owners"}
            work = await stack.get(name, "/work?ms=5")
            assert 0 < work["cpu_ms"] <= work["wall_ms"] + 1

    play(scene())


def test_room_moves_when_its_node_is_killed() -> None:
    """Participants of a killed node resume their sessions on another one within the join bound."""

    async def scene(stack: Stack) -> None:
        url = stack.url("cn-east", "/rooms/moving")
        people = [Person(f"f{i}.1") for i in range(3)]
        for person in people:
            await person.join(url)
        n = (await people[0].ask("say", text="before"))["n"]
        owner = await stack.owner("moving")
        await stack.kill(owner)
        began = time.monotonic()
        for person in people:
            await until(lambda person=person: _closed(person, 1012))  # type: ignore[misc]
        answers = [await person.resume(url) for person in people]
        assert time.monotonic() - began < 5
        assert {answer["node"] for answer in answers} == {await stack.owner("moving")} != {owner}
        assert await people[0].roster() == ["f0.1", "f1.1", "f2.1"]
        assert (await people[0].ask("say", text="after"))["n"] > n
        await stack.release(owner)
        assert await stack.get(owner, "/healthz") == "ok\n"

    with running() as stack:
        play(scene(stack))


def test_stopped_owner_wakes_up_mute_and_its_clients_have_moved() -> None:
    """An owner stopped for longer than its lease lets nothing out when it wakes; its clients were sent away before."""

    async def scene(stack: Stack) -> None:
        url = stack.url("cn-east", "/rooms/asleep")
        first, second = Person("g1.1"), Person("g2.1")
        await first.join(url)
        await second.join(url)
        owner = await stack.owner("asleep")
        await stack.pause(owner)
        assert first.socket is not None
        saying = asyncio.create_task(first.ask("say", 8, text="into the void"))
        await until(lambda: _closed(first, 1012))
        moved_to = (await second.resume(url))["node"]
        assert moved_to != owner
        await stack.release(owner)
        await asyncio.sleep(0.5)
        assert not saying.done()
        assert not [push for push in first.pushed + second.pushed if push["t"] == "heard"]
        assert await stack.owner("asleep") == moved_to
        assert "asleep" not in (await stack.get(owner, "/owned"))["keys"]
        saying.cancel()

    with running() as stack:
        play(scene(stack))


def test_partition_of_the_regions_refuses_quickly_and_leaves_the_owner_alone() -> None:
    """Across a silent partition a room stays with its owner; the far region is refused within a bounded time."""

    async def scene(stack: Stack) -> None:
        near = Person("h1.1")
        await near.join(stack.url("cn-east", "/rooms/apart"))
        owner = await stack.owner("apart")
        await stack.block("gw-north--gw-east")
        began = time.monotonic()
        with pytest.raises(InvalidStatus) as refused:
            await connect(stack.url("cn-north", "/rooms/apart"), proxy=None)
        assert time.monotonic() - began < 3
        assert refused.value.response.status_code == 503
        assert float(refused.value.response.headers["Retry-After"]) > 0
        assert await near.roster() == ["h1.1"]
        assert await stack.owner("apart") == owner
        await stack.unblock("gw-north--gw-east")
        far = Person("h2.1")
        assert (await far.join(stack.url("cn-north", "/rooms/apart")))["node"] == owner

    with running() as stack:
        play(scene(stack))


async def _refused_resume(person: Person, url: str) -> dict[str, object]:
    await person.connect(url)
    return await person.ask("resume", user=person.user, session=person.session, resume=person.joined["resume"])


async def _has(person: Person, push: dict[str, object]) -> bool:
    return push in person.pushed


async def _closed(person: Person, code: int) -> bool:
    return person.close_code == code
