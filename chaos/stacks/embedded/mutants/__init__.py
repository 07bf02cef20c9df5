"""Defects to switch on, one file each, so that every checker can show that it finds its own.

A mutant file names the service that it spoils (`SERVICE`), the shipped experiment that shows it (`SHOWN_BY`) and the id
of the check that must fail then (`CAUGHT_BY`), and turns that service's class into a broken subclass (`mutate`). The
server itself knows nothing of them.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from chaos.stacks.embedded.serving import log

T = TypeVar("T")
ROOT = "tokens"
"""The shared array that the load writes to."""


def names() -> list[str]:
    """Every mutant there is."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def described(name: str) -> tuple[str, str]:
    """The experiment that shows a mutant, and the id of the check that must fail. Raises `ImportError`."""
    module = _module(name)
    return module.SHOWN_BY, module.CAUGHT_BY


def select(name: str, service: str, base: type[T]) -> type[T]:
    """The class to use: `base`, or its broken subclass. An unknown name ends the process with exit code 2."""
    if not name:
        return base
    if name not in names():
        log(f"unknown mutant {name!r}; known: {', '.join(names())}")
        sys.exit(2)
    module = _module(name)
    if service != module.SERVICE:
        return base
    log(f"!!! MUTANT {name} IS ON: this node is broken on purpose: {module.__doc__}")
    mutated: type[T] = module.mutate(base)
    return mutated


def _module(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}")


def rewritten(state: bytes, change: Callable[[Any], None]) -> bytes:
    """The update that makes of a document, given as one update, what `change` makes of its tokens."""
    from pycrdt import Array  # noqa: PLC0415 - a clean node, which starts again while people wait, needs none of it

    doc = _doc(state)
    before = doc.get_state()
    change(doc.get(ROOT, type=Array))
    update: bytes = doc.get_update(before)
    return update


def tokens_of(state: bytes) -> list[str]:
    """The tokens of a document that is given as one update."""
    from pycrdt import Array  # noqa: PLC0415 - as above

    doc = _doc(state)
    return list(doc.get(ROOT, type=Array))


def now_and_then(base: type[T], every: int, change: Callable[[Any, int], Callable[[Any], None]]) -> type[T]:
    """A document node's class that changes a document by itself whenever so many more updates were taken.

    `change(document, updates)` gives what is then done to the document's tokens.
    """
    from chaos.stacks.embedded.shared import Edit  # noqa: PLC0415 - as above

    class Meddling(base):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any) -> None:
            self._taken = 0
            super().__init__(*args)

        async def commit(self, batch: list[Edit]) -> None:
            await super().commit(batch)
            before, self._taken = self._taken, self._taken + len(batch)
            if before // every != self._taken // every:
                await super().commit([Edit(None, rewritten(self.state(), change(self, self._taken)))])

    return Meddling


def _doc(state: bytes) -> Any:
    from pycrdt import Doc  # noqa: PLC0415 - as above

    doc: Doc[Any] = Doc()
    doc.apply_update(state)
    return doc
