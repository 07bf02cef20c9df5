"""Kinds of harm: one file per fault, each of which exports `fault`. Dropping a file in is all it takes."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.faults.base import Fault

GROUP = "chaos.faults"
"""Entry-point group through which other distributions add faults."""


@functools.cache
def registry() -> dict[str, type[Fault]]:
    """Every installed fault by name: those of this folder, then those of other distributions."""
    found: dict[str, type[Fault]] = {}
    for module in pkgutil.iter_modules(__path__):
        exported = getattr(importlib.import_module(f"{__name__}.{module.name}"), "fault", None)
        if exported is not None:
            found[exported.name] = exported
    for point in entry_points(group=GROUP):
        exported = point.load()
        found.setdefault(exported.name, exported)
    return dict(sorted(found.items()))
