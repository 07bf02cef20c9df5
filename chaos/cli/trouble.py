"""How a failure is told: what happened, the evidence, the next command; never a traceback."""

from __future__ import annotations

import errno
import sys
import textwrap
from typing import TYPE_CHECKING

import click

from chaos.errors import ChaosError, ExitCode, StorageFailed

if TYPE_CHECKING:
    from pathlib import Path

_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def tell(error: BaseException) -> int:
    """Print the failure on stderr and return its exit code."""
    if isinstance(error, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return int(ExitCode.INTERRUPTED)
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        raise error  # the reader of our output went away; click ends quietly on it
    if isinstance(error, OSError) and error.errno in _STORAGE:
        error = StorageFailed(f"cannot write: {error}", hint="make room, or choose another directory")
    if isinstance(error, ChaosError):
        _tell_known(error)
        return int(error.exit_code)
    _tell_unknown(error)
    return int(ExitCode.INTERNAL)


def _tell_known(error: ChaosError) -> None:
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(error.message, err=True)
    for line in error.evidence:
        click.echo(f"  {line}", err=True)
    if error.hint:
        click.echo(f"hint: {error.hint}", err=True)


def _tell_unknown(error: BaseException) -> None:
    where = _crash_file(error)
    kept = f"details in {where}" if where else "the details could not be written"
    click.echo(f"internal error: {type(error).__name__}: {_one_line(error)} ({kept})", err=True)


def _one_line(error: BaseException) -> str:
    return textwrap.shorten(str(error), 200, placeholder=" …")


def _crash_file(error: BaseException) -> Path | None:
    """Write the traceback into the state directory; None if that is not possible either."""
    import os
    import platform
    import time
    import traceback

    from chaos import __version__
    from chaos.runtimes import state

    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    lines = [f"collab-chaos {__version__}, Python {platform.python_version()}, {platform.platform()}\n"]
    lines += [f"arguments: {sys.argv[1:]}\n\n", *traceback.format_exception(error)]
    try:
        directory = state.root() / "crashes"
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / f"{stamp}-{os.getpid()}.txt"
        file.write_text("".join(lines), encoding="utf-8")
    except OSError:
        return None
    return file
