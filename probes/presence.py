"""Does everybody in a room see everybody?"""

from __future__ import annotations

import asyncio
import time
from itertools import cycle, islice

from probes._flow import closing, door, fresh, reached, run, site_of


def roster_matches(
    stack: str | None = None, room: str | None = None, people: int = 3, timeout_s: float = 5.0
) -> dict[str, object]:
    """New users join one room, through every region in turn, and each looks once at the roster.

    The look comes when the stack's visibility bound has passed. Answers ok, ms (of the looks), and how many
    sessions were missing; in a room of its own (no `room` given) also how many were too many. Raises if a join fails.
    """

    async def flow() -> dict[str, object]:
        entrance, key = door(stack, "meetings"), room or fresh("probe")
        sessions = [entrance.session(key, region) for region in islice(cycle(entrance.regions), people)]
        async with closing(*sessions):
            for session in sessions:
                await reached(session.join(), timeout_s, "a join")
            await asyncio.sleep(site_of(stack).spec.bounds.visibility_s)
            began = time.perf_counter()
            async with asyncio.timeout(timeout_s):
                rosters = [set(await session.roster()) for session in sessions]
            ms = (time.perf_counter() - began) * 1000
        inside = {session.session for session in sessions}
        missing = sum(len(inside - roster) for roster in rosters)
        strange = 0 if room else sum(len(roster - inside) for roster in rosters)
        return {"ok": not missing and not strange, "ms": round(ms, 3), "missing": missing, "strange": strange}

    return run(flow())
