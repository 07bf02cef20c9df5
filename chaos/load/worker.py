"""A load process: `python -m chaos.load.worker PLAN.json`, one JSON object a line on stdin and stdout.

In: {"do": "start", "at_ns": N}, N the moment of the monotonic clock that the plan's times count from, and
{"do": "finish"}. Out: {"say": "ready"}, {"say": "second", ...} each second, then {"say": "done", "counts": {...}} and
exit 0, or {"say": "failed", "error": ...} and exit 1. When its standard input ends, its owner is gone: it exits at
once, and its null target with it.

Each of several workers makes the whole plan and plays its own shard of it: they have nothing to tell each other.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from websockets.exceptions import WebSocketException

from chaos.backends.socket import open_socket
from chaos.errors import ChaosError, LoadFailed
from chaos.load.arrivals import make_plan
from chaos.load.crowd import Crowd
from chaos.load.plan import shard
from chaos.load.scribe import Scribe
from chaos.load.world import World, entries
from chaos.model.event import Type
from chaos.model.experiment import LoadSpec, PhaseSpec
from chaos.model.stack import Site
from chaos.record import Recorder

if TYPE_CHECKING:
    from collections.abc import Coroutine

NULL_EVERY_S = 0.1
IDLE_MARGIN_S = 0.5
"""An editor that was offline stays idle for the convergence bound and a little more."""
OWNER_GONE = 3


@dataclass(frozen=True, slots=True)
class Task:
    """What the file on the command line asks for."""

    site: Site
    load: LoadSpec
    phases: PhaseSpec
    seed: int
    horizon_s: float
    events: Path
    """The folder that the record goes to."""
    number: int
    """Which of the load's workers this is, from 0 on."""

    @property
    def name(self) -> str:
        return self.load.worker_names[self.number]

    @classmethod
    def read(cls, file: Path) -> Task:
        """Raises `LoadFailed` for a file that is none."""
        try:
            raw = json.loads(file.read_text())
            return cls(
                Site.model_validate(raw["site"]),
                LoadSpec.model_validate(raw["load"]),
                PhaseSpec.model_validate(raw.get("phases", {})),
                int(raw["seed"]),
                float(raw["horizon_s"]),
                Path(raw["events"]),
                int(raw["number"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LoadFailed(f"cannot read the load's plan {file}: {error}") from error


def say(**words: Any) -> None:
    """One line to the conductor."""
    sys.stdout.write(json.dumps(words, separators=(",", ":")) + "\n")
    sys.stdout.flush()


class Null:
    """Asks the null target every 100 ms through the same loop as the users, and records its answers."""

    def __init__(self, scribe: Scribe) -> None:
        self.scribe = scribe
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> int:
        """Its port."""
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "chaos.load.null", stdin=pipe, stdout=pipe
        )
        if self._process.stdout is None:
            raise LoadFailed("the null target did not start")
        async with asyncio.timeout(15):
            line = await self._process.stdout.readline()
        if not line.strip().isdigit():
            raise LoadFailed("the null target did not start")
        return int(line)

    async def run(self, port: int) -> None:
        try:
            socket = await open_socket(f"ws://127.0.0.1:{port}/")
            due_ns = time.monotonic_ns()
            while True:
                due_ns += int(NULL_EVERY_S * 1e9)
                await asyncio.sleep(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))
                await socket.send("?")
                await socket.recv()
                now_ns = time.monotonic_ns()
                self.scribe.recorder.record(Type.OK, "null", t_ns=now_ns, intended_ns=due_ns)
                self.scribe.count("null", "", now_ns - due_ns, good=True)
        except (OSError, WebSocketException) as error:
            raise LoadFailed(f"the null target went away: {error}") from error

    def stop(self) -> None:
        """Its standard input ends with it, and so does the process."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


class Worker:
    """Runs one load from `ready` to `done`."""

    def __init__(self, task: Task, recorder: Recorder) -> None:
        self.scribe = Scribe(recorder)
        self.null = Null(self.scribe)
        tag = f"{os.getpid() & 0xFFFF:x}{int(time.time()) & 0xFFFFF:x}-"
        self.world = World(task.site, task.load, task.seed, self.scribe, tag)
        regions = entries(task.site)
        if not regions:
            raise LoadFailed("the stack has no service that users can reach: no `backend` with `urls`")
        plan = make_plan(
            task.load,
            task.seed,
            regions,
            task.horizon_s,
            warm_up_s=task.phases.warm_up,
            idle_s=task.site.spec.bounds.convergence_s + IDLE_MARGIN_S,
            visible_s=task.site.spec.bounds.visibility_s,
            limits=self.world.meetings.service.limits if self.world.meetings else {},
        )
        self.crowd = Crowd(self.world, shard(plan, task.number, task.load.workers))
        self.start_asked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.finish_asked = asyncio.Event()

    async def run(self) -> None:
        """Until done; raises what made the load fail."""
        listening = asyncio.create_task(self._listen())
        port = await self.null.start()
        say(say="ready")
        gc.collect()
        gc.freeze()
        self.crowd.begin(await self.start_asked)
        background = [asyncio.create_task(self.null.run(port)), asyncio.create_task(self._seconds()), listening]
        background.append(asyncio.create_task(self._to_the_end()))
        await asyncio.wait([*background, self.world.failed], return_when=asyncio.FIRST_COMPLETED)
        for future in (self.world.failed, *background):
            if future.done():
                future.result()

    async def _to_the_end(self) -> None:
        await self.finish_asked.wait()
        await self.crowd.finish()

    async def _seconds(self) -> None:
        world, number = self.world, 0
        while True:
            number += 1
            await asyncio.sleep(max(0.0, number - world.now_s()))
            flows, last = self.scribe.second()
            say(say="second", t=number, flows=flows, live=self.crowd.live(), last=last)
            self.scribe.recorder.flush()

    async def _listen(self) -> None:
        """Take orders; the end of the orders is the end of the process."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            order = json.loads(line)
            if order["do"] == "start":
                self.start_asked.set_result(int(order["at_ns"]))
            elif order["do"] == "finish":
                self.finish_asked.set()
        self.abandon()

    def abandon(self) -> None:
        """Exit now, whatever the disk says; what was recorded is kept."""
        try:
            self.null.stop()
            self.scribe.end_all()
            self.scribe.recorder.close()
        finally:
            os._exit(OWNER_GONE)


async def work(task: Task) -> dict[str, int]:
    """Run the load; returns how often each thing happened."""
    with Recorder(task.events / f"{task.name}.msgpack", task.name) as recorder:
        worker = Worker(task, recorder)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, worker.abandon)
        try:
            await worker.run()
        finally:
            worker.null.stop()
            worker.scribe.end_all()
        return dict(sorted(worker.scribe.counts.items()))


def _run(work_: Coroutine[Any, Any, dict[str, int]]) -> dict[str, int]:
    """On uvloop where it installs, on asyncio's own loop elsewhere."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.run(work_)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work_)


def main(arguments: list[str]) -> int:
    """Exit code of the process."""
    try:
        task = Task.read(Path(arguments[0]))
        counts = _run(work(task))
    except ChaosError as error:
        say(say="failed", error=error.message)
        return 1
    except Exception as error:  # noqa: BLE001 - told to the conductor; the traceback goes to the log
        say(say="failed", error=f"{type(error).__name__}: {error}")
        traceback.print_exc()
        return 1
    say(say="done", counts=counts)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
