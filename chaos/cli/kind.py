"""Whose experiment is it? One that holds nothing of ours belongs to the stock toolkit, and runs as it would there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

EXTENSION = "collab-chaos"
_ROOT = Path(__file__).resolve().parent.parent.parent


def is_address(target: str) -> bool:
    """True for what the stock toolkit fetches over HTTP; we never do."""
    return target.startswith(("http://", "https://"))


def is_stock(path: Path) -> bool:
    """True for a readable experiment without our extension and without our providers.

    What cannot be read or parsed is not stock: our own errors say more about it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    document = _parse(text, path.suffix)
    return isinstance(document, dict) and not _has_extension(document) and not any(_our_modules(document))


def _parse(text: str, suffix: str) -> Any:
    if suffix == ".json":
        try:
            return json.loads(text)
        except ValueError:
            return None
    if suffix not in {".yaml", ".yml"}:
        return None
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def _has_extension(document: dict[str, Any]) -> bool:
    extensions = document.get("extensions")
    if not isinstance(extensions, list):
        return False
    return any(isinstance(one, dict) and one.get("name") == EXTENSION for one in extensions)


def _our_modules(value: Any) -> Iterator[str]:
    """Every provider's module in the document that is one of ours."""
    if isinstance(value, dict):
        provider = value.get("provider")
        module = provider.get("module") if isinstance(provider, dict) else None
        if isinstance(module, str) and _is_our_module(module):
            yield module
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _our_modules(part)


def _is_our_module(module: str) -> bool:
    """`chaos...`, or a probe that we ship; a team may have a package `probes` of its own."""
    package, _, rest = module.partition(".")
    if package != "probes":
        return package == "chaos"
    name = rest.partition(".")[0]
    return not name or (_ROOT / "probes" / f"{name}.py").exists()
