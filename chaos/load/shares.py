"""Shares of a stream of cases, drawn evenly."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


class Share:
    """Says yes to a share of its calls, evenly: one yes in each 1/share calls, at a random place of it.

    `early`: the first yes comes at the first call.
    """

    def __init__(self, share: float, rng: random.Random, *, early: bool = False) -> None:
        self._share = share
        self._rng = rng
        self._sum = 0.0
        self._whole = 0
        self._next = 0.0 if early else rng.random()

    def __call__(self) -> bool:
        self._sum += self._share
        if self._sum <= self._next:
            return False
        self._whole += 1
        self._next = self._whole + self._rng.random()
        return True
