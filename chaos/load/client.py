"""The conductor's side of the load process: start it, tell it to begin and to finish, read its seconds."""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from chaos.errors import LoadFailed, StorageFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

READY_S = 20.0
KEPT_S = 3600
"""Seconds of the load whose figures are kept for window probes."""
EVIDENCE_LINES = 12


@dataclass(frozen=True, slots=True)
class WindowStats:
    """What a flow did over the last seconds; latencies in ms, of what succeeded."""

    ok: int
    bad: int
    latencies: tuple[float, ...]

    @property
    def total(self) -> int:
        return self.ok + self.bad

    @property
    def success(self) -> float | None:
        """Share 0..1; None without samples."""
        return self.ok / self.total if self.total else None

    def percentile(self, percent: float) -> float | None:
        """Nearest rank; None without samples."""
        if not self.latencies:
            return None
        ordered = sorted(self.latencies)
        return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


class LoadProcess:
    """A load that runs in a process of its own. Not to be shared by threads, except `window` and `seconds`."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log
        self.seconds: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        """Every `second` line, for whoever reads them."""
        self.on_second: Callable[[dict[str, Any]], None] | None = None
        """Called in the reading thread with every `second` line."""
        self.counts: dict[str, int] = {}
        self._said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._kept: deque[dict[str, Any]] = deque(maxlen=KEPT_S)
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, name="load-reader", daemon=True)

    def __repr__(self) -> str:
        code = self.process.poll()
        state = "running" if code is None else f"exited {code}"
        return f"<load process {self.process.pid} {state}, {len(self._kept)} s>"

    @classmethod
    def start(cls, plan: dict[str, Any], directory: Path) -> Self:
        """Write the plan, start the process in a session of its own, and return once it is ready.

        Raises `LoadFailed` with its last log lines, `StorageFailed` when the directory cannot be written.
        """
        try:
            logs = directory / "logs"
            logs.mkdir(parents=True, exist_ok=True)
            file = directory / "load-plan.json"
            file.touch(mode=0o600)  # it holds the stack's secrets: read at the start, and then gone
            file.write_text(json.dumps(plan))
            log = logs / "load.log"
            with log.open("ab") as stderr:
                process = subprocess.Popen(
                    [sys.executable, "-m", "chaos.load.worker", str(file)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    start_new_session=True,
                    text=True,
                    bufsize=1,
                )
        except OSError as error:
            raise StorageFailed(f"cannot start the load in {directory}: {error.strerror}") from error
        load = cls(process, log)
        load._reader.start()
        try:
            load._expect("ready", READY_S)
        except BaseException:
            load.kill()
            raise
        finally:
            file.unlink(missing_ok=True)
        return load

    def begin(self) -> None:
        """Start the plan's clock."""
        self._tell("start")

    def finish(self, timeout_s: float) -> dict[str, int]:
        """End the load in order and return its counts; raises `LoadFailed` when it takes longer, and kills it."""
        self._tell("finish")
        try:
            self.counts = self._expect("done", timeout_s).get("counts", {})
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
        except BaseException:
            self.kill()
            raise
        self._close()
        return self.counts

    def kill(self) -> None:
        """End it and what it started; twice is no error."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._close()

    def check(self) -> None:
        """Raise `LoadFailed` if the process has died."""
        code = self.process.poll()
        if code not in (None, 0):
            raise self._failure(f"the load process died (exit code {code})")

    def window(self, flow: str, seconds: float, region: str | None = None) -> WindowStats:
        """A flow (`join`, `edit_ack`, ...) over the last whole seconds, of all regions or of one."""
        with self._lock:
            lines = list(self._kept)[-max(1, round(seconds)) :]
        ok = bad = 0
        latencies: list[float] = []
        for line in lines:
            for name, cell in line["flows"].get(flow, {}).items():
                if region is None or name == region:
                    ok += cell["ok"]
                    bad += cell["bad"]
                    latencies += cell["ms"]
        return WindowStats(ok, bad, tuple(latencies))

    def _tell(self, order: str) -> None:
        if self.process.stdin is None:
            raise LoadFailed("the load process takes no orders")
        try:
            self.process.stdin.write(json.dumps({"do": order}) + "\n")
            self.process.stdin.flush()
        except (OSError, ValueError) as error:
            raise self._failure(f"the load process takes no orders: {error}") from error

    def _expect(self, word: str, timeout_s: float) -> dict[str, Any]:
        end = time.monotonic() + timeout_s
        while True:
            try:
                said = self._said.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise self._failure(f"the load did not say `{word}` within {timeout_s:g} s") from None
            if said["say"] == word:
                return said
            if said["say"] == "failed":
                raise self._failure(f"the load failed: {said.get('error', '')}")
            if said["say"] == "gone":
                raise self._failure(f"the load process ended before it said `{word}`")

    def _read(self) -> None:
        stdout = self.process.stdout
        for line in stdout or ():
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if said.get("say") != "second":
                self._said.put(said)
                continue
            with self._lock:
                self._kept.append(said)
            self.seconds.put(said)
            if self.on_second is not None:
                self.on_second(said)
        self._said.put({"say": "gone"})

    def _failure(self, message: str) -> LoadFailed:
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-EVIDENCE_LINES:]
        except OSError:
            lines = []
        return LoadFailed(message, hint=f"the whole log: {self.log}", evidence=tuple(lines))

    def _close(self) -> None:
        if self._reader.is_alive():
            self._reader.join(2)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue
