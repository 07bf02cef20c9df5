"""Into a container's namespaces: with the host's own programs through nsenter, or with one thread of ours."""

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
CLONE_FS = 0x200
KINDS = {"net": 0x40000000, "mnt": 0x00020000}
"""Kinds of namespaces that a thread can move to alone, and their flags (CLONE_NEW...)."""


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


def inside(pid: int, work: Callable[[], T], kind: str = "net") -> T:
    """Call `work` on a thread in a namespace of `pid`: its sockets belong there for ever, and its paths are theirs.

    Raises what `work` raises, and `StackFailed` if the namespace cannot be entered.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def body() -> None:
        try:
            _enter(pid, kind)
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread
            failures.append(error)

    thread = threading.Thread(target=body, name=f"namespace of {pid}")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def _enter(pid: int, kind: str) -> None:
    """Move this thread; it ends there, since the way back is not worth its risks."""
    try:
        handle = os.open(Path(f"/proc/{pid}/ns/{kind}"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StackFailed(f"process {pid} has no namespace ({kind}): {error.strerror}") from error
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        # Only a thread that shares its working directory with no other may change to another tree of files.
        if (kind == "mnt" and libc.unshare(CLONE_FS)) or libc.setns(handle, KINDS[kind]):
            why = os.strerror(ctypes.get_errno())
            raise StackFailed(f"the namespace ({kind}) of {pid} cannot be entered: {why}", hint="it takes root")
    finally:
        os.close(handle)
