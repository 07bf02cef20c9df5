"""Do the views of a document become equal?"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from probes._flow import closing, door, fresh, reached, run

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOK_S = 0.02
"""How often the local copies are compared; nothing is sent for it."""


def views_equal(
    stack: str | None = None, document: str | None = None, editors: int = 2, timeout_s: float = 5.0
) -> dict[str, object]:
    """Editors open one document, through every region in turn, and add a token each; then their copies are compared.

    Answers ok (every copy is the same and has every token within `timeout_s` of the last acknowledgement) and the ms
    it took. Raises if the document does not open or an edit is not acknowledged.
    """

    async def flow() -> dict[str, object]:
        entrance, key = door(stack, "documents"), document or fresh("probe")
        count = max(editors, len(entrance.regions), 2)
        regions = [entrance.regions[index % len(entrance.regions)] for index in range(count)]
        sessions = [entrance.session(key, region) for region in regions]
        tokens = {fresh("token") for _ in sessions}
        async with closing(*sessions):
            for session in sessions:
                await reached(session.open(), timeout_s, "opening the document")
            for session, token in zip(sessions, tokens, strict=True):
                await reached(session.edit(token), timeout_s, "an edit")
            return await _compared(sessions, tokens, timeout_s)

    return run(flow())


async def _compared(sessions: Sequence[Any], tokens: set[str], timeout_s: float) -> dict[str, object]:
    began = time.perf_counter()
    while True:
        views = {tuple(session.tokens()) for session in sessions}
        equal = len(views) == 1 and tokens <= set(next(iter(views)))
        passed = time.perf_counter() - began
        if equal or passed >= timeout_s:
            return {"ok": equal, "ms": round(passed * 1000, 3), "views": len(views)}
        await asyncio.sleep(LOOK_S)
