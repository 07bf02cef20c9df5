"""The moments between which a run may die: an injector and its ledger announce each to whoever was handed to them.

Nothing of a run listens. Tests hand in an observer that ends the process there, and look at what is left.
"""

from __future__ import annotations

import enum
from collections.abc import Callable


class Step(enum.StrEnum):
    """Announced right after the thing it names has happened, in this order."""

    INTENT = "after-intent"
    """The undo is on disk; nothing was touched."""
    INJECT = "after-inject"
    """The harm is in; the ledger does not know it yet."""
    INJECTED = "after-injected"
    HOLD = "hold"
    """Held and proved; its time is over."""
    HEAL = "before-heal"
    HEALING = "after-healing"
    """The ledger says that healing has begun."""
    UNDO = "after-undo"
    """The harm is out; the ledger does not know it yet."""
    HEALED = "after-healed"


Steps = Callable[[Step], None]


def unwatched(_step: Step) -> None:
    """What listens in a run: nobody."""
