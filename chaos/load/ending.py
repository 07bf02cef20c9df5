"""How a load ends: the participants leave, the documents come to rest, are compared, closed, and read cold."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from chaos.backends.base import BackendError, DocumentSession
from chaos.load.editor import Client, Editor
from chaos.load.observer import DocumentWatcher, RoomWatcher, view
from chaos.load.retry import CAP_S
from chaos.load.world import wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos.load.fresh import FreshReader
    from chaos.load.participant import Rooms
    from chaos.load.world import Ways, World

ROUND_S = 0.5
"""Views are compared this often."""


async def end_rooms(world: World, rooms: Rooms, watchers: list[RoomWatcher]) -> None:
    """Everybody leaves; the observers look on until the last ghost's time is over."""
    rooms.stop()
    bounds = world.bounds
    longest_s = 2 * world.load.patience_s + bounds.resume_s + bounds.leave_s + 3.0
    await _bounded(lambda: not rooms.live, longest_s)
    await asyncio.sleep(max(bounds.unclean_ghost_s, bounds.clean_ghost_s) + 1.5)
    await asyncio.gather(*(watcher.stop() for watcher in watchers))


async def _bounded(done: Callable[[], bool], longest_s: float) -> None:
    for _ in range(int(longest_s / 0.05)):
        if done():
            return
        await asyncio.sleep(0.05)


class DocumentEnd:
    """Brings one document to its end."""

    def __init__(
        self,
        world: World,
        ways: Ways,
        document: str,
        editors: list[Editor],
        watchers: list[DocumentWatcher],
        fresh: FreshReader,
    ) -> None:
        self.world = world
        self.ways = ways
        self.document = document
        self.editors = editors
        self.watchers = watchers
        self.fresh = fresh
        self.readers: list[Client] = []

    async def run(self) -> None:
        """Quiet, views until all are equal or the bound has passed, close, cold reads."""
        await asyncio.gather(*(editor.finish() for editor in self.editors))
        self.world.scribe.fact("quiet", key=self.document)
        await self._compare()
        await self._close()
        for region in self.ways.regions:
            await self._cold_read(region)

    async def _compare(self) -> None:
        world = self.world
        for region in self.ways.regions:
            reader = Client(world, self.ways, f"f-{self.document}-{region}", self.document, region, fresh=True)
            reader.connect()
            self.readers.append(reader)
        await asyncio.gather(*(wait(reader.up, world.attempt_s) for reader in self.readers))
        end_s = world.now_s() + world.bounds.convergence_s + ROUND_S
        while not self._views():
            if world.now_s() >= end_s:
                return
            await asyncio.sleep(ROUND_S)

    def _views(self) -> bool:
        """Record one view of every copy; True when all are there and equal."""
        clients: list[tuple[Client, str]] = [(editor, editor.kind) for editor in self.editors]
        clients += [(watcher, "observer") for watcher in self.watchers]
        clients += [(reader, "fresh") for reader in self.readers]
        seen = set()
        for client, kind in clients:
            op = client.invoke("view")
            if client.up.is_set():
                seen.add(view(op, kind, client.link.tokens(), client.link.node)["sha"])
            else:
                op.gap("not connected")
                seen.add(client.user)
        return len(seen) == 1

    async def _close(self) -> None:
        for editor in self.editors:
            editor.end_idle()
        await asyncio.gather(*(watcher.end_looks() for watcher in self.watchers), self.fresh.ended())
        clients: list[Client] = [*self.editors, *self.watchers, *self.readers]
        await asyncio.gather(*(client.disconnect(politely=True) for client in clients))

    async def _cold_read(self, region: str) -> None:
        """A fresh client, while no other client of the document is left."""
        world, user = self.world, f"c-{self.document}-{region}"
        link: DocumentSession = self.ways.session(self.document, user, f"{user}.1", region)
        op = world.scribe.invoke("cold_read", user, link.session, self.document, region)
        end_s = world.now_s() + 2 * world.bounds.join_s
        error = "timeout"
        while world.now_s() < end_s:
            try:
                async with asyncio.timeout(world.attempt_s):
                    await link.open()
            except BackendError as failure:
                error = failure.reason
                await asyncio.sleep(min(CAP_S, failure.retry_after_s or 0.25))
            except TimeoutError:
                error = "timeout"
            else:
                op.obs(list(link.tokens()), link.node)
                await link.close()
                return
        op.gap(error)
