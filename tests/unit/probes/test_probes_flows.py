"""Active probes: one real flow each, against a stand-in server in this process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import chaos.engine.session as sessions
import chaos.runtimes.process as runtime
from chaos.backends.base import Backend, Entry, Refused
from chaos.errors import UsageError
from chaos.model.stack import Bounds, NodeSpec, ServiceSpec, Site, StackSpec
from probes import _flow, converge, edit, join, leave, presence, rejoin


class Server:
    """Rooms and documents in memory, with defects that can be switched on."""

    def __init__(self) -> None:
        self.rooms: dict[str, list[str]] = {}
        self.documents: dict[str, list[str]] = {}
        self.users: set[str] = set()
        self.left: list[str] = []
        self.entries: list[Entry] = []
        self.refuse_reentry = self.blind = self.silent = self.split = False


class Meeting:
    """A participant's session."""

    def __init__(self, server: Server, entry: Entry) -> None:
        self.server, self.session, self.key, self.user, self.node = server, entry.session, entry.key, entry.user, ""
        server.entries.append(entry)

    async def join(self) -> None:
        if self.server.silent:
            await asyncio.Event().wait()
        if self.server.refuse_reentry and self.user in self.server.users:
            raise Refused("already-in", node="n1")
        self.server.users.add(self.user)
        self.server.rooms.setdefault(self.key, []).append(self.session)
        self.node = "n1"

    async def roster(self) -> tuple[str, ...]:
        inside = self.server.rooms[self.key]
        return tuple(inside[:1] if self.server.blind else inside)

    async def leave(self) -> None:
        self.server.rooms[self.key].remove(self.session)
        self.server.left.append(self.session)

    async def cut(self) -> None:
        return


class Document:
    """An editor's session."""

    def __init__(self, server: Server, entry: Entry) -> None:
        self.server, self.key, self.region, self.node = server, entry.key, entry.region, "n2"
        server.entries.append(entry)

    @property
    def _tokens(self) -> list[str]:
        return self.server.documents.setdefault(self.key + (self.region if self.server.split else ""), [])

    async def open(self) -> None:
        if self.server.silent:
            await asyncio.Event().wait()

    async def edit(self, token: str) -> None:
        self._tokens.append(token)

    def tokens(self) -> tuple[str, ...]:
        return tuple(self._tokens)

    async def close(self) -> None:
        self.server.left.append(self.key)

    async def cut(self) -> None:
        return


REGIONS = ("east", "north")
SITE = Site(
    spec=StackSpec(
        stack="here",
        bounds=Bounds(visibility_s=0.01),
        services={
            "store": ServiceSpec(role="store", nodes=(NodeSpec(name="store"),)),
            "m": ServiceSpec(role="meetings", backend="m", secret="s", urls={r: f"ws://{r}/{{key}}" for r in REGIONS}),
            "d": ServiceSpec(role="documents", backend="d", urls={r: f"ws://{r}/{{key}}" for r in REGIONS}),
        },
    )
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()

    def backends() -> dict[str, Any]:
        parts = {"m": (Meeting, "meetings"), "d": (Document, "documents")}
        return {
            name: Backend(name, serves, "durable", "", lambda entry, kind=kind: kind(made, entry))
            for name, (kind, serves) in parts.items()
        }

    class Stack:
        site = SITE

    class Run:
        stack = Stack()

    monkeypatch.setattr(_flow, "registry", backends)
    monkeypatch.setattr(sessions, "current", Run)
    return made


def test_a_join_is_measured_and_leaves_nothing_behind(server: Server) -> None:
    """The user comes in through the region asked for, and is gone afterwards."""
    answer = join.join_once(room="hall", region="north")
    assert answer.pop("ms") >= 0
    assert answer == {"ok": True, "node": "n1"}
    assert server.entries[0].region == "north"
    assert server.rooms["hall"] == []


def test_a_refusal_and_a_silence_are_findings(server: Server) -> None:
    """The probe answers `ok: false` with the reason, within its time."""
    server.silent = True
    answer = join.join_once(timeout_s=0.02)
    assert (answer["ok"], answer["error"]) == (False, "no answer within 0.02 s")
    server.silent, server.refuse_reentry = False, True
    answer = rejoin.rejoin_once(away_s=0)
    assert (answer["ok"], answer["error"]) == (False, "refused: already-in")


def test_a_rejoin_is_the_same_user_with_a_new_session(server: Server) -> None:
    """That is what a server may confuse."""
    assert rejoin.rejoin_once(away_s=0)["ok"]
    first, second = server.entries
    assert first.user == second.user
    assert first.session != second.session


def test_a_leave_is_measured(server: Server) -> None:
    """Joined first, then left."""
    assert leave.leave_once(room="hall")["ok"]
    assert server.rooms["hall"] == []


@pytest.mark.parametrize("probe", [leave.leave_once, rejoin.rejoin_once, edit.edit_once, presence.roster_matches,
                                   converge.views_equal])  # fmt: skip
def test_what_cannot_be_reached_is_no_measurement(server: Server, probe: Any) -> None:
    """If the step before the measured one fails, the probe raises."""
    server.silent = True
    with pytest.raises(_flow.ProbeFailed, match="nothing to measure"):
        probe(timeout_s=0.02)


def test_an_edit_is_acknowledged(server: Server) -> None:
    """One token of its own, once."""
    assert edit.edit_once(document="notes")["ok"]
    assert len(server.documents["notes"]) == 1


def test_rosters_are_compared(server: Server) -> None:
    """Everybody must see everybody; in a room of its own nobody else may be there."""
    assert presence.roster_matches()["ok"]
    assert {entry.region for entry in server.entries} == set(REGIONS)
    server.blind = True
    answer = presence.roster_matches(people=3)
    assert (answer["ok"], answer["missing"], answer["strange"]) == (False, 6, 0)
    server.blind = False
    server.rooms["hall"] = ["somebody"]
    assert presence.roster_matches(room="hall")["ok"]


def test_views_of_a_document_are_compared(server: Server) -> None:
    """Equal copies with every token pass; a document that is split over regions does not, within the time given."""
    assert converge.views_equal(timeout_s=1)["ok"]
    server.split = True
    answer = converge.views_equal(timeout_s=0.05)
    assert (answer["ok"], answer["views"]) == (False, 2)


def test_a_stack_is_found_by_its_directory_or_name(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory of a running stack, its site file, or what the runtime calls it."""
    (tmp_path / "site.json").write_text(SITE.model_dump_json())
    assert _flow.site_of(str(tmp_path)) == SITE
    assert _flow.site_of(str(tmp_path / "site.json")) == SITE

    class Attached:
        site = SITE

    monkeypatch.setattr(runtime, "attach_stack", lambda name: Attached if name == "here" else None)
    assert _flow.site_of("here") == SITE


def test_a_door_that_is_not_there_is_a_usage_error(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown region, and a stack without the service."""
    with pytest.raises(UsageError) as caught:
        join.join_once(region="west")
    assert caught.value.hint == "there is east, north"
    with pytest.raises(UsageError, match="no service that users reach with role: store"):
        _flow.door(None, "store")
