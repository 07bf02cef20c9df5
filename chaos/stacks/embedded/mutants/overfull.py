"""A room with a limit lets everybody in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chaos.stacks.embedded.room import Room, Rules

SERVICE = "meetings"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "M9"


def mutate(base: type[Room]) -> type[Room]:
    """Forget the limits."""

    class Boundless(base):  # type: ignore[valid-type,misc]
        def __init__(self, name: str, number: int, rules: Rules, *args: Any) -> None:
            super().__init__(name, number, replace(rules, limits={}), *args)

    return Boundless
