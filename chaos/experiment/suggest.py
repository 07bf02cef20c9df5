"""Did you mean: the nearest of the names that exist."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The name most like the word, upper and lower case alike; None where none is near."""
    known = {name.lower(): name for name in names}
    found = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return known[found[0]] if found else None


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """A hint: the nearest name, else all of them (if they are few), else nothing."""
    names = sorted(names)
    near = nearest(word, names)
    if near is not None:
        return f"did you mean {near}?"
    return f"known: {', '.join(names)}" if 0 < len(names) <= FEW else ""


FEW = 24
"""More names than this are no help on one line."""
