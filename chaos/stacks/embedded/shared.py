"""One document as its owner serves it: Yjs through pycrdt, stored first, then applied, shown and acknowledged."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from typing import Any, NamedTuple, Protocol

from pycrdt import Doc, TransactionEvent
from websockets.asyncio.server import ServerConnection

from chaos.stacks.embedded import hocuspocus as wire
from chaos.stacks.embedded.awareness import Awareness
from chaos.stacks.embedded.calls import Calls
from chaos.stacks.embedded.hocuspocus import Kind, Malformed, Reader, Sync
from chaos.stacks.embedded.leases import Denied
from chaos.stacks.embedded.serving import Background, push
from chaos.stacks.embedded.tenancy import Lease, Tenancy

IDLE_S = 5.0
"""A document that nobody has open is given back after this."""


class Owner(Protocol):
    """The node around a document."""

    tenancy: Tenancy
    calls: Calls
    counts: Counter[str]
    background: Background

    def drop(self, document: Document, why: str) -> None: ...


class Seat:
    """One client of one document: a socket may have several."""

    def __init__(self, connection: ServerConnection, address: str, document: Document) -> None:
        self.connection = connection
        self.address = address
        self.document = document
        self.clients: set[int] = set()

    def send(self, frame: bytes) -> None:
        """Send, if the document is still this node's at this very moment."""
        if self.document.holds():
            push(self.connection, frame)


class Edit(NamedTuple):
    """An update that awaits the store, and whom to answer; None: nobody."""

    seat: Seat | None
    update: bytes


class Document:
    """The copy of a document that its owner serves from: exactly what the store has, never more."""

    def __init__(self, name: str, lease: Lease, node: Owner, updates: list[bytes]) -> None:
        self.name = name
        self.lease = lease
        self.counts: Counter[str] = node.counts
        self.background: Background = node.background
        self.seats: set[Seat] = set()
        self.idle_since = time.monotonic()
        self._node = node
        self._awareness = Awareness()
        self._pending: deque[Edit] = deque()
        self._wake = asyncio.Event()
        self._doc: Doc[Any] = Doc()
        self._delta = b""
        self._subscription = self._doc.observe(self._changed)
        for update in updates:
            self._doc.apply_update(update)
        self._writer = self.background.add(self._write())

    def holds(self) -> bool:
        """Whether this node may speak for the document now."""
        return self._node.tenancy.holds(self.lease)

    def idle(self, now: float) -> bool:
        return not self.seats and not self._pending and now - self.idle_since > IDLE_S

    def end(self) -> None:
        """Stop writing; whatever was not acknowledged stays unacknowledged."""
        self._writer.cancel()

    def enter(self, seat: Seat) -> None:
        """Authenticate a client, and show it who is there."""
        self.seats.add(seat)
        seat.send(wire.authenticated(seat.address))
        if present := self._awareness.present():
            seat.send(wire.awareness(seat.address, self._awareness.encode(present)))

    def leave(self, seat: Seat) -> None:
        """A client is gone, by whatever end: so is its presence."""
        self.seats.discard(seat)
        self.idle_since = time.monotonic()
        self._tell_awareness(self._awareness.drop(seat.clients, time.monotonic()))

    def hear(self, seat: Seat, kind: int, reader: Reader) -> None:
        """Carry out one message of a client; Malformed if it is none."""
        match kind:
            case Kind.SYNC | Kind.SYNC_REPLY:
                self._sync(seat, reader.uint(), reader.bytes())
            case Kind.AWARENESS:
                changed = self._awareness.apply(reader.bytes(), time.monotonic())
                seat.clients |= changed
                self._tell_awareness(changed)
            case _:
                self.counts["ignored_frames"] += 1

    def _sync(self, seat: Seat, step: int, payload: bytes) -> None:
        if step == Sync.STEP1:
            try:
                missing = self.missing(seat, payload)
            except ValueError as error:
                raise Malformed(str(error)) from error
            seat.send(wire.sync(seat.address, Sync.STEP1, self._doc.get_state()))
            seat.send(wire.sync(seat.address, Sync.STEP2, missing))
        elif step in (Sync.STEP2, Sync.UPDATE):
            self._submit(Edit(seat, payload))
        else:
            raise Malformed(f"unknown sync step {step}")

    def missing(self, seat: Seat, vector: bytes) -> bytes:
        """What a client with this state vector lacks; ValueError if it is none."""
        del seat
        return self._doc.get_update(vector)

    def state(self) -> bytes:
        """The whole document as one update."""
        return self._doc.get_update()

    def _submit(self, edit: Edit) -> None:
        """Queue an update for the store, if it can be read at all: a bad one in the log would spoil it for ever."""
        try:
            Doc().apply_update(edit.update)
        except ValueError as error:
            raise Malformed(str(error)) from error
        if edit.update == wire.EMPTY_UPDATE:
            self.acknowledge(edit)
            return
        self._pending.append(edit)
        self._wake.set()

    async def _write(self) -> None:
        """Commit what is pending, in order, in batches: while one is under way the next gathers."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch = list(self._pending)
            try:
                await self.commit(batch)
            except Denied as reason:
                self._node.drop(self, str(reason))
                return
            for _ in batch:
                self._pending.popleft()

    async def commit(self, batch: list[Edit]) -> None:
        """Store durably, then apply, show and acknowledge. Denied: the document is another node's now."""
        await self.store(batch)
        if not self.holds():
            raise Denied("the lease lapsed meanwhile")
        self.show(batch)

    async def store(self, batch: list[Edit]) -> None:
        """Return once the updates are durable."""
        await self._node.calls.call(
            "append", key=self.lease.key, number=self.lease.number, updates=[edit.update for edit in batch]
        )

    def show(self, batch: list[Edit]) -> None:
        """Apply updates, show them to all, and acknowledge them."""
        self.counts["updates"] += len(batch)
        for edit in batch:
            self._delta = b""
            self._doc.apply_update(edit.update)
            if self._delta:
                for seat in self.seats:
                    seat.send(wire.sync(seat.address, Sync.UPDATE, self._delta))
            self.acknowledge(edit)

    def acknowledge(self, edit: Edit) -> None:
        """Tell the author that the update is safe."""
        if edit.seat is not None:
            edit.seat.send(wire.sync_status(edit.seat.address, saved=True))
            self.counts["acknowledged"] += 1

    def tick(self, now: float) -> None:
        """Forget clients whose presence was not renewed."""
        self._tell_awareness(self._awareness.drop(self._awareness.outdated(now), now))

    def _changed(self, event: TransactionEvent) -> None:
        self._delta = event.update

    def _tell_awareness(self, clients: set[int]) -> None:
        if clients:
            update = self._awareness.encode(clients)
            for seat in self.seats:
                seat.send(wire.awareness(seat.address, update))
