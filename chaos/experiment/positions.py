"""A file to plain data, with the line and column of every key and value.

Lines and columns count characters from 1. Python's `json` says what is valid JSON, ruamel.yaml what is valid YAML.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chaos.errors import InvalidInput, Problem
from chaos.experiment.suggest import did_you_mean
from chaos.model.verdict import Place

if TYPE_CHECKING:
    from pathlib import Path

Key = str | int
KeyPath = tuple[Key, ...]

SUFFIXES = (".json", ".yaml", ".yml")
START = "start from a shipped one: chaos new experiment NAME --from network_congestion"


@dataclass(slots=True)
class Marks:
    """Offsets in a text: of each value, of each key, and of keys that stand twice in one mapping."""

    values: dict[KeyPath, int] = field(default_factory=dict)
    keys: dict[KeyPath, int] = field(default_factory=dict)
    twice: list[tuple[KeyPath, int]] = field(default_factory=list)

    def key(self, path: KeyPath, offset: int) -> None:
        """Note a key; the first of two with one name keeps the place."""
        if path in self.keys:
            self.twice.append((path, offset))
        else:
            self.keys[path] = offset


@dataclass(frozen=True, slots=True)
class Located:
    """Plain data and where each part of it stands in its file."""

    file: str
    data: Any
    text: str = ""
    marks: Marks = field(default_factory=Marks)

    def place(self, path: KeyPath, *, key: bool = False, offset: int | None = None) -> Place:
        """Where the value (or the key) of a path stands; `offset` counts characters inside a string value.

        A path that is not in the file (a key that is missing) has the place of its nearest parent.
        """
        marks = self.marks.keys if key else self.marks.values
        at = marks.get(path)
        while at is None and path:
            path, offset = path[:-1], None
            at = self.marks.values.get(path)
        if at is None:
            return Place(file=self.file)
        line, col = position(self.text, at + self._inside(path, at, offset))
        return Place(file=self.file, line=line, col=col)

    def problem(
        self, path: KeyPath, message: str, hint: str = "", *, key: bool = False, offset: int | None = None
    ) -> Problem:
        """A problem at the place of a path."""
        place = self.place(path, key=key, offset=offset)
        return Problem(self.file, place.line, place.col, message, hint)

    def duplicates(self) -> list[Problem]:
        """A problem for every key that stands twice in one mapping."""
        return [
            Problem(
                self.file,
                *position(self.text, at),
                f"the key {path[-1]!r} stands twice here",
                f"first on line {position(self.text, self.marks.keys[path])[0]}; one of the two would be lost",
            )
            for path, at in self.marks.twice
        ]

    def _inside(self, path: KeyPath, at: int, offset: int | None) -> int:
        """Characters from the start of a written string to `offset`; 0 where escapes or folding make it unsure."""
        if offset is None:
            return 0
        value = self.data
        for part in path:
            value = value[part]
        if not isinstance(value, str):
            return 0
        if self.text.startswith(value, at):
            return offset
        return offset + 1 if self.text.startswith(value, at + 1) else 0


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of a character of the text."""
    line, start = 1, 0
    for found in re.finditer(r"\r\n|\r|\n", text[:offset]):
        line, start = line + 1, found.end()
    return line, offset - start + 1


def load_text(path: Path, shown: str = "") -> Located:
    """Read a file; `shown` is its name in messages. Raises `InvalidInput` for all that keeps it from being data."""
    file = shown or str(path)
    text = _read(path, file)
    if not text.strip():
        raise InvalidInput((Problem(file, 0, 0, "is empty"),), hint=START)
    return parse(text, file, json_text=path.suffix.lower() == ".json")


def parse(text: str, file: str, *, json_text: bool = True) -> Located:
    """Text to data and places; raises `InvalidInput` at the first place where it is not JSON (or not YAML)."""
    marks = Marks()
    reader = importlib.import_module(f"chaos.experiment.{'jsontext' if json_text else 'yamltext'}")
    return Located(file, reader.read(text, file, marks), text, marks)


def _read(path: Path, file: str) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        near = did_you_mean(path.name, files(path.parent))
        raise InvalidInput((Problem(file, 0, 0, "there is no such file", near),), hint=START) from None
    except IsADirectoryError:
        inside = ", ".join(files(path)) or "nothing"
        problem = Problem(file, 0, 0, "is a directory, not an experiment", f"experiments in it: {inside}")
        raise InvalidInput((problem,)) from None
    except OSError as error:
        raise InvalidInput((Problem(file, 0, 0, f"cannot be read: {error.strerror}"),)) from error
    if path.suffix.lower() not in SUFFIXES:
        message = f"{path.suffix or 'no suffix'} says neither JSON nor YAML"
        raise InvalidInput((Problem(file, 0, 0, message, "name it .json, .yaml or .yml"),))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        message = f"is not UTF-8 text (byte 0x{data[error.start]:02x})"
        raise InvalidInput((Problem(file, *position(before, len(before)), message, "save it as UTF-8"),)) from None


def files(folder: Path) -> list[str]:
    """Names of the files in a folder that may be experiments."""
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES)
    except OSError:
        return []
