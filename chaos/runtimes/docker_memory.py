"""Memory of a container: the limits of its cgroup, version 1 or 2, and what the kernel says of it.

As with processor time the engine's configuration is never touched, so a restart undoes everything. Our limits are
known by their remainder in pages, which nobody picks who counts in megabytes. Version 2 has `memory.high`, which slows
a group down and never kills in it; in version 1 there is only the limit itself.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.errors import StackFailed
from chaos.runtimes import docker_inmate
from chaos.runtimes.docker_group import Group, group

MIB = 2**20
MARK_PAGES = 165
OF_PAGES = MIB // mmap.PAGESIZE
LIMIT, WITH_SWAP = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
HIGH, MOST, SWAP = "memory.high", "memory.max", "memory.swap.max"
FILES = {1: (LIMIT, WITH_SWAP), 2: (HIGH, MOST, SWAP)}
"""In the order in which they are lowered; they are raised in the other one."""
ROOM = 16 * MIB
"""What the one that takes all memory may take beyond what is held already; the host must have it to spare."""
SPARE = 8
"""The host must have so many times of it, or nothing is begun."""
KILLED_S = 5.0
FIRST = 1000
"""The `oom_score_adj` of who is chosen before everybody else in its cgroup."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the kernel says of a container's memory, in bytes."""

    held: int
    """Without what it could give back at once: the cache of files."""
    limit: int
    """Where it is slowed down or killed; a huge number where there is no limit."""
    hits: int
    """How often it ran into a limit."""


def read(pid: int) -> dict[str, str]:
    """The limits of the container whose first process this is: file -> content. Raises `StackFailed`."""
    there = _group(pid)
    return {name: there.read(name) for name in FILES[there.version] if there.has(name)}


def ours(limits: Mapping[str, str]) -> bool:
    """Whether this tool set any of them."""
    return any(text.isdigit() and int(text) // mmap.PAGESIZE % OF_PAGES == MARK_PAGES for text in limits.values())


def restore(pid: int, was: Mapping[str, str]) -> None:
    """Put back what was there before ours. Raises `StackFailed`."""
    there = _group(pid)
    for name in reversed(FILES[there.version]):
        if name in was and there.read(name) != was[name]:
            there.write(name, was[name])


def configured(pid: int, config: Mapping[str, Any]) -> dict[str, str]:
    """The limits that the engine gives it at each start, by its HostConfig. Raises `StackFailed`."""
    most, swap = config.get("Memory") or 0, config.get("MemorySwap") or 0
    swap = swap or 2 * most
    there = _group(pid)
    if there.version == 1:
        limits = {LIMIT: most or -1, WITH_SWAP: swap or -1}
    else:
        limits = {HIGH: -1, MOST: most or -1, SWAP: swap - most if most and swap > 0 else -1}
    none = "-1" if there.version == 1 else "max"
    return {name: str(limit) if limit >= 0 else none for name, limit in limits.items() if there.has(name)}


def squeeze(pid: int, leave: int) -> dict[str, str]:
    """Leave the container so many bytes beyond what it holds now; returns the limits that it has then.

    Raises `StackFailed`, also where it has less already.
    """
    there, now = _group(pid), figures(pid)
    limit = _marked(now.held + leave)
    if limit >= now.limit:
        left = (now.limit - now.held) // MIB
        raise StackFailed(f"{there.folder.name[:12]} has only {left} MiB left already", hint="leave it less")
    _lower(there, LIMIT if there.version == 1 else HIGH, limit)
    return read(pid)


def figures(pid: int) -> Memory:
    """What the kernel counts. Raises `StackFailed`."""
    there = _group(pid)
    if there.version == 1:
        stat = _fields(there.read("memory.stat"))
        cache = stat.get("total_inactive_file", 0) + stat.get("total_active_file", 0)
        held = int(there.read("memory.usage_in_bytes")) - cache
        return Memory(max(0, held), int(there.read(LIMIT)), int(there.read("memory.failcnt")))
    stat, events = _fields(there.read("memory.stat")), _fields(there.read("memory.events"))
    held = int(there.read("memory.current")) - stat.get("inactive_file", 0) - stat.get("active_file", 0)
    limit = min(_number(there.read(HIGH)), _number(there.read(MOST)))
    return Memory(max(0, held), limit, events.get("high", 0) + events.get("max", 0))


def why_not(pid: int) -> str:
    """What keeps this container's memory from being limited; empty: it can be."""
    try:
        there = _group(pid)
        limits = read(pid)
    except StackFailed as error:
        return error.message
    if there.whole:
        return "it has no memory cgroup of its own"
    if not all(os.access(there.folder / name, os.W_OK) for name in limits):
        return f"the limits in {there.folder} may not be changed: it takes root on the engine's own host"
    return ""


def why_not_starve(pid: int) -> str:
    """The same for ending its first process through the kernel's out-of-memory killer."""
    if why := why_not(pid):
        return why
    there = _group(pid)
    if there.version == 1 and _fields(there.read("memory.oom_control")).get("oom_kill_disable"):
        return "its out-of-memory killer is turned off (oom_kill_disable)"
    if _swaps() and not there.has(WITH_SWAP if there.version == 1 else SWAP):
        return "the machine swaps, and its kernel does not limit swap: nothing would be killed"
    if (spare := available()) < SPARE * ROOM:
        return f"the host has only {spare // MIB} MiB to spare, and {SPARE * ROOM // MIB} are needed"
    return ""


def chosen(pid: int) -> int:
    """How much sooner than others the killer picks this process: its `oom_score_adj`. Raises `StackFailed`."""
    try:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())
    except (OSError, ValueError) as error:
        raise StackFailed(f"process {pid} is gone: {error}") from error


def choose(pid: int, score: int) -> None:
    """Set it; a process that is gone is no error. Raises `StackFailed`."""
    try:
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(score))
    except (FileNotFoundError, ProcessLookupError):
        return
    except OSError as error:
        raise StackFailed(f"process {pid} cannot be put before the killer: {error.strerror}") from error


def starve(pid: int) -> None:
    """Let the kernel's out-of-memory killer end the container through its first process; returns once that is dead.

    The group's limit is lowered to a little above what it holds, its first process is made the first choice, and a
    process of ours takes the rest. That one takes no more than `ROOM` beyond what the group could give back, ends by
    itself when its first process does, and with the agent. Whoever calls restores limits and choice where the process
    lives on. Raises `StackFailed`.
    """
    if why := why_not_starve(pid):
        raise StackFailed(f"no carrier for running out of memory: {why}")
    there, now = _group(pid), figures(pid)
    limit = _marked(now.held + ROOM)
    if limit < now.limit:
        _lower(there, LIMIT if there.version == 1 else MOST, limit)
        if there.has(second := WITH_SWAP if there.version == 1 else SWAP):
            _lower(there, second, limit if there.version == 1 else 0)
    if figures(pid).limit > limit:
        raise StackFailed("the limit was not taken: nothing would keep the host from running out of memory")
    choose(pid, FIRST)
    _take_all(there, pid, min(limit, now.limit))


def _take_all(there: Group, pid: int, limit: int) -> None:
    words = ["hog", str(there.folder / "cgroup.procs"), str(pid), str(limit), str(KILLED_S)]
    victim = os.pidfd_open(pid)
    try:
        # Its input is a pipe from us: when it ends, so does the hog.
        with subprocess.Popen(
            [sys.executable, "-I", "-S", docker_inmate.__file__, *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as hog:  # fmt: skip
            out, err = _heard(hog, 2 * KILLED_S)
        if not select.select([victim], [], [], 1.0)[0]:
            last = (err.strip().splitlines() or [f"it ended with {hog.returncode}"])[-1]
            raise StackFailed(f"the kernel did not kill process {pid} in {KILLED_S:g} s", evidence=(out.strip(), last))
    finally:
        os.close(victim)


def _heard(child: subprocess.Popen[str], within_s: float) -> tuple[str, str]:
    """What a child says until it ends, its input held open."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(within_s)
    child.kill()
    return child.communicate()


def _lower(there: Group, name: str, limit: int) -> None:
    if limit < _number(there.read(name)):
        there.write(name, str(limit))


def _marked(size: int) -> int:
    """The next larger size that bears our mark."""
    pages = -(-size // mmap.PAGESIZE)
    return (pages + (MARK_PAGES - pages) % OF_PAGES) * mmap.PAGESIZE


def _group(pid: int) -> Group:
    return group(pid, "memory", MOST)


def _fields(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in text.splitlines())}


def _number(text: str) -> int:
    return int(text) if text.isdigit() else sys.maxsize


def _swaps() -> bool:
    return len(Path("/proc/swaps").read_text().splitlines()) > 1


def available() -> int:
    """Bytes that the host could still give."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
