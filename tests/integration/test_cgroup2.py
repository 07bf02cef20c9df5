"""Limits in version 2 of cgroups, on a group of the test's own; where the machine has version 1, see the containers."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.runtimes import docker_disk, docker_io, docker_memory
from chaos.runtimes.docker_group import ROOT
from chaos.runtimes.docker_io import Pace

MIB = 2**20
MAIN = "import sys,time\nkept = bytearray(8 << 20)\nprint('up', flush=True)\nwhile True: time.sleep(1)"


@pytest.fixture
def main() -> Iterator[int]:
    """A process that is the first of its own namespace, as in a container, with a file system of 4 MiB on /mnt."""
    group = ROOT / f"collab-chaos-test-{os.getpid()}"
    _delegated()
    group.mkdir()
    mount = 'mount -t tmpfs -o size=4m tmpfs /mnt && echo "$$" >"$1" && exec unshare -pf "$2" -c "$3"'
    words = ["unshare", "-m", "sh", "-c", mount, "sh", str(group / "cgroup.procs"), sys.executable, MAIN]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        yield int(Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text())
    finally:
        child.stdout.close()
        (group / "cgroup.kill").write_text("1")
        child.wait()
        end = time.monotonic() + 5
        while (group / "cgroup.events").read_text().startswith("populated 1"):
            assert time.monotonic() < end
            time.sleep(0.01)
        group.rmdir()


def _delegated() -> None:
    if os.geteuid() != 0:
        pytest.skip("groups are made by root")
    controllers = ROOT / "cgroup.controllers"
    if not controllers.exists() or not {"memory", "io"} <= set(controllers.read_text().split()):
        pytest.skip("this machine has no memory and io in version 2 of cgroups")
    (ROOT / "cgroup.subtree_control").write_text("+memory +io")


def test_memory_is_squeezed_and_given_back(main: int) -> None:
    """`memory.high` leaves what was asked, bears our mark, and comes back as it was."""
    was = docker_memory.read(main)
    assert docker_memory.why_not(main) == docker_memory.why_not_starve(main) == ""
    docker_memory.squeeze(main, 4 * MIB)
    now = docker_memory.figures(main)
    assert 3 * MIB < now.limit - now.held < 6 * MIB
    assert docker_memory.ours(docker_memory.read(main))
    docker_memory.restore(main, was)
    assert docker_memory.read(main) == was
    assert docker_memory.configured(main, {}) == was


def test_the_kernel_kills_whoever_has_no_memory_left(main: int) -> None:
    """The first process is the one that the out-of-memory killer ends, as the kernel has counted."""
    group = next(ROOT.glob(f"collab-chaos-test-{os.getpid()}"))
    victim = os.pidfd_open(main)
    docker_memory.starve(main)
    assert select.select([victim], [], [], 0)[0]
    os.close(victim)
    events = dict(line.split() for line in (group / "memory.events").read_text().splitlines())
    assert int(events["oom_kill"]) >= 1


def test_its_file_system_is_filled_and_freed(main: int) -> None:
    """A tmpfs of its own is filled to the last page; the machine's own disk is not touched."""
    assert docker_disk.why_not_fill(main, "/mnt") == ""
    docker_disk.fill(main, "/mnt", "v.1", 0)
    assert docker_disk.try_write(main, "/mnt", 0).refused == "ENOSPC"
    assert docker_disk.swept(main, dry=False) == ("/mnt",)
    assert docker_disk.try_write(main, "/mnt", 0).refused == ""
    assert docker_disk.why_not_fill(main, "/")


def test_a_disk_is_slowed_and_quick_again(main: int, tmp_path: Path) -> None:
    """`io.max` holds a real write to the asked pace, bears our mark, and comes back as it was."""
    if why := docker_io.why_not(main, str(tmp_path)):
        pytest.skip(why)
    disk = docker_io.device(main, str(tmp_path))
    was = docker_io.read(main, disk)
    calm = docker_io.timed(main, str(tmp_path), "write", MIB // 2)
    asked_s = 4 * calm + 0.4
    docker_io.write(main, disk, Pace(wbps=round(MIB / 2 / asked_s), riops=90).slower(was).marked)
    assert docker_io.limited(main)[disk].ours
    slow = docker_io.timed(main, str(tmp_path), "write", MIB // 2)
    docker_io.write(main, disk, was)
    assert slow > max(0.6 * asked_s, 2 * calm)
    assert docker_io.read(main, disk) == was
    with contextlib.suppress(KeyError):
        assert not docker_io.limited(main)[disk].ours
