"""Free TCP ports below the kernel's ephemeral range, claimed so that stacks can start side by side.

A claim is a flock on files that stand for blocks of ports; the file descriptors may be handed to a child, and
the claim ends when the last holder closes them or dies. Nothing is left to clean up.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from chaos.errors import StackFailed

FIRST, LAST = 20_000, 32_000
"""Ports that are given out; Linux's ephemeral range begins at 32768 and would race with us."""
BLOCK = 50


class Claim:
    """Ports that are this process's to use, until `close` (and that of every child that inherited `fds`)."""

    def __init__(self, ports: tuple[int, ...], fds: tuple[int, ...]) -> None:
        self.ports = ports
        self.fds = fds

    def close(self) -> None:
        """Let go of this process's share; safe to call twice."""
        fds, self.fds = self.fds, ()
        for fd in fds:
            os.close(fd)


def claim(count: int, avoid: Collection[int] = ()) -> Claim:
    """Find `count` free ports that no other stack of this user has claimed.

    Raises `StackFailed` when there are not that many.
    """
    ports: list[int] = []
    fds: list[int] = []
    if count <= 0:
        return Claim((), ())
    for first, fd in _blocks():
        fds.append(fd)
        ports += [port for port in range(first, first + BLOCK) if port not in avoid and is_free(port)]
        if len(ports) >= count:
            return Claim(tuple(ports[:count]), tuple(fds))
    Claim((), tuple(fds)).close()
    raise StackFailed(
        f"no {count} free ports between {FIRST} and {LAST}",
        hint="end other stacks: `chaos stack ps`, `chaos stack down`",
    )


def is_free(port: int) -> bool:
    """Whether a server that sets SO_REUSEADDR could listen on `port` of 127.0.0.1 now."""
    with socket.socket() as probe:
        # BSD and macOS let a specific address be bound under a wildcard listener: so ask that listener first.
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def _blocks() -> Iterator[tuple[int, int]]:
    """Yield (first port, locked descriptor) of unclaimed blocks; a random start keeps users of one machine apart."""
    folder = _folder()
    firsts = list(range(FIRST, LAST, BLOCK))
    start = random.SystemRandom().randrange(len(firsts))
    for first in firsts[start:] + firsts[:start]:
        fd = os.open(folder / f"{first}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            continue
        yield first, fd


def _folder() -> Path:
    """One folder per user of the machine, whatever its state directory: ports are shared by all of them."""
    folder = Path(tempfile.gettempdir()) / f"collab-chaos-ports-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise StackFailed(f"{folder} belongs to somebody else", hint="set TMPDIR to a directory of your own")
    return folder
