"""The far end of `docker_bridge`: an agent in a helper container, its requests on stdin and its answers on stdout."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from chaos.errors import StackFailed
from chaos.model.stack import Site
from chaos.runtimes import control, docker_cpu
from chaos.runtimes.docker_engine import Engine
from chaos.runtimes.report import log, tell

DEAF_S = 10.0
"""A near end says something every two seconds; without a word for so long it is gone, and nobody renews anything."""


class FarEnd:
    """Answers each line that comes in; calls `end` when none comes any more."""

    def __init__(self, handler: control.Handler, end: Callable[[], None]) -> None:
        self._handler = handler
        self._end = end
        self._rest = b""
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._deaf = self._loop.call_later(DEAF_S, self._alone)

    def hear(self, data: bytes) -> None:
        """Bytes of stdin."""
        self._deaf.cancel()
        self._deaf = self._loop.call_later(DEAF_S, self._alone)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            task = self._loop.create_task(self._answer(json.loads(line)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, said: dict[str, Any]) -> None:
        request = json.dumps(said["request"]).encode()
        tell({"number": said["number"], **await control.answer(request, self._handler)})

    def _alone(self) -> None:
        log("nobody speaks to this helper any more")
        self._end()


def settled_in(site: Site, engine: Engine, expected: str) -> Site:
    """The site with what only the containers' own host can tell. Raises `StackFailed`.

    `expected` is the id of the engine that started this helper.
    """
    check(engine, expected)
    containers = {}
    for node, there in site.containers.items():
        quota = docker_cpu.read(engine.facts(there.id).pid)
        if quota.ours:
            raise StackFailed(f"{there.name} still has the processor quota of an earlier run: chaos heal --all")
        containers[node] = there.model_copy(update={"quota_us": quota.quota_us, "period_us": quota.period_us})
    return site.model_copy(update={"containers": containers})


def check(engine: Engine, expected: str) -> None:
    """Raise `StackFailed` unless the engine behind the helper's socket is the one that started it."""
    if engine.about().id != expected:
        raise StackFailed(
            "the socket that the helper was given leads to another engine: name the right one, on the engine's own "
            "host, in COLLAB_CHAOS_HELPER_SOCKET"
        )
