"""The pace of a container's disk: limits of its cgroup on the device behind its data, version 1 (blkio) or 2 (io.max).

Version 1 holds back what a process writes and syncs itself, or past the cache, and what it reads past it; version 2
also what is written back later. Our limits are known by their remainder in bytes per second.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from chaos.errors import StackFailed
from chaos.runtimes import docker_inmate
from chaos.runtimes.docker_disk import Spot, spot
from chaos.runtimes.docker_group import Group, group

MARK, OF = 165, 1024
UNLIMITED = 0
HUGE = (1 << 50) + MARK
"""A pace that no device has: it carries our mark where only operations are limited."""
FILES = {
    "rbps": "blkio.throttle.read_bps_device",
    "wbps": "blkio.throttle.write_bps_device",
    "riops": "blkio.throttle.read_iops_device",
    "wiops": "blkio.throttle.write_iops_device",
}
KEYS = {
    "rbps": "BlkioDeviceReadBps",
    "wbps": "BlkioDeviceWriteBps",
    "riops": "BlkioDeviceReadIOps",
    "wiops": "BlkioDeviceWriteIOps",
}
"""What the engine calls them."""
TIMED_S = 30.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Bytes and operations per second; 0: no limit."""

    rbps: int = UNLIMITED
    wbps: int = UNLIMITED
    riops: int = UNLIMITED
    wiops: int = UNLIMITED

    @property
    def ours(self) -> bool:
        """Whether this tool put it there."""
        return self.rbps % OF == MARK and self.wbps % OF == MARK

    def slower(self, other: Pace) -> Pace:
        """The slower of both, figure by figure."""
        pairs = zip(asdict(self).items(), asdict(other).values(), strict=True)
        return Pace(**{name: min((one for one in (mine, theirs) if one), default=0) for (name, mine), theirs in pairs})

    @property
    def marked(self) -> Pace:
        """With our mark."""
        return replace(self, rbps=_marked(self.rbps), wbps=_marked(self.wbps))


def device(pid: int, path: str) -> str:
    """`major:minor` of the disk that a container's directory is on. Raises `StackFailed` where there is none."""
    with spot(pid, path) as there:
        return _disk(there, path)


def why_not(pid: int, path: str) -> str:
    """What keeps the disk under `path` from being slowed; empty: it can be."""
    try:
        there, found = _group(pid), device(pid, path)
        _read(there, found)
    except StackFailed as error:
        return error.message
    if there.whole:
        return "it has no cgroup of its own for its disk"
    return "" if os.access(there.folder / (FILES["wbps"] if there.version == 1 else "io.max"), os.W_OK) else TAKES_ROOT


TAKES_ROOT = "the limits of its disk may not be changed: it takes root on the engine's own host"


def read(pid: int, found: str) -> Pace:
    """The limits of a container on one device. Raises `StackFailed`."""
    return _read(_group(pid), found)


def configured(found: str, config: Mapping[str, Any]) -> Pace:
    """The limits that the engine gives it at each start, by its HostConfig."""
    paces = {}
    for name, key in KEYS.items():
        for limit in config.get(key) or ():
            with contextlib.suppress(OSError):  # a device that has gone
                number = Path(limit["Path"]).stat().st_rdev
                if f"{os.major(number)}:{os.minor(number)}" == found:
                    paces[name] = int(limit["Rate"])
    return Pace(**paces)


def write(pid: int, found: str, pace: Pace) -> None:
    """Put limits in. Raises `StackFailed`."""
    there = _group(pid)
    if there.version == 1:
        for name, value in asdict(pace).items():
            there.write(FILES[name], f"{found} {value}")
        return
    words = " ".join(f"{name}={value or 'max'}" for name, value in asdict(pace).items())
    there.write("io.max", f"{found} {words}")


def limited(pid: int) -> dict[str, Pace]:
    """The limits of a container on all devices that have some. Raises `StackFailed`."""
    there = _group(pid)
    files = FILES.values() if there.version == 1 else ("io.max",)
    numbers = {line.split()[0] for file in files if there.has(file) for line in there.read(file).splitlines()}
    return {number: _read(there, number) for number in sorted(numbers)}


def timed(pid: int, path: str, what: str, amount: int) -> float:
    """Seconds that a real `write` (with fsync), `read` or a number of `sync`s takes who is held as the container is.

    Raises `StackFailed`.
    """
    procs = str(_group(pid).folder / "cgroup.procs")
    with spot(pid, path) as there:
        words = ["time", procs, str(there.fd), what, str(amount)]
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", docker_inmate.__file__, *words],
                capture_output=True, text=True, pass_fds=(there.fd,), timeout=TIMED_S, check=True,
            )  # fmt: skip
            return float(json.loads(done.stdout)["seconds"])
        except subprocess.TimeoutExpired:
            return TIMED_S
        except subprocess.CalledProcessError as error:
            why = (error.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise StackFailed(f"a {what} in {path} could not be timed: {why}") from error
        except (OSError, ValueError) as error:
            raise StackFailed(f"a {what} in {path} could not be timed: {error}") from error


def _disk(there: Spot, path: str) -> str:
    mount = there.mount
    number = mount.device
    if mount.kind == "overlay":
        upper = next((one.partition("=")[2] for one in mount.features if one.startswith("upperdir=")), "")
        with contextlib.suppress(OSError):
            found = Path(upper).stat().st_dev
            number = f"{os.major(found)}:{os.minor(found)}"
    folder = Path("/sys/dev/block") / number
    if number.startswith("0:") or not folder.exists():
        raise StackFailed(f"{path} is on {mount.kind}, behind which there is no disk to slow")
    # Limits are for whole disks; of a partition, the disk is the folder above.
    return (folder.resolve().parent / "dev").read_text().strip() if (folder / "partition").exists() else number


def _read(there: Group, found: str) -> Pace:
    if there.version == 1:
        return Pace(**{name: _of_device(there.read(file), found) for name, file in FILES.items()})
    for line in there.read("io.max").splitlines():
        number, *words = line.split()
        if number == found:
            pairs: Mapping[str, str] = dict(word.split("=") for word in words)
            return Pace(**{name: _number(pairs.get(name, "max")) for name in FILES})
    return Pace()


def _of_device(text: str, found: str) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.split()[0] == found), UNLIMITED)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else UNLIMITED


def _marked(pace: int) -> int:
    return pace - pace % OF + MARK if pace else HUGE


def _group(pid: int) -> Group:
    return group(pid, "blkio", "io.max")
