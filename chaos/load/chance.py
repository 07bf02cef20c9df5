"""Chance that is the same again for the same seed."""

from __future__ import annotations

import random


def chance(seed: int, name: str) -> random.Random:
    """A generator of its own for each name, so that one user's draws never move another's."""
    return random.Random(f"{seed}:{name}")  # noqa: S311 - a plan, not a secret
