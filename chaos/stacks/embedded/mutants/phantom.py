"""Now and then a document gets a token that nobody wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chaos.stacks.embedded.mutants import now_and_then
from chaos.stacks.embedded.shared import Document

SERVICE = "documents"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "D5"
EVERY = 25
"""Updates."""


def mutate(base: type[Document]) -> type[Document]:
    """Write without a writer."""

    def write(document: Document, updates: int) -> Callable[[Any], None]:
        return lambda tokens: tokens.append(f"{document.name}-nobody-{updates}")

    return now_and_then(base, EVERY, write)
