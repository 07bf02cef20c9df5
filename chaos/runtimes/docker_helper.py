"""A container of ours beside those of the stack: for an engine whose processes are not seen from this host.

It lives in its host's namespaces of network and processes and runs the code of this very version, which is copied
in; so the agent in it works as it does on this host, and its leases end with it. What it needs is
an image with Python, iproute2, iptables and nsenter.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import struct
import tarfile
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

from chaos.errors import StackFailed, UsageError
from chaos.model.link import LinkEffect
from chaos.runtimes.docker_engine import HELPER, About, Engine, Facts

IMAGE_VARIABLE, IMAGE = "COLLAB_CHAOS_HELPER", "collab-chaos-helper"
SOCKET_VARIABLE, SOCKET = "COLLAB_CHAOS_HELPER_SOCKET", "/var/run/docker.sock"
"""Where the engine's own socket is on the engine's host."""
NEEDED = (
    "annotated-types", "certifi", "charset-normalizer", "docker", "idna", "pydantic", "pydantic-core", "requests",
    "typing-extensions", "typing-inspection", "urllib3",
)  # fmt: skip
"""Distributions that an agent imports. What the image has itself comes first."""
HINT = f"make one with python3, iproute2, iptables and util-linux, or name one in {IMAGE_VARIABLE} (docs/docker.md)"
FOLDER = "/collab-chaos"
BOOT = f"import runpy,sys; del sys.argv[0]; sys.path.insert(0, '{FOLDER}/ours'); sys.path.append('{FOLDER}/packages'); \
runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
OURS = Path(__file__).resolve().parents[1]
STDERR = 2
"""Number of the stream in a frame's header."""
SILENT_S = 15.0
"""A helper says something every few seconds; after so long without a word the way to it is broken."""
START_S = 60.0
"""Before its first word."""
ONCE_S = 120.0
END_S = 10.0
"""A helper that is left alone goes by itself; it is waited for so that nothing of it is seen after the run."""


def unusable(about: About) -> str:
    """Why the containers of this engine cannot be reached at all; empty if they can."""
    if about.rootless:
        return "a rootless engine is not supported: its containers' networks belong to a namespace of its own"
    if not about.linux:
        return f"only Linux containers are supported, and the engine runs {about.system}"
    return ""


def is_needed(engine: Engine, about: About, found: Mapping[str, Facts]) -> bool:
    """Whether only a helper reaches these containers: their processes are not on this host."""
    if not engine.where.local or about.desktop:
        return True
    return not all(_is_here(facts) for facts in found.values() if facts.up)


def why_not(engine: Engine) -> str:
    """What keeps a helper from being started, in words; empty if nothing does."""
    if engine.has_image(image()):
        return ""
    return (
        f"the containers of {engine.where.says} are reached by a helper container only, and that engine has no image "
        f"{image()}"
    )


def image() -> str:
    """The name of the image that a helper is made from."""
    return os.environ.get(IMAGE_VARIABLE) or IMAGE


class Stream:
    """The input and output of a helper. Reading and writing are for one thread each."""

    def __init__(self, engine: Engine, container: str, stream: Any) -> None:
        self._engine = engine
        self._container = container
        self._stream = stream
        self._sock = getattr(stream, "_sock", stream)
        self.be_patient(START_S)

    def be_patient(self, seconds: float) -> None:
        """How long the helper may say nothing from now on."""
        with contextlib.suppress(AttributeError, OSError):  # one through ssh is no socket
            self._sock.settimeout(seconds)

    def send(self, message: dict[str, Any]) -> None:
        """One line to the helper. Raises `OSError`."""
        self._sock.sendall(json.dumps(message).encode() + b"\n")

    def lines(self, errors: int) -> Iterator[dict[str, Any]]:
        """What the helper says until its end, or until the way to it breaks; its stderr goes to that descriptor."""
        rest = b""
        with contextlib.suppress(OSError):
            while header := self._exactly(8):
                kind, size = struct.unpack(">BxxxL", header)
                data = self._exactly(size)
                if kind == STDERR:
                    os.write(errors, data)
                    continue
                *whole, rest = (rest + data).split(b"\n")
                for line in whole:
                    with contextlib.suppress(ValueError):
                        yield json.loads(line)

    def end_input(self) -> None:
        """Nothing more is sent: a helper takes everything back then, and ends."""
        with contextlib.suppress(OSError, AttributeError):
            self._sock.shutdown(socket.SHUT_WR)

    def hang_up(self) -> None:
        """End the connection; the helper sees the end of its input."""
        with contextlib.suppress(OSError, AttributeError):
            self._sock.shutdown(socket.SHUT_RDWR)
        response: Any = getattr(self._stream, "_response", None)  # of the library, which holds the socket too
        for one in (response, self._sock):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                one.close()

    def close(self) -> None:
        """Hang up, and wait for the helper's end where it can be seen."""
        self.hang_up()
        with contextlib.suppress(StackFailed):
            self._engine.until_gone(self._container, END_S)

    def _exactly(self, size: int) -> bytes:
        parts = b""
        while len(parts) < size:
            part = self._sock.recv(size - len(parts))
            if not part:
                return b""
            parts += part
        return parts


def start(engine: Engine, module: str, orders: dict[str, Any], title: str) -> Stream:
    """Start one that runs `module` with these orders. Raises `UsageError`, `StackFailed`."""
    if why := why_not(engine):
        raise UsageError(why, hint=HINT)
    command = ["python3", "-c", BOOT, module, f"{FOLDER}/orders.json"]
    binds = [f"{os.environ.get(SOCKET_VARIABLE) or SOCKET}:{SOCKET}", "/sys/fs/cgroup:/sys/fs/cgroup"]
    return Stream(engine, *engine.helper(image(), command, (HELPER, title), binds, _archive(orders)))


def once(engine: Engine, do: str, **arguments: Any) -> Any:
    """Have one thing done by a helper that ends then. Raises `StackFailed`, `UsageError`."""
    orders = {"do": do, "engine": engine.about().id, "arguments": arguments}
    stream = start(engine, "chaos.runtimes.docker_once", orders, do)
    stream.be_patient(ONCE_S)
    try:
        said = next((line for line in stream.lines(STDERR) if "ok" in line), None)
    finally:
        stream.close()
    if said is None:
        raise StackFailed(f"the helper ended without an answer to `{do}`", hint=f"does {image()} have Python?")
    if not said["ok"]:
        raise StackFailed(said["why"], hint=said.get("hint", ""))
    return said["value"]


def tried(effects: list[LinkEffect]) -> list[tuple[str, str]]:
    """For each effect what keeps netem from it, and what keeps everything else, on the engine's own host.

    Raises `UsageError`.
    """
    try:
        with contextlib.closing(Engine()) as engine:
            said = once(engine, "why_not", effects=[one.model_dump(exclude_unset=True) for one in effects])
    except StackFailed as error:
        raise UsageError(error.message, hint=error.hint) from error
    return [(netem, other) for netem, other in said]


def _is_here(facts: Facts) -> bool:
    """Whether the container's first process is one of this host's."""
    with contextlib.suppress(OSError):
        return facts.id in Path(f"/proc/{facts.pid}/cgroup").read_text()
    return False


def _archive(orders: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        text = json.dumps(orders).encode()
        member = tarfile.TarInfo(f"{FOLDER[1:]}/orders.json")
        member.size, member.mode = len(text), 0o600
        tar.addfile(member, io.BytesIO(text))
        for name in ("__init__.py", "errors.py", "model", "runtimes"):
            tar.add(OURS / name, f"{FOLDER[1:]}/ours/chaos/{name}", filter=_plain)
        for name in NEEDED:
            with contextlib.suppress(PackageNotFoundError):
                for path in files(name) or ():
                    if ".." not in path.parts and (there := Path(str(path.locate()))).is_file():
                        tar.add(there, f"{FOLDER[1:]}/packages/{path}", filter=_plain)
    return buffer.getvalue()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """As root's; compiled files stay, so that a helper is there in a second."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member
