"""Memory and disks of containers: what is refused, what is somebody else's, and what a restart changes."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_engine import Cans, body, cans, docker, start_can
from docker_rig import FAULTS, left_as_it_was, until

from chaos.engine.injector import Injector
from chaos.engine.ledger import Ledger
from chaos.errors import StackFailed
from chaos.faults import registry
from chaos.runtimes import docker_body, docker_disk, docker_io, docker_memory, docker_undo, http
from chaos.runtimes.docker import DockerStack, attach, look
from chaos.runtimes.docker_engine import Engine
from chaos.runtimes.docker_io import Pace

pytestmark = pytest.mark.needs_docker
LEASE_S = 30.0
MIB = 2**20
NAMES = ("disk_full", "disk_slow", "memory_pressure", "oom")


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cans]:
    with cans(tmp_path_factory.mktemp("cans")) as made:
        yield made


@pytest.fixture(scope="module")
def stack(web: Cans) -> Iterator[DockerStack]:
    with attach(web.spec()) as attached:
        yield attached


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cans]:
    """Containers of which one has a limit of its own."""
    with cans(tmp_path_factory.mktemp("own")) as made:
        docker("update", "--memory", "64m", "--memory-swap", "128m", made.name("web"))
        yield made


@pytest.fixture
def before(web: Cans, stack: DockerStack) -> Iterator[dict[str, Any]]:
    """How the containers are; afterwards they have to be the same."""
    with left_as_it_was(web, stack) as snapshot:
        yield snapshot


@pytest.mark.parametrize("name", NAMES)
def test_its_proof_fails_when_nothing_is_injected(name: str, stack: DockerStack, tmp_path: Path) -> None:
    """The evidence is a measurement of the containers, and does not believe the fault."""
    fault, arguments = FAULTS[name]

    class Toothless(registry()[fault]):  # type: ignore[misc]  # the class is known only at run time
        def inject(self, injection: Any) -> None: ...

    injector = Injector(stack.runtime, Ledger.create("run", tmp_path), 1, threading.Event(), lambda *_: None)
    assert not injector.run(Toothless.model_validate({**arguments, "duration": 0.2}), name).bit


def test_a_kill_is_not_taken_for_a_want_of_memory(stack: DockerStack, tmp_path: Path, before: dict[str, Any]) -> None:
    """A node that ends by a plain SIGKILL instead is no proof of `oom`."""

    class Plain(registry()["oom"]):  # type: ignore[misc]  # the class is known only at run time
        def inject(self, injection: Any) -> None:
            injection.runtime.kill(injection.id, injection.aim.nodes, injection.lease_s, None)

    injector = Injector(stack.runtime, Ledger.create("run", tmp_path), 1, threading.Event(), lambda *_: None)
    evidence = injector.run(Plain.model_validate({**FAULTS["oom"][1], "duration": 0.2}), "oom")
    assert "gone" in evidence.says
    assert not evidence.bit


def test_the_engine_says_that_memory_ran_out(web: Cans, stack: DockerStack, before: dict[str, Any]) -> None:
    """What ended the node was the kernel's out-of-memory killer, and after the heal it runs as before."""
    stack.runtime.starve("o.1", ("web",), LEASE_S, None)
    said = docker("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}} {{.State.Status}}", web.name("web"))
    assert said.split() == ["true", "137", "exited"]
    stack.runtime.release("o.1")
    assert stack.runtime.states()["web"].state == "up"


def test_a_node_that_died_of_memory_comes_back_in_time(web: Cans, stack: DockerStack, before: dict[str, Any]) -> None:
    """With `restart_after` the lease lasts, but the node is started again."""
    stack.runtime.starve("o.2", ("web",), LEASE_S, 0.2)
    until(lambda: stack.runtime.states()["web"].state == "up")
    assert stack.runtime.active() == ("o.2",)
    stack.runtime.release("o.2")


def test_who_dies_of_its_strain_is_started_again(web: Cans, stack: DockerStack, before: dict[str, Any]) -> None:
    """A node that wants more memory than is left may be killed by the kernel; the heal brings it back, unlimited."""
    stack.runtime.squeeze("q.1", ("web",), 2 * MIB, LEASE_S)
    with contextlib.suppress(http.NoAnswer):
        http.get(web.port, f"/grow/{64 * MIB}", 5.0)
    if docker_memory.HIGH not in body(web.pid("front"))["memory"]:
        until(lambda: stack.runtime.states()["web"].state == "down")
        assert stack.runtime.memory(("web",)) == {}
    stack.runtime.release("q.1")
    assert stack.runtime.states()["web"].state == "up"


def test_a_full_disk_is_full_for_the_server_itself(web: Cans, stack: DockerStack, before: dict[str, Any]) -> None:
    """A program in the container finds no room, until the fault is healed."""
    write = ("exec", web.name("web"), "dd", "if=/dev/zero", "of=/data/x", "bs=64k", "count=4")
    stack.runtime.fill("d.1", ("web",), 64 * 1024, LEASE_S)
    with pytest.raises(Exception, match="non-zero"):
        docker(*write)
    assert _size(web, "x") == 64 * 1024
    stack.runtime.release("d.1")
    docker(*write)
    assert _size(web, "x") == 4 * 64 * 1024
    docker("exec", web.name("web"), "rm", "/data/x")


def _size(web: Cans, name: str) -> int:
    return Path(f"/proc/{web.pid('web')}/root/data/{name}").stat().st_size


def test_two_fills_are_freed_one_by_one(web: Cans, stack: DockerStack, before: dict[str, Any]) -> None:
    """Each fault has a file of its own, and the disk is full until the last one goes."""
    stack.runtime.fill("d.1", ("web",), 1 * MIB, LEASE_S)
    stack.runtime.fill("d.2", ("web",), 0, LEASE_S)
    disk = stack.runtime.try_write(("web",), 0)["web"]
    assert (disk.fills, disk.refused, disk.free) == (("d.1", "d.2"), "ENOSPC", 0)
    stack.runtime.release("d.2")
    assert stack.runtime.try_write(("web",), 0)["web"].free == 1 * MIB
    stack.runtime.release("d.1")


def test_a_disk_that_is_not_the_nodes_own_is_never_filled(web: Cans) -> None:
    """Its own layer, what is read-only or not there, and what nobody told: each is refused in words."""
    pid = web.pid("web")
    assert "own layer" in docker_disk.why_not_fill(pid, "/tmp")
    assert "No such file" in docker_disk.why_not_fill(pid, "/nowhere")
    assert "read-only" in docker_disk.why_not_fill(pid, "/sys/firmware")
    assert "stack file" in docker_disk.why_not_fill(pid, None)
    assert "others use too" in docker_disk.why_not_fill(os.getpid(), "/")
    with attach(web.spec(**{"data: /data": "data: /tmp"})) as stack:
        with pytest.raises(StackFailed, match="own layer"):
            stack.runtime.fill("d.3", ("web",), 0, LEASE_S)
        assert stack.runtime.active() == ()


def test_a_volume_is_filled_only_if_it_has_a_size(web: Cans) -> None:
    """A volume on the engine's disk is refused, and one that two containers mount; a tmpfs of its own is not."""
    small, plain = f"{web.project}-small", f"{web.project}-plain"
    docker("volume", "create", "-d", "local", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=4m", small)
    docker("volume", "create", plain)
    try:
        start_can(web, "first", "-v", f"{small}:/small", "-v", f"{plain}:/plain")
        pid = web.pid("first")
        assert "others use too" in docker_disk.why_not_fill(pid, "/plain")
        assert docker_disk.why_not_fill(pid, "/small") == ""
        docker_disk.fill(pid, "/small", "v.1", 0)
        assert docker_disk.try_write(pid, "/small", 0).refused == "ENOSPC"
        assert docker_disk.free(pid, "/small", "v.1")
        assert docker_disk.try_write(pid, "/small", 0).refused == ""
        start_can(web, "second", "-v", f"{small}:/elsewhere")
        assert "at /elsewhere" in docker_disk.why_not_fill(pid, "/small")
    finally:
        docker("rm", "-f", web.name("first"), web.name("second"))
        docker("volume", "rm", small, plain)


def test_what_fills_a_volume_goes_when_its_container_has_ended(web: Cans) -> None:
    """A server that dies of its full disk takes no fill file with it into its next life: by the agent, and by hand."""
    small = f"{web.project}-kept"
    docker("volume", "create", "-d", "local", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=4m", small)
    try:
        start_can(web, "mortal", "-v", f"{small}:/data")
        start_can(web, "holder", "-v", f"{small}:/data:ro")
        seen = Path(f"/proc/{web.pid('holder')}/root/data")
        spec = web.spec(**{"node: front": "node: mortal", "name: front, ": "name: front, data: /data/deep/.., "})
        docker("exec", web.name("mortal"), "mkdir", "/data/deep")
        with attach(spec) as stack:
            undo = docker_undo.docker_release(stack.site, "k.2")
            stack.runtime.fill("k.1", ("front",), MIB, 2.0)
            stack.runtime.fill("k.2", ("front",), 0, LEASE_S)
            assert sorted(path.name[-3:] for path in seen.glob(".collab-chaos-*")) == ["k.1", "k.2"]
            docker("kill", web.name("mortal"))
            until(lambda: [path.name[-3:] for path in seen.glob(".collab-chaos-*")] == ["k.2"])
            os.kill(stack.agent.pid, signal.SIGKILL)
            stack.agent.wait()
            docker("start", web.name("mortal"))
            docker("kill", web.name("mortal"))
            assert docker_undo.release(undo.arguments) == "front freed of what filled its disk"
        assert list(seen.glob(".collab-chaos-*")) == []
    finally:
        docker("rm", "-f", web.name("mortal"), web.name("holder"))
        docker("volume", "rm", small)


def test_the_plan_knows_what_a_container_lacks(web: Cans) -> None:
    """A tmpfs has no disk to slow; a node of whose data nobody told has none to fill."""
    lacks = {node: container.lacks for node, container in look(web.spec()).containers.items()}
    assert lacks["web"]["dragging"] == "/data is on tmpfs, behind which there is no disk to slow"
    assert "filling" in lacks["front"]
    assert "filling" not in lacks["web"]


def test_a_slow_disk_is_slow_for_the_server_itself(web: Cans, stack: DockerStack, before: dict[str, Any]) -> None:
    """1 MiB at 1 MiB/s takes a program in the container about a second; twenty syncs at 20 a second no less."""
    words = "import os,time;f=os.open('/x',66);t=time.time();os.write(f,bytes(1<<20));os.fsync(f);print(time.time()-t)"
    run = ("exec", web.name("front"), "python3", "-c", words)
    calm = float(docker(*run))
    stack.runtime.drag("s.1", ("front",), LEASE_S, write_bps=MIB, read_bps=0, iops=0)
    slow = float(docker(*run))
    stack.runtime.release("s.1")
    assert slow > max(0.7, 2 * calm)
    docker("exec", web.name("front"), "rm", "/x")


def test_limits_that_were_there_come_back(own: Cans) -> None:
    """A container with limits of its own is held to what is less, and gets the same again."""
    pid = own.pid("front")
    disk = docker_io.device(pid, "/")
    docker_io.write(pid, disk, Pace(rbps=5_000_000, wiops=700))
    calm = own.snapshot()
    with attach(own.spec()) as attached:
        attached.runtime.squeeze("m.1", ("web",), 8 * MIB, LEASE_S)
        attached.runtime.drag("m.1", ("front",), LEASE_S, write_bps=MIB, read_bps=9_000_000, iops=50)
        pace = docker_io.read(pid, disk)
        assert (pace.rbps // 1024, pace.wiops, pace.riops) == (5_000_000 // 1024, 50, 50)
        assert attached.runtime.memory(("web",))["web"].limit < 64 * MIB
        attached.runtime.release("m.1")
        assert own.snapshot() == calm
        with pytest.raises(StackFailed, match="has only"):
            attached.runtime.squeeze("m.2", ("web",), 80 * MIB, LEASE_S)
        attached.runtime.starve("m.3", ("web",), LEASE_S, None)
        attached.runtime.release("m.3")
    assert own.snapshot() == calm
    docker_io.write(pid, disk, Pace())


def test_what_bears_our_mark_goes_without_a_ledger(own: Cans) -> None:
    """A sweep knows fill files and limits by their marks, and gives back what the engine gives at each start."""
    calm = own.snapshot()
    with contextlib.closing(Engine()) as engine:
        facts = {node: engine.facts(own.name(node)) for node in ("web", "front")}
    pids = {node: one.pid for node, one in facts.items()}
    docker_disk.fill(pids["web"], "/data", "w.1", 0)
    docker_memory.squeeze(pids["web"], 4 * MIB)
    disk = docker_io.device(pids["front"], "/")
    docker_io.write(pids["front"], disk, Pace(wbps=MIB).marked)
    with pytest.raises(StackFailed, match="of an earlier run"):
        look(own.spec())
    said = {node: list(docker_body.sweep(one, dry=True)) for node, one in facts.items()}
    assert said == {"web": ["fill file in /data", "memory limit"], "front": ["disk limit"]}
    assert own.snapshot() != calm
    assert {node: list(docker_body.sweep(one, dry=False)) for node, one in facts.items()} == said
    assert own.snapshot() == calm
    assert [list(docker_body.sweep(one, dry=False)) for one in facts.values()] == [[], []]


def test_what_somebody_else_changes_meanwhile_stays(own: Cans) -> None:
    """A limit that is no longer ours is left as it is, by the agent and by a heal without it."""
    theirs = Pace(wbps=3_000_000)
    pids = {node: own.pid(node) for node in ("web", "front")}
    disk = docker_io.device(pids["front"], "/")
    with attach(own.spec()) as attached:
        undo = docker_undo.docker_release(attached.site, "c.1")
        attached.runtime.squeeze("c.1", ("web",), 8 * MIB, LEASE_S)
        attached.runtime.drag("c.1", ("front",), LEASE_S, write_bps=MIB, read_bps=0, iops=0)
        docker("update", "--memory", "48m", "--memory-swap", "96m", own.name("web"))
        docker_io.write(pids["front"], disk, theirs)
        attached.runtime.release("c.1")
        assert attached.runtime.memory(("web",))["web"].limit == 48 * MIB
        there = {node: body(pid) for node, pid in pids.items()}
        assert there["front"]["pace"] == theirs
    assert docker_undo.release(undo.arguments) == "already gone"
    assert {node: body(pid) for node, pid in pids.items()} == there
    docker_io.write(pids["front"], disk, Pace())


def test_a_container_that_restarts_is_strained_again(web: Cans, stack: DockerStack) -> None:
    """A restart gives it another cgroup and another tmpfs; the faults are put on both until the heal."""
    stack.runtime.squeeze("n.1", ("web",), 32 * MIB, LEASE_S)
    stack.runtime.fill("n.1", ("web",), 0, LEASE_S)
    docker("restart", "-t", "0", web.name("web"))
    until(lambda: docker_memory.ours(docker_memory.read(web.pid("web"))))
    until(lambda: stack.runtime.try_write(("web",), 0)["web"].refused == errno.errorcode[errno.ENOSPC])
    stack.runtime.release("n.1")
    after = body(web.pid("web"))
    assert not docker_memory.ours(after["memory"])
    assert after["files"] == []


def test_a_hog_that_cannot_kill_leaves_nothing(web: Cans, stack: DockerStack, before: dict[str, Any]) -> None:
    """Where the kernel's killer is turned off for a container, `oom` is refused, and no limit is changed."""
    control = Path(f"/sys/fs/cgroup/memory/{_memory_path(web)}/memory.oom_control")
    if not control.exists():
        pytest.skip("only version 1 can turn the killer off")
    control.write_text("1")
    try:
        with pytest.raises(StackFailed, match="turned off"):
            stack.runtime.starve("h.1", ("web",), LEASE_S, None)
        assert docker_memory.why_not_starve(web.pid("web"))
        assert stack.runtime.states()["web"].state == "up"
    finally:
        with contextlib.suppress(OSError):
            control.write_text("0")


def _memory_path(web: Cans) -> str:
    lines = Path(f"/proc/{web.pid('web')}/cgroup").read_text().splitlines()
    return next((line.split(":")[2].lstrip("/") for line in lines if ":memory:" in line), "none")
