"""How an observer ends: with the answers of the looks that it planned."""

from __future__ import annotations

import asyncio
from typing import Any

from chaos.load.observer import Looking
from chaos.load.plan import Watcher


class World:
    """As much of a load's world as a schedule of looks needs; its time is the loop's."""

    def __init__(self) -> None:
        self.start = asyncio.get_running_loop().time()

    def now_s(self) -> float:
        return asyncio.get_running_loop().time() - self.start

    def ns(self, at_s: float) -> int:
        return int(at_s * 1e9)

    def spawn(self, work: Any) -> asyncio.Task[None]:
        return asyncio.create_task(work)


class Slow(Looking):
    """Looks whose answers wait for a word."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.plan = Watcher("o", "room", "room-1", "east", 0.0, 0.01)
        self.word = asyncio.Event()
        self.asked = 0
        self.answered = 0

    async def look(self, at_ns: int) -> None:  # noqa: ARG002 - the schedule passes it
        self.asked += 1
        await self.word.wait()
        self.answered += 1


def test_the_end_waits_for_looks_under_way() -> None:
    """Every look that was begun has its answer before the observer goes, and none is begun after that."""

    async def story() -> None:
        watcher = Slow(World())
        looks = asyncio.create_task(watcher.looks())
        while watcher.asked < 3:  # noqa: ASYNC110 - a bound stands around it
            await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(watcher.word.set)
        await watcher.end_looks()
        await looks
        assert watcher.answered == watcher.asked >= 3

    asyncio.run(asyncio.wait_for(story(), 5))
