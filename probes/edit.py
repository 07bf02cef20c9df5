"""Does a document take an edit?"""

from __future__ import annotations

from probes._flow import closing, door, fresh, measured, reached, run


def edit_once(
    stack: str | None = None, document: str = "probe", region: str | None = None, timeout_s: float = 5.0
) -> dict[str, object]:
    """One new editor opens a document and adds one token to it; answers ok and ms until the acknowledgement.

    Raises if the document does not open.
    """

    async def flow() -> dict[str, object]:
        session = door(stack, "documents").session(document, region)
        async with closing(session):
            await reached(session.open(), timeout_s, "opening the document")
            return await measured(session.edit(fresh("token")), timeout_s, session)

    return run(flow())
