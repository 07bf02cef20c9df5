"""The conductor's side of the load: start its workers, tell them to begin and to finish, read their seconds."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from chaos.errors import LoadFailed, StorageFailed
from chaos.load.seconds import Seconds
from chaos.model.experiment import LoadSpec

if TYPE_CHECKING:
    from pathlib import Path

Heard = Callable[[dict[str, Any]], None]
READY_S = 20.0
EVIDENCE_LINES = 12


class Worker:
    """One process of a load, in a session of its own. What it says goes to `heard`, in a thread; `gone` ends it."""

    def __init__(self, name: str, task: dict[str, Any], directory: Path, heard: Heard) -> None:
        """Start it. Raises `StorageFailed` when the directory cannot be written."""
        self.name = name
        self.log = directory / "logs" / f"{name}.log"
        self._file = directory / f"{name}-plan.json"
        self._heard = heard
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self._file.touch(mode=0o600)  # it holds the stack's secrets: read at the start, and then gone
            self._file.write_text(json.dumps(task))
            with self.log.open("ab") as stderr:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "chaos.load.worker", str(self._file)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    start_new_session=True,
                    text=True,
                    bufsize=1,
                )
        except OSError as error:
            self.started()
            raise StorageFailed(f"cannot start the load in {directory}: {error.strerror}") from error
        self._reader = threading.Thread(target=self._read, name=f"{name}-reader", daemon=True)
        self._reader.start()

    def __repr__(self) -> str:
        code = self.process.poll()
        return f"<{self.name} {self.process.pid} {'running' if code is None else f'exited {code}'}>"

    def started(self) -> None:
        """It has read its plan, or never will: the plan goes."""
        self._file.unlink(missing_ok=True)

    def tell(self, **order: Any) -> None:
        """Give an order; raises `LoadFailed` when it takes none."""
        stdin = self.process.stdin
        if stdin is None:
            raise LoadFailed("the load process takes no orders")
        try:
            stdin.write(json.dumps(order) + "\n")
            stdin.flush()
        except (OSError, ValueError) as error:
            raise self.failure(f"the load process takes no orders: {error}") from error

    def end(self) -> None:
        """Kill it and what it started, without waiting."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Wait for its end, which is certain, and let go of its pipes. Twice is no error."""
        self.process.wait()
        self._reader.join(2)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def failure(self, message: str) -> LoadFailed:
        """What to raise: the message with the last lines of its log."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-EVIDENCE_LINES:]
        except OSError:
            lines = []
        return LoadFailed(message, hint=f"the whole log: {self.log}", evidence=tuple(lines))

    def _read(self) -> None:
        for line in self.process.stdout or ():
            with contextlib.suppress(ValueError):
                self._heard(json.loads(line))
        self._heard({"say": "gone"})


class Load:
    """A load that runs in processes of its own, which start, finish and fail as one.

    Not to be shared by threads, except `seconds`.
    """

    def __init__(self, plan: dict[str, Any], directory: Path) -> None:
        """Start the processes; `start` does so and waits until they are ready."""
        names = LoadSpec.model_validate(plan["load"]).worker_names
        self.seconds = Seconds(len(names))
        self.counts: dict[str, int] = {}
        self._said: queue.SimpleQueue[tuple[int, dict[str, Any]]] = queue.SimpleQueue()
        self.workers: list[Worker] = []
        try:
            for number, name in enumerate(names):
                task = plan | {"events": str(directory / "events"), "number": number}
                self.workers.append(Worker(name, task, directory, self._listener(number)))
        except BaseException:
            self.kill()
            raise

    def __repr__(self) -> str:
        return f"<load of {self.workers}, {len(self.seconds)} s>"

    @classmethod
    def start(cls, plan: dict[str, Any], directory: Path) -> Self:
        """Start all workers and return once they are ready.

        Raises `LoadFailed` with the last log lines, `StorageFailed` when the directory cannot be written.
        """
        load = cls(plan, directory)
        try:
            load._expect("ready", READY_S)
        except BaseException:
            load.kill()
            raise
        finally:
            for worker in load.workers:
                worker.started()
        return load

    @property
    def names(self) -> tuple[str, ...]:
        """Of the workers, as their records have them."""
        return tuple(worker.name for worker in self.workers)

    def begin(self) -> None:
        """Start the plan's clock: one moment for all workers, on the monotonic clock that a machine has one of."""
        at_ns = time.monotonic_ns()
        for worker in self.workers:
            worker.tell(do="start", at_ns=at_ns)

    def finish(self, timeout_s: float) -> dict[str, int]:
        """End the load in order and return its counts; raises `LoadFailed` when it takes longer, and kills it."""
        try:
            for worker in self.workers:
                worker.tell(do="finish")
            for said in self._expect("done", timeout_s):
                for name, count in said["counts"].items():
                    self.counts[name] = self.counts.get(name, 0) + count
            for worker in self.workers:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.process.wait(5)
        finally:
            self.kill()
        return self.counts

    def kill(self) -> None:
        """End all workers and what they started; twice is no error."""
        for worker in self.workers:
            worker.end()
        for worker in self.workers:
            worker.started()
            worker.close()

    def check(self) -> None:
        """Raise `LoadFailed` if a process has died."""
        for worker in self.workers:
            code = worker.process.poll()
            if code not in (None, 0):
                raise worker.failure(f"the load process died (exit code {code})")

    def _listener(self, number: int) -> Heard:
        def heard(said: dict[str, Any]) -> None:
            if said["say"] == "second":
                self.seconds.add(number, said)
                return
            if said["say"] in {"done", "failed", "gone"}:
                self.seconds.ended(number)
            self._said.put((number, said))

        return heard

    def _expect(self, word: str, timeout_s: float) -> list[dict[str, Any]]:
        """What the workers said with this word, once all have; raises `LoadFailed` as soon as one cannot."""
        end = time.monotonic() + timeout_s
        heard: dict[int, dict[str, Any]] = {}
        while len(heard) < len(self.workers):
            try:
                number, said = self._said.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                silent = next(one for number, one in enumerate(self.workers) if number not in heard)
                raise silent.failure(f"the load did not say `{word}` within {timeout_s:g} s") from None
            worker = self.workers[number]
            if said["say"] == word:
                heard[number] = said
            elif said["say"] == "failed":
                raise worker.failure(f"the load failed: {said.get('error', '')}")
            elif said["say"] == "gone" and number not in heard:
                raise worker.failure(f"the load process ended before it said `{word}`")
        return list(heard.values())
