"""A crush at a room with a limit: every few seconds more people knock than it admits, and soon leave again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from chaos.backends.base import BackendError, MeetingSession
from chaos.load.arrivals import LOOK_S, home
from chaos.load.attempt import ask_once
from chaos.load.observer import RoomWatcher
from chaos.load.plan import Watcher

if TYPE_CHECKING:
    from chaos.load.world import Ways, World

EVERY_S = 5.0
STAY_S = 1.5
"""Shorter than the time to the next crush by more than the bound for a roster."""
BEYOND = 2
"""So many more knock than the room admits."""


class Crush:
    """The people who knock at one room, and the observer in it."""

    def __init__(self, world: World, ways: Ways, room: str, limit: int) -> None:
        self.world = world
        self.ways = ways
        self.room = room
        self.limit = limit
        self.watcher = RoomWatcher(world, ways, Watcher(f"o-{room}", "room", room, ways.regions[0], LOOK_S, LOOK_S))
        self._count = 0

    async def run(self) -> None:
        """One crush after the other until the load ends."""
        world = self.world
        world.scribe.fact("limit", key=self.room, value=self.limit)
        world.spawn(self.watcher.run())
        for number in range(1, 1_000_000):
            if not await world.until(number * EVERY_S - EVERY_S / 2):
                return
            for one in range(self.limit + BEYOND):
                self._count += 1
                world.spawn(self._knock(f"k-{self.room}-{self._count}", home(one, self.ways.regions)))
            if not await world.until(number * EVERY_S - EVERY_S / 2 + STAY_S / 2):
                return
            self.watcher.look_now()

    async def _knock(self, user: str, region: str) -> None:
        world = self.world
        session = f"{user}.1"
        link: MeetingSession = self.ways.session(self.room, user, session, region)
        op = world.scribe.invoke("knock", user, session, self.room, region)
        if await ask_once(link, op, world.bounds.join_s):
            await world.until(world.now_s() + STAY_S)
            await self._leave(user, session, region, link)

    async def _leave(self, user: str, session: str, region: str, link: MeetingSession) -> None:
        op = self.world.scribe.invoke("knock_leave", user, session, self.room, region)
        try:
            async with asyncio.timeout(self.world.bounds.leave_s):
                await link.leave()
        except (BackendError, TimeoutError) as error:
            op.info(f"not answered: {error}")
            await link.cut()
        else:
            op.ok(node=link.node)
