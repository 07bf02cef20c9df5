"""Can somebody leave a meeting?"""

from __future__ import annotations

from probes._flow import closing, door, measured, reached, run


def leave_once(
    stack: str | None = None, room: str = "probe", region: str | None = None, timeout_s: float = 5.0
) -> dict[str, object]:
    """One new user joins a room and leaves it; answers ok and ms of the leave. Raises if the join fails."""

    async def flow() -> dict[str, object]:
        session = door(stack, "meetings").session(room, region)
        async with closing(session):
            await reached(session.join(), timeout_s, "the join before the leave")
            return await measured(session.leave(), timeout_s, session)

    return run(flow())
