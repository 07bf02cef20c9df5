"""Wall clocks of containers that run with libfaketime preloaded: the file in the container that it reads.

Unlike everything else on a container this outlives a restart, so it is never taken for gone.
"""

from __future__ import annotations

from chaos.errors import StackFailed
from chaos.runtimes import clocks
from chaos.runtimes.docker_engine import Facts


class Clocks:
    """The clocks of a site's containers that we have set wrong; blocking, for the thread that touches them."""

    def __init__(self) -> None:
        self._was: dict[str, str] = {}
        """What was in the files that ours stand in for."""

    def settle(self, node: str, facts: Facts, offset_s: float) -> None:
        """Bring one clock into the wanted condition; 0: as it was. Raises `StackFailed`."""
        if not offset_s and node not in self._was:
            return
        if not facts.up:
            raise StackFailed(f"the clock of {node} cannot be set while it does not run", hint="start it")
        there = read(facts)
        if there is None:
            raise StackFailed(f"{node} {clocks.NOT_PRELOADED}")
        if offset_s:
            self._was.setdefault(node, there)
            write(facts, clocks.text(offset_s))
            return
        if clocks.is_ours(there):
            write(facts, self._was[node])
        del self._was[node]

    def original(self, node: str, facts: Facts) -> str | None:
        """What an undo has to write back; None where no file sets the clock."""
        return self._was.get(node, read(facts) if facts.up else None)


def read(facts: Facts) -> str | None:
    """What sets the container's clock now; None if it runs without libfaketime. Raises `StackFailed`."""
    path = clocks.file_of(facts.pid)
    try:
        return path.read_text() if path is not None else None
    except OSError as error:
        raise StackFailed(f"the clock of {facts.name} cannot be read: {error.strerror}") from error


def write(facts: Facts, content: str) -> None:
    """Set the container's clock. Raises `StackFailed`."""
    path = clocks.file_of(facts.pid)
    if path is None:
        raise StackFailed(f"{facts.name} {clocks.NOT_PRELOADED}")
    try:
        clocks.write(path, content)
    except OSError as error:
        raise StackFailed(f"the clock of {facts.name} cannot be set: {error.strerror}") from error
