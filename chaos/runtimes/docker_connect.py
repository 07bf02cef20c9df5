"""Which engine is meant, as Docker's own client has it, and a connection to it; what keeps us from it in words.

`DOCKER_HOST` outranks `DOCKER_CONTEXT`, which outranks the context that `docker context use` has chosen.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import docker
import docker.errors
import docker.utils
import requests.exceptions
from docker.context import ContextAPI
from docker.context.config import get_current_context_name

from chaos.errors import UsageError

ANSWER_S = 10
"""Bound of every request but the stream of events."""
SOCKET = "unix:///var/run/docker.sock"
OLDEST_API = (1, 25)
"""Of the engine's API: the first one that knows of a quota in processors, which Docker 1.13 brought in 2017."""


@dataclass(frozen=True, slots=True)
class Where:
    """An engine's address and what it takes to be let in."""

    host: str
    """As in DOCKER_HOST."""
    says: str
    """Who named it, in words."""
    access: Mapping[str, Any] = field(default_factory=dict)
    """Certificates, as the library takes them."""

    @property
    def local(self) -> bool:
        """Whether it is a socket of this host; there may be a machine behind it all the same."""
        return self.host.startswith("unix://")


def where(env: Mapping[str, str] = os.environ) -> Where:
    """The engine that this environment means. Raises `UsageError` for a context that is none."""
    if host := env.get("DOCKER_HOST"):
        try:
            access = docker.utils.kwargs_from_env(dict(env))
        except docker.errors.DockerException as error:
            raise UsageError(f"the certificates for DOCKER_HOST={host} cannot be used: {error}") from error
        return Where(host, f"DOCKER_HOST={host}", {key: value for key, value in access.items() if key != "base_url"})
    name = ""
    try:
        name = env.get("DOCKER_CONTEXT") or get_current_context_name()
        context = ContextAPI.get_context(name)
    except Exception as error:  # the library raises bare ones
        raise UsageError(f"the Docker context cannot be read: {error}", hint="docker context ls") from error
    if context is None:
        raise UsageError(f"no Docker context {name!r}", hint="docker context ls")
    if context.name == "default":
        return Where(SOCKET, SOCKET)
    access = {"tls": context.TLSConfig} if context.TLSConfig else {}
    return Where(context.Host or SOCKET, f"the Docker context {context.name}", access)


def connect(to: Where, timeout_s: int = ANSWER_S) -> docker.APIClient:
    """A connection on which the engine has answered. Raises `UsageError`."""
    try:
        _knock(to)
        api = docker.APIClient(
            base_url=to.host,
            version="auto",
            timeout=timeout_s,
            use_ssh_client=to.host.startswith("ssh://"),
            **to.access,
        )
    except (OSError, ValueError, docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise UsageError(*_no_engine(to, error)) from error
    if tuple(int(part) for part in api.api_version.split(".")[:2]) < OLDEST_API:
        api.close()
        needed = ".".join(map(str, OLDEST_API))
        raise UsageError(
            f"the Docker engine of {to.says} is too old: it speaks API {api.api_version}, and {needed} is needed"
        )
    return api


def _knock(to: Where) -> None:
    """Raises `OSError` where the engine's socket does not let us in: the library would leave a socket open then."""
    if to.local:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(ANSWER_S)
            sock.connect(to.host.partition("://")[2])


def _no_engine(to: Where, error: Exception) -> tuple[str]:
    text = (str(error) or type(error).__name__).splitlines()[0][:200]
    if isinstance(error, PermissionError):
        return (f"no permission for the Docker socket ({to.host}): join the group `docker`, or run as root",)
    return (f"no Docker engine answers at {to.says} ({text}): start it, or set DOCKER_HOST",)
