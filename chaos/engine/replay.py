"""How a run is carried out once more: its experiment as it was, its seed, and what the command line changed.

`replay.json` in the run directory holds the words, next to the copy of the experiment. What is secret is not written
down, so whoever replays such a run gives it again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from chaos.errors import InvalidInput, Problem, UsageError
from chaos.model.plan import MASK, is_secret
from chaos.model.stack import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chaos.engine.rundir import RunDirectory

FILE = "replay.json"


class Replay(Frozen):
    """What made a run what it was, besides the code and the machine."""

    experiment: str
    """The file as it was named; the run's own copy is what is replayed."""
    stack: str
    """A name, the absolute path of a stack file, or the id of a running stack."""
    seed: int
    sets: tuple[str, ...] = ()
    sandbox: bool = False


def save(directory: RunDirectory, replay: Replay) -> None:
    """Write it down, secrets masked; raises `StorageFailed`."""
    kept = replay.model_copy(update={"sets": tuple(_masked(one) for one in replay.sets)})
    directory.write_json(FILE, kept.model_dump(mode="json"))


def load(run: Path, sets: Iterable[str]) -> tuple[Replay, Path]:
    """The words of a recorded run, with these `--set` over its own, and the experiment as it was.

    Raises `InvalidInput` for a directory without them, `UsageError` where a secret has to be given again.
    """
    file = run / FILE
    try:
        known = Replay.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        problem = Problem(str(file), 0, 0, f"cannot be read: {error.strerror}", "only `chaos run` writes it")
        raise InvalidInput((problem,)) from error
    except (ValueError, ValidationError) as error:
        raise InvalidInput((Problem(str(file), 0, 0, "is not how a run of ours is replayed"),)) from error
    copies = sorted(run.glob("experiment.*"))
    if not copies:
        raise InvalidInput((Problem(str(run), 0, 0, "holds no copy of its experiment"),))
    given = {one.partition("=")[0]: one for one in sets}
    merged = {one.partition("=")[0]: one for one in known.sets} | given
    if missing := [name for name, word in merged.items() if word.endswith(f"={MASK}")]:
        hint = " ".join(f"--set {name}=VALUE" for name in missing)
        raise UsageError(f"{', '.join(missing)}: a secret, which no run writes down", hint=f"give it again: {hint}")
    return known.model_copy(update={"sets": tuple(merged.values())}), copies[0]


def _masked(word: str) -> str:
    name, _, value = word.partition("=")
    return f"{name}={MASK}" if value and is_secret(name) else word
