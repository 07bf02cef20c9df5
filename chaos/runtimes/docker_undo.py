"""Takes a fault back from containers with nothing but the ledger: for when the agent that held it was killed.

The agent is asked first, while it lives. Without it, whatever still carries the fault's marks is taken out, and
what has no mark (a pause, a stop) is undone where the container is still the one that was harmed.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from chaos.errors import ChaosError, StackFailed, StillDirty
from chaos.model.fault import Undo
from chaos.model.stack import Site
from chaos.runtimes import clocks, control, docker_body, docker_clocks, docker_cpu, docker_helper, docker_shape
from chaos.runtimes.docker_engine import PAUSED, STOPPED, ContainerGone, Engine, Facts
from chaos.runtimes.undo import DOCKER_RELEASE

RELEASE_S = 30.0
ALIVE_S = 3.0
"""An agent that does not say in this time what it holds is as good as gone."""


def docker_release(site: Site, fault: str) -> Undo:
    """The undo of everything that `fault` does to containers: it holds what they were before.

    Raises `StackFailed` if the agent cannot tell; a site without an agent (a plan) has nothing to tell.
    """
    arguments: dict[str, Any] = {"agent": site.supervisor, "fault": fault, "containers": {}}
    if site.supervisor:
        arguments["containers"] = control.call(site.supervisor, "originals", timeout_s=RELEASE_S)
        with contextlib.closing(Engine()) as engine:
            arguments["engine"] = {"id": engine.about().id, "host": engine.where.host}
    return Undo(
        primitive=DOCKER_RELEASE,
        arguments=arguments,
        says="let the agent take it back; else unpause, start, restore limits, take out our rules",
    )


def release(arguments: dict[str, Any]) -> str:
    """`docker.release.v1`; says in words what became of it. Raises `StillDirty`."""
    agent, fault, containers = (arguments.get(key) for key in ("agent", "fault", "containers"))
    if not isinstance(agent, str) or not isinstance(fault, str) or not isinstance(containers, dict):
        raise StillDirty(f"an undo needs `agent`, `fault` and `containers`, not {sorted(arguments)}")
    # An agent that stands still cannot do it either; once it goes on it finds its work done.
    with contextlib.suppress(control.AgentGone, control.AgentSilent):
        control.call(agent, "active", timeout_s=ALIVE_S)
        return _ask(agent, fault)
    # A container that was asked to end may not have done so yet, and cannot be told from one that was not asked.
    time.sleep(arguments.get("grace_s", 0.0))
    try:
        with contextlib.closing(_engine(arguments.get("engine") or {})) as engine:
            return _beside(engine, fault, containers)
    except StillDirty:
        raise
    except ChaosError as error:
        raise StillDirty(f"{fault} could not be taken back: {error.message}", hint=error.hint) from error


def _ask(agent: str, fault: str) -> str:
    try:
        control.call(agent, "release", timeout_s=RELEASE_S, fault=fault)
    except (control.AgentGone, control.AgentSilent):
        raise
    except StackFailed as error:
        raise StillDirty(f"{fault} could not be released: {error.message}", hint="chaos heal") from error
    return "released"


def _engine(was: dict[str, str]) -> Engine:
    """The engine that the containers are on, whatever the environment says by now."""
    engine = Engine(was.get("host", ""))
    if was and engine.about().id != was["id"]:
        engine.close()
        raise StillDirty(f"at {was['host']} is another engine than the one that was attacked", hint="set DOCKER_HOST")
    return engine


def _beside(engine: Engine, fault: str, containers: dict[str, Any]) -> str:
    found = {}
    for node, was in containers.items():
        with contextlib.suppress(ContainerGone):
            found[node] = engine.facts(was["id"])
    if docker_helper.is_needed(engine, engine.about(), found):
        said: str = docker_helper.once(engine, "release", fault=fault, containers=containers)
        return said
    return by_hand(engine, fault, containers)


def by_hand(engine: Engine, fault: str, containers: dict[str, Any]) -> str:
    """Where the containers' processes are seen; every container is tried, whatever happens to the one before it.

    Raises `StillDirty`.
    """
    done, left = [], []
    for node, was in containers.items():
        try:
            done += [f"{node} {what}" for what in _one(engine, fault, was)]
            for did in (PAUSED, STOPPED):
                engine.forget(did, was["id"])
        except ContainerGone:
            continue
        except ChaosError as error:
            left.append(f"{node} ({was['id'][:12]}): {error.message}")
    if left:
        raise StillDirty(f"{fault} is not gone everywhere", hint="chaos heal", evidence=tuple(left))
    return ", ".join(done) or "already gone"


def _one(engine: Engine, fault: str, was: dict[str, Any]) -> list[str]:
    facts = engine.facts(was["id"])
    done = []
    if not facts.up:
        # A container that somebody else has started and stopped since is theirs to start again.
        if not was["running"] or facts.started != was["started"]:
            return list(docker_body.undo_stopped(facts, fault, was))
        engine.start(facts.id)
        facts = engine.facts(facts.id)
        done.append("started")
    if docker_shape.take_out(facts.pid, fault):
        done.append("freed of rules")
    done += _quota(facts, was)
    if was.get("clock") is not None and clocks.is_ours(docker_clocks.read(facts) or ""):
        docker_clocks.write(facts, was["clock"])
        done.append("given its clock back")
    done += docker_body.undo(facts, fault, was)
    if facts.paused and not was["paused"] and facts.started == was["started"]:
        engine.unpause(facts.id)
        done.append("unpaused")
    return done


def _quota(facts: Facts, was: dict[str, Any]) -> list[str]:
    if not docker_cpu.read(facts.pid).ours:
        return []
    docker_cpu.write(facts.pid, docker_cpu.Quota(was["quota_us"], was["period_us"]))
    return ["given its processor quota back"]
