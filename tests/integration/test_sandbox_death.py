"""Whoever is killed: the sandbox ends with the last process of its stack, and with it every rule and every fault."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil
import pytest
from sandbox_rig import AS_USER, skip_without_sandbox, write_stack

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.sandbox
ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 10.0
CONDUCTOR = """
import sys, threading
from pathlib import Path
from chaos.engine.injector import Injector
from chaos.engine.ledger import Ledger
from chaos.faults import registry
from chaos.runtimes import sandbox
from chaos.runtimes.process import start_stack
from chaos.runtimes.stackfile import load_stack

sandbox.enter()
arguments = {"target": {"link": "users--web"}, "delay_ms": 200, "rate_kbps": 500, "loss": 0.1, "duration": 60}
with start_stack(load_stack(sys.argv[1])) as stack:
    tell = lambda step, *_: print(step, flush=True)
    fault = registry()["congestion"].model_validate(arguments)
    Injector(stack.runtime, Ledger.create("run"), 1, threading.Event(), tell).run(fault, "fault")
"""


class Run:
    """A conductor in a sandbox of its own, with its fault in force."""

    def __init__(self, folder: Path, state: Path, *, as_user: bool) -> None:
        env = os.environ | {"COLLAB_CHAOS_STATE": str(state), "PYTHONPATH": str(ROOT)}
        words = [*(AS_USER if as_user else ()), sys.executable, "-c", CONDUCTOR, str(write_stack(folder))]
        self.conductor = subprocess.Popen(
            words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self.conductor.stdout is not None
        said = [line.strip() for line in iter(self.conductor.stdout.readline, "on\n") if line]
        assert said == ["intent"], self.conductor.communicate()
        self.network = network(self.conductor.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.conductor.pid, signal.SIGKILL)
        self.conductor.communicate()

    def kill(self, *who: str) -> None:
        """SIGKILL to the conductor, or to whoever was started as that module."""
        agents = {f"chaos.runtimes.{one}" for one in who}
        inside = [(one, set(one.cmdline())) for one in processes(self.network)]
        for one, words in inside:
            if words & agents or ("conductor" in who and one.pid == self.conductor.pid):
                with contextlib.suppress(psutil.NoSuchProcess):  # it went with the one before it
                    one.kill()


def network(pid: int) -> int:
    """The inode of a process's network namespace; 0 if it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/ns/net").stat().st_ino
    return 0


def processes(network_: int) -> list[psutil.Process]:
    """Everything that lives in a network namespace."""
    found = []
    for pid in psutil.pids():
        if network(pid) == network_:
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(pid))
    return found


def left(run: Run, *, beside: int = 0) -> list[str]:
    """Who is still in the run's namespace within the promised time."""
    until = time.monotonic() + WITHIN_S
    while len(inside := processes(run.network)) > beside and time.monotonic() < until:
        time.sleep(0.05)
        with contextlib.suppress(ChildProcessError):
            run.conductor.poll()
    return [str(one) for one in inside][beside:]


def chaos(state: Path, *words: str) -> str:
    """A command, in no sandbox, that has to succeed."""
    env = os.environ | {"COLLAB_CHAOS_STATE": str(state), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "chaos", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture(scope="module", autouse=True)
def possible() -> None:
    skip_without_sandbox()


@pytest.fixture
def host() -> Iterator[None]:
    """What this host's own network has of queueing disciplines, which no test here changes."""

    def look() -> str:
        return subprocess.run(["tc", "qdisc", "show", "dev", "lo"], capture_output=True, text=True, check=True).stdout

    before = look()
    yield
    assert look() == before


@pytest.mark.parametrize(
    ("who", "as_user"),
    [(("conductor",), False), (("conductor",), True), (("conductor", "supervisor", "kernel_agent"), False)],
    ids=["conductor", "a user's conductor", "conductor and agents"],
)
def test_no_process_and_no_namespace_outlives_a_killed_run(
    who: tuple[str, ...], as_user: bool, tmp_path: Path, host: None
) -> None:
    """After SIGKILL of the conductor, with or without its agents, nobody is left in the namespace; healing is quiet."""
    state = tmp_path / "state"
    with Run(tmp_path, state, as_user=as_user) as run:
        assert run.network != network(os.getpid())
        assert len(processes(run.network)) >= 5
        run.kill(*who)
        assert left(run) == []
    assert "left" not in chaos(state, "heal")
    assert json.loads(chaos(state, "stack", "ps", "--json")) == []
    assert not list((state / "stacks").iterdir())


@pytest.mark.parametrize("who", ["kernel_agent", "supervisor", "proxy"])
def test_a_stack_that_lost_an_agent_ends(who: str, tmp_path: Path) -> None:
    """Without what holds its faults no link is what it should be: all of the stack ends, and the conductor is told."""
    with Run(tmp_path, tmp_path / "state", as_user=False) as run:
        run.kill(who)
        _, err = run.conductor.communicate(timeout=30)
        assert run.conductor.returncode != 0
        assert "Error" in err or "StackFailed" in err
        assert left(run) == []


def test_it_can_be_healed_from_outside(tmp_path: Path) -> None:
    """The control sockets are files: another process, in no sandbox, takes the fault back while the run goes on."""
    state = tmp_path / "state"
    with Run(tmp_path, state, as_user=False) as run:
        assert "collab-chaos" in rules(run)
        assert len(json.loads(chaos(state, "stack", "ps", "--json"))) == 1
        chaos(state, "heal", "--run", "run")
        assert "collab-chaos" not in rules(run)
        assert run.conductor.poll() is None


def rules(run: Run) -> str:
    words = ["nsenter", "-t", str(run.conductor.pid), "-n", "iptables-save"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout
