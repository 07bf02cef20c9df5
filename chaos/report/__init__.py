"""Renderers of a judged run: one file per format, each a pure function of (`Story`, `Verdict`).

`registry()` names them; `publish` writes all of them into a run directory.
"""

from __future__ import annotations

import importlib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from chaos.errors import InternalError, StorageFailed

if TYPE_CHECKING:
    from chaos.model.verdict import Verdict
    from chaos.report.story import Story
    from chaos.verdict.run import RunRecord

_FILES = {"json": "verdict.json", "junit": "junit.xml", "summary": "summary.md", "html": "report.html"}
"""The first is written first: it is the one that programs wait for."""


class Renderer(NamedTuple):
    """A format: the name of its file, and the module that makes it, imported when first used."""

    filename: str
    module: str

    def render(self, story: Story, verdict: Verdict) -> str:
        """The whole file as text."""
        text: str = importlib.import_module(self.module).render(story, verdict)
        return text


def registry() -> dict[str, Renderer]:
    """Every file format by name."""
    return {name: Renderer(filename, f"{__name__}.{name}") for name, filename in _FILES.items()}


def tell(record: RunRecord | Story) -> Story:
    """The story of a record; a `Story` is one already."""
    from chaos.report.extract import story_of  # noqa: PLC0415 - keeps the import of this package free of cost
    from chaos.report.story import Story  # noqa: PLC0415

    return record if isinstance(record, Story) else story_of(record)


def publish(record: RunRecord | Story, verdict: Verdict, directory: Path) -> list[Path]:
    """Write every format into the directory and return the paths; no file is ever there in part.

    A format that fails because of a bug does not keep the others from being written: `InternalError` comes
    after them. Raises `StorageFailed` where the disk refuses.
    """
    story = tell(record)
    written, bugs = [], []
    for name, renderer in registry().items():
        try:
            text = renderer.render(story, verdict)
        except Exception as error:  # noqa: BLE001 - a bug in one format must not cost the others; raised below
            bugs.append((name, error))
            continue
        written.append(write(directory / renderer.filename, text))
    if bugs:
        evidence = tuple(f"{name}: {type(error).__name__}: {error}" for name, error in bugs)
        message = f"cannot render {', '.join(name for name, _ in bugs)}"
        raise InternalError(message, evidence=evidence) from bugs[0][1]
    return written


def write(path: Path, text: str) -> Path:
    """Put a whole file in place at once: written beside it, synced, renamed. Raises `StorageFailed`."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8", newline="\n", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        hint = "free some space, then: chaos judge RUN"
        raise StorageFailed(f"cannot write {path}: {error.strerror}", hint=hint) from error
    return path
