"""Limits of memory and disks as figures: marks, the smaller of several, and what the engine gives at a start."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chaos.runtimes import docker_memory
from chaos.runtimes.docker_body import CALM, Fill, Strain
from chaos.runtimes.docker_disk import _mount
from chaos.runtimes.docker_io import Pace

MIB = 2**20


@given(size=st.integers(1, 1 << 44))
def test_a_memory_limit_of_ours_is_known_and_hardly_larger(size: int) -> None:
    """Our mark costs less than 1 MiB, and no limit in whole MiB bears it."""
    limit = docker_memory._marked(size)
    assert size <= limit < size + MIB
    assert docker_memory.ours({"memory.max": str(limit), "memory.high": "max"})
    assert not docker_memory.ours({"memory.max": str(size // MIB * MIB), "memory.high": "max"})


@given(wbps=st.integers(16 * 1024, 1 << 40), iops=st.integers(0, 10_000))
def test_a_pace_of_ours_is_known_and_hardly_another(wbps: int, iops: int) -> None:
    """Both figures in bytes carry the mark, also where only one was asked for; operations stay as they are."""
    pace = Pace(wbps=wbps, wiops=iops).marked
    assert pace.ours
    assert abs(pace.wbps - wbps) < 1024
    assert pace.wiops == iops
    assert pace.rbps > 1 << 49
    assert not Pace(wbps=wbps // 1024 * 1024).ours
    assert not Pace().ours


def test_of_several_strains_the_worst_holds() -> None:
    """The least memory, each fill, and of every pace the slowest; none is no limit."""
    one = Strain(leave=5, fills=(Fill("a", 1),), pace=Pace(wbps=9, riops=7))
    other = Strain(leave=3, fills=(Fill("b", 2),), pace=Pace(wbps=4, rbps=6))
    assert Strain.of([one, other, CALM]) == Strain(3, (Fill("a", 1), Fill("b", 2)), Pace(wbps=4, rbps=6, riops=7))
    assert Strain.of([]) == Strain.of([CALM]) == CALM


def test_a_line_of_mountinfo_is_read() -> None:
    """With optional fields, and with the blanks of an overlay's directories written as octal numbers."""
    mount = _mount(r"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=a,upperdir=/a\040b")
    assert (mount.id, mount.device, mount.point, mount.kind) == (36, "98:0", "/mnt2", "ext3")
    assert mount.features[-1] == "upperdir=/a b"
    assert mount.options == ("rw", "noatime")
