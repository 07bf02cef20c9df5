"""Sockets of the link proxy, and an event loop that serves them without a detour.

asyncio turns an event into a handle, a context and a call in its next round. For a proxy that is most of the cost of
a small message, so this loop's selector serves wires while it selects, and hands only the rest to asyncio.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import select
import selectors
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
RESET = struct.pack("ii", 1, 0)
"""Linger for no time: a close sends RST."""

COARSE_S = 0.002
"""epoll counts milliseconds, and the kernel lets a wait be late by a thousandth: the last of it goes by select(2)."""

Argument = TypeVar("Argument")
Got = TypeVar("Got")


class End(enum.Enum):
    """How a stream ends."""

    CLOSE = "close"
    RESET = "reset"


class Stream(Protocol):
    """What a wire feeds, or what ends in it."""

    def feed(self) -> None:
        """Its source has bytes, an end or an error."""

    def room(self) -> None:
        """Its sink takes bytes again."""

    def push(self, what: End) -> None:
        """Its source has ended."""

    def drop(self) -> None:
        """Its sink is gone."""


class Inline(selectors.DefaultSelector):
    """Serves ready wires at once, and returns what else is ready. Waits to the microsecond."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As asyncio calls it."""
        if timeout is not None and timeout > 0:
            if timeout > COARSE_S:
                timeout -= COARSE_S
            else:
                select.select((self.fileno(),), (), (), timeout)
                timeout = 0
        others = []
        for key, events in super().select(timeout):
            if isinstance(key.data, Wire):
                key.data.ready(events)
            else:
                others.append((key, events))
        return others


class Loop(asyncio.SelectorEventLoop):
    """An asyncio event loop with `wires`."""

    def __init__(self) -> None:
        self.wires = Inline()
        super().__init__(self.wires)


def prompt_timers() -> None:
    """Let timers of this process ring within a microsecond; the kernel's default is 50 late. Linux only."""
    with contextlib.suppress(OSError):
        Path("/proc/self/timerslack_ns").write_text("1000", encoding="ascii")


class Wire:
    """A TCP socket: `reads` is fed by it, `writes` ends in it. Holds no bytes itself.

    `lost` is called, later, when it is closed: by us, by a reset, or by a failed write.
    """

    __slots__ = (
        "_broken",
        "_events",
        "_loop",
        "_lost",
        "_reading",
        "closed",
        "ended",
        "fd",
        "full",
        "reads",
        "sock",
        "writes",
    )

    def __init__(
        self, sock: socket.socket, loop: Loop, reads: Stream, writes: Stream, lost: Callable[[Wire], None]
    ) -> None:
        sock.setblocking(False)  # noqa: FBT003 - the socket module's way
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.fd = sock.fileno()
        self.reads = reads
        self.writes = writes
        self.full = False
        """It takes no bytes now; `writes.room` tells when it does."""
        self.ended = False
        """Its stream has ended, and is read no more."""
        self.closed = False
        self._broken = False
        self._reading = False
        self._events = 0
        self._loop = loop
        self._lost = lost

    def ready(self, events: int) -> None:
        """The selector saw something. What goes wrong here is told as asyncio tells it, and harms no other wire."""
        try:
            if events & WRITE and self.full:
                self.full = False
                self.writes.room()
                self._watch()
            if events & READ and self._events & READ:
                self.reads.feed()
        except Exception as error:  # noqa: BLE001 - as asyncio does for its callbacks
            self._loop.call_exception_handler({"message": "a connection failed", "exception": error})
            self.reset()

    def read(self, *, on: bool) -> None:
        """Feed `reads`, or leave bytes to the kernel."""
        self._reading = on
        self._watch()

    def take(self, read: Callable[[Argument], Got], argument: Argument) -> Got | None:
        """What `read` returns; None or nothing when there is nothing now, or when it ended, which `reads` is told."""
        try:
            got = read(argument)
        except BlockingIOError:
            return None
        except OSError:
            self._broken = True
            got = None
        if not got:
            self._end()
        return got

    def give(self, write: Callable[[Argument], int], what: Argument) -> int:
        """How many bytes `write` took; fewer than there are: see `full`."""
        try:
            return write(what)
        except BlockingIOError:
            return 0
        except OSError:
            self._broken = True
            self.writes.drop()
            if self.ended:  # else reading goes on: what had come before is still there
                self._gone(End.RESET)
            return 0

    def wait_for_room(self) -> None:
        """It took not all of it."""
        if not self._broken:
            self.full = True
            self._watch()

    def shutdown(self) -> None:
        """End what is written here; what is read goes on."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a reset instead of a FIN."""
        if not self.closed:
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.close()

    def close(self) -> None:
        """Close; again is no error."""
        self._gone(End.CLOSE)

    def _end(self) -> None:
        if self._broken:
            self._gone(End.RESET)
            return
        self.ended = True
        self._watch()
        self.reads.push(End.CLOSE)

    def _gone(self, end: End) -> None:
        if self.closed:
            return
        self._reading = self.full = False
        self._watch()
        self.closed = True
        self.sock.close()
        self._loop.call_soon(self._tell, end)

    def _tell(self, end: End) -> None:
        self.writes.drop()
        self.reads.push(end)
        self._lost(self)

    def _watch(self) -> None:
        events = (READ if self._reading and not self.ended else 0) | (WRITE if self.full else 0)
        if events == self._events or self.closed:
            return
        if not events:
            self._loop.wires.unregister(self.fd)
        elif self._events:
            self._loop.wires.modify(self.fd, events, self)
        else:
            self._loop.wires.register(self.fd, events, self)
        self._events = events
