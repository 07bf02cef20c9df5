"""Somebody patient at each way in: asks once to join a room, on one socket, and waits until the answer is overdue.

Everybody else gives up or tries anew long before a join counts as stuck, so that nobody else could tell.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from chaos.backends.base import BackendError, MeetingSession
from chaos.load.attempt import ask_once
from chaos.load.chance import chance

if TYPE_CHECKING:
    from chaos.load.world import Ways, World

EVERY_S = 1.0
DEADLINES = 3
"""A join is stuck after so many join deadlines; a test holds this to the check's own."""
BEYOND_S = 1.0


class Patient:
    """Comes to one room after the other through one region."""

    def __init__(self, world: World, ways: Ways, region: str, rooms: tuple[str, ...]) -> None:
        self.world = world
        self.ways = ways
        self.region = region
        self.rooms = rooms
        self._rng = chance(world.seed, f"patient-{region}")

    async def run(self) -> None:
        """One a second until the load ends."""
        world, count = self.world, 0
        while await world.until(world.now_s() + EVERY_S * self._rng.uniform(0.5, 1.5)):
            count += 1
            room = self._rng.choice(self.rooms)
            # With the room, which one worker alone has: names are unique over workers.
            world.spawn(self._visit(f"w-{self.region}-{room}-{count}", room))

    async def _visit(self, user: str, room: str) -> None:
        bounds = self.world.bounds
        link: MeetingSession = self.ways.session(room, user, f"{user}.1", self.region)
        op = self.world.scribe.invoke("patient_join", user, link.session, room, self.region)
        if await ask_once(link, op, DEADLINES * bounds.join_s + BEYOND_S):
            try:
                async with asyncio.timeout(bounds.leave_s):
                    await link.leave()
            except (BackendError, TimeoutError):
                await link.cut()
