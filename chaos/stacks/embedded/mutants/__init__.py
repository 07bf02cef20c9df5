"""Defects to switch on, one file each, so that every checker can show that it finds its own.

A mutant file names the service that it spoils (`SERVICE`) and turns that service's class into a broken
subclass (`mutate`). The server itself knows nothing of them.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from typing import TypeVar

from chaos.stacks.embedded.serving import log

T = TypeVar("T")


def names() -> list[str]:
    """Every mutant there is."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def select(name: str, service: str, base: type[T]) -> type[T]:
    """The class to use: `base`, or its broken subclass. An unknown name ends the process with exit code 2."""
    if not name:
        return base
    if name not in names():
        log(f"unknown mutant {name!r}; known: {', '.join(names())}")
        sys.exit(2)
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    if service != module.SERVICE:
        return base
    log(f"!!! MUTANT {name} IS ON: this node is broken on purpose: {module.__doc__}")
    mutated: type[T] = module.mutate(base)
    return mutated
