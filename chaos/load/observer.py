"""Observers: sessions of their own that only look, at rosters and at documents; every planned look is recorded."""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import TYPE_CHECKING, Any

from chaos.backends.base import BackendError, MeetingSession
from chaos.load.chance import chance
from chaos.load.ears import Ears
from chaos.load.editor import Client
from chaos.load.retry import CAP_S, delay_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.load.plan import Watcher
    from chaos.load.scribe import Op
    from chaos.load.world import Ways, World

LOOK_TIMEOUT_S = 2.5
"""A look that has no answer within this is a gap."""


def digest(tokens: Sequence[str]) -> str:
    """The first 16 hex digits of the SHA-256 of the tokens, one a line."""
    return hashlib.sha256("\n".join(tokens).encode()).hexdigest()[:16]


def splice(before: Sequence[str], after: Sequence[str]) -> tuple[int, int, list[str]]:
    """The one replacement that makes `after` of `before`: where, how many go, and what comes."""
    shorter = min(len(before), len(after))
    start = 0
    while start < shorter and before[start] == after[start]:
        start += 1
    tail = 0
    while tail < shorter - start and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    return start, len(before) - start - tail, list(after[start : len(after) - tail])


class Looking:
    """Looks on the plan's schedule, each in a task of its own, so that a slow answer delays no other look."""

    world: World
    plan: Watcher
    done = False
    _pending: tuple[asyncio.Task[None], ...] = ()

    async def look(self, at_ns: int) -> None:
        """Record one look: invoke, then obs or gap."""
        raise NotImplementedError

    async def looks(self) -> None:
        """Look until `done`."""
        at_s = self.plan.at_s
        while not self.done:
            while (left := at_s - self.world.now_s()) > 0:  # noqa: ASYNC110 - waits for a moment, not for an event
                await asyncio.sleep(left)
            if not self.done:
                self._begin(self.world.ns(at_s))
            at_s += self.plan.every_s

    def look_now(self) -> None:
        """One look beside the schedule."""
        self._begin(time.monotonic_ns())

    def _begin(self, at_ns: int) -> None:
        look = self.world.spawn(self.look(at_ns))
        self._pending = (*(task for task in self._pending if not task.done()), look)

    async def end_looks(self) -> None:
        """Plan no more looks, and let those under way have their answers: their own end would make gaps of them."""
        self.done = True
        if self._pending:
            await asyncio.wait(self._pending, timeout=LOOK_TIMEOUT_S)


class RoomWatcher(Looking):
    """A silent participant that asks for the roster and notes what is said."""

    def __init__(self, world: World, ways: Ways, plan: Watcher) -> None:
        self.world = world
        self.ways = ways
        self.plan = plan
        self._rng = chance(world.seed, plan.user)
        self._number = 0
        self._up = False
        self._joining: asyncio.Task[None] | None = None
        self._ears = Ears(world.scribe, plan.user, plan.key, plan.region)
        self.link = self._new_link()

    def _new_link(self) -> MeetingSession:
        self._number += 1
        plan = self.plan
        session = plan.user if self._number == 1 else f"{plan.user}.{self._number}"
        link: MeetingSession = self.ways.session(plan.key, plan.user, session, plan.region)
        link.on_gone = self._gone
        self._ears.attach(link)
        return link

    async def run(self) -> None:
        if await self.world.until(self.plan.from_s):
            self._joining = self.world.spawn(self._join())
            await self.looks()

    async def stop(self) -> None:
        await self.end_looks()
        if self._joining is not None:
            self._joining.cancel()
        try:
            async with asyncio.timeout(1.0):
                await self.link.leave()
        except (BackendError, TimeoutError):
            await self.link.cut()
        self._ears.close()

    async def _join(self) -> None:
        count = 0
        while not self.done:
            count += 1
            retry_after_s = None
            try:
                async with asyncio.timeout(self.world.attempt_s):
                    await self.link.join()
            except BackendError as error:
                retry_after_s = error.retry_after_s
            except TimeoutError:
                pass
            else:
                self._up = True
                self._ears.open()
                return
            pause = delay_s(self.world.load.retry, count, self._rng, retry_after_s)
            await asyncio.sleep(CAP_S if pause is None else pause)

    def _gone(self, _reason: str) -> None:
        self._up = False
        self.link = self._new_link()
        if not self.done:
            self._joining = self.world.spawn(self._join())

    async def look(self, at_ns: int) -> None:
        link, plan = self.link, self.plan
        op = self.world.scribe.invoke("roster", plan.user, link.session, plan.key, plan.region, intended_ns=at_ns)
        if self._up:
            await ask_roster(link, op)
        else:
            op.gap("not connected")


async def ask_roster(link: MeetingSession, op: Op) -> None:
    """Ask who is in, and close `op` with the answer, or with why there was none."""
    try:
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            sessions = await link.roster()
    except BackendError as error:
        op.gap(error.reason)
    except TimeoutError:
        op.gap("timeout")
    else:
        op.obs(list(sessions), link.node)


class DocumentWatcher(Client, Looking):
    """A reader that never writes; after a drop it comes back with an empty copy, so that it uploads nothing."""

    def __init__(self, world: World, ways: Ways, plan: Watcher) -> None:
        super().__init__(world, ways, plan.user, plan.key, plan.region, fresh=True)
        self.plan = plan
        self._before: tuple[str, ...] = ()

    async def run(self) -> None:
        self.connect()
        await self.looks()

    def refreshed(self) -> None:
        self._before = ()

    async def look(self, at_ns: int) -> None:
        link = self.link
        op = self.invoke("tokens", at_ns=at_ns)
        if not self.up.is_set():
            op.gap("not connected")
            return
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                # Without this the copy of a cut-off reader would pass for what the server holds.
                await link.pulse()
        except BackendError as error:
            op.gap(error.reason)
        except TimeoutError:
            op.gap("timeout")
        else:
            if link is not self.link:
                op.gap("the copy was thrown away")
                return
            tokens = link.tokens()
            change = splice(self._before, tokens)
            self._before = tokens
            value = {"splice": list(change), "n": len(tokens), "sha": digest(tokens)}
            if hasattr(link, "present"):
                value["present"] = list(link.present())
            op.obs(value, link.node)


def view(op: Op, kind: str, tokens: Sequence[str], node: str) -> dict[str, Any]:
    """Record what one copy holds; returns what was recorded."""
    value = {"kind": kind, "n": len(tokens), "sha": digest(tokens)}
    op.obs(value, node)
    return value
