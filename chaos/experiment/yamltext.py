"""YAML with places, by ruamel.yaml (YAML 1.2: `yes` is a word, not a boolean)."""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, SequenceNode

from chaos.errors import InvalidInput, Problem
from chaos.experiment.positions import KeyPath, Marks


def read(text: str, file: str, marks: Marks) -> Any:
    """The data of a YAML text; fills `marks`. Raises `InvalidInput` with the place of the first error."""
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = True
    try:
        node = yaml.compose(text)
        data = yaml.load(text)
    except MarkedYAMLError as error:
        raise InvalidInput((_located(error, file),)) from None
    except (YAMLError, ValueError, RecursionError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise InvalidInput((Problem(file, 0, 0, f"YAML: {said}"),)) from None
    if _walk((), node, marks, [], set()):
        raise InvalidInput((Problem(file, 0, 0, "YAML: an alias stands inside its own anchor"),))
    return _plain(data)


def _plain(value: Any) -> Any:
    """What JSON could carry as well: keys are texts, and so are dates."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _located(error: MarkedYAMLError, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, col = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    said = str(error.problem or "cannot be read").strip()
    if said.startswith("but ") and error.context:
        said = f"{error.context.strip()}, {said}"
    return Problem(file, line, col, f"YAML: {said}", "indent with spaces" if r"'\t'" in said else "")


def _walk(path: KeyPath, node: Any, marks: Marks, above: list[Any], done: set[int]) -> bool:
    """Mark a node and what it holds; True if it holds itself. What an alias repeats has the place of its anchor."""
    marks.values[path] = node.start_mark.index
    if any(node is parent for parent in above):
        return True
    if id(node) in done:
        return False
    done.add(id(node))
    here = [*above, node]
    looped = False
    if isinstance(node, MappingNode):
        for key, value in node.value:
            child = (*path, str(key.value))
            marks.key(child, key.start_mark.index)
            looped |= _walk(child, value, marks, here, done)
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            looped |= _walk((*path, index), value, marks, here, done)
    return looped
