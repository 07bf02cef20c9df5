"""Can somebody who left a meeting get in again?"""

from __future__ import annotations

import asyncio

from probes._flow import closing, door, fresh, measured, reached, run


def rejoin_once(
    stack: str | None = None,
    room: str = "probe",
    region: str | None = None,
    away_s: float = 0.5,
    timeout_s: float = 5.0,
) -> dict[str, object]:
    """One user joins, leaves, stays away for `away_s` and joins again; answers ok and ms of the second join.

    Raises if the first join or the leave fails: then there is no return to measure.
    """

    async def flow() -> dict[str, object]:
        entrance, user = door(stack, "meetings"), fresh("probe")
        first, second = entrance.session(room, region, user), entrance.session(room, region, user)
        async with closing(first, second):
            await reached(first.join(), timeout_s, "the first join")
            await reached(first.leave(), timeout_s, "the leave")
            await asyncio.sleep(away_s)
            return await measured(second.join(), timeout_s, second)

    return run(flow())
