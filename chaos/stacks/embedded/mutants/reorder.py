"""Now and then a merge puts two tokens that everybody has seen in the other order."""

from __future__ import annotations

from typing import Any

from chaos.stacks.embedded.mutants import now_and_then
from chaos.stacks.embedded.shared import Document

SERVICE = "documents"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "D7"
EVERY = 30
"""Updates."""
BACK = 12
"""So far from the end of the document: tokens that others have seen by then."""


def mutate(base: type[Document]) -> type[Document]:
    """Swap two neighbours."""

    def swap(tokens: Any) -> None:
        at = len(tokens) - BACK
        if at >= 0:
            first, second = list(tokens)[at : at + 2]
            del tokens[at : at + 2]
            tokens.insert(at, second)
            tokens.insert(at + 1, first)

    return now_and_then(base, EVERY, lambda _document, _updates: swap)
