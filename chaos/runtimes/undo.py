"""Undo primitives: take a fault back from JSON alone, as often as one likes, without the fault's code.

A primitive is named `WHAT.release.vN`. Its arguments never change their meaning; a new meaning gets a new number,
and old numbers stay for as long as a ledger may name them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chaos.errors import StackFailed, StillDirty
from chaos.model.fault import Undo
from chaos.model.stack import Site
from chaos.runtimes import control

RELEASE_S = 15.0
"""A release waits up to 10 s for the nodes that it started again."""
PROCESS_RELEASE = "process.release.v1"
LINK_RELEASE = "link.release.v1"
SANDBOX_RELEASE = "sandbox.release.v1"
DOCKER_RELEASE = "docker.release.v1"


def process_release(site: Site, fault: str) -> Undo:
    """The undo of everything that `fault` does to processes (or containers) of a site."""
    if site.spec.runtime == "docker":
        return _docker_release(site, fault)
    return Undo(
        primitive=PROCESS_RELEASE,
        arguments={"supervisor": site.supervisor, "fault": fault},
        says="start the nodes that were killed, wake those that were paused, end their throttling",
    )


def link_release(site: Site, fault: str) -> Undo:
    """The undo of everything that `fault` does to links of a site."""
    if site.spec.runtime == "docker":
        return _docker_release(site, fault)
    if site.kernel:
        return Undo(
            primitive=SANDBOX_RELEASE,
            arguments={"kernel": site.kernel, "proxy": site.proxy, "fault": fault},
            says="take our rules out of the sandbox's kernel, and lift what the link proxy does",
        )
    return Undo(
        primitive=LINK_RELEASE,
        arguments={"proxy": site.proxy, "fault": fault},
        says="lift the impairment of the links; held bytes flow on",
    )


def undo(what: Undo) -> str:
    """Execute an undo and say in words what became of it; what is gone already is a success.

    Raises `StillDirty` if it could not be done, or if the primitive is unknown to this version.
    """
    primitive = REGISTRY.get(what.primitive)
    if primitive is None:
        raise StillDirty(
            f"unknown undo `{what.primitive}` ({what.says})",
            hint="heal it with the version of collab-chaos that injected it",
        )
    return primitive(what.arguments)


def _release_all(*keys: str) -> Callable[[dict[str, Any]], str]:
    releases = [_release(key) for key in keys]

    def run(arguments: dict[str, Any]) -> str:
        said, failures = [], list[StillDirty]()
        for release in releases:
            try:
                said.append(release(arguments))
            except StillDirty as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return said[0]

    return run


def _release(key: str) -> Callable[[dict[str, Any]], str]:
    def run(arguments: dict[str, Any]) -> str:
        path, fault = arguments.get(key), arguments.get("fault")
        if not isinstance(path, str) or not isinstance(fault, str):
            raise StillDirty(f"an undo needs `{key}` and `fault`, not {sorted(arguments)}")
        try:
            control.call(path, "release", timeout_s=RELEASE_S, fault=fault)
        except control.AgentGone:
            return "already gone"
        except StackFailed as error:
            raise StillDirty(
                f"{fault} could not be released: {error.message}",
                hint="`chaos stack down` ends the stack and everything done to it",
                evidence=error.evidence,
            ) from error
        return "released"

    return run


# The engine's library takes a while to import: only stacks of containers pay for it.


def _docker_release(site: Site, fault: str) -> Undo:
    from chaos.runtimes import docker_undo  # noqa: PLC0415

    return docker_undo.docker_release(site, fault)


def _run_docker_release(arguments: dict[str, Any]) -> str:
    from chaos.runtimes import docker_undo  # noqa: PLC0415

    return docker_undo.release(arguments)


REGISTRY: dict[str, Callable[[dict[str, Any]], str]] = {
    PROCESS_RELEASE: _release("supervisor"),
    LINK_RELEASE: _release("proxy"),
    SANDBOX_RELEASE: _release_all("kernel", "proxy"),
    DOCKER_RELEASE: _run_docker_release,
}
"""Every undo primitive of the runtimes by name."""
