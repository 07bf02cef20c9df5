"""How to speak to a collaboration server as one of its clients: one file per protocol."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.backends.base import Backend

GROUP = "chaos.backends"
"""Entry-point group of backends that other distributions bring."""


@functools.cache
def registry() -> dict[str, Backend]:
    """Every backend by name: the files of this folder that export `backend`, then those of other distributions."""
    found: dict[str, Backend] = {}
    for module in pkgutil.iter_modules(__path__):
        backend = getattr(importlib.import_module(f"{__name__}.{module.name}"), "backend", None)
        if backend is not None:
            found[backend.name] = backend
    for entry in entry_points(group=GROUP):
        backend = entry.load()
        found.setdefault(backend.name, backend)
    return dict(sorted(found.items()))
