"""The door of a document: when all its clients are cut off at once, a fresh reader goes in before any of them.

A client that keeps its copy gives a crashed server back what that had forgotten, and so hides the loss. Therefore who
is dropped waits at the door for a moment: if by then all are out, a reader with an empty copy reads first.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING

from chaos.backends.base import BackendError

if TYPE_CHECKING:
    from chaos.backends.base import DocumentSession
    from chaos.load.editor import Client
    from chaos.load.scribe import Op
    from chaos.load.world import Ways, World

TOGETHER_S = 0.5
"""A document's clients are cut off at once when the last of them is cut so soon after the first."""
PAUSE_S = 0.1
"""Between two attempts of the reader: the others wait for it."""
ATTEMPT_S = 1.5


class Hold:
    """One document's clients that may hold a copy, and what was acknowledged to them."""

    def __init__(self, world: World, ways: Ways, document: str) -> None:
        self.world = world
        self.ways = ways
        self.document = document
        self.kept: set[str] = set()
        """Tokens that were acknowledged and not deleted."""
        self._clients: list[Client] = []
        self._door = asyncio.Event()
        self._door.set()
        self._numbers = itertools.count(1)

    def add(self, client: Client) -> None:
        """From now on this client waits at the door."""
        client.hold = self
        self._clients.append(client)

    async def passed(self) -> None:
        """Return when the door is open."""
        await self._door.wait()

    def dropped(self) -> None:
        """One of the clients was cut off by the other side."""
        if self._door.is_set() and not self.world.stopping:
            self._door.clear()
            self.world.spawn(self._close())

    async def _close(self) -> None:
        since_ns = time.monotonic_ns()
        try:
            if await self._all_out():
                await self._read(since_ns)
        finally:
            self._door.set()

    async def _all_out(self) -> bool:
        end_s = self.world.now_s() + TOGETHER_S
        while any(client.up.is_set() for client in self._clients):
            if self.world.now_s() >= end_s:
                return False
            await asyncio.sleep(TOGETHER_S / 10)
        for client in self._clients:
            await client.stand_back()
        return not any(client.up.is_set() for client in self._clients)

    async def _read(self, since_ns: int) -> None:
        world, user = self.world, f"k-{self.document}"
        regions = itertools.cycle(dict.fromkeys([self._clients[0].region, *self.ways.regions]))
        value = {"since_ns": since_ns, "held": len(self._clients)}
        op = world.scribe.invoke(
            "crash_read", user, f"{user}.{next(self._numbers)}", self.document, self._clients[0].region, value=value
        )
        end_s = world.now_s() + world.bounds.join_s
        error = "timeout"
        while world.now_s() < end_s:
            region = next(regions)
            link = self.ways.session(self.document, user, f"{user}.{next(self._numbers)}", region)
            try:
                async with asyncio.timeout(ATTEMPT_S):
                    await link.open()
            except BackendError as failure:
                error = failure.reason
                await asyncio.sleep(PAUSE_S)
            except TimeoutError:
                error = "timeout"
            else:
                op.region = region
                await self._note(op, link)
                return
        op.gap(error)

    async def _note(self, op: Op, link: DocumentSession) -> None:
        """Record what a fresh copy holds; where something is missing, what it holds after the visibility bound."""
        end_s = self.world.now_s() + self.world.bounds.visibility_s
        try:
            async with asyncio.timeout(2 * self.world.bounds.visibility_s):
                while not self.kept.issubset(link.tokens()) and self.world.now_s() < end_s:
                    await asyncio.sleep(PAUSE_S)
                    await link.pulse()
        except (BackendError, TimeoutError) as failure:
            op.gap(str(failure) or "timeout")
            await link.cut()
        else:
            op.obs(list(link.tokens()), link.node)
            await link.close()
