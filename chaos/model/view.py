"""What a run tells whoever watches it, while it happens."""

from __future__ import annotations

from typing import Any, Protocol


class View(Protocol):
    """Watches a run. Calls come from several threads; none may raise into the run."""

    def begin(self, title: str, stack: str, seed: int) -> None: ...
    def phase(self, name: str, seconds: float) -> None:
        """A phase begins and is meant to last `seconds` (0: not known)."""

    def fault(self, kind: str, data: dict[str, Any]) -> None:
        """A step of a fault: intent, on, step, bite, off, off-proof; `data` as in its event, with its `id`."""

    def second(self, data: dict[str, Any]) -> None:
        """What the load did in one second: flows by region, live counts, last happenings."""

    def say(self, text: str) -> None: ...
    def close(self) -> None: ...


class Unwatched:
    """A view that shows nothing."""

    def begin(self, title: str, stack: str, seed: int) -> None: ...
    def phase(self, name: str, seconds: float) -> None: ...
    def fault(self, kind: str, data: dict[str, Any]) -> None: ...
    def second(self, data: dict[str, Any]) -> None: ...
    def say(self, text: str) -> None: ...
    def close(self) -> None: ...
