"""Wall clocks that can be set while a program runs: libfaketime, preloaded, which reads an offset from a file.

Monotonic clocks go on as they are. The file is ours as long as its first line says so; libfaketime takes a line that
begins with # for a comment. What it lays down in /dev/shm for each process it forgets there when that is killed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

NAMES = ("libfaketimeMT.so.1", "libfaketime.so.1")
"""The first is the one for programs with threads."""
FOLDERS = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime")
"""Of Debian and Fedora, and of its own `make install`."""
FILE = "FAKETIME_TIMESTAMP_FILE"
SETTINGS = {
    "FAKETIME_NO_CACHE": "1",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    "DONT_FAKE_MONOTONIC": "1",
    "FAKETIME_FORCE_MONOTONIC_FIX": "0",
}
"""No cache: a clock is right or wrong from the next look at it (a few µs each). No fix of waits on monotonic clocks: it
is for C libraries before 2.30, and with later ones it makes threads wait far too long (Python's for its lock)."""
MARK = "# collab-chaos"
SHARED = ("faketime_shm_{}", "sem.faketime_sem_{}")
"""Its shared memory and semaphore, by pid."""
NOT_INSTALLED = "libfaketime is not installed (Debian: apt-get install libfaketime)"
NOT_PRELOADED = f"runs without libfaketime: it takes LD_PRELOAD and {FILE} from its start"


def library() -> str:
    """Where libfaketime is; empty where it is not installed."""
    found = (path for folder in FOLDERS for name in NAMES for path in Path("/").glob(f"{folder[1:]}/{name}"))
    return next(map(str, found), "")


def environment(file: str, env: Mapping[str, str]) -> dict[str, str]:
    """What a program is started with, so that the file sets its clock; `env` is what it has without this."""
    preloaded = filter(None, (library(), env.get("LD_PRELOAD", "")))
    return {"LD_PRELOAD": ":".join(preloaded), FILE: file, **SETTINGS}


def text(offset_s: float) -> str:
    """The file's content for a clock that is ahead (or, below 0, behind) by so many seconds."""
    return f"{MARK}\n{offset_s:+.3f}\n"


def is_ours(content: str) -> bool:
    """Whether we set a clock wrong with it."""
    return content.startswith(MARK) and content != text(0)


def write(path: Path, content: str) -> None:
    """Set the clock, in one step where the file may be replaced (one that is mounted may not). Raises `OSError`."""
    draft = path.with_name(f"{path.name}.new")
    try:
        draft.write_text(content)
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        path.write_text(content)


def forget(pid: int) -> None:
    """Remove the names in /dev/shm of a process that has opened them already, or is dead."""
    for name in SHARED:
        with contextlib.suppress(OSError):
            (Path("/dev/shm") / name.format(pid)).unlink()  # noqa: S108 - where the C library keeps them


def file_of(pid: int) -> Path | None:
    """The file that sets the clock of a container's first process, or of its child where the first is an `init`.

    As it is seen from here; None if it runs without libfaketime.
    """
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return next((file for one in (pid, *map(int, children)) if (file := _file_of(one)) is not None), None)
    return None


def _file_of(pid: int) -> Path | None:
    try:
        maps = Path(f"/proc/{pid}/maps").read_text()
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    prefix = FILE.encode() + b"="
    named = next((os.fsdecode(word[len(prefix) :]) for word in words if word.startswith(prefix)), "")
    if "libfaketime" not in maps or not named.startswith("/"):
        return None
    return Path(f"/proc/{pid}/root{named}")
