"""What faults have in common that strike connections once: a share of those that live now, of all or of one room."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from chaos.faults.base import Fault, Injection
from chaos.model.fault import Reach
from chaos.model.link import LinkEffect
from chaos.runtimes.base import Shaping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Strike(Fault):
    """Connections that live at the injection are struck, chosen by the seed; those that come later pass."""

    needs: ClassVar[tuple[type, ...]] = (Shaping,)
    on_links: ClassVar[bool] = True
    strike: ClassVar[Literal["reset", "freeze"]]
    struck: ClassVar[str]
    """In words: `reset once`."""

    percentage: float = Field(100.0, gt=0, le=100, description="Percent of the live connections, rounded up.")
    key: str = Field("", description="Only connections of this room or document.")

    def says(self) -> str:
        """How many."""
        return f"{self.percentage:g} % of live connections{self.key and f' of {self.key}'} {self.struck}"

    def effect(self) -> LinkEffect:
        """The strike, once."""
        return LinkEffect(strike=self.strike, share=self.percentage / 100, key=self.key)

    def reach(self, injection: Injection, owned: Mapping[str, Sequence[str]]) -> Reach:
        """The one room or document, or whoever uses these links."""
        return Reach(keys=(self.key,)) if self.key else super().reach(injection, owned)

    def inject(self, injection: Injection) -> None:
        """Strike."""
        self.shape(injection)
