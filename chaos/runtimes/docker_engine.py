"""The engine as this tool sees it: containers found by labels, their facts, and the six things done to them.

Blocking, one connection, not for several threads at once. What the engine says becomes leaves of `chaos.errors`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import docker.errors
import docker.types
import requests.exceptions

from chaos.errors import StackFailed
from chaos.runtimes.docker_connect import ANSWER_S, connect, where
from chaos.runtimes.docker_cpu import DEFAULT_PERIOD_US, UNLIMITED, Quota

EVENTS_S = 3600
"""After so long without any event the stream is asked for again."""
NEVER = "0001-01-01T00:00:00Z"
ENVIRONMENT = "collab-chaos.environment"
"""A container that carries this label with another word than staging is never attacked."""
HELPER = "collab-chaos.helper"
"""Label of our own helper containers."""
CAPABILITIES = ("SYS_ADMIN", "SYS_PTRACE", "NET_ADMIN", "NET_RAW")
"""Of a helper: to enter namespaces, to look into processes, to set rules, to send packets again."""
PAUSED, STOPPED = "paused", "stopped"
NOTE, ON, SINCE = "collab-chaos.note", "collab-chaos.container", "collab-chaos.started"
"""Labels of a note: what was done, to which container, under which StartedAt."""


class ContainerGone(StackFailed):
    """The engine knows no container of this id."""


class About(NamedTuple):
    """An engine."""

    id: str
    """Its own; it stays the same over restarts."""
    system: str
    linux: bool
    rootless: bool

    @property
    def desktop(self) -> bool:
        """Docker Desktop: its socket is on this host, its containers are in a virtual machine."""
        return self.system == "Docker Desktop"


class Note(NamedTuple):
    """Kept by the engine of what was done to a container and leaves no mark on it."""

    did: str
    container: str
    started: str


@dataclass(frozen=True, slots=True)
class Facts:
    """A container now."""

    id: str
    name: str
    labels: Mapping[str, str]
    status: str
    """created, running, paused, restarting, exited, dead: the engine's own words."""
    pid: int
    started: str
    sandbox: str
    exit_code: int
    starved: bool
    """Whether the kernel's out-of-memory killer met it in its last life, by the engine's own word."""
    restarts: int
    network: str
    """The engine's network mode: a network's name, or whose namespace it shares (`host`, `container:ID`)."""
    addresses: tuple[str, ...]
    """IPv4, one per network."""
    has_ipv6: bool
    exposed: tuple[int, ...]
    published: Mapping[int, int]
    """TCP port inside -> port of this host."""
    volumes: Mapping[str, str]
    """Directory inside -> what of this host is mounted there."""
    config: Mapping[str, Any]
    """HostConfig: what it is given at each start."""
    steady: bool
    """Whether every published port was asked for by number, so that it is the same after a restart."""
    quota: Quota
    """Of the engine's configuration, which is what a restart would bring."""

    @property
    def up(self) -> bool:
        """Whether its first process exists, paused or not."""
        return self.pid > 0

    @property
    def paused(self) -> bool:
        return self.status == "paused"

    @property
    def started_s(self) -> float:
        """StartedAt in seconds since the epoch."""
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(f"{self.started[:19]}+00:00").timestamp()
        return 0.0


class Engine:
    """A connection to the engine that the environment means, or to the one at `host`. Raises `UsageError`."""

    def __init__(self, host: str = "") -> None:
        self.where = where({**os.environ, "DOCKER_HOST": host} if host else os.environ)
        self._api = connect(self.where)

    def close(self) -> None:
        """End the connection; safe to call twice."""
        self._api.close()

    def about(self) -> About:
        """What the engine says of itself."""
        with _mapped("info"):
            said = self._api.info()
        return About(
            id=said.get("ID") or "",
            system=said.get("OperatingSystem") or "",
            linux=said.get("OSType", "linux") == "linux",
            rootless=any("name=rootless" in one for one in said.get("SecurityOptions") or ()),
        )

    def find(self, labels: Mapping[str, str]) -> tuple[Facts, ...]:
        """Containers that carry all of these labels, running or not."""
        wanted = [f"{key}={value}" for key, value in labels.items()]
        with _mapped("list containers"):
            found = self._api.containers(all=True, filters={"label": wanted})
        return tuple(self.facts(one["Id"]) for one in found)

    def facts(self, container: str) -> Facts:
        """What the engine knows of a container now. Raises `ContainerGone`, `StackFailed`."""
        with _mapped(f"inspect {container[:12]}"):
            return _facts(self._api.inspect_container(container))

    def kill(self, container: str) -> None:
        """SIGKILL; returns once it is dead. One that does not run is no error."""
        with _mapped(f"kill {container[:12]}"), _already():
            self._api.kill(container)
        self.ended(container)

    def ended(self, container: str) -> None:
        """Return once the engine knows that it is dead."""
        with _mapped(f"wait for {container[:12]}"):
            self._api.wait(container, timeout=ANSWER_S)

    def ask_to_end(self, container: str) -> None:
        """Send its own stop signal, SIGTERM if it has none; returns at once. One that does not run is no error."""
        with _mapped(f"stop {container[:12]}"), _already():
            said = self._api.inspect_container(container)["Config"].get("StopSignal")
            self._api.kill(container, signal=said or "SIGTERM")

    def start(self, container: str) -> None:
        """Start it; one that runs is no error."""
        with _mapped(f"start {container[:12]}"), _already():
            self._api.start(container)

    def pause(self, container: str) -> None:
        """Freeze all of its processes; a paused one is no error."""
        with _mapped(f"pause {container[:12]}"), _already():
            self._api.pause(container)

    def unpause(self, container: str) -> None:
        """Let it go on; one that is not paused is no error."""
        with _mapped(f"unpause {container[:12]}"), _already():
            self._api.unpause(container)

    def note(self, did: str, facts: Facts) -> None:
        """Keep in the engine that this is about to be done to a container: an empty volume with labels."""
        labels = {NOTE: did, ON: facts.id, SINCE: facts.started}
        with _mapped(f"note on {facts.name}"):
            self._api.create_volume(_note_name(did, facts.id), labels=labels)

    def forget(self, did: str, container: str) -> None:
        """Tear a note up; one that is not there is no error."""
        with contextlib.suppress(ContainerGone), _mapped(f"note on {container[:12]}"):
            self._api.remove_volume(_note_name(did, container))

    def notes(self) -> tuple[Note, ...]:
        """What was noted and not torn up."""
        with _mapped("list notes"):
            found = self._api.volumes(filters={"label": NOTE}).get("Volumes") or []
        labels = [one.get("Labels") or {} for one in found]
        return tuple(Note(one[NOTE], one.get(ON, ""), one.get(SINCE, "")) for one in labels)

    def has_image(self, image: str) -> bool:
        """Whether the engine has it."""
        with _mapped(f"image {image}"):
            return bool(self._api.images(image))

    def helper(
        self, image: str, command: list[str], label: tuple[str, str], binds: list[str], files: bytes
    ) -> tuple[str, Any]:
        """Start a container in the host's namespaces, with what it takes to harm others; it goes with its process.

        `files` is a tar that is unpacked into its root. Returns its id, and the socket of its input and output.
        """
        with _mapped(f"helper from {image}"):
            host = self._api.create_host_config(
                network_mode="host",
                pid_mode="host",
                cgroupns="host",
                cap_add=[*CAPABILITIES],
                security_opt=["seccomp=unconfined", "apparmor=unconfined"],
                binds=binds,
                auto_remove=True,
                log_config=docker.types.LogConfig(type="none"),
            )
            name = f"collab-chaos-helper-{secrets.token_hex(4)}"
            labels = dict([label])
            made = self._api.create_container(
                image, [], name=name, entrypoint=command, stdin_open=True, labels=labels, host_config=host
            )["Id"]
        try:
            with _mapped(f"helper {made[:12]}"):
                self._api.put_archive(made, "/", files)
                stream = self._api.attach_socket(made, {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
                self._api.start(made)
        except StackFailed:
            with contextlib.suppress(docker.errors.APIError):
                self._api.remove_container(made, force=True)
            raise
        return made, stream

    def until_gone(self, container: str, within_s: float) -> None:
        """Wait until a container is no more. Raises `StackFailed` where the engine does not answer."""
        until = time.monotonic() + within_s
        with contextlib.suppress(ContainerGone):
            while time.monotonic() < until:
                self.facts(container)
                time.sleep(0.05)

    def logs(self, container: str, lines: int) -> tuple[str, ...]:
        """The last lines of its output."""
        with _mapped(f"logs of {container[:12]}"):
            text: bytes = self._api.logs(container, tail=lines)
        return tuple(text.decode(errors="replace").splitlines())

    def starts(self, since_s: int) -> Iterator[str]:
        """Ids of containers as they are started, from that time (of the epoch) on, for ever.

        Blocks between them; ends when the connection does.
        """
        with contextlib.closing(connect(self.where, EVENTS_S)) as api:
            for event in api.events(since=since_s, decode=True, filters={"type": "container", "event": ["start"]}):
                yield event["id"]


def _note_name(did: str, container: str) -> str:
    return f"collab-chaos-{did}-{container}"


def _facts(said: dict[str, Any]) -> Facts:
    state, net = said["State"], said["NetworkSettings"]
    networks = net.get("Networks") or {}
    bindings = (said["HostConfig"].get("PortBindings") or {}).values()
    asked = [one.get("HostPort") or "0" for several in bindings for one in several or ()]
    return Facts(
        id=said["Id"],
        name=said["Name"].lstrip("/"),
        labels=said["Config"].get("Labels") or {},
        status=state["Status"],
        pid=state.get("Pid") or 0,
        started=state.get("StartedAt") or NEVER,
        sandbox=net.get("SandboxKey") or "",
        exit_code=state.get("ExitCode") or 0,
        starved=bool(state.get("OOMKilled")),
        restarts=said.get("RestartCount") or 0,
        network=said["HostConfig"].get("NetworkMode") or "default",
        addresses=tuple(one["IPAddress"] for one in networks.values() if one.get("IPAddress")),
        has_ipv6=any(one.get("GlobalIPv6Address") for one in networks.values()),
        exposed=_exposed(said),
        published=_published(net.get("Ports") or {}),
        volumes={one["Destination"]: one["Source"] for one in said.get("Mounts") or () if one.get("Source")},
        config=said["HostConfig"],
        steady=all(port not in {"", "0"} for port in asked),
        quota=_quota(said["HostConfig"]),
    )


def _quota(config: dict[str, Any]) -> Quota:
    period = config.get("CpuPeriod") or DEFAULT_PERIOD_US
    if nano := config.get("NanoCpus"):
        return Quota(nano * period // 10**9, period)
    return Quota(config.get("CpuQuota") or UNLIMITED, period)


def _exposed(said: dict[str, Any]) -> tuple[int, ...]:
    ports = said["Config"].get("ExposedPorts") or {}
    return tuple(sorted(int(one.partition("/")[0]) for one in ports if one.endswith("/tcp")))


def _published(ports: dict[str, Any]) -> dict[int, int]:
    return {
        int(inside.partition("/")[0]): int(outside[0]["HostPort"])
        for inside, outside in ports.items()
        if outside and inside.endswith("/tcp")
    }


@contextlib.contextmanager
def _already() -> Iterator[None]:
    """The engine answers 409 or 304 where there is nothing left to do, and in no other case that is met here."""
    try:
        yield
    except docker.errors.APIError as error:
        if not any(word in str(error).lower() for word in ("not running", "already", "not paused")):
            raise


@contextlib.contextmanager
def _mapped(what: str) -> Iterator[None]:
    try:
        yield
    except docker.errors.NotFound as error:
        raise ContainerGone(f"{what}: the container is gone", hint="`docker ps -a` shows what is there") from error
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise StackFailed(f"{what}: the engine said: {error}") from error
