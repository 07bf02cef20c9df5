"""Stack files: YAML to a checked `StackSpec`, or to all of its problems with file:line:col; and its placeholders."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from chaos.errors import InvalidInput, Problem
from chaos.model.stack import StackSpec
from chaos.runtimes import placeholders, stackcheck
from chaos.runtimes.stackcheck import Document


def builtin_stacks() -> dict[str, Path]:
    """The stacks that come with the tool: name -> stack file."""
    folder = Path(str(resources.files("chaos"))) / "stacks"
    return {path.parent.name: path for path in sorted(folder.glob("*/stack.yaml"))}


def load_stack(name_or_path: str, settings: Mapping[str, str] | None = None) -> StackSpec:
    """Read a built-in stack by name or a stack file by path, with settings overridden; starts nothing.

    Settings and the environment are filled in; placeholders that need a running stack stay. Raises `InvalidInput`
    with every problem of the file at once.
    """
    path = _find(name_or_path)
    document = _parse(path)
    wanted = dict(settings or {})
    problems = stackcheck.override_problems(document, wanted)
    effective = {**document.settings(), **wanted}
    problems += stackcheck.problems(document, effective, os.environ)
    spec, wrong = _model(document, effective)
    problems += wrong
    if spec is not None:
        problems += stackcheck.relations(document, spec)
    if problems or spec is None:
        raise InvalidInput(tuple(dict.fromkeys(problems)))
    return spec


def fill(
    spec: StackSpec, node_ports: Mapping[str, int], link_ports: Mapping[str, int], data: Mapping[str, Path]
) -> StackSpec:
    """Fill in what is known once ports and directories are; `{key}` is left to the backends."""

    def shared(name: str) -> str | None:
        kind, _, rest = name.partition(".")
        ports = {"nodes": node_ports, "links": link_ports}.get(kind)
        if ports is not None:
            return str(ports[rest.removesuffix(".port")])
        return sys.executable if name == "python" else None

    def of_node(node: dict[str, Any]) -> dict[str, Any]:
        own = {"port": str(node_ports.get(node["name"], "")), "name": node["name"], "region": node["region"] or ""}
        own["data"] = str(data.get(node["name"], ""))
        return {
            **node,
            "port": node_ports.get(node["name"]),
            **{part: placeholders.substitute(node[part], own.get) for part in ("command", "env")},
        }

    plain = spec.model_dump()
    for service in plain["services"].values():
        service["nodes"] = [of_node(node) for node in service["nodes"]]
    return StackSpec.model_validate(placeholders.substitute(plain, shared))


def _find(name_or_path: str) -> Path:
    builtin = builtin_stacks()
    if name_or_path in builtin:
        return builtin[name_or_path]
    path = Path(name_or_path)
    if path.is_dir():
        path /= "stack.yaml"
    if path.is_file():
        return path
    hint = placeholders.did_you_mean(name_or_path, builtin) or f"built in: {', '.join(builtin) or 'none'}"
    raise InvalidInput((Problem(name_or_path, 0, 0, "no such stack, neither built in nor a file", hint),))


def _parse(path: Path) -> Document:
    file = _display(path)
    try:
        tree = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, col = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise InvalidInput((Problem(file, line, col, f"not YAML: {error.problem or error.context}"),)) from error
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise InvalidInput((Problem(file, 0, 0, f"cannot be read: {str(error).splitlines()[0]}"),)) from error
    if not isinstance(tree, dict):
        raise InvalidInput((Problem(file, 1, 1, "a stack file is a mapping with `stack:` and `services:`"),))
    return Document(file, path.parent.absolute(), tree)


def _display(path: Path) -> str:
    """Relative to the working directory where it lies below it: what an editor's problem matcher can follow."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _model(document: Document, settings: Mapping[str, str]) -> tuple[StackSpec | None, list[Problem]]:
    plain = document.plain()
    plain["settings"] = dict(settings)

    def known(name: str) -> str | None:
        return str(document.folder) if name == "here" else placeholders.early(name, settings, os.environ)

    try:
        return StackSpec.model_validate(placeholders.substitute(plain, known)), []
    except ValidationError as error:
        return None, [stackcheck.from_pydantic(document, dict(item)) for item in error.errors(include_url=False)]
