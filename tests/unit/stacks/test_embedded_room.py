"""Rooms without sockets or time: what each message does, and what each mutant of a room does wrong."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from chaos.stacks.embedded import mutants
from chaos.stacks.embedded.leases import Leases
from chaos.stacks.embedded.room import Message, Room, Rules, Seat, parse, sign
from chaos.stacks.embedded.store import Store

RULES = Rules(secret="s", node="meet-1", capacity=3, window_s=2.0, silence_s=2.0)


class Line:
    """A socket that remembers."""

    def __init__(self) -> None:
        self.told: list[Message] = []
        self.closed: list[int] = []

    def tell(self, message: Message) -> None:
        self.told.append(message)

    def close(self, code: int, reason: str) -> None:
        assert reason
        self.closed.append(code)


class Hall:
    """A room with a clock, and seats to speak from."""

    def __init__(self, kind: type[Room] = Room, number: int = 7) -> None:
        self.now = 100.0
        self.room = kind("r", number, RULES, lambda: self.now, Counter(), lambda: len(self.room.members))

    def seat(self) -> tuple[Seat, Line]:
        line = Line()
        return Seat(line), line

    def join(self, session: str, user: str = "") -> tuple[Seat, Line]:
        seat, line = self.seat()
        self.say(seat, t="join", user=user or session, session=session, token=sign("s", user or session))
        return seat, line

    def say(self, seat: Seat, **message: Any) -> None:
        self.room.hear(seat, {"id": 1, **message})

    def resume(self, session: str, **more: Any) -> Line:
        seat, line = self.seat()
        self.say(seat, t="resume", user=session, session=session, resume=sign("s", f"{session}|r"), **more)
        return line


def test_silence_costs_the_socket_then_the_place() -> None:
    """A silent socket is closed after the silence, its session removed after the window; a beat prevents both."""
    hall = Hall()
    quiet, line = hall.join("a")
    beating, _ = hall.join("b")
    for _ in range(6):
        hall.now += 1.0
        hall.say(beating, t="beat")
        hall.room.tick(hall.now)
    assert line.closed == [4408]
    assert hall.room.roster() == ["b"]
    assert quiet.member is not None
    assert quiet.member.line is None


def test_stall_of_the_node_is_not_the_clients_silence() -> None:
    """Time that the node itself lost is credited to its clients."""
    hall = Hall()
    _, line = hall.join("a")
    hall.now += 3.0
    hall.room.credit(3.0)
    hall.room.tick(hall.now)
    assert line.closed == []


def test_resume_replays_what_was_missed_once() -> None:
    """A resumed session gets each broadcast since its cut; its own word about what it has goes first."""
    hall = Hall()
    speaker, _ = hall.join("a")
    cut, _ = hall.join("b")
    hall.say(speaker, t="say", text="1")
    hall.room.detach(cut)
    hall.say(speaker, t="say", text="2")
    assert _texts(hall.resume("b")) == ["2"]
    assert _texts(hall.resume("b")) == []
    first = 7 * 1_000_000 + 1
    assert _texts(hall.resume("b", n=first - 1)) == ["1", "2"]


def test_surviving_node_rebuilds_a_roster_from_resumes() -> None:
    """A fresh owner takes unknown sessions with a good resume word for a while; never one that ended here."""
    hall = Hall()
    assert hall.resume("a").told[0]["resumed"] is True
    seat, _ = hall.join("b")
    hall.say(seat, t="leave")
    assert hall.resume("b").told[0]["reason"] == "expired"
    hall.now += 4.1
    assert hall.resume("c").told[0]["reason"] == "expired"
    forged, line = hall.seat()
    hall.say(forged, t="resume", user="a", session="a", resume="0")
    assert line.told[0]["reason"] == "expired"


def test_capacity_counts_participants_not_attempts() -> None:
    """The fourth participant is refused, a present user's new session is not."""
    hall = Hall()
    for name in "abc":
        hall.join(name)
    assert hall.join("d")[1].told[0]["reason"] == "full"
    assert hall.join("a2", "a")[1].told[0]["t"] == "joined"
    assert hall.room.roster() == ["a2", "b", "c"]


def test_socket_that_joins_as_somebody_else_is_no_longer_who_it_was() -> None:
    """One socket holds one session at a time."""
    hall = Hall()
    seat, line = hall.join("a")
    hall.say(seat, t="join", user="b", session="b", token=sign("s", "b"))
    assert hall.room.roster() == ["b"]
    assert line.told[-1]["roster"] == ["b"]


def test_messages_out_of_place_are_refused() -> None:
    """Speaking before joining is refused, leaving before joining is answered, rubbish is recognised."""
    hall = Hall()
    seat, line = hall.seat()
    hall.say(seat, t="say", text="x")
    hall.say(seat, t="dance")
    hall.say(seat, t="leave")
    assert [message["t"] for message in line.told] == ["refused", "refused", "left"]
    assert parse("{") is None
    assert parse("[]") is None


def test_old_socket_of_a_taken_over_session_changes_nothing() -> None:
    """When the socket that was replaced ends at last, the session stays with the new one."""
    hall = Hall()
    old, old_line = hall.join("a")
    new, _ = hall.join("a")
    assert old_line.closed == [4001]
    hall.room.detach(old)
    assert new.member is not None
    assert new.member.line is not None


def test_ghost_mutant_never_cleans_up() -> None:
    """With `ghost` a vanished participant stays; with a clean leave it goes."""
    hall = Hall(mutants.select("ghost", "meetings", Room))
    gone, _ = hall.join("a")
    left, _ = hall.join("b")
    hall.room.detach(gone)
    hall.say(left, t="leave")
    hall.now += 60
    hall.room.tick(hall.now)
    assert hall.room.roster() == ["a"]


def test_reentry_mutant_refuses_who_left() -> None:
    """With `reentry` a user who left is refused with "already-in", a fresh one is not."""
    hall = Hall(mutants.select("reentry", "meetings", Room))
    seat, _ = hall.join("a.1", "a")
    hall.say(seat, t="leave")
    assert hall.join("a.2", "a")[1].told[0]["reason"] == "already-in"
    assert hall.join("b.1", "b")[1].told[0]["t"] == "joined"


def test_stuck_leave_mutant_loses_leaves_of_about_half_of_the_users() -> None:
    """With `stuck-leave` some users are never answered, others are."""
    stuck = 0
    for number in range(40):
        hall = Hall(mutants.select("stuck-leave", "meetings", Room))
        seat, line = hall.join(f"u{number}")
        hall.say(seat, t="leave")
        stuck += line.told[-1]["t"] != "left"
    assert 10 <= stuck <= 30


def test_unlisted_mutant_hides_a_part() -> None:
    """With `unlisted` the roster shows some of those who are in, not all, and not none."""
    hall = Hall(mutants.select("unlisted", "meetings", Room))
    hall.room.rules = Rules(secret="s", node="meet-1", capacity=100)
    for number in range(40):
        hall.join(f"u{number}")
    assert 20 <= len(hall.room.roster()) <= 38


@pytest.mark.parametrize(
    ("mutant", "heard"),
    [
        ("lost-message", ["1", "2", "3", "5"]),
        ("double-message", ["1", "2", "3", "4", "4", "5"]),
        ("swapped-messages", ["2", "1", "4", "3", "5"]),
    ],
)
def test_message_mutants_break_what_is_heard(mutant: str, heard: list[str]) -> None:
    """Five messages that are all acknowledged arrive with one lost, doubled, or out of order."""
    hall = Hall(mutants.select(mutant, "meetings", Room))
    speaker, line = hall.join("a")
    for text in "12345":
        hall.say(speaker, t="say", text=text)
    hall.room.tick(hall.now)
    assert _texts(line) == heard
    assert [message["t"] for message in line.told].count("said") == 5


@pytest.mark.parametrize(("mutant", "listed"), [("", ["a", "b"]), ("overfull", ["a", "b", "c"])])
def test_a_room_with_a_limit_is_full_without_the_mutant(mutant: str, listed: list[str]) -> None:
    """The third of a room for two is refused; with `overfull` it is not."""
    hall = Hall()
    rules = Rules(secret="s", node="meet-1", capacity=9, limits={"r": 2})
    kind = mutants.select(mutant, "meetings", Room)
    hall.room = kind("r", 7, rules, lambda: hall.now, Counter(), lambda: len(hall.room.members))
    for name in "abc":
        hall.join(name)
    assert hall.room.roster() == listed


def test_stale_roster_mutant_freezes_the_view_of_who_resumed() -> None:
    """With `stale-roster` a resumed session does not see who came while it was away; the others do."""
    hall = Hall(mutants.select("stale-roster", "meetings", Room))
    cut, _ = hall.join("a")
    other, other_line = hall.join("b")
    hall.room.detach(cut)
    seat, line = hall.seat()
    hall.say(seat, t="resume", user="a", session="a", resume=sign("s", "a|r"))
    hall.join("c")
    hall.say(seat, t="roster")
    hall.say(other, t="roster")
    assert line.told[-1]["sessions"] == ["a", "b"]
    assert other_line.told[-1]["sessions"] == ["a", "b", "c"]


def test_flap_mutant_takes_who_is_cut_off_the_roster() -> None:
    """With `flap` a cut session is gone at once, and is back after its resume."""
    hall = Hall(mutants.select("flap", "meetings", Room))
    cut, _ = hall.join("a")
    hall.room.detach(cut)
    assert hall.room.roster() == []
    assert hall.resume("a").told[0]["resumed"] is True
    assert hall.room.roster() == ["a"]


def test_lost_at_resume_mutant_replays_nothing() -> None:
    """With `lost-at-resume` what was said during the cut does not come after it."""
    hall = Hall(mutants.select("lost-at-resume", "meetings", Room))
    speaker, _ = hall.join("a")
    cut, _ = hall.join("b")
    hall.room.detach(cut)
    hall.say(speaker, t="say", text="1")
    assert _texts(hall.resume("b", n=0)) == []


def test_double_mutant_lists_a_user_twice_for_a_while() -> None:
    """With `double` a user's earlier session stays beside the new one, longer than the window but not for ever."""
    hall = Hall(mutants.select("double", "meetings", Room))
    old, _ = hall.join("a.1", "a")
    hall.room.detach(old)
    hall.join("a.2", "a")
    hall.now += 3
    hall.room.members["a.2"].seen = hall.now
    hall.room.tick(hall.now)
    assert hall.room.roster() == ["a.1", "a.2"]
    hall.now += 2
    hall.room.members["a.2"].seen = hall.now
    hall.room.tick(hall.now)
    assert hall.room.roster() == ["a.2"]


def test_room_ended_mutant_closes_the_room_once() -> None:
    """With `room-ended` everybody is sent away after a while; who comes later stays."""
    hall = Hall(mutants.select("room-ended", "meetings", Room))
    seat, line = hall.join("a")
    hall.now += 13
    hall.say(seat, t="beat")
    hall.room.tick(hall.now)
    assert (line.closed, hall.room.roster()) == ([4000], [])
    hall.join("b")
    hall.room.tick(hall.now)
    assert hall.room.roster() == ["b"]


def test_unknown_mutant_ends_the_process(capsys: pytest.CaptureFixture[str]) -> None:
    """A mutant that does not exist is an error with exit code 2 that names those that do."""
    with pytest.raises(SystemExit) as ended:
        mutants.select("gost", "meetings", Room)
    assert ended.value.code == 2
    assert f"known: {', '.join(mutants.names())}" in capsys.readouterr().err


def test_stuck_join_mutant_leaves_each_user_waiting_once_at_most() -> None:
    """With `stuck-join` a wish to join is now and then not answered; the same user's next one is."""
    hall = Hall(mutants.select("stuck-join", "meetings", Room))
    answers = [len(hall.join(f"u{number}")[1].told) for number in range(8)]
    assert answers.count(0) == 2
    unanswered = f"u{answers.index(0)}"
    assert all(hall.join(f"{unanswered}.{number}", unanswered)[1].told for number in range(8))


def test_one_mutant_spoils_one_class_of_the_store() -> None:
    """Both classes that the store's process is made of can be spoilt, each by a mutant of its own."""
    assert mutants.select("two-owners", "leases", Leases) is not Leases
    assert mutants.select("two-owners", "store", Store) is Store
    assert mutants.select("shared-fate", "store", Store) is not Store
    assert mutants.select("shared-fate", "leases", Leases) is Leases


def test_mutant_of_another_service_changes_nothing() -> None:
    """No mutant, or one of another service, leaves the class as it is."""
    assert mutants.select("", "meetings", Room) is Room
    assert mutants.select("lost-edit", "meetings", Room) is Room


def _texts(line: Line) -> list[str]:
    return [message["text"] for message in line.told if message["t"] == "heard"]
