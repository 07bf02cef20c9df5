"""What a backend must offer: sessions of one protocol. A backend is ONE file that exports `backend`.

Sessions are asyncio objects of the load process. Every method raises `Refused` if the server said no
(certainly not applied), `Lost` if the connection went after something was sent (open: may have happened),
and lets `TimeoutError` through; `NotSent` says that nothing left this machine. Retrying is the user's
business, never the backend's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class BackendError(Exception):
    """Root of what a backend raises; `node` is the server node, where it is known."""

    def __init__(self, reason: str, *, node: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.node = node
        self.retry_after_s = retry_after_s


class NotSent(BackendError):
    """Nothing was sent: no connection, or it was gone before."""


class Refused(BackendError):
    """The server answered no, with a reason and perhaps when to come back."""


class Lost(BackendError):
    """The connection went while an answer was due: the operation may or may not have happened."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where and as whom a session comes in."""

    url: str
    region: str
    key: str
    """Room or document."""
    user: str
    session: str
    """Unique over the whole run; what a roster lists."""
    secret: str = ""
    api_key: str = ""


class MeetingSession(Protocol):
    """One participant's connection to a room."""

    session: str
    node: str
    on_gone: Callable[[str], None] | None
    """Called once, with the reason, when the connection ends without `leave` or `cut`."""
    on_heard: Callable[[str, str], None] | None
    """Called with (sender's session, text) for each broadcast received."""

    async def join(self) -> None: ...
    async def resume(self) -> None:
        """Open a new connection and take the cut session up again; Refused if the server will not."""

    async def say(self, text: str) -> None:
        """Return once the server acknowledged the broadcast."""

    async def roster(self) -> tuple[str, ...]:
        """The sessions that the server lists in the room now."""

    async def leave(self) -> None:
        """Return once the server answered the leave; the connection is closed then."""

    async def cut(self) -> None:
        """Vanish: drop the socket without a word to the server's application."""


class DocumentSession(Protocol):
    """One editor's (or reader's) connection to a document: an ordered list of unique tokens.

    A backend may lack `delete`, `latest` and `present`; then the checks that need them say so.
    """

    session: str
    node: str
    synced: bool
    on_gone: Callable[[str], None] | None
    on_tokens: Callable[[], None] | None
    """Called after the local copy changed by a remote update."""

    async def open(self) -> None:
        """Connect and sync; the local copy (with edits made offline) is kept from an earlier connection."""

    async def edit(self, token: str) -> None:
        """Insert a token at the end of the user's own run and return once the server acknowledged it."""

    def edit_offline(self, token: str) -> None:
        """Insert into the local copy while not connected."""

    async def delete(self, token: str) -> None:
        """Take a token of the local copy out again and return once the server acknowledged that."""

    async def settled(self) -> None:
        """Return once the server acknowledged everything that was sent, offline edits included."""

    async def pulse(self) -> None:
        """Return once the server answered a question: proves that the local copy is not a stale one."""

    def tokens(self) -> tuple[str, ...]:
        """The tokens of the local copy, in document order."""

    def latest(self) -> str:
        """The token that came last from the server and was inserted by others; empty: none has."""

    def present(self) -> tuple[str, ...]:
        """The sessions that the server shows as present in the document now."""

    async def close(self) -> None: ...
    async def cut(self) -> None: ...
    def forget(self) -> None:
        """Throw the local copy away: a page reload."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A protocol: its name, what it serves and what its acknowledgement means."""

    name: str
    serves: str
    """meetings or documents."""
    ack: str
    """local, received, applied or durable: the weakest that a server may mean by it; a stack may say more."""
    says: str
    """One line for `chaos list backends`."""
    session: Callable[[Entry], Any]
