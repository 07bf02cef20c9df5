"""Containers that run already: a stack that is attached by labels, and the runtime over it.

Nothing here starts or ends a container of its own accord. Harm is done by an agent, a process of its own, through
its control socket; `chaos.runtimes.docker_undo` takes back what an agent that was killed left behind.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chaos.errors import StackFailed, StorageFailed
from chaos.model.link import LinkEffect, LinkStats
from chaos.model.stack import Site, StackSpec
from chaos.runtimes import control, docker_ways, state
from chaos.runtimes.base import Disturbance, NodeDisk, NodeMemory, NodeState
from chaos.runtimes.child import tail
from chaos.runtimes.docker_attach import attached_site
from chaos.runtimes.docker_engine import Engine
from chaos.runtimes.launch import environment

ASK_S = 30.0
"""Bound of a request to the agent: the engine has 10 s for each of the few things that one asks for."""
AGENT_END_S = 60.0


PROXY_ONLY = {"freeze", "slow reading", "slow closing"}
"""Parts of an effect that nothing which meets packets knows."""


class DockerRuntime:
    """Every capability of `chaos.runtimes.base.Runtime` over containers. Raises `StackFailed`."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def __repr__(self) -> str:
        return f"<DockerRuntime of {self.site.spec.stack}>"

    def states(self) -> dict[str, NodeState]:
        """The containers as the engine has them now."""
        return {name: NodeState.model_validate(value) for name, value in self._ask("ps").items()}

    def logs(self, node: str, lines: int = 20) -> tuple[str, ...]:
        """The last lines of a container's output."""
        with contextlib.closing(Engine()) as engine:
            return engine.logs(self.site.containers[node].id, lines)

    def kill(
        self,
        fault: str,
        nodes: tuple[str, ...],
        lease_s: float,
        restart_after_s: float | None,
        grace_s: float = 0.0,
    ) -> None:
        """SIGKILL to the containers' first processes; returns once they are dead.

        With `grace_s` above 0 all are sent their stop signal first, and are killed after that many seconds.
        """
        held = {"fault": fault, "nodes": nodes, "lease_s": lease_s, "grace_s": grace_s}
        self._ask("kill", restart_after_s=restart_after_s, **held)

    def pause(self, fault: str, nodes: tuple[str, ...], lease_s: float) -> None:
        """The cgroup freezer: every process of the container stands still."""
        self._ask("pause", fault=fault, nodes=nodes, lease_s=lease_s)

    def throttle(self, fault: str, nodes: tuple[str, ...], share: float, lease_s: float) -> None:
        """A share of the container's processor quota; of one processor, where it has none."""
        self._ask("throttle", fault=fault, nodes=nodes, share=share, lease_s=lease_s)

    def skew(self, fault: str, nodes: tuple[str, ...], offset_s: float, lease_s: float) -> None:
        """The file in the container that libfaketime reads; for containers that run with it preloaded."""
        self._ask("skew", fault=fault, nodes=nodes, offset_s=offset_s, lease_s=lease_s)

    def fail_names(self, fault: str, nodes: tuple[str, ...], how: str, lease_s: float) -> None:
        """Queries of DNS that leave the container get no answer (`timeout`), or are turned away at once (`refused`)."""
        self._ask("names", fault=fault, nodes=nodes, how=how, lease_s=lease_s)

    def starve(self, fault: str, nodes: tuple[str, ...], lease_s: float, restart_after_s: float | None) -> None:
        """The kernel's out-of-memory killer ends the container's first process; returns once it is dead."""
        self._ask("starve", fault=fault, nodes=nodes, lease_s=lease_s, restart_after_s=restart_after_s)

    def squeeze(self, fault: str, nodes: tuple[str, ...], leave: int, lease_s: float) -> None:
        """`memory.high` of the container's cgroup, in version 1 its limit, in whole MiB."""
        self._ask("squeeze", fault=fault, nodes=nodes, leave=leave, lease_s=lease_s)

    def memory(self, nodes: tuple[str, ...]) -> dict[str, NodeMemory]:
        """What the kernel counts."""
        return {node: docker_ways.memory(self.site, node) for node in self._up(nodes)}

    def fill(self, fault: str, nodes: tuple[str, ...], leave: int, lease_s: float) -> None:
        """A file that fills the file system of the container's own that its data are on."""
        self._ask("fill", fault=fault, nodes=nodes, leave=leave, lease_s=lease_s)

    def try_write(self, nodes: tuple[str, ...], size: int) -> dict[str, NodeDisk]:
        """Write so many bytes there and a little more, to a file without a name."""
        return {node: docker_ways.try_write(self.site, node, size) for node in self._up(nodes)}

    def drag(
        self, fault: str, nodes: tuple[str, ...], lease_s: float, *, write_bps: int, read_bps: int, iops: int
    ) -> None:
        """Limits of the container's cgroup on the device behind its data."""
        pace = {"rbps": read_bps, "wbps": write_bps, "riops": iops, "wiops": iops}
        self._ask("drag", fault=fault, nodes=nodes, pace=pace, lease_s=lease_s)

    def time_disk(self, nodes: tuple[str, ...], what: str, amount: int) -> dict[str, float]:
        """Seconds of a real write, read or number of syncs in the container's cgroup."""
        return {node: docker_ways.time_disk(self.site, node, what, amount) for node in self._up(nodes)}

    def shape(self, fault: str, links: tuple[str, ...], effect: LinkEffect, lease_s: float, seed: int) -> None:
        """Impair links in the network namespaces of their targets. A rate is shared per target.

        Raises `StackFailed` for what only the userspace link proxy can do to a byte stream.
        """
        foreign = sorted(PROXY_ONLY & effect.parts().keys())
        if foreign:
            hint = "only links of a stack of processes carry this"
            raise StackFailed(f"no carrier on containers for {', '.join(foreign)}", hint=hint)
        self._ask("shape", fault=fault, links=links, effect=effect.model_dump(), lease_s=lease_s, seed=seed)

    def link_stats(self) -> dict[str, LinkStats]:
        """What the kernel counts while effects are on; a stall is a dropped packet."""
        return {name: LinkStats.model_validate(value) for name, value in self._ask("stats").items()}

    def disturbed(self, fault: str) -> tuple[Disturbance, ...]:
        """Containers of the fault that somebody else restarted or freed, and times without the engine's events."""
        return tuple(Disturbance.model_validate(one) for one in self._ask("disturbed", fault=fault))

    def renew(self, fault: str, lease_s: float) -> None:
        """Begin a new term; an unknown id is no error."""
        self._ask("renew", fault=fault, lease_s=lease_s)

    def release(self, fault: str) -> None:
        """Take back everything the fault holds; waits until the containers answer, at most 10 s."""
        self._ask("release", fault=fault)

    def active(self) -> tuple[str, ...]:
        """Ids of the faults that hold something now."""
        return tuple(self._ask("active"))

    def _up(self, nodes: tuple[str, ...]) -> tuple[str, ...]:
        states = self.states()
        return tuple(node for node in nodes if states[node].pid)

    def _ask(self, do: str, **arguments: Any) -> Any:
        if not self.site.supervisor:
            raise StackFailed(f"`{do}`: nobody holds leases on the containers of {self.site.spec.stack}")
        return control.call(self.site.supervisor, do, timeout_s=ASK_S, **arguments)


class DockerStack:
    """Containers that are attached, with the agent that may harm them; a context manager."""

    def __init__(self, site: Site, folder: state.StackFolder, agent: subprocess.Popen[bytes]) -> None:
        self.site = site
        self.runtime = DockerRuntime(site)
        self.agent = agent
        self._folder = folder

    def __repr__(self) -> str:
        return f"<DockerStack {self.site.spec.stack}, {len(self.site.containers)} containers>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check(self) -> None:
        """Raise `StackFailed`, with its last words, if the agent that holds the faults has gone away."""
        if self.agent.poll() is not None:
            raise StackFailed("the agent of the containers went away", evidence=tail(self._log, 12))

    def save_logs(self, into: Path) -> None:
        """Write the end of every container's output, and the agent's; what cannot be had is no error."""
        into.mkdir(parents=True, exist_ok=True)
        for node in self.site.containers:
            with contextlib.suppress(StackFailed):
                (into / f"{node}.log").write_text("\n".join(self.runtime.logs(node, 2000)) + "\n")
        agent = tail(self._log, 2000)
        (into / "agent.log").write_text("\n".join(agent) + "\n")

    def close(self, logs_to: Path | None = None) -> None:
        """Take back everything and end the agent; the containers live on. Safe to call twice."""
        if self.agent.stdin is not None:
            self.agent.stdin.close()
        if self.agent.stdout is not None:
            self.agent.stdout.close()
        try:
            self.agent.wait(AGENT_END_S)
        except subprocess.TimeoutExpired:
            raise StackFailed("the agent does not end: it still takes faults back", hint=str(self._log)) from None
        if logs_to is not None and self._folder.path.exists():
            self.save_logs(logs_to)
        self._folder.remove()

    @property
    def _log(self) -> Path:
        return self._folder.path / "logs" / "agent.log"


def look(spec: StackSpec) -> Site:
    """The containers that a stack file means; raises as `attach` does, and starts nothing."""
    with contextlib.closing(Engine()) as engine:
        return attached_site(spec, engine)


def attach(spec: StackSpec) -> DockerStack:
    """Find the stack's containers and start an agent for them; changes nothing on them.

    Raises `NoSuchTarget` (labels that pick none, or several), `UnsafeTarget`, `UsageError` (no engine),
    `StackFailed` (a container that does not run, or that an earlier run left something on).
    """
    site = look(spec)
    folder = state.create(spec.stack)
    site = site.model_copy(
        update={"supervisor": str(folder.sockets / "agent.sock"), "directory": str(folder.path)},
    )
    try:
        agent = _start_agent(site, folder)
    except BaseException:
        folder.remove()
        raise
    finally:
        folder.unlock()
    return DockerStack(site, folder, agent)


def _start_agent(site: Site, folder: state.StackFolder) -> subprocess.Popen[bytes]:
    orders = folder.path / "orders.json"
    try:
        orders.touch(mode=0o600)
        orders.write_text(json.dumps({"site": site.model_dump()}))
        log = (folder.path / "logs" / "agent.log").open("ab")
    except OSError as error:
        raise StorageFailed(f"{folder.path} cannot be written: {error.strerror}", hint="free some space") from error
    with log:
        module = "chaos.runtimes.docker_bridge" if site.helper else "chaos.runtimes.docker_agent"
        agent = subprocess.Popen(
            [sys.executable, "-m", module, str(orders)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment(),
            cwd=tempfile.gettempdir(),  # it may outlive the folder that its conductor was started in
            start_new_session=True,
            pass_fds=(folder.lock_fd,),
        )
    assert agent.stdout is not None  # noqa: S101 - a pipe was asked for
    said = json.loads(agent.stdout.readline() or "{}")
    if said.get("say") != "ready":
        agent.kill()
        agent.communicate()
        why = said.get("why", "it ended")
        raise StackFailed(f"the agent did not start: {why}", evidence=tail(folder.path / "logs" / "agent.log", 12))
    return agent
