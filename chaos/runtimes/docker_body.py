"""What is done to a container's memory and disk, put in and given back; blocking, for one worker thread.

What somebody else has changed since we did is left as it is, and said in the agent's log.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from chaos.errors import StackFailed
from chaos.model.stack import Site
from chaos.runtimes import docker_disk, docker_io, docker_memory
from chaos.runtimes.docker_engine import Facts
from chaos.runtimes.docker_io import Pace
from chaos.runtimes.report import log

ROOT = "/"
"""Where a node's data lie that no stack file tells of: somewhere in the container's own layer."""


NO_PACE = Pace()


class Fill(NamedTuple):
    """A fault that leaves so many bytes of a node's file system."""

    fault: str
    leave: int


@dataclass(frozen=True, slots=True)
class Strain:
    """What a node's memory and disk are to bear."""

    leave: int | None = None
    """Bytes of memory beyond what it holds."""
    fills: tuple[Fill, ...] = ()
    pace: Pace = NO_PACE

    @classmethod
    def of(cls, several: Iterable[Strain]) -> Strain:
        """All of them at once: the least memory, every fill, the slowest pace."""
        several = tuple(several)
        paces = [one.pace for one in several if one.pace != NO_PACE]
        return cls(
            min((one.leave for one in several if one.leave is not None), default=None),
            tuple(fill for one in several for fill in one.fills),
            functools.reduce(Pace.slower, paces, NO_PACE),
        )


CALM = Strain()


@dataclass(slots=True)
class _Changed:
    """Limits that are ours now, and what they were."""

    started: str
    was: Any
    now: Any
    asked: Any


class Body:
    """The memory and the disk of a site's containers."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._memory: dict[str, _Changed] = {}
        self._paces: dict[str, _Changed] = {}
        self._fills: dict[str, tuple[str, set[Fill]]] = {}

    def settle(self, node: str, facts: Facts, want: Strain) -> None:
        """Bring them into this condition. Raises `StackFailed`."""
        self._settle_fills(node, facts, want)
        self._settle_memory(node, facts, want)
        self._settle_pace(node, facts, want)

    def died(self, node: str, facts: Facts, want: Strain) -> bool:
        """Whether it ended under a strain that is over now: then it is ours to start again."""
        memory, (started, fills) = self._memory.get(node), self._fills.get(node, ("", set()))
        squeezed = memory is not None and memory.started == facts.started and want.leave is None
        return squeezed or (bool(fills) and started == facts.started and not want.fills)

    def ended(self, node: str, facts: Facts, want: Strain) -> None:
        """It does not run, by its own doing: what fills a volume of it is taken back all the same."""
        started, there = self._fills.pop(node, ("", set()))
        for fill in there - set(want.fills):
            docker_disk.free_stopped(facts.volumes, data_of(self.site, node), fill.fault)
        if kept := there & set(want.fills):
            self._fills[node] = (started, kept)

    def starve(self, node: str, facts: Facts) -> None:
        """Let the kernel's out-of-memory killer end it. Raises `StackFailed`, and nothing is changed then."""
        before = self.original(node, facts)
        try:
            docker_memory.starve(facts.pid)
        except StackFailed:
            undo_memory(facts, before)
            raise

    def original(self, node: str, facts: Facts) -> dict[str, Any]:
        """What an undo has to know of one node: how it would be without us."""
        path = data_of(self.site, node)
        found: dict[str, Any] = {"data": path, "fills": self._has_word(node)}
        if not facts.up:
            return found
        memory = self._memory.get(node)
        if not docker_memory.why_not(facts.pid):
            found["memory"] = memory.was if memory else docker_memory.read(facts.pid)
            found["chosen"] = docker_memory.chosen(facts.pid)
        if not docker_io.why_not(facts.pid, path):
            pace = self._paces.get(node)
            found["device"] = docker_io.device(facts.pid, path)
            found["pace"] = asdict(pace.was if pace else docker_io.read(facts.pid, found["device"]))
        return found

    def _has_word(self, node: str) -> bool:
        return self.site.spec.nodes()[node][1].data is not None

    def _settle_memory(self, node: str, facts: Facts, want: Strain) -> None:
        there = _current(self._memory, node, facts)
        if there is not None and there.asked == want.leave:
            return
        if there is not None:
            if docker_memory.read(facts.pid) == there.now:
                docker_memory.restore(facts.pid, there.was)
            else:
                log(f"{node}: somebody else has changed its memory limits, which stay as they are")
            del self._memory[node]
        if want.leave is not None:
            if why := docker_memory.why_not(facts.pid):
                raise StackFailed(f"no carrier for the memory of {node}: {why}")
            was = docker_memory.read(facts.pid)
            now = docker_memory.squeeze(facts.pid, want.leave)
            self._memory[node] = _Changed(facts.started, was, now, want.leave)

    def _settle_pace(self, node: str, facts: Facts, want: Strain) -> None:
        there, path = _current(self._paces, node, facts), data_of(self.site, node)
        if there is not None and there.asked == want.pace:
            return
        if there is not None:
            found = docker_io.device(facts.pid, path)
            if docker_io.read(facts.pid, found) == there.now:
                docker_io.write(facts.pid, found, there.was)
            else:
                log(f"{node}: somebody else has changed the limits of its disk, which stay as they are")
            del self._paces[node]
        if want.pace != NO_PACE:
            if why := docker_io.why_not(facts.pid, path):
                raise StackFailed(f"no carrier for the disk of {node}: {why}")
            found = docker_io.device(facts.pid, path)
            was = docker_io.read(facts.pid, found)
            now = want.pace.slower(was).marked
            self._paces[node] = _Changed(facts.started, was, now, want.pace)  # first: a half of it is taken back too
            docker_io.write(facts.pid, found, now)

    def _settle_fills(self, node: str, facts: Facts, want: Strain) -> None:
        started, there = self._fills.get(node, (facts.started, set()))
        wanted = set(want.fills)
        if not there and not wanted:
            return
        path = data_of(self.site, node)
        for fill in there - wanted:
            docker_disk.free(facts.pid, path, fill.fault)
        # After a restart a tmpfs is another one, and empty.
        new = wanted if started != facts.started else wanted - there
        self._fills[node] = (facts.started, wanted)
        for fill in sorted(new, key=lambda one: -one.leave):
            docker_disk.fill(facts.pid, path, fill.fault, fill.leave)
        if not wanted:
            del self._fills[node]


def _current(table: dict[str, _Changed], node: str, facts: Facts) -> _Changed | None:
    """What we changed on a node, if that still is: a restart gives it a cgroup anew."""
    if node in table and table[node].started != facts.started:
        del table[node]
    return table.get(node)


def data_of(site: Site, node: str) -> str:
    """The directory that a node's data lie in, as it sees it."""
    return site.spec.nodes()[node][1].data or ROOT


def lacks(facts: Facts, data: str | None) -> dict[str, str]:
    """What a container's memory and disk cannot bear, by the capability's name, and why."""
    found = {
        "starving": docker_memory.why_not_starve(facts.pid),
        "squeezing": docker_memory.why_not(facts.pid),
        "filling": docker_disk.why_not_fill(facts.pid, data),
        "dragging": docker_io.why_not(facts.pid, data or ROOT),
    }
    return {name: why for name, why in found.items() if why}


def leftovers(facts: Facts, data: str | None) -> str:
    """What an earlier run has left on a container's memory and disk, in words; empty: nothing."""
    if not docker_memory.why_not(facts.pid) and docker_memory.ours(docker_memory.read(facts.pid)):
        return "the memory limit"
    if data is not None and not docker_disk.why_not_fill(facts.pid, data) and docker_disk.fills(facts.pid, data):
        return "the fill file"
    path = data or ROOT
    if not docker_io.why_not(facts.pid, path) and docker_io.read(facts.pid, docker_io.device(facts.pid, path)).ours:
        return "the disk limit"
    return ""


def undo(facts: Facts, fault: str, was: dict[str, Any]) -> Iterator[str]:
    """Take back from an undo alone whatever bears our mark; says what was. Raises `StackFailed`."""
    if was.get("fills") and docker_disk.free(facts.pid, was["data"], fault):
        yield "freed of what filled its disk"
    if "memory" in was and undo_memory(facts, was):
        yield "given its memory limit back"
    if "pace" in was and docker_io.read(facts.pid, was["device"]).ours:
        docker_io.write(facts.pid, was["device"], Pace(**was["pace"]))
        yield "given the pace of its disk back"


def sweep(facts: Facts, *, dry: bool) -> Iterator[str]:
    """Take back what bears our mark without any undo: it becomes what the engine gives the container at each start.

    Says what there was. Raises `StackFailed`.
    """
    if points := docker_disk.swept(facts.pid, dry=dry):
        yield f"fill file in {', '.join(points)}"
    if not docker_memory.why_not(facts.pid) and docker_memory.ours(docker_memory.read(facts.pid)):
        if not dry:
            was = docker_memory.configured(facts.pid, facts.config)
            undo_memory(facts, {"memory": was, "chosen": facts.config.get("OomScoreAdj") or 0})
        yield "memory limit"
    for device, pace in docker_io.limited(facts.pid).items():
        if pace.ours:
            if not dry:
                docker_io.write(facts.pid, device, docker_io.configured(device, facts.config))
            yield "disk limit"


def undo_stopped(facts: Facts, fault: str, was: dict[str, Any]) -> Iterator[str]:
    """The same for a container that does not run, and is not ours to start. Raises `StackFailed`."""
    if was.get("fills") and docker_disk.free_stopped(facts.volumes, was["data"], fault):
        yield "freed of what filled its disk"


def undo_memory(facts: Facts, was: dict[str, Any]) -> bool:
    """Limits of ours become what they were, and the killer chooses as before. Raises `StackFailed`."""
    if was.get("chosen") is not None and docker_memory.chosen(facts.pid) == docker_memory.FIRST != was["chosen"]:
        docker_memory.choose(facts.pid, was["chosen"])
    if not docker_memory.ours(docker_memory.read(facts.pid)):
        return False
    docker_memory.restore(facts.pid, was["memory"])
    return True
