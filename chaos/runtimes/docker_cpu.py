"""Processor time of a container: its quota in the cgroup, version 1 or 2, read and written in place.

The engine's stored configuration is never changed, so a restart of the container already undoes everything, and
the figures that were there come back exactly. Our quotas are known by their period, which nobody else picks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chaos.errors import StackFailed

ROOT = Path("/sys/fs/cgroup")
PERIODS_US = (10_007, 20_011, 50_021, 100_003)
"""Short, so that also a piece of work of 20 ms is slowed; a longer one only where the quota would be too small."""
SMALLEST_US = 1000
"""The kernel takes no smaller quota."""
UNLIMITED = -1
DEFAULT_PERIOD_US = 100_000
"""The kernel's, and the engine's."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Microseconds of processor time in each period; -1: no limit."""

    quota_us: int
    period_us: int

    @property
    def ours(self) -> bool:
        """Whether this tool put it there."""
        return self.quota_us != UNLIMITED and self.period_us in PERIODS_US

    def share(self, share: float) -> Quota:
        """A share of it; of one processor where there is no limit."""
        processors = 1.0 if self.quota_us == UNLIMITED else self.quota_us / self.period_us
        for period in PERIODS_US:
            if (quota := round(period * processors * share)) >= SMALLEST_US:
                return Quota(quota, period)
        return Quota(SMALLEST_US, PERIODS_US[-1])


def read(pid: int) -> Quota:
    """The quota of the container whose first process this is. Raises `StackFailed`."""
    folder, version = _group(pid)
    try:
        if version == 1:
            return Quota(_number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us"))
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError) as error:
        raise _unusable(folder, error) from error
    return Quota(UNLIMITED if quota == "max" else int(quota), int(period))


def write(pid: int, quota: Quota) -> None:
    """Put a quota in. Raises `StackFailed`."""
    folder, version = _group(pid)
    try:
        if version == 1:
            # Without a limit in between, no order of the two files can exceed what a parent allows.
            (folder / "cpu.cfs_quota_us").write_text(str(UNLIMITED))
            (folder / "cpu.cfs_period_us").write_text(str(quota.period_us))
            (folder / "cpu.cfs_quota_us").write_text(str(quota.quota_us))
            return
        word = "max" if quota.quota_us == UNLIMITED else str(quota.quota_us)
        (folder / "cpu.max").write_text(f"{word} {quota.period_us}")
    except OSError as error:
        raise _unusable(folder, error) from error


def _number(path: Path) -> int:
    return int(path.read_text())


def _group(pid: int) -> tuple[Path, int]:
    """The folder of the processor controller, and the version of the hierarchy that it is in."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError as error:
        raise _unusable(Path(f"/proc/{pid}/cgroup"), error) from error
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "cpu" in controllers.split(","):
            for mount in (controllers, "cpu"):
                if (folder := ROOT / mount / path.lstrip("/")).is_dir():
                    return folder, 1
        if not controllers and (ROOT / path.lstrip("/") / "cpu.max").exists():
            return ROOT / path.lstrip("/"), 2
    raise StackFailed(f"no cgroup that limits processor time is seen for process {pid}", hint="see /proc/PID/cgroup")


def _unusable(path: Path, error: Exception) -> StackFailed:
    return StackFailed(
        f"the processor quota cannot be read or set: {path}: {error}", hint="it takes root on the engine's own host"
    )
