"""The state directory: one folder per running stack, with its logs, data, control sockets and `site.json`.

A stack's folder is alive as long as somebody holds the flock on its `lock` file: its supervisor does, for its
whole life. So a stale folder is recognised without any pid, and two tools never sweep what the other starts.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from chaos.errors import StorageFailed

SOCKET_PATH_LIMIT = 100
"""Bytes of a unix socket's path (108 on Linux, 104 on macOS, with its end)."""
YOUNG_S = 60.0
"""A folder without a lock file is somebody's who is just making it, for this long."""


def root(env: Mapping[str, str] = os.environ) -> Path:
    """`$COLLAB_CHAOS_STATE`, or collab-chaos under `$XDG_STATE_HOME` or `~/.local/state`."""
    if own := env.get("COLLAB_CHAOS_STATE"):
        return Path(own).absolute()
    base = env.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "collab-chaos"


@dataclass(frozen=True, slots=True)
class StackFolder:
    """The folder of one stack, its lock held by `lock_fd`, and a place short enough for sockets."""

    path: Path
    sockets: Path
    lock_fd: int

    @property
    def id(self) -> str:
        return self.path.name

    def unlock(self) -> None:
        """Give up this process's hold; a child that inherited the descriptor keeps the folder alive."""
        with contextlib.suppress(OSError):
            os.close(self.lock_fd)

    def remove(self) -> None:
        """Delete everything of the stack; nothing there is no error."""
        remove(self.path)


def create(name: str) -> StackFolder:
    """Make a new stack's folder and lock it. Raises `StorageFailed`."""
    with _storage():
        stacks = root() / "stacks"
        stacks.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = _unique(stacks, name)
        lock_fd = os.open(path / "lock.new", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock_fd, fcntl.LOCK_EX)
        (path / "lock.new").rename(path / "lock")  # so nobody ever sees the lock file without its lock
        (path / "logs").mkdir()
        (path / "data").mkdir()
        return StackFolder(path, _sockets(path), lock_fd)


def living() -> tuple[Path, ...]:
    """Folders of stacks that live, oldest first; folders that nobody holds any more are deleted."""
    with _storage():
        stacks = root() / "stacks"
        folders = sorted(stacks.iterdir(), key=_age) if stacks.is_dir() else []
        return tuple(folder for folder in folders if folder.is_dir() and not _swept(folder))


def remove(folder: Path) -> None:
    """Delete a stack's folder and its short socket folder, if it has one."""
    link = folder / "sockets"
    if link.is_symlink():
        shutil.rmtree(link.resolve(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def is_alive(folder: Path) -> bool:
    """Whether somebody holds the lock of this stack's folder."""
    return is_held(folder / "lock")


def is_held(path: Path) -> bool:
    """Whether a living process holds the flock on a file; one that is not there is held by nobody."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared: two who look at the same moment do not take each other for the owner.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def _swept(folder: Path) -> bool:
    if is_alive(folder):
        return False
    if not (folder / "lock").exists() and time.time() - _age(folder) < YOUNG_S:
        return True
    remove(folder)
    return True


def _age(folder: Path) -> float:
    with contextlib.suppress(OSError):
        return folder.stat().st_ctime
    return 0.0


def _unique(stacks: Path, name: str) -> Path:
    while True:
        path = stacks / f"{name}-{secrets.token_hex(2)}"
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
            return path


def _sockets(path: Path) -> Path:
    """The folder itself, or where its path is too long for a socket, a short one that the folder links to."""
    if len(os.fsencode(path / "supervisor.sock")) < SOCKET_PATH_LIMIT:
        return path
    short = Path(tempfile.mkdtemp(prefix="cc-", dir="/tmp"))
    (path / "sockets").symlink_to(short)
    return short


@contextlib.contextmanager
def _storage() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageFailed(
            f"the state directory {root()} cannot be used: {error.strerror or error}",
            hint="free some space, or set COLLAB_CHAOS_STATE to a directory that you can write",
        ) from error
