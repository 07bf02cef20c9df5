"""A process that the supervisor starts: in a session of its own, output to a file, ended with the supervisor.

Signals go to the whole process group, so a node that is a shell with children is paused and killed as one. On
Linux the kernel kills the process itself when its supervisor dies by whatever end (PR_SET_PDEATHSIG: it fires
when the creating *thread* ends, hence the supervisor has one thread). Other systems have no such thing: there a
SIGKILL of the supervisor leaves nodes running; the link proxy ends all the same, by the end of its stdin.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""


def _die_with_parent() -> Callable[[], None] | None:
    """What the child runs before exec; the library is loaded here, since after a fork it might not be safe."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    supervisor = os.getpid()

    def before_exec() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != supervisor:  # it died between fork and prctl
            os._exit(1)

    return before_exec


@dataclass(frozen=True, slots=True)
class Program:
    """What to start: a command line with its environment on top of the supervisor's, and where its output goes."""

    name: str
    argv: tuple[str, ...]
    env: dict[str, str]
    log: str
    port: int = 0
    health: str | None = None
    socket: str = ""
    """An agent of ours: the control socket that it opens once it is ready."""


class Child:
    """One process, over all its lives; `on_start` is told each new pid. The supervisor's loop owns it."""

    def __init__(self, program: Program, on_start: Callable[[int], None], *, pipe: bool = False) -> None:
        self.program = program
        self.starts = 0
        self.started = 0.0
        self.exit_code: int | None = None
        self.stopped = False
        """SIGSTOP was the last word we said to it."""
        self._on_start = on_start
        self._pipe = pipe
        self._process: subprocess.Popen[bytes] | None = None
        self._before_exec = _die_with_parent()

    @property
    def pid(self) -> int:
        """0 when it does not run."""
        return self._process.pid if self._process is not None else 0

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Start it; raises OSError if the command cannot be started. No effect while it runs."""
        if self._process is not None:
            return
        with Path(self.program.log).open("ab") as log:
            self._process = self._spawn(log)
        self.starts += 1
        self.started = time.time()
        self.exit_code = None
        self.stopped = False
        self._on_start(self._process.pid)

    def _spawn(self, log: IO[Any]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.program.argv,
            stdin=subprocess.PIPE if self._pipe else subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **self.program.env},
            start_new_session=True,
            preexec_fn=self._before_exec,  # noqa: PLW1509 - one thread
        )

    def reap(self) -> bool:
        """Collect the process if it has ended; True when this call did."""
        if self._process is None or not _ended(self._process):
            return False
        # A zombie keeps its pid from being re-used: so end what it left in its group before collecting it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None
        self.exit_code = code
        self.stopped = False
        return True

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group; a process that has gone is no error."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def stop(self) -> None:
        """SIGSTOP."""
        if not self.stopped:
            self.stopped = True
            self.signal(signal.SIGSTOP)

    def cont(self) -> None:
        """SIGCONT, always sent: a stray SIGSTOP is never left behind."""
        self.stopped = False
        self.signal(signal.SIGCONT)

    def last_lines(self, lines: int = 12) -> tuple[str, ...]:
        """The end of its log."""
        return tail(Path(self.program.log), lines)


def any_ended() -> bool:
    """Whether there may be a child to collect."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return True
    with contextlib.suppress(ChildProcessError):
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return False


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it is a zombie now; it stays one, where the system can look without collecting."""
    if not hasattr(os, "waitid"):
        return process.poll() is not None
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def tail(path: Path, lines: int) -> tuple[str, ...]:
    """The last lines of a text file (of its last 64 KiB); nothing if there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 65536))
            text = file.read().decode(errors="replace")
    except OSError:
        return ()
    return tuple(line.rstrip() for line in text.splitlines()[-lines:]) if lines > 0 else ()
