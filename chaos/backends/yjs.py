"""The Yjs side of document backends: lib0's variable-length integers, y-protocols' messages, and a local copy.

Wire formats: lib0 `encoding.js` (integers of seven bits a byte, lowest first; strings and byte arrays carry
their length before them), y-protocols `sync.js` (0 state vector, 1 the answer to it, 2 update) and
`awareness.js` (count, then client, clock and JSON state of each).
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from pycrdt import Array, Doc

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_1 = 0
STEP_2 = 1
UPDATE = 2

ROOT = "tokens"
"""Name of the shared array that holds the tokens."""

_clients = random.SystemRandom()


def var_uint(number: int) -> bytes:
    """`number` >= 0 in lib0's variable length."""
    if number < 0x80:  # noqa: PLR2004 - one byte: nearly always
        return bytes((number,))
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(0x80 | (number & 0x7F))
        number >>= 7
    out.append(number)
    return bytes(out)


def var_bytes(data: bytes) -> bytes:
    """Bytes with their length before them."""
    return var_uint(len(data)) + data


def var_string(text: str) -> bytes:
    """UTF-8 with its length in bytes before it."""
    return var_bytes(text.encode())


class Reader:
    """Reads what the writers above wrote; raises `ValueError` for a message that ends too early."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def uint(self) -> int:
        number = shift = 0
        while True:
            if self.at >= len(self.data):
                message = "the message ends in the middle of an integer"
                raise ValueError(message)
            byte = self.data[self.at]
            self.at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the last byte has no top bit
                return number
            shift += 7

    def bytes(self) -> bytes:
        size = self.uint()
        start = self.at
        if start + size > len(self.data):
            message = f"the message ends {start + size - len(self.data)} bytes early"
            raise ValueError(message)
        self.at = start + size
        return self.data[start : self.at]

    def string(self) -> str:
        return self.bytes().decode()

    @property
    def more(self) -> bool:
        """Whether anything is left to read."""
        return self.at < len(self.data)


def awareness_update(client: int, clock: int, state: dict[str, Any] | None) -> bytes:
    """The awareness of one client; `state` None says that it is gone."""
    text = json.dumps(state, separators=(",", ":"))
    return b"\x01" + var_uint(client) + var_uint(clock) + var_string(text)


def read_awareness(data: bytes) -> dict[int, tuple[int, Any]]:
    """{client: (clock, state)}; the state of one that is gone is None."""
    reader = Reader(data)
    return {reader.uint(): (reader.uint(), json.loads(reader.string())) for _ in range(reader.uint())}


class Presence:
    """Who is present, as the server told since the connection began."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, str]] = {}

    def apply(self, update: bytes) -> None:
        """Take an awareness update: a newer clock counts, and at the same clock that somebody has gone."""
        for client, (clock, state) in read_awareness(update).items():
            known, _ = self._known.get(client, (-1, ""))
            if clock > known or (clock == known and state is None):
                session = str(state.get("session", "")) if isinstance(state, dict) else ""
                self._known[client] = (clock, session)

    def sessions(self) -> tuple[str, ...]:
        """The `session` of each state that is there, sorted."""
        return tuple(sorted(session for _, session in self._known.values() if session))


class Copy:
    """A client's own copy of a document: an array of token strings, with a list of them kept at hand.

    A `Doc` belongs to the thread that made it, and nothing is awaited within a transaction.
    """

    __slots__ = ("_array", "_doc", "_guards", "_list", "_mine", "_remote", "_update", "client", "latest", "on_change")

    def __init__(self, on_change: Callable[[], None] | None = None) -> None:
        self.client = _clients.getrandbits(32)
        self.on_change = on_change
        self._list: list[str] = []
        self._mine = ""
        self.latest = ""
        """What a remote update inserted last."""
        self._remote = False
        self._update = b""
        self._doc: Doc[Any] = Doc(client_id=self.client)
        self._array: Array[Any] = self._doc.get(ROOT, type=Array)
        self._guards = (self._array.observe(self._changed), self._doc.observe(self._committed))

    def tokens(self) -> tuple[str, ...]:
        """In document order."""
        return tuple(self._list)

    def state(self) -> bytes:
        """The state vector."""
        return self._doc.get_state()

    def diff(self, state: bytes) -> bytes:
        """An update with all that a copy with this state vector lacks."""
        return self._doc.get_update(state)

    def apply(self, update: bytes) -> None:
        """Merge a remote update; raises `ValueError` for bytes that are none."""
        self._remote = True
        try:
            self._doc.apply_update(update)
        except Exception as error:
            message = f"cannot apply an update of {len(update)} bytes: {error}"
            raise ValueError(message) from error
        finally:
            self._remote = False

    def append(self, token: str) -> bytes:
        """Insert behind this copy's own last token, or at the end; returns the update to send."""
        self._array.insert(self._after_mine(), token)
        self._mine = token
        return self._update

    def remove(self, token: str) -> bytes:
        """Delete a token; returns the update to send. Raises `ValueError` if the copy does not have it."""
        del self._array[self._list.index(token)]
        return self._update

    def _after_mine(self) -> int:
        if self._mine:
            for index in range(len(self._list) - 1, -1, -1):
                if self._list[index] == self._mine:
                    return index + 1
        return len(self._list)

    def _committed(self, event: Any) -> None:
        self._update = event.update

    def _changed(self, event: Any) -> None:
        at = 0
        for step in event.delta:
            if "retain" in step:
                at += step["retain"]
            elif "insert" in step:
                self._list[at:at] = step["insert"]
                if self._remote:
                    self.latest = step["insert"][-1]
                at += len(step["insert"])
            else:
                del self._list[at : at + step["delete"]]
        if self.on_change is not None:
            self.on_change()
