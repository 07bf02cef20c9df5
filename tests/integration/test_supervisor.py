"""Stacks of real processes: how they start, and that nothing outlives its owner."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from stack_rig import mentions, until, write_stack

from chaos.errors import NoSuchTarget, StackFailed
from chaos.model.stack import NodeSpec, ServiceSpec, StackSpec
from chaos.runtimes import http, launch, ports, process
from chaos.runtimes.base import Runtime
from chaos.runtimes.process import ProcessRuntime, RunningStack
from chaos.runtimes.stackfile import load_stack

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.usefixtures("own_state")


def test_stack_starts_serves_and_leaves_nothing(tmp_path: Path) -> None:
    """Every node and link serves when `start_stack` returns; after `close` no process and no folder is left."""
    seen: list[str] = []
    with process.start_stack(load_stack(str(write_stack(tmp_path))), on_progress=seen.append) as stack:
        assert sorted(seen) == ["one", "proxy", "two"]
        assert http.get(stack.site.node_ports["two"]).status == 200
        assert http.get(stack.site.link_ports["users--one"]).body == b"ok"
        assert {state.state for state in stack.runtime.states().values()} == {"up"}
        assert isinstance(stack.runtime, Runtime)
        assert stack.runtime.logs("one") == ("serving",)
        folder = Path(stack.site.directory)
        assert (folder / "site.json").exists()
        stack.close(logs_to=tmp_path / "kept")
    assert not folder.exists()
    assert not mentions(str(tmp_path))
    assert (tmp_path / "kept" / "one.log").read_text() == "serving\n"


def test_two_stacks_live_side_by_side(tmp_path: Path, stack: RunningStack) -> None:
    """A second stack of the same file gets ports and an id of its own, and both are listed."""
    with process.start_stack(load_stack(str(tmp_path / "stack.yaml"))) as second:
        assert not set(second.site.node_ports.values()) & set(stack.site.node_ports.values())
        assert [site.id for site in process.list_stacks()] == [stack.site.id, second.site.id]
        with pytest.raises(NoSuchTarget, match="2 stacks"):
            process.attach_stack("tiny")
    assert [site.id for site in process.list_stacks()] == [stack.site.id]


def test_node_that_crashes_is_named_with_its_last_words(tmp_path: Path) -> None:
    """A node that ends at start makes StackFailed with its name, exit code and log, and nothing is left running."""
    with pytest.raises(StackFailed, match=r"node two ended with exit code 3") as caught:
        process.start_stack(load_stack(str(write_stack(tmp_path, "crash"))))
    assert "fatal: no such table" in caught.value.evidence
    assert caught.value.hint
    assert not mentions(str(tmp_path))
    assert process.list_stacks() == ()


def test_node_that_never_answers_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that runs but does not serve makes StackFailed after the bound, and nothing is left running."""
    monkeypatch.setattr(launch, "START_S", 4.0)
    with pytest.raises(StackFailed, match=r"node two did not answer \(GET /healthz on port \d+\) within 4 s"):
        process.start_stack(load_stack(str(write_stack(tmp_path, "mute"))))
    assert not mentions(str(tmp_path))


def test_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A command that cannot be started makes StackFailed that says so."""
    node = NodeSpec(name="ghost", command=(str(tmp_path / "no-such-program"),))
    with pytest.raises(StackFailed, match="node ghost cannot be started: No such file"):
        process.start_stack(StackSpec(stack="broken", services={"x": ServiceSpec(nodes=(node,))}))


def test_port_that_is_taken_is_said(tmp_path: Path) -> None:
    """A node that asks for a port where somebody listens is refused before anything starts."""
    claim = ports.claim(1)
    with socket.create_server(("127.0.0.1", claim.ports[0])):
        node = NodeSpec(name="fixed", command=("true",), port=claim.ports[0])
        with pytest.raises(StackFailed, match=f"port {claim.ports[0]}, which node fixed asks for, is taken") as caught:
            process.start_stack(StackSpec(stack="broken", services={"x": ServiceSpec(nodes=(node,))}))
    assert "leave `port` out" in caught.value.hint
    claim.close()


def test_attached_stack_has_nothing_of_ours(tmp_path: Path) -> None:
    """A stack of URLs alone starts nothing, and asking its processes for anything is refused."""
    node = NodeSpec(name="theirs", port=1)
    spec = StackSpec(stack="attached", services={"x": ServiceSpec(nodes=(node,), urls={"default": "ws://h:1/{key}"})})
    with process.start_stack(spec) as stack:
        assert stack.site.supervisor == ""
        assert stack.runtime.states() == {}
        assert stack.runtime.active() == ()
        assert stack.site.spec.services["x"].urls == {"default": "ws://h:1/{key}"}
        with pytest.raises(StackFailed, match="attached"):
            stack.runtime.kill("f", ("theirs",), 1, None)


def test_detached_stack_lives_until_it_is_stopped(tmp_path: Path) -> None:
    """A detached stack outlives the object that started it, can be attached to, and ends with `stop_stack`."""
    path = write_stack(tmp_path)
    with process.start_stack(load_stack(str(path)), detached=True) as started:
        identity = started.site.id
    with process.attach_stack(identity) as attached:
        assert http.get(attached.site.link_ports["users--one"]).status == 200
    assert process.stack_logs("tiny", "one") == ("serving",)
    with pytest.raises(NoSuchTarget):
        process.stack_logs("tiny", "three")
    process.stop_stack("tiny")
    assert process.list_stacks() == ()
    assert not mentions(str(tmp_path))
    with pytest.raises(NoSuchTarget, match="no running stack"):
        process.attach_stack(identity)


def test_stack_of_another_version_can_be_ended(tmp_path: Path) -> None:
    """A stack whose site file has words that we do not know is listed by its name and can be stopped."""
    started = process.start_stack(load_stack(str(write_stack(tmp_path))), detached=True)
    site = Path(started.site.directory) / "site.json"
    site.write_text(json.dumps({**json.loads(site.read_text()), "of_the_future": 1}))
    (listed,) = process.list_stacks()
    assert (listed.id, listed.spec.stack) == (started.site.id, "tiny")
    process.stop_stack("tiny")
    assert not mentions(str(tmp_path))


OWNER = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests with SIGINT ignored
from chaos.runtimes import process
from chaos.runtimes.stackfile import load_stack
stack = process.start_stack(load_stack(sys.argv[1]), detached=len(sys.argv) > 2)
print(stack.site.directory, flush=True)
time.sleep(60)
"""


def _owner(path: Path, *more: str) -> tuple[subprocess.Popen[str], Path]:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(path), *more],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    assert owner.stdout is not None
    return owner, Path(owner.stdout.readline().strip())


def _runtime(folder: Path) -> ProcessRuntime:
    return process.attach_stack(folder.name).runtime


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_owned_stack_dies_with_its_owner(tmp_path: Path, number: signal.Signals) -> None:
    """When the owner is killed, every node dies too, the paused and the throttled ones included."""
    owner, folder = _owner(write_stack(tmp_path))
    with owner:
        runtime = _runtime(folder)
        runtime.pause("f", ("one",), 60)
        runtime.throttle("g", ("two",), 0.3, 60)
        os.kill(owner.pid, number)
    until(lambda: not mentions(str(tmp_path)))
    # A process that is just ending has no command line any more and still holds the folder's lock.
    until(lambda: process.list_stacks() == () and not folder.exists())


def test_ctrl_c_of_the_owner_does_not_reach_the_nodes(tmp_path: Path) -> None:
    """A SIGINT to the owner's process group leaves the stack to its owner, which decides what to do with it."""
    owner, folder = _owner(write_stack(tmp_path), "detached")
    with owner:
        os.killpg(owner.pid, signal.SIGINT)
        owner.wait(30)
    assert {state.state for state in _runtime(folder).states().values()} == {"up"}
    process.stop_stack(folder.name)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's")
def test_nodes_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    """When the supervisor itself is killed, its nodes and the proxy die, also a paused one."""
    owner, folder = _owner(write_stack(tmp_path), "detached")
    runtime = _runtime(folder)
    runtime.pause("f", ("one",), 60)
    (supervisor,) = [one for one in mentions(str(folder)) if "chaos.runtimes.supervisor" in one.cmdline()]
    supervisor.kill()
    with owner:
        os.kill(owner.pid, signal.SIGKILL)
    until(lambda: not mentions(str(tmp_path)))
    assert process.list_stacks() == ()


def test_children_of_a_node_end_with_it(tmp_path: Path) -> None:
    """A node that is a shell with children is paused and killed as one."""
    write_stack(tmp_path)
    line = f"{sys.executable} {tmp_path}/node.py ${{port}}; true"
    node = NodeSpec(name="shell", command=("sh", "-c", line))
    with process.start_stack(StackSpec(stack="nested", services={"x": ServiceSpec(nodes=(node,))})) as stack:
        stack.runtime.kill("f", ("shell",), 20, None)
        until(lambda: not mentions(f"{tmp_path}/node.py"))
        stack.runtime.release("f")
        assert http.get(stack.site.node_ports["shell"]).status == 200
    assert not mentions(str(tmp_path))
