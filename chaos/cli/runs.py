"""Recorded runs: which one is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

LATEST = "latest"


def find_run(run: str, runs_dir: Path) -> Path:
    """The directory of a run given by path, by name under `runs_dir`, or as `latest`. Raises `UsageError`."""
    for candidate in (runs_dir / run, runs_dir.__class__(run)):
        if candidate.is_dir():
            return candidate.resolve()
    known = sorted(path.name for path in runs_dir.glob("*") if path.is_dir() and not path.is_symlink())
    hint = f"the last ones are {', '.join(known[-3:])}" if known else "`chaos run` makes one; --runs-dir says where"
    raise UsageError(f"no run {run} under {runs_dir}", hint=hint)
