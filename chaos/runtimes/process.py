"""Processes on this machine: stacks that are started, attached to, listed and ended, and the runtime over them.

Everything that touches a node goes through the two control sockets of its stack, so that a runtime can be made
from a `Site` alone, in any process, at any time.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import ValidationError

from chaos.errors import NoSuchTarget, StackFailed, StorageFailed, UsageError
from chaos.model.link import LinkEffect, LinkStats
from chaos.model.stack import Site, StackSpec
from chaos.runtimes import carriers, control, launch, state
from chaos.runtimes.base import NodeState
from chaos.runtimes.child import tail
from chaos.runtimes.placeholders import did_you_mean
from chaos.runtimes.undo import RELEASE_S

LINKS_S = 10.0


class ProcessRuntime:
    """Every capability of `chaos.runtimes.base.Runtime` over a site's supervisor and link proxy.

    Raises `StackFailed` when these are gone, silent, or refuse.
    """

    def __init__(self, site: Site) -> None:
        self.site = site

    def __repr__(self) -> str:
        return f"<ProcessRuntime of {self.site.id or self.site.spec.stack}>"

    def states(self) -> dict[str, NodeState]:
        """The nodes that this stack started; attached ones are nobody's here."""
        if not self.site.supervisor:
            return {}
        return {name: NodeState.model_validate(value) for name, value in self._ask("ps").items()}

    def logs(self, node: str, lines: int = 20) -> tuple[str, ...]:
        """The last lines of a node's output; nothing for attached nodes."""
        return tail(Path(self.site.directory) / "logs" / f"{node}.log", lines) if self.site.directory else ()

    def kill(
        self,
        fault: str,
        nodes: tuple[str, ...],
        lease_s: float,
        restart_after_s: float | None,
        grace_s: float = 0.0,
    ) -> None:
        """SIGKILL, with `grace_s` above 0 after a SIGTERM and that many seconds; returns once they are dead."""
        timeout_s = 10.0 + grace_s
        held = {"fault": fault, "nodes": nodes, "lease_s": lease_s, "grace_s": grace_s}
        self._ask("kill", timeout_s=timeout_s, restart_after_s=restart_after_s, **held)

    def pause(self, fault: str, nodes: tuple[str, ...], lease_s: float) -> None:
        """SIGSTOP."""
        self._ask("pause", fault=fault, nodes=nodes, lease_s=lease_s)

    def throttle(self, fault: str, nodes: tuple[str, ...], share: float, lease_s: float) -> None:
        """A duty cycle of 20 ms."""
        self._ask("throttle", fault=fault, nodes=nodes, share=share, lease_s=lease_s)

    def start(self, node: str) -> None:
        """Start a node that ended by itself; returns when it is healthy, or after 10 s."""
        self._ask("start", timeout_s=RELEASE_S, node=node)

    def shape(self, fault: str, links: tuple[str, ...], effect: LinkEffect, lease_s: float, seed: int) -> None:
        """Impair links, live connections included, from now on; in a sandbox the kernel does what it can."""
        shares = carriers.shares(effect) if self.site.kernel else {"proxy": effect}
        for agent, share in shares.items():
            path = self.site.proxy if agent == "proxy" else self.site.kernel
            held = {"fault": fault, "links": links, "lease_s": lease_s, "seed": seed}
            self._ask_links(path, "shape", effect=share.model_dump(), **held)

    def link_stats(self) -> dict[str, LinkStats]:
        """Counters per link, of all that impairs it; empty for a stack without links."""
        if not self.site.proxy:
            return {}
        stats = self._ask_links(self.site.proxy, "stats")
        for name, more in self._ask_links(self.site.kernel, "stats").items() if self.site.kernel else ():
            stats[name] |= {key: stats[name].get(key, 0) + value for key, value in more.items()}
        return {name: LinkStats.model_validate(value) for name, value in stats.items()}

    def renew(self, fault: str, lease_s: float) -> None:
        """Begin a new term of everything the fault holds; an unknown id is no error."""
        for path in self._agents():
            control.call(path, "renew", fault=fault, lease_s=lease_s)

    def release(self, fault: str) -> None:
        """Take back everything the fault holds; both agents are asked even if one fails."""
        failures: list[StackFailed] = []
        for path in self._agents():
            try:
                control.call(path, "release", timeout_s=RELEASE_S, fault=fault)
            except StackFailed as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def active(self) -> tuple[str, ...]:
        """Ids of the faults that hold something now."""
        found = [fault for path in self._agents() for fault in control.call(path, "active")]
        return tuple(dict.fromkeys(found))

    def _agents(self) -> tuple[str, ...]:
        return tuple(path for path in (self.site.kernel, self.site.proxy, self.site.supervisor) if path)

    def _ask(self, do: str, *, timeout_s: float = 10.0, **arguments: Any) -> Any:
        if not self.site.supervisor:
            raise StackFailed(f"`{do}`: the stack `{self.site.spec.stack}` is attached, its processes are not ours")
        return control.call(self.site.supervisor, do, timeout_s=timeout_s, **arguments)

    def _ask_links(self, path: str, do: str, **arguments: Any) -> Any:
        if not path:
            raise StackFailed(f"`{do}`: the stack `{self.site.spec.stack}` has no links")
        return control.call(path, do, timeout_s=LINKS_S, **arguments)


class RunningStack:
    """A stack that runs, and the runtime to touch it with; a context manager."""

    def __init__(self, site: Site, launched: launch.Launched | None = None) -> None:
        self.site = site
        self.runtime = ProcessRuntime(site)
        self._launched = launched

    def __repr__(self) -> str:
        return f"<RunningStack {self.site.id or self.site.spec.stack}, {'ours' if self._launched else 'attached'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check(self) -> None:
        """Raise `StackFailed`, with the supervisor's last words, if the stack has gone away."""
        folder = Path(self.site.directory)
        if self.site.supervisor and not state.is_alive(folder):
            words = tail(folder / "logs" / "supervisor.log", 12)
            raise StackFailed(f"the stack {self.site.id} went away", evidence=words)

    def save_logs(self, into: Path) -> None:
        """Copy the logs of every process as they are now; logs that are gone are no error. Raises `StorageFailed`."""
        logs = Path(self.site.directory) / "logs"
        if not self.site.directory or not logs.is_dir():
            return
        try:
            shutil.copytree(logs, into, dirs_exist_ok=True)
        except OSError as error:
            hint = f"free some space; the logs are lost, the rest of {into.parent} is whole"
            raise StorageFailed(f"cannot copy the stack's logs to {into}: {error}", hint=hint) from error

    def close(self, logs_to: Path | None = None) -> None:
        """End the stack if this object owns it, and return when everything is gone; logs are copied after the end.

        An attached or detached stack lives on. Safe to call twice.
        """
        launched, self._launched = self._launched, None
        with contextlib.ExitStack() as afterwards:  # whatever goes wrong before
            if launched is not None:
                afterwards.callback(state.remove, Path(self.site.directory))
            if logs_to is not None:
                afterwards.callback(self.save_logs, logs_to)
            if launched is not None:
                launched.end()


def start_stack(
    spec: StackSpec, *, detached: bool = False, on_progress: Callable[[str], None] | None = None
) -> RunningStack:
    """Start a stack and return when every node is healthy; `on_progress` gets the name of each that is.

    An owned stack dies with this process, by whatever end; a detached one lives until `stop_stack`, and `close` leaves
    it alone. Raises `StackFailed` with the failing node's last log lines; nothing is left running then. Raises
    `UsageError` for a stack of containers.
    """
    if spec.runtime == "docker":
        hint = "start them with your compose file; `chaos run --stack` attaches"
        raise UsageError(f"the stack {spec.stack} is made of containers, which are not started here", hint=hint)
    if not spec.links and not any(node.command for _, node in spec.nodes().values()):
        return RunningStack(launch.attached_site(spec))
    launched = launch.launch(spec, detached=detached, on_progress=on_progress or (lambda _: None))
    if detached:
        launched.let_go()
    return RunningStack(launched.site, None if detached else launched)


def list_stacks() -> tuple[Site, ...]:
    """Stacks of this user that are up now, oldest first. What dead ones left behind is deleted."""
    return tuple(site for folder in state.living() if (site := _site(folder)) is not None)


def attach_stack(id_or_name: str) -> RunningStack:
    """A stack that runs already; closing the result does not end it. Raises `NoSuchTarget`."""
    return RunningStack(_pick(id_or_name))


def stop_stack(id_or_name: str) -> None:
    """End a running stack and return when everything is gone. Raises `NoSuchTarget`, `StackFailed`."""
    site = _pick(id_or_name)
    folder = Path(site.directory)
    with contextlib.suppress(control.AgentGone):
        control.call(site.supervisor, "stop")
    launch.wait_gone(folder)
    state.remove(folder)


def stack_logs(id_or_name: str, node: str, lines: int = 20) -> tuple[str, ...]:
    """The last lines of a node of a running stack; also of `supervisor` and `proxy`. Raises `NoSuchTarget`."""
    site = _pick(id_or_name)
    known = [*site.spec.nodes(), "supervisor", "proxy"]
    if node not in known:
        raise NoSuchTarget(f"no node `{node}` in {site.id}", hint=did_you_mean(node, known))
    return ProcessRuntime(site).logs(node, lines)


def _pick(id_or_name: str) -> Site:
    sites = list_stacks()
    found = [site for site in sites if site.id == id_or_name] or [s for s in sites if s.spec.stack == id_or_name]
    ids = ", ".join(site.id for site in found or sites)
    if not found:
        raise NoSuchTarget(
            f"no running stack `{id_or_name}`",
            hint=f"running: {ids}" if ids else "nothing runs; start one with `chaos stack up`",
        )
    if len(found) > 1:
        raise NoSuchTarget(f"{len(found)} stacks `{id_or_name}` run", hint=f"name one of them by its id: {ids}")
    return found[0]


def _site(folder: Path) -> Site | None:
    """None while it is still starting or ending."""
    try:
        text = (folder / "site.json").read_text()
    except OSError:
        return None
    try:
        return Site.model_validate_json(text)
    except ValidationError:
        return _foreign_site(folder, text)


def _foreign_site(folder: Path, text: str) -> Site | None:
    """A stack of another version of this tool: not to be understood, but to be listed and ended."""
    try:
        plain = json.loads(text)
        spec = StackSpec(stack=plain["spec"]["stack"], services={})
        return Site(spec=spec, supervisor=plain["supervisor"], directory=str(folder))
    except (ValueError, KeyError, TypeError):
        return None
