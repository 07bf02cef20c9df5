"""The near end of an agent in a helper container: `python -m chaos.runtimes.docker_bridge ORDERS.json`.

For its conductor it is the agent: same pipe, same words, same control socket. Each request goes to the helper as a
line with a number, and comes back as one. When the conductor ends, the helper's input does, and it takes everything
back; the same when this process ends, or the way between them: then the helper hears nothing for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from chaos.errors import ChaosError
from chaos.model.stack import Site
from chaos.runtimes import control, docker_helper
from chaos.runtimes.control import BadRequest
from chaos.runtimes.docker_engine import Engine
from chaos.runtimes.docker_helper import Stream
from chaos.runtimes.report import log, tell

PING_S = 2.0
"""A helper that hears nothing for `docker_agent.DEAF_S` takes everything back and ends."""


class Bridge:
    """Carries requests to one helper and answers back."""

    def __init__(self, site: Site, stream: Stream) -> None:
        self.site = site
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._gone = asyncio.Event()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ready = False

    async def run(self) -> None:
        """Serve until the helper is gone."""
        self._loop.add_signal_handler(signal.SIGTERM, self._stream.end_input)
        for deaf in (signal.SIGINT, signal.SIGHUP):
            signal.signal(deaf, lambda *_: None)
        self._loop.add_reader(0, self._owner)
        threading.Thread(target=self._read, name="helper", daemon=True).start()
        server = await control.serve(self.site.supervisor, self.handle)
        pings = asyncio.create_task(self._ping())
        await self._gone.wait()
        pings.cancel()
        server.close()
        control.withdraw(self.site.supervisor)

    async def handle(self, request: dict[str, Any]) -> Any:
        """Pass one request on and wait for its answer."""
        number = next(self._numbers)
        answer = self._waiting[number] = self._loop.create_future()
        try:
            self._stream.send({"number": number, "request": request})
            said = await answer
        except OSError as error:
            raise BadRequest(f"the helper container cannot be reached: {error}") from error
        finally:
            del self._waiting[number]
        if not said["ok"]:
            raise BadRequest(said["error"])
        return said["value"]

    async def _ping(self) -> None:
        with contextlib.suppress(BadRequest):  # the helper is gone, which ends this process too
            while True:
                await asyncio.sleep(PING_S)
                await self.handle({"do": "active"})

    def _owner(self) -> None:
        if not os.read(0, 4096):
            self._loop.remove_reader(0)
            self._stream.end_input()

    def _read(self) -> None:
        for said in self._stream.lines(sys.stderr.fileno()):
            self._stream.be_patient(docker_helper.SILENT_S)
            self._loop.call_soon_threadsafe(self._hear, said)
        self._loop.call_soon_threadsafe(self._end)

    def _hear(self, said: dict[str, Any]) -> None:
        if "say" in said:
            self._ready = True
            tell(said)
        elif (answer := self._waiting.get(said.get("number", 0))) is not None and not answer.done():
            answer.set_result(said)

    def _end(self) -> None:
        log("the helper container is gone")
        if not self._ready:
            tell({"say": "failed", "why": f"the helper container ended; does {docker_helper.image()} have Python?"})
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_result({"ok": False, "error": "the helper container is gone"})
        self._gone.set()


async def live(orders: dict[str, Any]) -> int:
    """Start the helper and be its near end."""
    site = Site.model_validate(orders["site"])
    try:
        engine = Engine()
        far = site.model_copy(update={"supervisor": "", "directory": "", "helper": False})
        sent = {"site": far.model_dump(), "engine": engine.about().id}
        stream = docker_helper.start(engine, "chaos.runtimes.docker_agent", sent, site.id)
    except ChaosError as error:
        tell({"say": "failed", "why": f"{error.message} ({error.hint})" if error.hint else error.message})
        return 1
    await Bridge(site, stream).run()
    stream.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(live(json.loads(Path(sys.argv[1]).read_text()))))
