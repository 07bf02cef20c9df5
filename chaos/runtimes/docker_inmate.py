"""A stand-alone program that goes into a container's cgroup and works there, held to what the container is held to.

    hog PROCS PID MOST SECONDS   take memory until PID has ended, at most MOST bytes
    time PROCS FD WHAT AMOUNT    write or read AMOUNT bytes, or sync AMOUNT times, in the directory that FD is open on

PROCS is the group's `cgroup.procs`. What it found out is a JSON object on its stdout. It ends when its stdin does.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from pathlib import Path

CHUNK = 1 << 18
BLOCK = b"x" * 4096


def hog(procs: str, pid: str, most: str, seconds: str) -> dict[str, float]:
    """Memory of a file that is nowhere: it counts for the group, but not for this process when a victim is chosen.

    It may be met too, once the first is on its way: nothing is left to do then.
    """
    until = time.monotonic() + float(seconds)
    victim, file, chunk, taken = os.pidfd_open(int(pid)), os.memfd_create("collab-chaos"), bytes(CHUNK), 0
    Path(procs).write_text(str(os.getpid()))
    while not _ended(victim, 0.0) and not _ended(0, 0.0) and time.monotonic() < until:
        if taken >= int(most):
            _ended(victim, 0.1)
            continue
        try:
            taken += os.write(file, chunk)
        except OSError:
            _ended(victim, 0.05)
    return {"taken": taken}


def timed(procs: str, fd: str, what: str, amount: str) -> dict[str, float]:
    """Seconds that it takes, past the cache, with a file that is gone with this process.

    The kernel counts a file's later writes for the group of who made it, so it is made inside, where it is written.
    """
    count = int(amount)
    file = _made(fd, bytes(count)) if what == "read" else -1
    Path(procs).write_text(str(os.getpid()))
    began = time.perf_counter()
    if what == "read":
        while os.read(file, CHUNK):
            pass
    elif what == "write":
        _made(fd, bytes(count))
    else:
        file = _made(fd, b"")
        for _ in range(count):
            _write(file, BLOCK)
    return {"seconds": time.perf_counter() - began}


def _made(folder: str, data: bytes) -> int:
    """A file without a name with these bytes, none of them in the cache."""
    file = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600, dir_fd=int(folder))
    _write(file, data)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.lseek(file, 0, os.SEEK_SET)
    return file


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
    os.fsync(file)


def _ended(fd: int, within_s: float) -> bool:
    return bool(select.select([fd], [], [], within_s)[0])


if __name__ == "__main__":
    answer = hog(*sys.argv[2:]) if sys.argv[1] == "hog" else timed(*sys.argv[2:])
    print(json.dumps(answer))  # noqa: T201 - it is what was asked for
