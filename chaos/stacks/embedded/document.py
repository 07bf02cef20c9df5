"""A document node: Yjs documents on Hocuspocus's wire at /docs/NAME, each owned under a lease of the store.

An update is stored durably first (fsynced, fenced by the lease's number), then applied, shown to all and
acknowledged: SyncStatus 1 means *durable* here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Response

from chaos.stacks.embedded import hocuspocus as wire
from chaos.stacks.embedded import mutants
from chaos.stacks.embedded.calls import Calls
from chaos.stacks.embedded.hocuspocus import Kind, Malformed, Reader
from chaos.stacks.embedded.leases import Denied
from chaos.stacks.embedded.serving import SERVICE_RESTART, Node, arguments, log, push, start, unavailable
from chaos.stacks.embedded.shared import Document, Seat
from chaos.stacks.embedded.tenancy import Tenancy

TICK_S = 0.25
LOAD_TIMEOUT_S = 2.0
EARLY_FRAMES = 1000
"""Frames kept for a document until its authentication comes."""


class DocumentNode(Node):
    """Owns documents, lets clients in, forgets everything when its leases lapse."""

    def __init__(self, options: Any) -> None:
        super().__init__("documents", options)
        self.calls = Calls(options.store)
        self.tenancy = Tenancy(self, "documents", self.calls, self._drop_all)
        self._type = mutants.select(options.mutant, "documents", Document)
        self._documents: dict[str, Document] = {}
        self._opening: dict[str, asyncio.Task[Document]] = {}

    async def run(self) -> None:
        """Serve until told to end."""
        renewing = asyncio.create_task(self.tenancy.run())
        ticking = asyncio.create_task(self._tick())
        await self.serve(self.handle, self.admit)
        renewing.cancel()
        ticking.cancel()

    async def goodbye(self) -> None:
        self._drop_all()
        await self.tenancy.end()

    def ready(self) -> bool:
        return self.tenancy.begun

    def owned(self) -> dict[str, Any]:
        return {"keys": sorted(name for name, document in self._documents.items() if document.holds())}

    def gauges(self) -> dict[str, float]:
        return {
            "documents": len(self._documents),
            "editors": sum(len(document.seats) for document in self._documents.values()),
            "lease_valid": float(self.tenancy.valid),
        }

    async def admit(self, connection: ServerConnection, kind: str, key: str) -> Response | None:
        """Own and load the document before the WebSocket opens, so that a refusal is an HTTP answer and quick."""
        if kind != "docs" or not key:
            return connection.respond(404, "not found\n")
        try:
            await self.open(key)
        except (Denied, TimeoutError) as reason:
            self.counts["not_mine"] += 1
            return unavailable(connection, f"cannot own {key}: {reason or 'the store does not answer'}")
        return None

    async def open(self, name: str) -> Document:
        """The document, owned and loaded; Denied if another node owns it, TimeoutError if the store is silent."""
        document = self._documents.get(name)
        if document is not None and document.holds():
            document.idle_since = time.monotonic()
            return document
        if name not in self._opening:
            task = asyncio.create_task(self._open(name))
            task.add_done_callback(lambda _: self._opening.pop(name, None))
            self._opening[name] = task
        return await asyncio.shield(self._opening[name])

    async def _open(self, name: str) -> Document:
        lease = await self.tenancy.claim(f"doc:{name}")
        updates = await self.calls.call("load", LOAD_TIMEOUT_S, key=lease.key, number=lease.number)
        if not self.tenancy.holds(lease):
            raise Denied("the lease lapsed meanwhile")
        log(f"owns document {name} under {lease.number}, {len(updates)} updates")
        self._documents[name] = document = self._type(name, lease, self, updates)
        return document

    async def handle(self, connection: ServerConnection) -> None:
        """Carry one socket's frames to the documents that they name."""
        seats: dict[str, Seat] = {}
        early: dict[str, list[bytes]] = {}
        try:
            async for frame in connection:
                await self._hear(connection, seats, early, frame if isinstance(frame, bytes) else frame.encode())
        except (Malformed, UnicodeDecodeError) as error:
            log(f"bad frame: {error}")
            await connection.close(4205, "Reset Connection")
        except (Denied, TimeoutError) as error:
            await connection.close(SERVICE_RESTART, f"try again: {error}"[:100])
        finally:
            for seat in seats.values():
                seat.document.leave(seat)

    async def _hear(
        self, connection: ServerConnection, seats: dict[str, Seat], early: dict[str, list[bytes]], frame: bytes
    ) -> None:
        if len(frame) == 1:
            if frame[0] == Kind.PING:
                push(connection, bytes((Kind.PONG,)))
            return
        reader = Reader(frame)
        address, kind = reader.text(), reader.uint()
        seat = seats.get(address)
        if seat is not None:
            if not seat.document.holds():
                raise Denied("the document has moved")
            if kind == Kind.CLOSE:
                seat.send(wire.close(address, "provider_initiated"))
                seats.pop(address).document.leave(seat)
            else:
                seat.document.hear(seat, kind, reader)
        elif kind != Kind.AUTH:
            early.setdefault(address, []).append(frame)
            if sum(map(len, early.values())) > EARLY_FRAMES:
                raise Malformed("too much before the authentication")
        else:
            document = await self.open(address.partition("\0")[0])
            seats[address] = Seat(connection, address, document)
            document.enter(seats[address])
            for waiting in early.pop(address, ()):
                await self._hear(connection, seats, early, waiting)

    def drop(self, document: Document, why: str) -> None:
        """Stop serving a document, and send its clients away."""
        log(f"drops document {document.name}: {why}")
        document.end()
        if self._documents.get(document.name) is document:
            del self._documents[document.name]
        self.tenancy.release(document.lease)
        for seat in document.seats:
            self.background.close(seat.connection, SERVICE_RESTART, "the document has moved")

    def _drop_all(self) -> None:
        """The leases are lost: forget the documents, send everybody away."""
        for document in tuple(self._documents.values()):
            self.drop(document, "leases lapsed")

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            for document in tuple(self._documents.values()):
                document.tick(now)
                if document.idle(now):
                    self.drop(document, "idle")


async def main() -> None:
    """Start a document node."""
    parser = arguments("document")
    parser.add_argument("--store", required=True, help="ws://HOST:PORT of the store")
    parser.add_argument("--mutant", default="")
    with contextlib.suppress(asyncio.CancelledError):
        await DocumentNode(parser.parse_args()).run()


if __name__ == "__main__":
    start(main)
