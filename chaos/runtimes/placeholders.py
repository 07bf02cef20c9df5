"""`${...}` in a stack file: what may stand in them, what is wrong with one, and how they are filled."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
NODE_WORDS = frozenset({"port", "name", "region", "data"})
"""Only inside a node's command and env."""
ENVIRONMENT = re.compile(r"[A-Z_][A-Z0-9_]*\Z")


def names(text: str) -> list[str]:
    """What stands in the placeholders of a text, in order."""
    return PLACEHOLDER.findall(text)


def substitute(value: Any, known: Callable[[str], str | None]) -> Any:
    """Fill the placeholders of every text in plain data that `known` has a word for; others stay as they are."""
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda match: word if (word := known(match[1])) is not None else match[0], value)
    if isinstance(value, Mapping):
        return {key: substitute(item, known) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [substitute(item, known) for item in value]
    return value


def early(name: str, settings: Mapping[str, str], env: Mapping[str, str]) -> str | None:
    """What is known before a stack starts: settings and the environment."""
    kind, _, rest = name.partition(".")
    if kind == "settings":
        return settings.get(rest)
    if kind == "env":
        return env.get(rest)
    return env.get(name) if ENVIRONMENT.match(name) else None


def complaint(  # noqa: PLR0911 - one answer per kind of placeholder
    name: str,
    *,
    in_node: bool,
    settings: Mapping[str, str],
    env: Mapping[str, str],
    nodes: Iterable[str],
    links: Iterable[str],
) -> tuple[str, str] | None:
    """What is wrong with a placeholder, and a hint; None if it is fine."""
    kind, _, rest = name.partition(".")
    if kind in {"settings", "env"} or ENVIRONMENT.match(name):
        if early(name, settings, env) is not None:
            return None
        if kind == "settings":
            return f"no setting `{rest}`", did_you_mean(rest, settings)
        return f"the environment has no {rest or name}", f"set it: export {rest or name}=..."
    if kind in {"nodes", "links"}:
        return _port_complaint(name, kind, rest, nodes if kind == "nodes" else links)
    if name in {"python", "here"} or (name in NODE_WORDS and in_node):
        return None
    if name in NODE_WORDS:
        return f"`${{{name}}}` has a meaning only in a node's command and env", f"write ${{nodes.NAME.{name}}}"
    every = ["python", "here", *sorted(NODE_WORDS), "settings.NAME", "env.NAME", "nodes.NAME.port", "links.NAME.port"]
    return f"unknown placeholder `${{{name}}}`", did_you_mean(name, every) or f"known: {', '.join(every)}"


def _port_complaint(name: str, kind: str, rest: str, known: Iterable[str]) -> tuple[str, str] | None:
    known = list(known)
    target, dot, what = rest.rpartition(".")
    if not dot or what != "port":
        return f"unknown placeholder `${{{name}}}`", f"write ${{{kind}.NAME.port}}"
    if target in known:
        return None
    return f"no {kind[:-1]} `{target}`", did_you_mean(target, known)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt word, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean `{close[0]}`?" if close else ""
