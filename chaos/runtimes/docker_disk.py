"""The file system that a container keeps its data on: found in its own mount namespace, filled, and freed again.

It is filled by one file at its root, with our mark and the fault's id in its name. Nothing is filled but a file system
of the container's own that has a size: a tmpfs, or a volume with one. The host's disk, and what others mount too, is
refused.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from chaos.errors import StackFailed
from chaos.runtimes.docker_memory import MIB, available
from chaos.runtimes.docker_net import inside

MARK = ".collab-chaos-fill-"
PROBE = 64 * 1024
"""Bytes that a proof writes beyond what a fault leaves."""
VOLUME = re.compile(r"/volumes/[^/]+/_data$")
"""Where the engine itself mounts a volume on the host."""


NEVER_FILLED = {"overlay", "proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue"}


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of mountinfo."""

    id: int
    device: str
    """major:minor."""
    point: str
    options: tuple[str, ...]
    kind: str
    """The file system's type."""
    source: str
    features: tuple[str, ...]
    """Options of the file system itself: of an overlay, its directories on the host."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A directory of a container, held open."""

    fd: int
    mount: Mount


@dataclass(frozen=True, slots=True)
class Disk:
    """What a real write to the file system said."""

    free: int
    """Bytes."""
    refused: str
    """The errno's name if the write was refused, `ENOSPC` where there was no room; empty: it went through."""
    fills: tuple[str, ...]
    """Fill files of ours that lie there, by fault."""


@contextlib.contextmanager
def spot(pid: int, path: str) -> Iterator[Spot]:
    """Open a directory as the container sees it. Raises `StackFailed`."""
    try:
        fd = inside(pid, lambda: os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), "mnt")
    except OSError as error:
        raise StackFailed(f"{path} cannot be opened in the container: {error.strerror}") from error
    try:
        number = re.search(r"mnt_id:\s*(\d+)", Path(f"/proc/self/fdinfo/{fd}").read_text())
        found = next((one for one in mounts(pid) if number and one.id == int(number[1])), None)
        if found is None:
            raise StackFailed(f"the file system of {path} is not among the container's mounts")
        yield Spot(fd, found)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _root(pid: int, path: str) -> Iterator[Spot]:
    """Open the root of the file system under a directory, where a fill file can be found by whoever knows no more."""
    with spot(pid, path) as there:
        point = there.mount.point
    with spot(pid, point) as there:
        yield there


def mounts(pid: int | str) -> tuple[Mount, ...]:
    """What a process sees mounted; nothing where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    except OSError:
        return ()
    return tuple(_mount(line) for line in lines)


def why_not_fill(pid: int, path: str | None) -> str:
    """What keeps the file system under `path` from being filled; empty: it may be."""
    if path is None:
        return NO_WORD
    try:
        with spot(pid, path) as there:
            return _shared(pid, path, there.mount) or _too_large(path, there)
    except StackFailed as error:
        return error.message


NO_WORD = "the stack file does not say where its data lie (`data: /path` at the node)"


def _shared(pid: int, path: str, mount: Mount) -> str:
    if mount.kind == "overlay":
        return f"{path} lies in the container's own layer, on the engine's disk: mount a volume or tmpfs with a size"
    if "ro" in mount.options:
        return f"{path} is mounted read-only"
    if mount.kind != "tmpfs" and mount.device.startswith("0:"):
        return f"{path} is on {mount.kind}, whose size is not its own"
    ours = _namespace(pid)
    seen: set[str] = set()
    for process in Path("/proc").iterdir():
        name = _namespace(process.name) if process.name.isdigit() else ""
        if not name or name == ours or name in seen:
            continue
        seen.add(name)
        for other in mounts(process.name):
            # Who only reads is not kept from anything.
            if other.device == mount.device and "ro" not in other.options and not VOLUME.search(other.point):
                return f"{path} is on {mount.source} ({mount.kind}), which others use too (at {other.point})"
    return ""


def _too_large(path: str, there: Spot) -> str:
    """Files of a tmpfs are memory of the host."""
    free, spare = _free(there.fd), available()
    if there.mount.kind == "tmpfs" and free > spare // 2:
        return f"{path} has {free // MIB} MiB free, which would take the host's memory ({spare // MIB} MiB to spare)"
    return ""


def fill(pid: int, path: str, fault: str, leave: int) -> None:
    """Leave `leave` bytes free, counted in whole pages; fills anew what was freed. Raises `StackFailed`."""
    if why := why_not_fill(pid, path):
        raise StackFailed(f"no carrier for a full disk: {why}")
    with _root(pid, path) as there, _opened(there, MARK + _word(fault)) as fd:
        take = _free(there.fd) - leave
        try:
            while take > 0:
                os.posix_fallocate(fd, os.fstat(fd).st_size, take)
                take = _free(there.fd) - leave
        except OSError as error:
            if error.errno != errno.ENOSPC:  # somebody wrote meanwhile, and it is full
                raise StackFailed(f"{path} cannot be filled: {error.strerror}") from error


def free(pid: int, path: str, fault: str) -> bool:
    """Take a fault's fill file away; says whether there was one. Raises `StackFailed`."""
    with _root(pid, path) as there:
        try:
            os.unlink(MARK + _word(fault), dir_fd=there.fd)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StackFailed(f"the fill file in {path} cannot be removed: {error.strerror}") from error
    return True


def free_stopped(volumes: Mapping[str, str], path: str, fault: str) -> bool:
    """The same for a container that does not run, whose volumes are seen from this host. Raises `StackFailed`."""
    above = [point for point in volumes if f"{path}/".startswith(f"{point.rstrip('/')}/")]
    if not above:
        return False
    file = Path(volumes[max(above, key=len)]) / (MARK + _word(fault))
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StackFailed(f"{file} cannot be removed: {error.strerror}", hint=f"rm {file}") from error
    return True


def fills(pid: int, path: str) -> tuple[str, ...]:
    """The faults whose fill files lie there. Raises `StackFailed`."""
    with _root(pid, path) as there:
        return _fills(there)


def swept(pid: int, *, dry: bool) -> tuple[str, ...]:
    """Remove every fill file of ours from all that a container has mounted; says where they lay."""
    found = []
    for mount in mounts(pid):
        if mount.kind in NEVER_FILLED or "ro" in mount.options:
            continue
        with contextlib.suppress(StackFailed), spot(pid, mount.point) as there:  # a file, or another one above it
            if _fills(there):
                found.append(mount.point)
            for fault in () if dry else _fills(there):
                os.unlink(MARK + fault, dir_fd=there.fd)
    return tuple(found)


def try_write(pid: int, path: str, size: int) -> Disk:
    """Write `size` bytes and `PROBE` more to a file without a name, and let it go. Raises `StackFailed`."""
    with _root(pid, path) as there:
        free, refused = _free(there.fd), ""
        try:
            with _nameless(there) as fd:
                left = size + PROBE
                while left > 0:
                    left -= os.write(fd, bytes(min(left, MIB)))
                os.fsync(fd)
        except OSError as error:
            refused = errno.errorcode.get(error.errno or 0, "EIO")
        return Disk(free, refused, _fills(there))


@contextlib.contextmanager
def _nameless(there: Spot) -> Iterator[int]:
    """A file that is gone with its last descriptor, whatever ends us. Raises `OSError`."""
    fd = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=there.fd)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _opened(there: Spot, name: str) -> Iterator[int]:
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=there.fd)
    except OSError as error:
        raise StackFailed(f"no file can be made in {there.mount.point}: {error.strerror}") from error
    try:
        yield fd
    finally:
        os.close(fd)


def _fills(there: Spot) -> tuple[str, ...]:
    names = os.listdir(there.fd)  # noqa: PTH208 - no path leads there from here
    return tuple(sorted(name.removeprefix(MARK) for name in names if name.startswith(MARK)))


def _free(fd: int) -> int:
    """What the servers of a container may use, who mostly are root there, as we are."""
    found = os.fstatvfs(fd)
    return found.f_bfree * found.f_frsize


def _word(fault: str) -> str:
    return fault.replace("/", "_")


def _namespace(pid: int | str) -> str:
    """Empty for a process that has ended, or that is not ours to look at."""
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{pid}/ns/mnt").readlink())
    return ""


def _mount(line: str) -> Mount:
    """See proc_pid_mountinfo(5)."""
    own, _, rest = line.partition(" - ")
    number, _, device, _, point, options, *_ = own.split()
    kind, source, features = rest.split()
    return Mount(
        int(number), device, point, tuple(options.split(",")), kind, source, tuple(_plain(features).split(","))
    )


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
