"""What faults have in common that apply another fault in steps: its arguments, its undo, its reach and its figures."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, ValidationError, model_validator

from chaos.faults import registry
from chaos.faults.base import Fault, Injection
from chaos.model.carrier import Ask
from chaos.model.fault import Evidence, Reach, Undo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chaos.faults.targets import Aim
    from chaos.model.stack import Site, StackSpec


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

    def aim(self, spec: StackSpec, seed: int, owned: Mapping[str, Sequence[str]] | None = None) -> Aim:
        """The applied fault's."""
        return self.acting.aim(spec, seed, owned)

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


class Turned(Applied):
    """Another fault that is on in some steps and off in the others; `is_on` says in which."""

    @model_validator(mode="after")
    def _can_be_applied(self) -> Turned:
        self.made()
        return self

    @property
    def acting(self) -> Fault:
        """What comes and goes."""
        return self.made()

    def inject(self, injection: Injection) -> None:
        """Put the other fault in, or take it out; what is so already stays so."""
        on = self.is_on(injection)
        was = injection.last is not None and self.is_on(dataclasses.replace(injection, step=injection.last))
        if on and not was:
            self.acting.inject(injection)
        elif was and not on:
            injection.runtime.release(injection.id)

    def measure(self, injection: Injection) -> dict[str, Any]:
        """The other fault's figures, and whether it was meant to be on."""
        return {**super().measure(injection), "on": self.is_on(injection)}

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if the other fault bit while it was on, and was gone when it was off."""
        acting = self.acting
        on = [figures for figures in during if figures["on"]]
        off = [figures for figures in during if not figures["on"]]
        proof = acting.evidence(before, on)
        looks = [acting.healed(before, figures) for figures in off]
        gone = next((look for look in looks if not look.bit), looks[0] if looks else None)
        gone = gone or Evidence(bit=True, says="never seen off")
        says = f"on: {proof.says}; off: {gone.says}"
        measured = proof.measured | {"looks_on": len(on), "looks_off": len(off)}
        return Evidence(bit=proof.bit and not gone.bit, says=says, measured=measured)

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if the other fault is."""
        return self.acting.healed(before, after)
