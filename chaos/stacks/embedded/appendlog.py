"""An append-only file of records: group commit with fsync, replay at start, a torn tail is cut off.

Record = length (u32, big endian), CRC-32 of the payload (u32), payload. A record counts once the fsync that
covers it has returned; callers hear of it through a callback, many callers per fsync. On a full disk everything
waits until there is room: nothing is promised meanwhile, and nothing that was promised is lost.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import select
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

HEAD = struct.Struct(">II")
LARGEST = 64 * 2**20
FULL = {errno.ENOSPC, errno.EDQUOT}
AGAIN_S = 0.1
"""How often a full disk is tried again."""


class AppendLog:
    """One writer's log file; a second process that opens the same file waits, then gets BlockingIOError."""

    def __init__(self, path: Path, *, wait_s: float = 2.0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._lock(wait_s)
        self._path = path
        self._buffer: list[bytes] = []
        self._waiting: list[Callable[[], None]] = []
        self._writing = False
        self._wake = asyncio.Event()
        self._whole = 0
        """Bytes of the file that are whole records."""
        self.syncs = 0
        self.refused = 0
        """Writes for which there was no room on the disk."""

    def _lock(self, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                select.select([], [], [], 0.02)  # time.sleep() fails under a preloaded clock (libfaketime 0.9.10)
            else:
                return

    def replay(self) -> Iterator[bytes]:
        """Every whole record, in order; what follows the last whole one is cut off the file."""
        data = self._path.read_bytes()
        at = 0
        while payload := _record(data, at):
            yield payload
            at += HEAD.size + len(payload)
        self._cut(at)
        os.fsync(self._fd)
        _sync_directory(self._path.parent)

    def append(self, payload: bytes) -> None:
        """Queue a (non-empty) record; it is durable when a callback given to `after` from now on is called."""
        self._buffer.append(HEAD.pack(len(payload), zlib.crc32(payload)) + payload)
        self._wake.set()

    def after(self, callback: Callable[[], None]) -> None:
        """Call back once everything appended so far is on disk; at once if it is."""
        if self._buffer or self._writing:
            self._waiting.append(callback)
            self._wake.set()
        else:
            callback()

    async def run(self) -> None:
        """Write and sync for ever, waiting for room on a full disk.

        Any other OSError ends it, and so does one of the sync: a store that cannot write must stop, not guess.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            data, self._buffer = b"".join(self._buffer), []
            waiting, self._waiting = self._waiting, []
            self._writing = True
            try:
                while not await asyncio.to_thread(self._write, data):  # noqa: ASYNC110 - room on a disk has no event
                    await asyncio.sleep(AGAIN_S)
            finally:
                self._writing = False
            for callback in waiting:
                callback()

    def _write(self, data: bytes) -> bool:
        """Write and sync all of it, or, where the disk has no room for it, none; says which."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            if error.errno not in FULL:
                raise
            self.refused += 1
            self._cut(self._whole)
            return False
        if data:
            os.fsync(self._fd)
            self.syncs += 1
            self._whole += len(data)
        return True

    def _cut(self, at: int) -> None:
        """End the file after so many bytes."""
        os.ftruncate(self._fd, at)
        os.lseek(self._fd, at, os.SEEK_SET)
        self._whole = at


def _record(data: bytes, at: int) -> bytes:
    """The payload of the whole record that begins at `at`, or nothing."""
    if at + HEAD.size > len(data):
        return b""
    size, crc = HEAD.unpack_from(data, at)
    payload = data[at + HEAD.size : at + HEAD.size + size]
    return payload if len(payload) == size <= LARGEST and zlib.crc32(payload) == crc else b""


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
