"""Start a supervisor with its orders, and follow it until its stack is ready or has failed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from chaos.errors import StackFailed, StorageFailed
from chaos.model.stack import NodeSpec, Site, StackSpec
from chaos.runtimes import ports, sandbox, stackfile, state
from chaos.runtimes.child import tail

START_S = 30.0
"""How long a node may take to answer."""
AGENTS = {"proxy": "chaos.runtimes.proxy", "kernel": "chaos.runtimes.kernel_agent"}
"""What impairs links, by the name of its log."""
END_S = 12.0
"""The supervisor asks for 1 s, kills within 5 s; beyond that something is badly stuck."""


def attached_site(spec: StackSpec) -> Site:
    """The site of a stack of which nothing is started here."""
    node_ports = {name: node.port for name, (_, node) in spec.nodes().items() if node.port is not None}
    return Site(spec=stackfile.fill(spec, node_ports, {}, {}), node_ports=node_ports)


class Launched:
    """A supervisor that this process started, and the pipe that keeps it alive."""

    def __init__(self, site: Site, process: subprocess.Popen[bytes]) -> None:
        self.site = site
        self._process = process

    def let_go(self) -> None:
        """Close our end; the supervisor has stopped watching it (detached)."""
        _close_pipes(self._process)
        self._process.returncode = 0  # it outlives us on purpose: no ResourceWarning for that

    def end(self) -> None:
        """End the stack; returns when the supervisor and everything under it is gone. Raises `StackFailed`."""
        self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise StackFailed(f"the stack {self.site.id} did not end in {END_S:g} s and was killed") from None
        finally:
            _close_pipes(self._process)


def launch(spec: StackSpec, *, detached: bool, on_progress: Callable[[str], None]) -> Launched:
    """Claim ports, make the stack's folder, start the supervisor, and wait until it says that all is healthy."""
    _fixed_ports_free(spec)
    folder = state.create(spec.stack)
    claim = None
    try:
        needs = sum(node.port is None for _, node in spec.nodes().values()) + len(spec.links)
        claim = ports.claim(needs, {node.port for _, node in spec.nodes().values() if node.port})
        site = _site(spec, folder, claim.ports)
        process = _spawn(_write_orders(site, folder, detached=detached), folder, claim)
    except BaseException:
        folder.remove()
        raise
    finally:
        folder.unlock()
        if claim is not None:
            claim.close()
    try:
        _follow(process, on_progress, Path(site.directory))
    except BaseException:
        _abandon(process)
        folder.remove()
        raise
    return Launched(site, process)


def wait_gone(folder: Path, within_s: float = END_S) -> None:
    """Return when nobody holds the stack's folder any more. Raises `StackFailed`."""
    until = time.monotonic() + within_s
    while state.is_alive(folder):
        if time.monotonic() > until:
            raise StackFailed(f"the stack {folder.name} is still there {within_s:g} s after it was told to end")
        time.sleep(0.02)


def _fixed_ports_free(spec: StackSpec) -> None:
    for name, (_, node) in spec.nodes().items():
        if node.command and node.port is not None and not ports.is_free(node.port):
            raise StackFailed(
                f"port {node.port}, which node {name} asks for, is taken",
                hint="end what listens there, or leave `port` out of the stack file: a free one is picked",
            )


def _site(spec: StackSpec, folder: state.StackFolder, free: tuple[int, ...]) -> Site:
    supply = iter(free)
    nodes = spec.nodes()
    node_ports = {name: node.port if node.port is not None else next(supply) for name, (_, node) in nodes.items()}
    link_ports = {link.name: next(supply) for link in spec.links}
    data = {name: folder.path / "data" / name for name, (_, node) in nodes.items() if node.command}
    with _storage(folder.path):
        for path in data.values():
            path.mkdir()
    return Site(
        spec=stackfile.fill(spec, node_ports, link_ports, data),
        node_ports=node_ports,
        link_ports=link_ports,
        supervisor=str(folder.sockets / "supervisor.sock"),
        proxy=str(folder.sockets / "proxy.sock") if link_ports else "",
        kernel=str(folder.sockets / "kernel.sock") if link_ports and sandbox.entered() else "",
        directory=str(folder.path),
    )


def _write_orders(site: Site, folder: state.StackFolder, *, detached: bool) -> Path:
    """The supervisor's orders as a file that only its user can read: they hold secrets."""
    path = folder.path / "orders.json"
    nodes = [node for _, node in site.spec.nodes().values() if node.command]
    orders = {
        "directory": site.directory,
        "socket": site.supervisor,
        "detached": detached,
        "start_s": START_S,
        "nodes": [_node_order(node, site) for node in nodes],
        "proxy": _agent_order(site, "proxy", site.proxy) if site.proxy else None,
        "kernel": _agent_order(site, "kernel", site.kernel) if site.kernel else None,
        "site": site.model_dump(),
    }
    with _storage(folder.path):
        path.touch(mode=0o600)
        path.write_text(json.dumps(orders))
    return path


def _node_order(node: NodeSpec, site: Site) -> dict[str, Any]:
    return {
        "name": node.name,
        "argv": node.command,
        "env": {"PYTHONUNBUFFERED": "1", **node.env},
        "log": _log(site, node.name),
        "port": site.node_ports[node.name],
        "health": node.health,
    }


def _agent_order(site: Site, name: str, socket: str) -> dict[str, Any]:
    return {
        "name": name,
        "argv": (sys.executable, "-m", AGENTS[name], str(Path(site.directory) / "orders.json")),
        "log": _log(site, name),
        "socket": socket,
        "links": [
            {"name": link.name, "port": site.link_ports[link.name], "to": site.node_ports[link.target]}
            for link in site.spec.links
        ],
    }


def _log(site: Site, name: str) -> str:
    return str(Path(site.directory) / "logs" / f"{name}.log")


def _spawn(orders: Path, folder: state.StackFolder, claim: ports.Claim) -> subprocess.Popen[bytes]:
    with _storage(folder.path), (folder.path / "logs" / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "chaos.runtimes.supervisor", str(orders)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment(),
            start_new_session=True,  # Ctrl-C of the foreground group must not reach it
            pass_fds=(folder.lock_fd, *claim.fds),
        )


def environment() -> dict[str, str]:
    """Ours; and in a checkout that is not installed, the way to it, also for nodes that are modules of it."""
    root = str(Path(__file__).resolve().parents[2])
    if root in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        return dict(os.environ)
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def _follow(process: subprocess.Popen[bytes], on_progress: Callable[[str], None], folder: Path) -> None:
    """Read the supervisor's lines until the stack is ready; it bounds every wait itself."""
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    for line in process.stdout:
        message = json.loads(line)
        if message["say"] == "ready":
            return
        if message["say"] == "failed":
            raise _failure(message)
        on_progress(message["node"])
    log = tail(folder / "logs" / "supervisor.log", 12)
    raise StackFailed("the supervisor ended before the stack was up", evidence=log)


def _failure(message: dict[str, Any]) -> StackFailed:
    log = tuple(message["log"])
    hint = "its last log lines are above; run its command by hand to see more"
    if any("in use" in line.lower() for line in log):
        hint = "something else took its port; try again, or end what listens there"
    elif not log:
        hint = "it wrote nothing; check its `command` and `health` in the stack file"
    return StackFailed(f"node {message['node']} {message['why']}", evidence=log, hint=hint)


def _abandon(process: subprocess.Popen[bytes]) -> None:
    """Close the pipe: the supervisor kills everything and ends. Wait for that."""
    _close_pipes(process)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
        return
    process.kill()
    process.wait()


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


@contextlib.contextmanager
def _storage(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageFailed(
            f"{path} cannot be written: {error.strerror or error}", hint="free some space on that file system"
        ) from error
