"""What `chaos doctor` looks at: each look answers one question, and a look that fails says so instead of raising."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chaos.errors import UsageError
from chaos.runtimes import state

OPEN_FILES = 2048
"""A run of 120 participants and 24 editors keeps about four descriptors per user open in its busiest process."""
PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer. `can`: yes, no (the embedded stack cannot run), without (something else cannot)."""

    what: str
    can: Literal["yes", "no", "without"]
    says: str
    hint: str = ""


def look(runs_dir: Path) -> list[Finding]:
    """Every finding, in the order of the table."""
    looks: list[tuple[str, Callable[[], Finding]]] = [
        ("python", _python),
        ("packages", _packages),
        ("script", _script),
        ("loopback ports", _ports),
        ("unix sockets", _unix_sockets),
        ("event loop", _uvloop),
        ("open files", _open_files),
        ("state directory", lambda: _writable("state directory", state.root(), "COLLAB_CHAOS_STATE")),
        ("run directory", lambda: _writable("run directory", runs_dir, "--runs-dir")),
        ("left behind", _left_behind),
        ("operator", _operator),
        ("docker engine", _docker),
        ("node and npm", _node),
        ("sandbox", _sandbox),
        ("kernel netem", _netem),
    ]
    return [_safely(what, one) for what, one in looks]


def _safely(what: str, one: Callable[[], Finding]) -> Finding:
    try:
        return one()
    except Exception as error:  # noqa: BLE001 - a doctor who falls ill is no help
        return Finding(what, "without", f"could not look: {type(error).__name__}: {error}")


def _python() -> Finding:
    says = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}"
    says += f", {os.cpu_count()} processors"
    if sys.platform == "win32":
        return Finding("python", "no", says, "Windows is not supported; use WSL")
    return Finding("python", "yes", says)


def _packages() -> Finding:
    needed = (
        "chaoslib",
        "chaostoolkit",
        "msgpack",
        "psutil",
        "pycrdt",
        "pydantic",
        "rich",
        "ruamel.yaml",
        "websockets",
    )
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        return Finding("packages", "no", f"missing: {', '.join(missing)}", "pip install --force-reinstall collab-chaos")
    return Finding("packages", "yes", f"{len(needed)} of {len(needed)} are there")


def _script() -> Finding:
    found = shutil.which("chaos")
    if found is None:
        return Finding("script", "without", "no `chaos` on the PATH", f"{sys.executable} -m chaos")
    text = Path(found).read_text(encoding="utf-8", errors="replace")[:2000]
    if "chaostoolkit" in text:
        says = f"{found} is the toolkit's; our commands are in it as plugins"
        return Finding("script", "yes", says, "`collab-chaos` enters ours first")
    return Finding("script", "yes", found)


def _ports() -> Finding:
    free = 0
    for port in range(20_000, 32_000, 100):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free += listener.connect_ex(("127.0.0.1", port)) != 0
    if not free:
        return Finding("loopback ports", "no", "every port looked at between 20000 and 32000 is taken")
    return Finding("loopback ports", "yes", f"{free} of 120 looked at between 20000 and 32000 are free")


def _unix_sockets() -> Finding:
    with tempfile.TemporaryDirectory(prefix="cc-") as directory, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.join(directory, "s"))  # noqa: PTH118 - a socket's path must stay short text
    return Finding("unix sockets", "yes", "can be made")


def _uvloop() -> Finding:
    if importlib.util.find_spec("uvloop") is None:
        return Finding("event loop", "without", "asyncio's own; uvloop is not installed", "loads stay smaller")
    return Finding("event loop", "yes", "uvloop")


def _open_files() -> Finding:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    says = f"{soft} per process (at most {hard})"
    if soft >= OPEN_FILES:
        return Finding("open files", "yes", says)
    return Finding("open files", "without", f"{says}: large loads will be refused", f"ulimit -n {OPEN_FILES}")


def _writable(what: str, directory: Path, setting: str) -> Finding:
    there = directory
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding(what, "no", f"{there} cannot be written", f"choose another with {setting}")
    free_mb = shutil.disk_usage(there).free // 1_000_000
    if free_mb < 100:  # noqa: PLR2004 - a run of the default size writes about 20 MB
        return Finding(what, "no", f"{directory}: only {free_mb} MB free", f"make room, or choose another: {setting}")
    return Finding(what, "yes", f"{directory}, {free_mb / 1000:.0f} GB free")


def _left_behind() -> Finding:
    from chaos.engine.leftovers import notes

    found = notes()
    if found:
        return Finding("left behind", "without", "; ".join(found), "chaos heal")
    return Finding("left behind", "yes", "nothing to heal")


def _operator() -> Finding:
    """A halt and a policy decide whether anything runs here at all."""
    from chaos.engine.halt import halted
    from chaos.errors import InvalidInput
    from chaos.experiment.policyfile import load_policy

    stands = halted()
    if stands is not None:
        return Finding("operator", "no", str(stands), "chaos halt --lift")
    try:
        policy = load_policy()
    except InvalidInput as error:
        return Finding("operator", "no", "; ".join(error.evidence), error.hint)
    return Finding("operator", "yes", f"policy {policy.file}" if policy else "no policy, no halt")


def _docker() -> Finding:
    from chaos.runtimes.docker_connect import connect, where

    client = "the client is there" if shutil.which("docker") else "no client"
    try:
        to = where()
        with contextlib.closing(connect(to, int(PATIENCE_S))) as api:
            version = api.api_version
    except UsageError as error:
        return Finding(
            "docker engine", "without", f"{error.message}; {client}", "stacks with `runtime: docker` need one"
        )
    return Finding("docker engine", "yes", f"answers at {to.says} (API {version})")


def _node() -> Finding:
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        return Finding("node and npm", "without", f"no {' and no '.join(missing)}", "only our own tests need them")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    return Finding("node and npm", "yes", f"node {version.stdout.strip()}")


def _sandbox() -> Finding:
    from chaos.runtimes import sandbox

    if why := sandbox.why_not():
        return Finding("sandbox", "without", why, "chaos run --sandbox needs it")
    return Finding("sandbox", "yes", "a private network, in which the kernel impairs links")


def _netem() -> Finding:
    """Try it in a network namespace of its own: what the kernel says about its modules is no proof."""
    from chaos.model.link import LinkEffect
    from chaos.runtimes import docker_shape, sandbox

    if why := sandbox.why_not(lambda: docker_shape.why_not(LinkEffect(delay_ms=1), netem=True)):
        return Finding("kernel netem", "without", why, "other carriers are used instead")
    return Finding("kernel netem", "yes", "works in a namespace of its own")
