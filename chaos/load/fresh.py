"""Fresh reads: again and again somebody opens a document anew, through each entry at the same moment, and goes again.

Through its own entry it is one of the editors (a second tab), so that what it finds can be held against what that
editor's open copy has. Every other time the reader goes without a word, as a closed laptop does.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from chaos.backends.base import BackendError
from chaos.load.observer import LOOK_TIMEOUT_S, digest, splice

if TYPE_CHECKING:
    from chaos.load.editor import Editor
    from chaos.load.world import Ways, World

EVERY_S = 3.0


class FreshReader:
    """All fresh reads of one document, one round after the other."""

    def __init__(self, world: World, ways: Ways, document: str, editors: list[Editor], at_s: float) -> None:
        self.world = world
        self.ways = ways
        self.document = document
        self.editors = editors
        self._at_s = at_s
        self._round = 0
        self._before: dict[str, tuple[str, ...]] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self) -> None:
        """Read until the load ends."""
        at_s = self._at_s
        while await self.world.until(at_s):
            self._idle.clear()
            try:
                await self._read_all()
            finally:
                self._idle.set()
            at_s = max(at_s + EVERY_S, self.world.now_s())

    async def ended(self) -> None:
        """Return once the last round is over; the load has been told to end before."""
        await self._idle.wait()

    async def _read_all(self) -> None:
        self._round += 1
        editor = self.editors[self._round % len(self.editors)]
        owner = editor if editor.up.is_set() else None
        regions = self.ways.regions
        entries = [(region, region) for region in regions]
        if len(entries) == 1:
            entries.append((f"{regions[0]}, again", regions[0]))
        mine = next((entry for entry, region in entries if region == editor.region), entries[0][0])
        await asyncio.gather(
            *(self._read(entry, region, owner if entry == mine else None) for entry, region in entries)
        )

    async def _read(self, entry: str, region: str, owner: Editor | None) -> None:
        user = owner.user if owner else f"r-{self.document}-{region}"
        link = self.ways.session(self.document, user, f"{user}.r{self._round}", region)
        held = owner.link.tokens() if owner else ()
        value: dict[str, Any] = {"entry": entry, "round": self._round, "own": owner is not None}
        op = self.world.scribe.invoke("reread", user, link.session, self.document, region, value=value)
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                await link.open()
        except BackendError as error:
            op.gap(error.reason)
            return
        except TimeoutError:
            op.gap("timeout")
            return
        tokens = link.tokens()
        polite = self._round % 2 == 0
        await (link.close() if polite else link.cut())
        change = splice(self._before.get(entry, ()), tokens)
        self._before[entry] = tokens
        there = set(tokens)
        answer: dict[str, Any] = {"splice": list(change), "n": len(tokens), "sha": digest(tokens), "polite": polite}
        if owner is not None:
            answer |= {"held": len(held), "lacks": [token for token in held if token not in there]}
        op.obs(answer, link.node)
