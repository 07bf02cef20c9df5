"""What kill tests look at on containers: the containers, this host's side of them, our processes, our files."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Protocol

import psutil
from kill_rig import WITHIN_S, files

from chaos.errors import ChaosError
from chaos.runtimes.state import root

if TYPE_CHECKING:
    from collections.abc import Collection


class Containers(Protocol):
    """What can be looked at as a whole."""

    def snapshot(self) -> dict[str, Any]:
        """Everything that a fault may change."""


OUTSIDE = ("containers", "processes")
"""Everything but what is on disk: that waits for `chaos heal`."""


def snapshot(cans: Containers, spared: Collection[int] = ()) -> dict[str, Any]:
    """Everything that a fault could have left; `spared` are processes of the test itself."""
    try:
        containers: Any = cans.snapshot()
    except ChaosError as error:  # one of them is just being started
        containers = error.message
    return {"containers": containers, "processes": ours(spared), "files": files()}


def settled(cans: Containers, before: dict[str, Any], spared: Collection[int], *parts: str) -> dict[str, Any]:
    """A snapshot that equals the one before (in these parts), or the last one taken within the promised time."""
    until = time.monotonic() + WITHIN_S
    while True:
        now = snapshot(cans, spared)
        if all(now[part] == before[part] for part in parts or before) or time.monotonic() > until:
            return now
        time.sleep(0.05)


def ours(spared: Collection[int]) -> list[str]:
    """Every process that works with our state directory: conductors, agents, what these call, what they try out."""
    mark = {"COLLAB_CHAOS_STATE": str(root())}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid not in {os.getpid(), *spared} and mark.items() <= process.environ().items():
                found.append(" ".join(process.cmdline()) or process.name())
        except psutil.Error:  # it has just ended, or is nobody's any more
            continue
    return sorted(found)
