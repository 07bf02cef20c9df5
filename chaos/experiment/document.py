"""A file, or the name of a shipped experiment, to a checked `Experiment`; or to all its problems at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import chaos
from chaos.errors import InvalidInput, Problem, UsageError
from chaos.experiment import ours, overrides, stock
from chaos.experiment.positions import START, SUFFIXES, Located, files, load_text
from chaos.experiment.report import Report, kind
from chaos.experiment.suggest import did_you_mean
from chaos.model.experiment import Experiment

if TYPE_CHECKING:
    from chaos.experiment.overrides import Overrides

_SCHEMA_LINE = re.compile(r'^\s*"\$schema":.*\n', re.MULTILINE)


def shipped() -> dict[str, Path]:
    """The experiments that come with the tool, by name: inside an installed package, or beside a checkout's."""
    package = Path(chaos.__file__).parent
    for folder in (package / "_experiments", package.parent / "experiments"):
        if folder.is_dir():
            return {Path(name).stem: folder / name for name in files(folder)}
    return {}


def find(path_or_name: str) -> tuple[Path, str]:
    """The file that is meant, and how messages name it. A file wins over a shipped experiment of the same name."""
    path = Path(path_or_name)
    if path_or_name and (path.suffix.lower() in SUFFIXES or path.exists() or len(path.parts) > 1):
        return path, path_or_name
    known = shipped()
    if path_or_name in known:
        found = known[path_or_name]
        here = Path.cwd()
        return found, str(found.relative_to(here)) if found.is_relative_to(here) else str(found)
    local = [name for name in files(Path()) if Path(name).stem == path_or_name]
    hint = f"did you mean {local[0]}?" if local else did_you_mean(path_or_name, [*known, *files(Path())])
    problem = Problem(
        path_or_name or "(no name)", 0, 0, "there is no such file, and no shipped experiment of that name", hint
    )
    raise InvalidInput((problem,), hint=START)


def load(path_or_name: str | Path, changes: Overrides | None = None) -> Experiment:
    """Read and check an experiment; raises `InvalidInput` with every problem.

    One that has nothing of ours is not checked at all (`ours` is False): the Chaos Toolkit decides on it alone.
    Settings among the changes belong to the stack: `overrides.settings_of` puts them there.
    """
    path, shown = find(str(path_or_name))
    experiment = check(load_text(path, shown))
    return overrides.apply(experiment, changes) if changes else experiment


def check(located: Located) -> Experiment:
    """The experiment in located data; raises `InvalidInput` with every problem."""
    document = located.data
    if not isinstance(document, dict):
        problem = located.problem((), f"an experiment is a mapping, not {kind(document)}")
        raise InvalidInput((problem,), hint=START)
    if not ours.is_ours(document):
        title, description = str(document.get("title", "")), str(document.get("description", ""))
        return Experiment(file=located.file, title=title, description=description, document=document, ours=False)
    report = Report(located)
    stock.check(report, document)
    experiment = ours.read(report, document)
    if report.problems:
        raise InvalidInput(tuple(dict.fromkeys(report.problems)))
    return experiment


def copy_out(name: str, to: str) -> Path:
    """Write a shipped experiment to a new file to start from; an existing file is never overwritten."""
    known = shipped()
    if name not in known:
        raise UsageError(f"there is no shipped experiment {name!r}", hint=did_you_mean(name, known))
    source = known[name]
    target = Path(to)
    if target.is_dir():
        target /= source.name
    elif target.suffix.lower() not in SUFFIXES:
        target = target.with_name(target.name + source.suffix)
    if target.exists():
        raise UsageError(f"{target} exists; it stays as it is", hint="give another name")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # The schema's path is that of the file it was; `chaos schema` writes one to name instead.
        text = _SCHEMA_LINE.sub("", source.read_text(encoding="utf-8"), count=1)
        with target.open("x", encoding="utf-8") as write:
            write.write(text)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}") from error
    return target
