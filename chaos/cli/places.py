"""Where things lie: the state directory, and the experiments that were installed with the package."""

from __future__ import annotations

import os
from pathlib import Path

EXPERIMENT_SUFFIXES = (".json", ".yaml", ".yml")


def state_directory() -> Path:
    """`$COLLAB_CHAOS_STATE`, `$XDG_STATE_HOME/collab-chaos` or `~/.local/state/collab-chaos`."""
    own = os.environ.get("COLLAB_CHAOS_STATE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "collab-chaos"


def shipped_experiments() -> dict[str, Path]:
    """The experiments that came with the package, by name: from the wheel, or from the checkout beside it."""
    package = Path(__file__).resolve().parent.parent
    for directory in (package / "_experiments", package.parent / "experiments"):
        if directory.is_dir():
            files = sorted(file for file in directory.iterdir() if file.suffix in EXPERIMENT_SUFFIXES)
            return {file.stem: file for file in files}
    return {}


def find_experiment(target: str) -> Path | None:
    """The file that `target` means: a path, or the name of a shipped experiment; None if it is neither.

    A path wins over a name; `experiments/NAME.json` outside a checkout finds the shipped file of that name.
    """
    path = Path(target)
    if path.exists():
        return path
    shipped = shipped_experiments()
    if target in shipped:
        return shipped[target]
    if path.parent == Path("experiments") and path.suffix in EXPERIMENT_SUFFIXES:
        return shipped.get(path.stem)
    return None
