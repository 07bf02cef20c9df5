"""A meeting room: who is in it, and what each message does. No I/O of its own, no waiting; the clock is given."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Message = dict[str, Any]

HISTORY = 512
"""Broadcasts kept for those who resume."""
NUMBERS_PER_LEASE = 1_000_000
"""Broadcast numbers go on growing when a room moves: fencing number x this, plus a count."""
TAKEN_OVER = 4001
"""Close code of a socket whose session, or user, has come in on another one."""


class Line(Protocol):
    """The far end of one participant's socket."""

    def tell(self, message: Message) -> None: ...
    def close(self, code: int, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings of a meeting node; times in seconds."""

    secret: str
    node: str
    capacity: int = 400
    """Participants that the node admits, over all its rooms."""
    window_s: float = 2.2
    """How long a session without a socket stays, and may be resumed."""
    silence_s: float = 2.2
    """A socket that says nothing for so long counts as gone."""
    retry_after_s: float = 0.5
    limits: Mapping[str, int] = field(default_factory=dict)
    """Rooms that admit only so many."""


@dataclass(slots=True)
class Member:
    """One session in the room."""

    session: str
    user: str
    line: Line | None
    seen: float
    gone_at: float = 0.0
    """When the socket went; counts while `line` is None."""
    heard: int = 0
    """Number of the last broadcast before the socket went."""


@dataclass(slots=True)
class Seat:
    """What one socket is in the room: nobody yet, or a member."""

    line: Line
    member: Member | None = None
    over: bool = False
    """The conversation ended by a leave."""


def sign(secret: str, text: str) -> str:
    """Hex HMAC-SHA256: the form of tokens (of a user) and of resume words (of session|room)."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


@dataclass(slots=True)
class Room:
    """The members of one room, in the order in which they came."""

    name: str
    number: int
    """Fencing number of the lease that this life of the room hangs on."""
    rules: Rules
    clock: Callable[[], float]
    counts: Counter[str]
    others: Callable[[], int]
    """Participants on the whole node."""
    members: dict[str, Member] = field(default_factory=dict)
    history: deque[tuple[int, Message]] = field(default_factory=lambda: deque(maxlen=HISTORY))
    opened: float = 0.0
    _ended: set[str] = field(default_factory=set)
    _said: int = 0

    def __post_init__(self) -> None:
        self.opened = self.clock()
        self._said = self.number * NUMBERS_PER_LEASE

    def hear(self, seat: Seat, message: Message) -> None:
        """Carry out one message of a client and answer it."""
        if seat.member is not None:
            seat.member.seen = self.clock()
        match message.get("t"):
            case "join":
                self._join(seat, message)
            case "resume":
                self._resume(seat, message)
            case "say" if seat.member is not None:
                self._say(seat, seat.member, message)
            case "roster":
                answer = {"t": "roster", "id": message.get("id"), "sessions": self.roster()}
                seat.line.tell({**answer, "node": self.rules.node})
            case "beat":
                seat.line.tell({"t": "beat"})
            case "leave":
                self.leave(seat, message)
            case other:
                seat.line.tell({"t": "refused", "id": message.get("id"), "reason": f"cannot {other!r} now"})

    def roster(self) -> list[str]:
        """The sessions in the room."""
        return sorted(self.members)

    def refusal(self, user: str) -> str:
        """Why a user with a good token may not come in now, or nothing."""
        present = any(member.user == user for member in self.members.values())
        limit = self.rules.limits.get(self.name)
        full = self.others() >= self.rules.capacity or (limit is not None and len(self.members) >= limit)
        return "full" if full and not present else ""

    def _join(self, seat: Seat, message: Message) -> None:
        user, session = str(message.get("user")), str(message.get("session"))
        known = self.members.get(session)
        good = hmac.compare_digest(sign(self.rules.secret, user), str(message.get("token")))
        if not good or (known is not None and known.user != user):
            return self._refuse(seat, message, "bad-token")
        if reason := self.refusal(user):
            return self._refuse(seat, message, reason)
        self.replace(user, session)
        self.counts["joins"] += 1
        if known is None:
            self._enter(seat, session, user)
            self._welcome(seat, message, session, resumed=False)
            self._tell_others(session, {"t": "arrived", "session": session})
        else:
            self._take(seat, known)
            self._welcome(seat, message, session, resumed=False)
        return None

    def _resume(self, seat: Seat, message: Message) -> None:
        user, session = str(message.get("user")), str(message.get("session"))
        known = self.comes_back(session)
        good = hmac.compare_digest(sign(self.rules.secret, f"{session}|{self.name}"), str(message.get("resume")))
        if not good or not (self._rebuilds(session, user) if known is None else known.user == user):
            return self._refuse(seat, message, "expired")
        self.counts["resumes"] += 1
        if known is None:
            self._enter(seat, session, user)
            self._welcome(seat, message, session, resumed=True)
            self._tell_others(session, {"t": "arrived", "session": session})
            return None
        last = self.heard_by(known, message.get("n"))
        self._take(seat, known)
        self._welcome(seat, message, session, resumed=True)
        for n, heard in self.history:
            if n > last:
                seat.line.tell(heard)
        return None

    def comes_back(self, session: str) -> Member | None:
        """The member that a resume asks for, if it is still here."""
        return self.members.get(session)

    def heard_by(self, member: Member, n: object) -> int:
        """Number of the last broadcast that needs no repeating: the client's word, else what its old socket took."""
        return n if isinstance(n, int) else member.heard if member.line is None else self._said

    def _rebuilds(self, session: str, user: str) -> bool:
        """Whether an unknown session may come from an earlier owner of the room, which this node took over."""
        fresh = self.clock() - self.opened <= self.rules.window_s + self.rules.silence_s
        taken = any(member.user == user for member in self.members.values())
        return fresh and not taken and session not in self._ended and self.others() < self.rules.capacity

    def _enter(self, seat: Seat, session: str, user: str) -> None:
        self._unseat(seat)
        seat.member = self.members[session] = Member(session, user, seat.line, self.clock(), heard=self._said)
        self._ended.discard(session)

    def _take(self, seat: Seat, member: Member) -> None:
        """Move a session onto this socket."""
        self._unseat(seat, unless=member)
        if member.line is not None and member.line is not seat.line:
            member.line.close(TAKEN_OVER, "session taken over")
        member.line, member.seen, seat.member = seat.line, self.clock(), member

    def _unseat(self, seat: Seat, unless: Member | None = None) -> None:
        """A socket that comes in as somebody else is no longer who it was."""
        if seat.member is not None and seat.member is not unless:
            self.remove(seat.member, "replaced")

    def replace(self, user: str, session: str) -> None:
        """A user is in the room once: his earlier sessions make room for this one."""
        for old in [m for m in self.members.values() if m.user == user and m.session != session]:
            line = old.line
            self.remove(old, "replaced")
            if line is not None:
                line.close(TAKEN_OVER, "replaced by another session")

    def _welcome(self, seat: Seat, message: Message, session: str, *, resumed: bool) -> None:
        seat.line.tell(
            {
                "t": "joined",
                "id": message.get("id"),
                "session": session,
                "node": self.rules.node,
                "roster": self.roster(),
                "resume": sign(self.rules.secret, f"{session}|{self.name}"),
                "window_s": self.rules.window_s,
                "resumed": resumed,
                "n": self._said,
            }
        )

    def _refuse(self, seat: Seat, message: Message, reason: str) -> None:
        self.counts["refusals"] += 1
        seat.line.tell(
            {
                "t": "refused",
                "id": message.get("id"),
                "reason": reason,
                "retry_after_s": self.rules.retry_after_s,
                "node": self.rules.node,
            }
        )

    def _say(self, seat: Seat, member: Member, message: Message) -> None:
        self._said += 1
        self.counts["broadcasts"] += 1
        heard = {"t": "heard", "from": member.session, "n": self._said, "text": message.get("text")}
        self.history.append((self._said, heard))
        self.spread(heard)
        seat.line.tell({"t": "said", "id": message.get("id"), "n": self._said})

    def spread(self, heard: Message) -> None:
        """Send a broadcast to everybody who is connected."""
        for line in self._lines():
            line.tell(heard)

    def leave(self, seat: Seat, message: Message) -> None:
        """Take the socket's member out and say so; leaving twice, or before joining, is fine."""
        self.counts["leaves"] += 1
        if seat.member is not None:
            self.remove(seat.member, "leave")
        seat.member, seat.over = None, True
        seat.line.tell({"t": "left", "id": message.get("id")})

    def detach(self, seat: Seat) -> None:
        """The socket is gone, without a leave: the member stays for the resume window."""
        member = seat.member
        if member is not None and member.line is seat.line:
            member.line, member.gone_at, member.heard = None, self.clock(), self._said
        seat.member = None

    def tick(self, now: float) -> None:
        """Cut silent sockets, and remove those whose window is over."""
        for member in tuple(self.members.values()):
            if member.line is not None and now - member.seen > self.rules.silence_s:
                member.line.close(4408, "silent")
                member.line, member.gone_at, member.heard = None, now, self._said
            elif member.line is None and now - member.gone_at > self.rules.window_s:
                self.expire(member)

    def credit(self, late_s: float) -> None:
        """The node itself was stopped or starved for a while: its clients were not silent, it was deaf."""
        for member in self.members.values():
            member.seen += late_s

    def expire(self, member: Member) -> None:
        """Remove a member that vanished and did not come back."""
        self.counts["timeouts"] += 1
        self.remove(member, "timeout")

    def remove(self, member: Member, why: str) -> None:
        """Take a member off the roster and tell the others."""
        if self.members.get(member.session) is member:
            del self.members[member.session]
            self._ended.add(member.session)
            self._tell_others(member.session, {"t": "gone", "session": member.session, "why": why})
        member.line = None

    def _tell_others(self, session: str, message: Message) -> None:
        for member in self.members.values():
            if member.line is not None and member.session != session:
                member.line.tell(message)

    def _lines(self) -> Iterable[Line]:
        return [member.line for member in self.members.values() if member.line is not None]


def parse(frame: str | bytes) -> Message | None:
    """A client's message, or None if it is not one."""
    try:
        message = json.loads(frame)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None
