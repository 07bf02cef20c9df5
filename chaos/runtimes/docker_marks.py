"""What is ours on the containers of an engine, found by its marks alone: for when the ledger is lost or damaged.

Marks are our chains with the comment of the jumps into them, the handle of our queueing disciplines, the period of
our quotas, the remainder of our limits, the names of our files, and for what has no place for a mark, a pause and a
stop, a note in the engine: an empty volume whose labels name the container. What a living agent holds is left to it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from chaos.errors import ChaosError
from chaos.model.stack import Site
from chaos.runtimes import clocks, control, docker_body, docker_clocks, docker_cpu, docker_helper, docker_shape
from chaos.runtimes.docker_engine import ENVIRONMENT, HELPER, PAUSED, STOPPED, ContainerGone, Engine, Facts, Note
from chaos.runtimes.state import root

AGENT = "chaos.runtimes.docker_agent"
RELEASE_S = 30.0


@dataclass(slots=True)
class Swept:
    """What was found and taken back (or would be)."""

    done: dict[str, str] = field(default_factory=dict)
    """Container -> what was ours on it, in words."""
    left: list[str] = field(default_factory=list)
    """What could not be taken back, in words."""
    kept: list[str] = field(default_factory=list)
    """What was left to the agent that holds it, in words."""


def look(*, dry: bool = False) -> Swept:
    """Sweep the engine of this environment. Raises `UsageError` where none answers, `StackFailed`."""
    with contextlib.closing(Engine()) as engine:
        found = {facts.name: facts for facts in engine.find({})}
        if docker_helper.is_needed(engine, engine.about(), found):
            return Swept(**docker_helper.once(engine, "sweep", dry=dry))
        return sweep(engine, dry=dry)


def sweep(engine: Engine, *, dry: bool = False) -> Swept:
    """Take everything of ours from the engine's containers, but for what a living agent of somebody else holds."""
    swept = Swept()
    held = _leave_to_agents(swept, dry=dry)
    notes = engine.notes()
    for facts in engine.find({}):
        if facts.id in held or HELPER in facts.labels or facts.labels.get(ENVIRONMENT, "staging") != "staging":
            continue
        on_it = tuple(note for note in notes if note.container == facts.id)
        try:
            found = [*_start(engine, facts, on_it, dry=dry), *_calm(engine, facts, on_it, dry=dry)]
        except ContainerGone:
            continue
        except ChaosError as error:
            swept.left.append(f"{facts.name}: {error.message}")
            continue
        if found:
            swept.done[facts.name] = ", ".join(found)
    if not dry:
        _tear_up(engine, notes, held)
    return swept


def agents() -> Iterator[tuple[int, Site]]:
    """The agents that live on this host, those of other users and in containers included: pid and site."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, KeyError):  # it has just ended, or its folder is gone
            line = (process / "cmdline").read_text().split("\0")
            if AGENT in line:
                # Seen from its own root, which may be that of a container.
                orders = json.loads(Path(f"{process}/root{line[line.index(AGENT) + 1]}").read_text())
                yield int(process.name), Site.model_validate(orders["site"])


def _leave_to_agents(swept: Swept, *, dry: bool) -> set[str]:
    """Containers that agents hold. One of this state directory is asked to let go, the others are left alone."""
    held: set[str] = set()
    for pid, site in agents():
        ids = {container.id for container in site.containers.values()}
        if not site.directory.startswith(f"{root()}/"):
            held |= ids
            names = ", ".join(sorted(container.name for container in site.containers.values()))
            swept.kept.append(f"process {pid} holds {names} for a run that is not of this state directory")
            continue
        with contextlib.suppress(control.AgentGone, control.AgentSilent):
            for fault in control.call(site.supervisor, "active"):
                swept.done[fault] = "held by its agent"
                if not dry:
                    control.call(site.supervisor, "release", timeout_s=RELEASE_S, fault=fault)
    return held


def _start(engine: Engine, facts: Facts, notes: tuple[Note, ...], *, dry: bool) -> Iterator[str]:
    # A container that somebody else has started since is theirs to stop.
    if not facts.up and any(note.did == STOPPED and note.started == facts.started for note in notes):
        if not dry:
            engine.start(facts.id)
        yield "stopped"


def _calm(engine: Engine, facts: Facts, notes: tuple[Note, ...], *, dry: bool) -> Iterator[str]:
    if not facts.up:
        return
    # In the host's own network lie the other ends of what agents hold elsewhere.
    if facts.network != "host" and (rules := docker_shape.marked(facts.pid)):
        if not dry:
            docker_shape.clear(facts.pid)
        yield f"rules of {', '.join(rules)}"
    if docker_cpu.read(facts.pid).ours and not facts.quota.ours:
        if not dry:
            docker_cpu.write(facts.pid, facts.quota)
        yield "processor quota"
    yield from docker_body.sweep(facts, dry=dry)
    if clocks.is_ours(docker_clocks.read(facts) or ""):
        if not dry:
            docker_clocks.write(facts, clocks.text(0))
        yield "wrong clock"
    if facts.paused and any(note.did == PAUSED and note.started == facts.started for note in notes):
        if not dry:
            engine.unpause(facts.id)
        yield "paused"


def _tear_up(engine: Engine, notes: tuple[Note, ...], held: set[str]) -> None:
    """A note on which nothing is left to do."""
    for note in notes:
        with contextlib.suppress(ContainerGone):
            facts = engine.facts(note.container)
            there = not facts.up if note.did == STOPPED else facts.paused
            if note.container in held or (there and facts.started == note.started):
                continue
        engine.forget(note.did, note.container)
