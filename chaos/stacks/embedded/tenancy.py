"""A node's right to act: its session with the store, and the leases that hang on it.

Everything a node sends or stores for a key is preceded, without a yield in between, by `holds(lease)`. That
looks only at the node's own monotonic clock, which goes on while the process is stopped: a node that slept
through its time to live finds out before it says a word.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

from chaos.stacks.embedded.calls import Calls
from chaos.stacks.embedded.leases import RENEW_EVERY, TTL, Denied
from chaos.stacks.embedded.serving import Background, Node, log

TICK_S = 0.1
CLAIM_TIMEOUT_S = 1.0
GOODBYE_TIMEOUT_S = 0.3


class Lease(NamedTuple):
    """A key, the fencing number that it was granted under, and the session that was granted it."""

    key: str
    number: int
    session: str


class Tenancy:
    """Renews the session of a node, claims and gives back keys, and says when everything is lost."""

    def __init__(self, node: Node, service: str, calls: Calls, on_lapse: Callable[[], None]) -> None:
        self._node = node
        self._service = service
        self._calls = calls
        self._on_lapse = on_lapse
        self._session = secrets.token_hex(6)
        self._ended = ""
        self._until = 0.0
        self._leases: dict[str, Lease] = {}
        self._claiming: dict[str, asyncio.Task[Lease]] = {}
        self._background = Background()
        self.begun = False
        calls.on_open = self._greet

    @property
    def valid(self) -> bool:
        """Whether the session, and so every lease, still counts."""
        return time.monotonic() < self._until

    def holds(self, lease: Lease) -> bool:
        """Whether the node may act on this lease at this very moment."""
        return lease.session == self._session and lease.key in self._leases and self.valid

    async def claim(self, key: str) -> Lease:
        """Own a key, or raise Denied (another node owns it) or TimeoutError (the store does not answer)."""
        held = self._leases.get(key)
        if held is not None and self.holds(held):
            return held
        if key not in self._claiming:
            task = asyncio.create_task(self._acquire(key))
            task.add_done_callback(lambda _: self._claiming.pop(key, None))
            self._claiming[key] = task
        return await asyncio.shield(self._claiming[key])

    async def _acquire(self, key: str) -> Lease:
        if not self.valid:
            raise Denied("no session with the store")
        session = self._session
        number: int = await self._calls.call("acquire", CLAIM_TIMEOUT_S, session=session, key=key)
        if session != self._session or not self.valid:
            raise Denied("the session lapsed meanwhile")
        self._leases[key] = Lease(key, number, session)
        return self._leases[key]

    def release(self, lease: Lease) -> None:
        """Give a key back; the caller has already stopped acting on it."""
        if self._leases.get(lease.key) == lease:
            del self._leases[lease.key]
            self._calls.send("release", key=lease.key, number=lease.number).add_done_callback(_heard)

    async def run(self) -> None:
        """Renew, and watch the clock, for ever."""
        reconnecting = asyncio.create_task(self._calls.run())
        renewed = 0.0
        while not reconnecting.done():
            if self._until and not self.valid:
                self.lapse("not renewed in time")
            if self.valid and self._calls.connected and time.monotonic() - renewed >= RENEW_EVERY - TICK_S / 2:
                renewed = time.monotonic()
                self._background.add(self._renew(renewed))
            await asyncio.sleep(TICK_S)
        reconnecting.result()

    def lapse(self, why: str) -> None:
        """Lose every lease at once, tell the node, and begin a new session."""
        log(f"leases lapsed ({len(self._leases)} held): {why}")
        self._node.counts["lapses"] += 1
        self._ended, self._session = self._session, secrets.token_hex(6)
        self._until = 0.0
        self._leases.clear()
        self._on_lapse()
        self._calls.reset("the session lapsed")

    async def end(self) -> None:
        """End the session in an orderly way, so that others may own its keys at once."""
        self._ended, self._session, self._until = self._session, secrets.token_hex(6), 0.0
        self._leases.clear()
        with contextlib.suppress(Denied, TimeoutError):
            await self._calls.call("end", GOODBYE_TIMEOUT_S, session=self._ended)

    async def _renew(self, sent: float) -> None:
        session = self._session
        with contextlib.suppress(Denied, TimeoutError):
            alive = await self._calls.call("renew", TTL, session=session)
            if session == self._session and alive:
                self._extend(sent)
            elif session == self._session:
                self.lapse("the store ended the session")

    def _extend(self, sent: float) -> None:
        self._until = max(self._until, sent + TTL)

    def _greet(self) -> None:
        """Say hello as the first call on a connection, ahead of the calls that are repeated on it."""
        answer = self._calls.send(
            "hello",
            session=self._session,
            node=self._node.name,
            service=self._service,
            region=self._node.region,
            ended=self._ended,
        )
        self._background.add(self._greeted(answer, self._session, time.monotonic()))

    async def _greeted(self, answer: asyncio.Future[dict[str, int]], session: str, sent: float) -> None:
        try:
            held = await asyncio.wait_for(answer, TTL)
        except Denied:  # of a session that is over: the next connection begins with the next one
            return
        except TimeoutError:
            # Nothing else is ever sent without a session: only a new connection says hello again.
            if session == self._session and not self.valid:
                self._calls.reset("the store did not answer in time")
            return
        if session != self._session:
            return
        if any(held.get(lease.key) != lease.number for lease in self._leases.values()):
            self.lapse("the store no longer knows the leases")
            return
        self._extend(sent)
        self.begun = True


def _heard(answer: asyncio.Future[None]) -> None:
    """Take note of an answer that changes nothing."""
    if not answer.cancelled():
        answer.exception()
