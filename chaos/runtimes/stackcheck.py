"""What can be wrong with a stack file, each with its place: shape, placeholders, names, and what refers to what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chaos.errors import Problem
from chaos.model.stack import Alerts, Bounds, Frozen, LinkSpec, NodeSpec, ServiceSpec, StackSpec
from chaos.runtimes import placeholders

Where = tuple[str | int, ...]
RUNTIMES = ("process", "docker")
USERS = "users"
"""The source of links that people come in by; no node may have this name."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed stack file that remembers where everything stands."""

    file: str
    folder: Path
    tree: Any

    def plain(self) -> dict[str, Any]:
        """As plain data; empty mappings may be left blank, and scalars where text is meant are text."""
        plain: dict[str, Any] = _plain(self.tree)
        for part in ("regions", "settings", "bounds", "services", "containers", "alerts"):
            if part in plain and plain[part] is None:
                plain[part] = {}
        if isinstance(plain.get("regions"), dict):
            plain["regions"] = {name: value or {} for name, value in plain["regions"].items()}
        for node in _nodes_of(plain):
            if isinstance(node.get("command"), list):
                node["command"] = [_text(item) for item in node["command"]]
            if isinstance(node.get("env"), dict):
                node["env"] = {key: _text(value) for key, value in node["env"].items()}
        return plain

    def settings(self) -> dict[str, str]:
        """The declared settings with their defaults."""
        settings = self.tree.get("settings")
        return {str(key): _text(value) for key, value in settings.items()} if isinstance(settings, dict) else {}

    def problem(self, where: Where, message: str, hint: str = "", *, at_key: bool = False) -> Problem:
        """A problem at the place of this path, or of its nearest part that exists."""
        return Problem(self.file, *self._position(where, at_key=at_key), message, hint)

    def _position(self, where: Where, *, at_key: bool) -> tuple[int, int]:
        node, found = self.tree, (0, 0)
        for depth, step in enumerate(where):
            places = getattr(getattr(node, "lc", None), "data", None) or {}
            if step not in places:
                break
            place = places[step]
            last = depth == len(where) - 1
            found = (place[0], place[1]) if at_key or len(place) == 2 or not last else (place[2], place[3])  # noqa: PLR2004
            node = node[step]
        return found[0] + 1, found[1] + 1


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def _text(value: Any) -> Any:
    """A scalar as the text that a command line would carry; anything else is left for the model to refuse."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else value


def _nodes_of(plain: dict[str, Any]) -> Iterator[dict[str, Any]]:
    services = plain.get("services")
    for service in services.values() if isinstance(services, dict) else ():
        nodes = service.get("nodes") if isinstance(service, dict) else None
        yield from (node for node in nodes or () if isinstance(node, dict)) if isinstance(nodes, list) else ()


def override_problems(document: Document, wanted: Mapping[str, str]) -> list[Problem]:
    """Settings that were asked for and that the stack does not have."""
    known = document.settings()
    unknown = [
        document.problem(
            ("settings",),
            f"no setting `{name}`",
            placeholders.did_you_mean(name, known) or f"it has: {', '.join(known) or 'none'}",
            at_key=True,
        )
        for name in wanted
        if name not in known
    ]
    choices = document.plain().get("choices")
    offered = {name: [*map(str, those or ())] for name, those in choices.items()} if isinstance(choices, dict) else {}
    return unknown + [
        document.problem(
            ("choices", name),
            f"setting `{name}` cannot be `{value}`",
            placeholders.did_you_mean(value, offered[name]) or f"it may be {', '.join(offered[name])}",
            at_key=True,
        )
        for name, value in {**known, **wanted}.items()
        if value and name in offered and value not in offered[name]
    ]


def problems(document: Document, settings: Mapping[str, str], env: Mapping[str, str]) -> list[Problem]:
    """Placeholders that mean nothing, wherever they stand."""
    plain = document.plain()
    nodes = [str(node.get("name")) for node in _nodes_of(plain)]
    links = [str(link.get("name")) for link in plain.get("links") or () if isinstance(link, dict)]
    found = []
    for where, text in _texts(plain, ()):
        for name in placeholders.names(text):
            wrong = placeholders.complaint(
                name, in_node=_in_node(where), settings=settings, env=env, nodes=nodes, links=links
            )
            if wrong is not None:
                found.append(document.problem(where, *wrong))
    return found


def _in_node(where: Where) -> bool:
    return "nodes" in where and ("command" in where or "env" in where)


def _texts(value: Any, where: Where) -> Iterator[tuple[Where, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*where, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*where, index))


def _model_at(where: Where) -> type[Frozen]:
    """The model whose keys are allowed at a place: for suggestions."""
    if not where:
        return StackSpec
    if where[0] == "services":
        return NodeSpec if "nodes" in where else ServiceSpec
    other: dict[str, type[Frozen]] = {"bounds": Bounds, "links": LinkSpec, "alerts": Alerts}
    return other.get(str(where[0]), StackSpec)


def from_pydantic(document: Document, error: dict[str, Any]) -> Problem:
    """One complaint of the model as a problem with a place, and a suggestion where a key is unknown."""
    where: Where = error["loc"]
    if error["type"] == "extra_forbidden":
        fields = _model_at(where[:-1]).model_fields
        hint = placeholders.did_you_mean(str(where[-1]), fields) or f"known here: {', '.join(fields)}"
        return document.problem(where, f"unknown key `{where[-1]}`", hint, at_key=True)
    if error["type"] == "missing":
        return document.problem(where, f"`{where[-1]}` is missing", at_key=True)
    text = error["msg"][0].lower() + error["msg"][1:]
    return document.problem(where, f"`{'.'.join(map(str, where))}`: {text}")


def relations(document: Document, spec: StackSpec) -> list[Problem]:
    """Names that clash, and names that nothing answers to."""
    return [
        *_runtime(document, spec),
        *_duplicates(document, spec),
        *_node_problems(document, spec),
        *_url_problems(document, spec),
        *_link_problems(document, spec),
        *_alerts_problems(document, spec),
    ]


def _runtime(document: Document, spec: StackSpec) -> Iterator[Problem]:
    if spec.runtime not in RUNTIMES:
        yield document.problem(("runtime",), f"unknown runtime `{spec.runtime}`", f"known: {', '.join(RUNTIMES)}")


def _places(spec: StackSpec) -> Iterator[tuple[Where, NodeSpec]]:
    for service, body in spec.services.items():
        for index, node in enumerate(body.nodes):
            yield ("services", service, "nodes", index), node


def _duplicates(document: Document, spec: StackSpec) -> Iterator[Problem]:
    nodes = [(where, node.name, "node") for where, node in _places(spec)]
    links = [(("links", index), link.name, "link") for index, link in enumerate(spec.links)]
    for group in (nodes, links):
        seen: set[str] = set()
        for where, name, kind in group:
            if name in seen:
                yield document.problem((*where, "name"), f"two {kind}s are called `{name}`")
            seen.add(name)
    for where, name, _ in nodes:
        if name == USERS or "/" in name or not name:
            yield document.problem((*where, "name"), f"a node cannot be called `{name}`")


def _node_problems(document: Document, spec: StackSpec) -> Iterator[Problem]:
    for where, node in _places(spec):
        if node.region is not None and node.region not in spec.regions:
            hint = placeholders.did_you_mean(node.region, spec.regions)
            yield document.problem((*where, "region"), f"no region `{node.region}`", hint)
        if spec.runtime == "docker":
            yield from _container_problems(document, spec, where, node)
        elif not node.command and node.port is None:
            hint = "give it a `command` to start, or the `port` of 127.0.0.1 where it already runs"
            yield document.problem((*where, "name"), f"node `{node.name}` has neither command nor port", hint)


def _container_problems(document: Document, spec: StackSpec, where: Where, node: NodeSpec) -> Iterator[Problem]:
    if node.command:
        hint = "containers are started by your own compose file; leave `command` out"
        yield document.problem(
            (*where, "command"), f"node `{node.name}` has a command, and the runtime is docker", hint
        )
    if not node.container and not spec.containers:
        hint = "give it `container: {com.docker.compose.service: NAME}`"
        yield document.problem((*where, "name"), f"node `{node.name}` has no labels to find its container by", hint)


def _url_problems(document: Document, spec: StackSpec) -> Iterator[Problem]:
    known = [*spec.regions, "default"]
    for name, service in spec.services.items():
        for region in service.urls:
            if region not in known:
                hint = placeholders.did_you_mean(region, known)
                yield document.problem(("services", name, "urls", region), f"no region `{region}`", hint, at_key=True)


def _link_problems(document: Document, spec: StackSpec) -> Iterator[Problem]:
    nodes = spec.nodes()
    for index, link in enumerate(spec.links):
        for part, known in (("source", [USERS, *nodes]), ("target", [*nodes])):
            if (name := getattr(link, part)) not in known:
                hint = placeholders.did_you_mean(name, known)
                yield document.problem(("links", index, part), f"no node `{name}`", hint)
        for place, region in enumerate(link.regions):
            if region not in spec.regions:
                hint = placeholders.did_you_mean(region, spec.regions)
                yield document.problem(("links", index, "regions", place), f"no region `{region}`", hint)


def _alerts_problems(document: Document, spec: StackSpec) -> Iterator[Problem]:
    if spec.alerts is None:
        return
    where, url = ("alerts", "prometheus"), spec.alerts.prometheus
    hint = "write it as http://HOST:PORT"
    try:
        # What stands for a port is known only once the stack runs.
        parts = urlsplit(placeholders.substitute(url, lambda _: "1"))
        whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole:
        yield document.problem(where, f"`{url}` is no URL of a Prometheus", hint)
    elif parts.username is not None or parts.password is not None:
        yield document.problem(where, "a user or a password has no place here: the plan of a run would show it", hint)
    elif parts.query or parts.fragment:
        yield document.problem(where, f"`{url}` goes on after its path", hint)
