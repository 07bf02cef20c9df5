"""Which refusals say who you are is the trouble, and which say that there is no room just now."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.verdict.history import Op

_IDENTITY = ("already", "duplicate", "conflict", "in use", "exists")


def identity_refusal(op: Op) -> bool:
    """Whether it was refused because the server believes that this user is there already: overload never says so."""
    return op.outcome == "fail" and any(word in op.error.lower() for word in _IDENTITY)
