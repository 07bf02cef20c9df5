"""The wire of Hocuspocus 2 to 4, the server's side: bytes in, bytes out.

A frame is: document name (var string), message type (var uint), payload. Integers are little-endian base 128,
strings UTF-8 with their length in bytes before them (lib0). A name may carry a session after a NUL: replies go
to the name as it came.
"""

from __future__ import annotations

import enum

LONGEST_VARINT = 9


class Kind(enum.IntEnum):
    """Message types."""

    SYNC = 0
    AWARENESS = 1
    AUTH = 2
    QUERY_AWARENESS = 3
    SYNC_REPLY = 4
    STATELESS = 5
    BROADCAST_STATELESS = 6
    CLOSE = 7
    SYNC_STATUS = 8
    PING = 9
    PONG = 10


class Sync(enum.IntEnum):
    """Second byte of a SYNC message (y-protocols)."""

    STEP1 = 0
    STEP2 = 1
    UPDATE = 2


AUTH_TOKEN = 0
AUTHENTICATED = 2
EMPTY_UPDATE = b"\0\0"
"""A Yjs update with no blocks and no deletions."""


class Malformed(ValueError):
    """A frame that is not of this protocol."""


class Reader:
    """Reads lib0's encoding; Malformed at a truncated frame."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def uint(self) -> int:
        value = 0
        for place in range(LONGEST_VARINT):
            if self._at >= len(self._data):
                break
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:  # noqa: PLR2004 - the continuation bit
                return value
        raise Malformed("bad var uint")

    def bytes(self) -> bytes:
        size = self.uint()
        if self._at + size > len(self._data):
            raise Malformed("truncated frame")
        self._at += size
        return self._data[self._at - size : self._at]

    def text(self) -> str:
        return self.bytes().decode()


def uint(value: int) -> bytes:
    """Encode a var uint."""
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(0x80 | value & 0x7F)
        value >>= 7
    out.append(value)
    return bytes(out)


def var(data: bytes | str) -> bytes:
    """Encode bytes or a string with their length before them."""
    raw = data.encode() if isinstance(data, str) else data
    return uint(len(raw)) + raw


def authenticated(address: str) -> bytes:
    """The server lets the client in."""
    return var(address) + bytes((Kind.AUTH, AUTHENTICATED)) + var("read-write")


def sync(address: str, step: Sync, payload: bytes) -> bytes:
    """A state vector (step 1), what it lacks (step 2), or an update."""
    return var(address) + bytes((Kind.SYNC, step)) + var(payload)


def awareness(address: str, update: bytes) -> bytes:
    """States of clients."""
    return var(address) + bytes((Kind.AWARENESS,)) + var(update)


def sync_status(address: str, *, saved: bool) -> bytes:
    """The acknowledgement of one update."""
    return var(address) + bytes((Kind.SYNC_STATUS, saved))


def close(address: str, reason: str) -> bytes:
    """The server closes this document on the socket."""
    return var(address) + bytes((Kind.CLOSE,)) + var(reason)
