"""The crowd: starts everybody of a plan at their time, and ends the load."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from chaos.load.crush import Crush
from chaos.load.editor import Editor
from chaos.load.ending import DocumentEnd, end_rooms
from chaos.load.fresh import EVERY_S, FreshReader
from chaos.load.hold import Hold
from chaos.load.observer import DocumentWatcher, RoomWatcher
from chaos.load.participant import Rooms
from chaos.load.patient import Patient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.load.editor import Client
    from chaos.load.plan import Plan
    from chaos.load.world import World


class Crowd:
    """Everybody of one load."""

    def __init__(self, world: World, plan: Plan) -> None:
        self.world = world
        self.plan = plan
        meetings, documents = world.meetings, world.documents
        self.rooms = Rooms(world, meetings) if meetings else None
        self.people = plan.people if meetings else ()
        self.editors = [Editor(world, documents, editor) for editor in plan.editors] if documents else []
        self.room_watchers: list[RoomWatcher] = []
        self.document_watchers: list[DocumentWatcher] = []
        for watcher in plan.watchers:
            if watcher.kind == "room" and meetings:
                self.room_watchers.append(RoomWatcher(world, meetings, watcher))
            elif watcher.kind == "document" and documents:
                self.document_watchers.append(DocumentWatcher(world, documents, watcher))
        if self.rooms is not None:
            self.rooms.look = self._look
        self.crushes = [Crush(world, meetings, one.room, one.limit) for one in plan.limited] if meetings else []
        self.patients = list(self._patients())
        self.fresh = dict(self._fresh())
        self._doors()

    def _patients(self) -> Iterator[Patient]:
        rooms = tuple(dict.fromkeys(watcher.plan.key for watcher in self.room_watchers))
        if rooms and self.world.meetings and self.world.load.participants:
            for region in self.world.meetings.regions:
                yield Patient(self.world, self.world.meetings, region, rooms)

    def _fresh(self) -> Iterator[tuple[str, FreshReader]]:
        documents = sorted({editor.document for editor in self.editors})
        for number, document in enumerate(documents):
            editors = [editor for editor in self.editors if editor.document == document]
            at_s = EVERY_S * (1 + number / len(documents))
            yield document, FreshReader(self.world, editors[0].ways, document, editors, at_s)

    def _doors(self) -> None:
        """Who may hold a copy of a document waits for a fresh reader after a crash."""
        doors: dict[str, Hold] = {}
        clients: list[Client] = [*self.editors, *self.document_watchers]
        for client in clients:
            if client.document not in doors:
                doors[client.document] = Hold(self.world, client.ways, client.document)
            doors[client.document].add(client)

    def begin(self, at_ns: int) -> None:
        """Start the plan's clock, which is 0 at this moment of the monotonic clock, and let them come."""
        world = self.world
        world.begin(at_ns)
        self._arrivals(self.plan.horizon_s)
        for work in (
            *(watcher.run() for watcher in self.room_watchers),
            *(watcher.run() for watcher in self.document_watchers),
            *(crush.run() for crush in self.crushes),
            *(patient.run() for patient in self.patients),
            *(editor.run() for editor in self.editors),
            *(reader.run() for reader in self.fresh.values()),
        ):
            world.spawn(work)
        if self.rooms is not None:
            world.spawn(self._arrive())

    def _look(self, room: str) -> None:
        for watcher in self.room_watchers:
            if watcher.plan.key == room and not watcher.done:
                watcher.look_now()

    def _arrivals(self, until_s: float) -> None:
        # Twins are not counted: whether one comes at its planned moment is up to the user it is paired with.
        planned = sum(person.visits[0].at_s < until_s and not person.twin_of for person in self.people)
        planned += sum(editor.plan.at_s < until_s for editor in self.editors)
        value = {"planned": planned, "start_ns": self.world.start_ns, "until_ns": self.world.ns(until_s)}
        self.world.scribe.fact("arrivals", t_ns=max(self.world.start_ns, time.monotonic_ns()), value=value)

    async def _arrive(self) -> None:
        if self.rooms is None:
            return
        for person in self.people:
            if not await self.world.until(person.visits[0].at_s):
                return
            self.rooms.start(person)

    async def finish(self) -> None:
        """End the load in order; bounded by the stack's bounds."""
        world = self.world
        world.stop()
        # What was planned beyond this moment was never due.
        self._arrivals(min(self.plan.horizon_s, world.stopped_s or 0.0))
        ends = []
        if self.rooms is not None:
            observers = [*self.room_watchers, *(crush.watcher for crush in self.crushes)]
            ends.append(end_rooms(world, self.rooms, observers))
        if world.documents is not None:
            for document in sorted({editor.document for editor in self.editors}):
                editors = [editor for editor in self.editors if editor.document == document]
                watchers = [watcher for watcher in self.document_watchers if watcher.document == document]
                ends.append(
                    DocumentEnd(world, world.documents, document, editors, watchers, self.fresh[document]).run()
                )
        await asyncio.gather(*ends)

    def live(self) -> dict[str, int]:
        """How many are there now."""
        inside = sum(person.inside for person in self.rooms.live) if self.rooms else 0
        editing = sum(editor.up.is_set() for editor in self.editors)
        return {"participants": inside, "editors": editing, "offline": sum(editor.away for editor in self.editors)}
