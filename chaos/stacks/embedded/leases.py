"""Who owns which room or document: sessions of nodes, leases on keys, fencing numbers. Pure state, clock given.

A lease lives as long as its node's session, which the node renews. Every grant carries a number from one
counter that only grows (also over restarts: grants are written to the log before they are told), so the
store can refuse a write of an owner that lost its lease without noticing; see M. Kleppmann, "How to do
distributed locking" (2016), and the sequencers of M. Burrows, "The Chubby lock service" (OSDI 2006).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

TTL = 2.0
"""Seconds that a node may act on a lease after it SENT the renewal that was granted."""
RENEW_EVERY = 0.4
GRACE = 0.2
"""The store counts from receipt, and this much longer than the node: their clocks need not agree."""

Record = list[Any]


class Denied(Exception):
    """The store said no; the message is the reason."""


@dataclass(slots=True)
class Session:
    """A node, from one loss of its leases to the next."""

    name: str
    node: str
    service: str
    region: str
    expires: float


@dataclass(frozen=True, slots=True)
class Grant:
    """A key that a session owns, under a number."""

    session: str
    number: int


class Leases:
    """The table of leases. Methods that change what must survive a crash pass records to `write`."""

    def __init__(self, clock: Callable[[], float], write: Callable[[Record], None]) -> None:
        self._clock = clock
        self._write = write
        self._sessions: dict[str, Session] = {}
        self._grants: dict[str, Grant] = {}
        self._fences: dict[str, int] = {}
        self._homes: dict[str, str] = {}
        self._number = 0

    def replay(self, record: Record) -> None:
        """Take a record of an earlier life: old owners keep their leases for one time to live, or renew them."""
        match record:
            case ["session", name, node, service, region]:
                self._sessions[name] = Session(name, node, service, region, self._clock() + TTL + GRACE)
            case ["grant", key, session, number]:
                self._grants[key] = Grant(session, number)
                self._fences[key] = self._number = number
            case ["release", key, number]:
                self._drop(key, number)
            case ["home", key, region]:
                self._homes[key] = region
            case ["end", name] if name in self._sessions:
                self._forget(name)

    def hello(self, name: str, node: str, service: str, region: str, ended: str) -> dict[str, int]:
        """Begin or go on with a session, and end an earlier one of the same node; return the keys that it holds."""
        over = {s.name for s in self._sessions.values() if s.name == ended or s.expires <= self._clock()}
        for old in over:
            self.end(old)
        if self._live(name) is None:
            self._sessions[name] = Session(name, node, service, region, 0.0)
            self._write(["session", name, node, service, region])
        self._sessions[name].expires = self._clock() + TTL + GRACE
        return {key: grant.number for key, grant in self._grants.items() if grant.session == name}

    def renew(self, name: str) -> bool:
        """Prolong a session; False if it is over, and with it every lease that it held."""
        session = self._live(name)
        if session is None:
            return False
        session.expires = self._clock() + TTL + GRACE
        return True

    def end(self, name: str) -> None:
        """End a session on its node's own word, or after its time."""
        if name in self._sessions:
            self._forget(name)
            self._write(["end", name])

    def acquire(self, name: str, key: str) -> int:
        """Grant a free key, or return the number again if the session has it; Denied names the owner."""
        if self._live(name) is None:
            raise Denied("session is over")
        owner = self.owner(key)
        if owner is not None and owner.name != name:
            raise Denied(f"held by {owner.node}")
        if owner is None:
            self._number += 1
            self._grants[key] = Grant(name, self._number)
            self._fences[key] = self._number
            self._write(["grant", key, name, self._number])
        return self._grants[key].number

    def release(self, key: str, number: int) -> None:
        """Give a key back; nothing happens if the number is not its present one."""
        if self._drop(key, number):
            self._write(["release", key, number])

    def check(self, key: str, number: int) -> None:
        """Raise Denied unless `number` is the newest one granted for the key."""
        if self._fences.get(key) != number:
            raise Denied(f"fenced: {key} is at {self._fences.get(key, 0)}, not {number}")

    def owner(self, key: str) -> Session | None:
        """The session that holds a live lease on the key."""
        grant = self._grants.get(key)
        return None if grant is None else self._live(grant.session)

    def locate(self, key: str, service: str, region: str) -> Session | None:
        """The owner, or the node that should become it: home region first, highest hash among its live nodes.

        The home region of a key is the region that asked for it first.
        """
        if (owner := self.owner(key)) is not None:
            return owner
        if key not in self._homes:
            self._homes[key] = region
            self._write(["home", key, region])
        nodes = [s for s in self._sessions.values() if s.service == service and self._live(s.name)]
        near = [s for s in nodes if s.region == self._homes[key]]
        return max(near or nodes, key=lambda s: (_weight(key, s.node), s.expires), default=None)

    def owners(self) -> dict[str, str]:
        """The node of every key under a live lease."""
        return {key: owner.node for key in self._grants if (owner := self.owner(key)) is not None}

    def owners_of(self, keys: Iterable[str]) -> dict[str, str]:
        """The node of each of these keys; empty for one that nobody owns."""
        owners = self.owners()
        return {key: owners.get(key, "") for key in keys}

    def sessions(self) -> int:
        """How many sessions are live."""
        return sum(self._live(name) is not None for name in self._sessions)

    def _live(self, name: str) -> Session | None:
        session = self._sessions.get(name)
        return session if session is not None and self._clock() < session.expires else None

    def _forget(self, name: str) -> None:
        del self._sessions[name]
        self._grants = {key: grant for key, grant in self._grants.items() if grant.session != name}

    def _drop(self, key: str, number: int) -> bool:
        grant = self._grants.get(key)
        if grant is None or grant.number != number:
            return False
        del self._grants[key]
        return True


def _weight(key: str, node: str) -> bytes:
    """Rendezvous hashing: each key ranks the nodes in an order of its own (D. Thaler, C. Ravishankar, 1998)."""
    return hashlib.blake2b(f"{key}\0{node}".encode(), digest_size=8).digest()
