"""Pipes through which the kernel moves a bulk of bytes from socket to socket: splice(2), where there is one.

Python never sees such bytes. A pipe costs two descriptors and up to a megabyte of the kernel's memory, so it is lent
only to a flow that moves much, and only so many are.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys

PIPES = 64
"""Most pipes at a time. A user's pipes may hold 16384 pages together (fs.pipe-user-pages-soft): 64 of 256."""
SIZE = 1 << 20
"""Bytes asked for each (fs.pipe-max-size). Of 64 KiB, 256 KiB and 1 MiB the last took the least processor time."""


class Pipe:
    """One pipe, and how many bytes are in it."""

    def __init__(self) -> None:
        """Raises OSError when there is no descriptor left."""
        self.level = 0
        self._out, self._into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if sys.platform == "linux" else os.pipe()
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(self._into, fcntl.F_SETPIPE_SZ, SIZE)

    def fill(self, fd: int) -> int:
        """Move bytes in from a socket, when nothing is in; returns how many, 0 at its end. Raises OSError."""
        self.level = os.splice(fd, self._into, SIZE, flags=os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK)
        return self.level

    def drain(self, fd: int) -> int:
        """Move bytes out to a socket, when something is in; returns how many. Raises OSError."""
        moved = os.splice(self._out, fd, self.level, flags=os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK)
        self.level -= moved
        return moved

    def close(self) -> None:
        """Forget what is in it."""
        os.close(self._out)
        os.close(self._into)


def works() -> bool:
    """Whether bytes get from a socket through a pipe to a socket here: tried, since a sandbox may forbid it."""
    if not hasattr(os, "splice"):
        return False
    near, far = socket.socketpair()
    with near, far, contextlib.suppress(OSError):
        pipe = Pipe()
        with contextlib.closing(pipe):
            near.send(b"?")
            return pipe.fill(far.fileno()) == 1 and pipe.drain(far.fileno()) == 1 and near.recv(1) == b"?"
    return False


class Pool:
    """Pipes to lend."""

    def __init__(self, most: int = PIPES) -> None:
        self._left = most if works() else 0
        self._spare: list[Pipe] = []

    def lend(self) -> Pipe | None:
        """An empty pipe, or None when there is none left."""
        if self._spare:
            return self._spare.pop()
        if not self._left:
            return None
        try:
            pipe = Pipe()
        except OSError:
            return None
        self._left -= 1
        return pipe

    def back(self, pipe: Pipe) -> None:
        """Not needed any more; one with bytes in it is closed."""
        if pipe.level:
            pipe.close()
            self._left += 1
        else:
            self._spare.append(pipe)

    def close(self) -> None:
        """Close what is not lent."""
        while self._spare:
            self._spare.pop().close()
