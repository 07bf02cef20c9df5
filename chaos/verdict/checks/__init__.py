"""The checks: one file each, which exports `check`; a file that is dropped in here is found."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from chaos.verdict.findings import Check


@functools.cache
def registry() -> dict[str, Check]:
    """Every check by its id, in the order of ids; imports the checks on first use."""
    found = {}
    for info in pkgutil.iter_modules(__path__):
        check = getattr(importlib.import_module(f"{__name__}.{info.name}"), "check", None)
        if isinstance(check, Check):
            found[check.id] = check
    return dict(sorted(found.items(), key=lambda item: (item[0][:1], len(item[0]), item[0])))
