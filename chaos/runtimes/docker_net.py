"""Into a container's network namespace: with the host's own programs through nsenter, or with one thread of ours."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from chaos.errors import StackFailed

T = TypeVar("T")
RUN_S = 10.0
CLONE_NEWNET = 0x40000000


class CommandFailed(StackFailed):
    """A program in a namespace said no; the message holds its first words."""


def run(pid: int, *argv: str, stdin: str = "") -> str:
    """Run a program of the host in the network namespace of `pid` (0: the host's own); returns its output.

    Raises `CommandFailed`.
    """
    words = (["nsenter", "-t", str(pid), "-n", "--"] if pid else []) + list(argv)
    try:
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=RUN_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"`{' '.join(argv)}`: no end within {RUN_S:g} s") from error
    except OSError as error:
        raise CommandFailed(
            f"`{' '.join(argv)}`: {error}", hint="it needs util-linux, iproute2 and iptables"
        ) from error
    if done.returncode:
        raise CommandFailed(f"`{' '.join(argv)}`: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout


def inside(pid: int, work: Callable[[], T]) -> T:
    """Call `work` on a thread that lives in the network namespace of `pid`; its sockets belong there for ever.

    Raises what `work` raises, and `StackFailed` if the namespace cannot be entered.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def body() -> None:
        try:
            _enter(pid)
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread
            failures.append(error)

    thread = threading.Thread(target=body, name=f"namespace of {pid}")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def _enter(pid: int) -> None:
    """Move this thread; it ends there, since the way back is not worth its risks."""
    try:
        handle = os.open(Path(f"/proc/{pid}/ns/net"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StackFailed(f"process {pid} has no network namespace: {error.strerror}") from error
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(handle, CLONE_NEWNET):
            why = os.strerror(ctypes.get_errno())
            raise StackFailed(f"the network namespace of {pid} cannot be entered: {why}", hint="it takes root")
    finally:
        os.close(handle)
