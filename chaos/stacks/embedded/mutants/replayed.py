"""Whenever a document is loaded from the store, its last edits are carried out a second time."""

from __future__ import annotations

from typing import Any

from chaos.stacks.embedded.mutants import rewritten, tokens_of
from chaos.stacks.embedded.shared import Document, Edit

SERVICE = "documents"
SHOWN_BY = "server_loss"
CAUGHT_BY = "D4"
LAST = 3


def mutate(base: type[Document]) -> type[Document]:
    """Play the end of the log twice, as a log does whose place was not written down before the crash."""

    class Twice(base):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            if last := tokens_of(self.state())[-LAST:]:
                again = rewritten(self.state(), lambda there: there.extend(last))
                self.background.add(self.commit([Edit(None, again)]))

    return Twice
