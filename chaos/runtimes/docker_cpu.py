"""Processor time of a container: its quota in the cgroup, version 1 or 2, read and written in place.

The engine's stored configuration is never changed, so a restart of the container already undoes everything, and
the figures that were there come back exactly. Our quotas are known by their period, which nobody else picks.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaos.runtimes.docker_group import Group, group, unusable

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
    there = _group(pid)
    try:
        if there.version == 1:
            return Quota(int(there.read("cpu.cfs_quota_us")), int(there.read("cpu.cfs_period_us")))
        quota, period = there.read("cpu.max").split()
        return Quota(UNLIMITED if quota == "max" else int(quota), int(period))
    except ValueError as error:
        raise unusable(there.folder, error) from error


def write(pid: int, quota: Quota) -> None:
    """Put a quota in. Raises `StackFailed`."""
    there = _group(pid)
    if there.version == 1:
        # Without a limit in between, no order of the two files can exceed what a parent allows.
        there.write("cpu.cfs_quota_us", str(UNLIMITED))
        there.write("cpu.cfs_period_us", str(quota.period_us))
        there.write("cpu.cfs_quota_us", str(quota.quota_us))
        return
    word = "max" if quota.quota_us == UNLIMITED else str(quota.quota_us)
    there.write("cpu.max", f"{word} {quota.period_us}")


def _group(pid: int) -> Group:
    return group(pid, "cpu", "cpu.max")
