"""What faults have in common that apply another fault in steps: its arguments, its undo, its reach and its figures."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, ValidationError

from chaos.faults import registry
from chaos.faults.base import Fault, Injection
from chaos.model.carrier import Ask
from chaos.model.fault import Reach, Undo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chaos.model.stack import Site


class Applied(Fault):
    """Another fault (`of`, with its own `arguments`) in steps; leases and undo carry this fault's id."""

    needs: ClassVar[tuple[type, ...]] = ()

    of: str = Field(examples=["congestion"], description="Name of the fault that is applied (chaos list faults).")
    arguments: dict[str, Any] = Field(
        default_factory=dict,
        examples=[{"profile": "lossy-wifi"}],
        description="Its own arguments, without target and duration.",
    )

    @property
    @abstractmethod
    def acting(self) -> Fault:
        """The fault that is applied."""

    def made(self, **figures: float) -> Fault:
        """The applied fault, with these arguments changed. Raises ValueError with what is wrong with it."""
        model = registry().get(self.of)
        if model is None or issubclass(model, Applied):
            usable = ", ".join(name for name, one in registry().items() if not issubclass(one, Applied))
            raise ValueError(f"cannot apply {self.of!r} in steps; there are {usable}")
        given = self.arguments | figures
        if own := sorted({"target", "duration"} & set(given)):
            raise ValueError(f"{' and '.join(own)} stand beside `arguments`, not in them")
        try:
            return model.model_validate(given | {"target": self.target, "duration": self.duration})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            said = first["msg"].removeprefix("Value error, ")
            raise ValueError(f"arguments of {self.of}: {where + ': ' if where else ''}{said}") from None

    def asks(self) -> tuple[Ask, ...]:
        """What the applied fault asks for."""
        return self.acting.asks()

    def undo(self, fault_id: str, site: Site) -> tuple[Undo, ...]:
        """As the applied fault's: it takes back whatever step is in force."""
        return self.acting.undo(fault_id, site)

    def reach(self, injection: Injection, owned: Mapping[str, Sequence[str]]) -> Reach:
        """Who feels the applied fault."""
        return self.acting.reach(injection, owned)

    def measure(self, injection: Injection) -> dict[str, Any]:
        """The applied fault's figures, and the step in which they were taken."""
        return {**self.acting.measure(injection), "step": injection.step}
