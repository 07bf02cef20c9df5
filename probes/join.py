"""Can somebody join a meeting?"""

from __future__ import annotations

from probes._flow import closing, door, measured, run


def join_once(
    stack: str | None = None, room: str = "probe", region: str | None = None, timeout_s: float = 5.0
) -> dict[str, object]:
    """One new user joins a room, once, and leaves again; answers ok, ms, node, and error if it did not work.

    `stack`: name, id or directory of a running stack; none: the stack of the run in progress.
    """

    async def flow() -> dict[str, object]:
        session = door(stack, "meetings").session(room, region)
        async with closing(session):
            return await measured(session.join(), timeout_s, session)

    return run(flow())
