"""Whoever looks for a room or a document waits for a vote of all nodes, and so for the slowest, wherever it is."""

from __future__ import annotations

import asyncio
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from chaos.stacks.embedded.store import Call, Store

SERVICE = "store"
SHOWN_BY = "region_slowdown"
CAUGHT_BY = "M12"
ROUNDS = 8
PATIENCE_S = 0.2
"""A node that does not answer is waited for no longer than this in each round."""


def mutate(base: type[Store]) -> type[Store]:
    """Let every node vote, in eight rounds, before each answer to a gateway."""

    class Entangled(base):  # type: ignore[valid-type,misc]
        def __init__(self, options: Any) -> None:
            super().__init__(options)
            self._open: set[ServerConnection] = set()

        async def handle(self, connection: ServerConnection) -> None:
            self._open.add(connection)
            try:
                await super().handle(connection)
            finally:
                self._open.discard(connection)

        def answer(self, connection: ServerConnection, call: Call, answer: Call) -> None:
            if call["do"] == "locate":
                self.background.add(self._later(connection, call, answer))
            else:
                super().answer(connection, call, answer)

        async def _later(self, connection: ServerConnection, call: Call, answer: Call) -> None:
            for _ in range(ROUNDS):
                await asyncio.wait([asyncio.create_task(_vote(one)) for one in self._open], timeout=PATIENCE_S)
            super().answer(connection, call, answer)

    return Entangled


async def _vote(connection: ServerConnection) -> None:
    try:
        await (await connection.ping())
    except ConnectionClosed:
        return
