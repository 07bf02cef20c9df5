"""What a fault is: a model whose fields are the experiment's arguments, and four things that it can do.

A fault's undo is data, made before anything is touched, so healing needs neither the fault's code nor the
process that injected it. `inject` puts in what the undo can take back, and nothing else.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import Field

from chaos.errors import StackFailed
from chaos.faults.targets import Aim, reach, resolve
from chaos.model.carrier import Ask
from chaos.model.fault import Evidence, Reach, Target, Undo, Windows
from chaos.model.link import LinkEffect
from chaos.model.stack import Frozen
from chaos.runtimes.base import Shaping
from chaos.runtimes.undo import link_release, process_release

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chaos.model.stack import Site, StackSpec
    from chaos.runtimes.base import Runtime

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Injection:
    """Everything that one injection needs: its id, its resolved aim, and hands to do it with."""

    id: str
    aim: Aim
    runtime: Runtime
    seed: int
    lease_s: float
    step: int = 0
    """How many of the fault's `steps` have been taken; below 0: it is being looked at before they begin."""
    last: int | None = None
    """`step` as it was when `inject` was called before; None: it was not. A slow look may skip steps."""

    @property
    def site(self) -> Site:
        """The stack that runs."""
        return self.runtime.site

    def able(self, kind: type[T]) -> T:
        """The runtime, for something that not every runtime can do. Raises `StackFailed` where this one cannot."""
        if not isinstance(self.runtime, kind):
            raise StackFailed(f"{self.runtime} knows no {kind.__name__.lower()}", hint="chaos list faults")
        return self.runtime


class Fault(Frozen):
    """One kind of harm. Subclasses live in a file of their own that ends with `fault = TheClass`."""

    name: ClassVar[str]
    """What experiments call it."""
    band: ClassVar[str]
    """Its colour on plots, `#rrggbb`."""
    needs: ClassVar[tuple[type, ...]]
    """Protocols of `chaos.runtimes.base` that the runtime must have."""
    first_step: ClassVar[int] = 0
    """The step that it begins with. Those below 0 last as long as a look at each takes, before the duration begins."""
    on_links: ClassVar[bool] = False
    """Whether it hits the aim's links rather than its nodes."""

    target: Target = Field(description="Who is hit.")
    duration: float = Field(gt=0, le=3600, description="Seconds from injection to healing.")

    @classmethod
    def example(cls) -> Fault:
        """One that asks for all that it can ask for, made from the examples of its fields. Raises `ValidationError`."""
        fields = cls.model_fields.items()
        given = {name: field.examples[0] for name, field in fields if field.examples}
        return cls.model_validate({"target": {}, "duration": 10, **given})

    @abstractmethod
    def says(self) -> str:
        """The harm in a few words: `+120 ms ± 20 ms`."""

    @abstractmethod
    def inject(self, injection: Injection) -> None:
        """Put the harm in, as leases that carry the injection's id."""

    @abstractmethod
    def measure(self, injection: Injection) -> dict[str, Any]:
        """Take the figures that the evidence compares: called before, during and after."""

    @abstractmethod
    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """Say from the figures whether it bit; pure."""

    @abstractmethod
    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """Say from the figures whether it is gone (`bit` False means it is); pure."""

    def effect(self) -> LinkEffect | None:
        """What it puts on links; none: it leaves them alone."""
        return None

    def uses(self) -> tuple[type, ...]:
        """Those of its `needs` that it makes use of with these arguments."""
        return self.needs

    def asks(self) -> tuple[Ask, ...]:
        """Everything that some carrier has to do for it: capabilities over nodes, then each part of its effect."""
        nodes = (Ask(what=need.__name__.lower()) for need in self.uses() if need is not Shaping)
        return (*nodes, *Ask.parts(self.effect()))

    @property
    def acting(self) -> Fault:
        """The fault that touches the stack: this one, or the one that this one applies."""
        return self

    def aim(self, spec: StackSpec, seed: int, owned: Mapping[str, Sequence[str]] | None = None) -> Aim:
        """The very nodes and links that its target means; `owned` as for `resolve`. Raises `NoSuchTarget`."""
        return resolve(self.target, spec, seed, owned)

    def steps(self, seed: int) -> tuple[float, ...]:  # noqa: ARG002 - for those that have some
        """Seconds after the injection at which `inject` is called again, with `injection.step` counted up; rising."""
        return ()

    def is_on(self, injection: Injection) -> bool:  # noqa: ARG002 - for those that have some
        """Whether it holds leases after the injection's steps."""
        return True

    def windows(self) -> Windows | None:
        """That its steps are windows to be compared; None: they are not."""
        return None

    def shape(self, injection: Injection) -> None:
        """Put its effect on the links of the aim."""
        effect = self.effect()
        if effect is not None:
            injection.runtime.shape(injection.id, injection.aim.links, effect, injection.lease_s, injection.seed)

    def undo(self, fault_id: str, site: Site) -> tuple[Undo, ...]:
        """How to take it back, from the stack's own agents."""
        if self.on_links:
            return (link_release(site, fault_id),)
        return (process_release(site, fault_id).model_copy(update={"says": self.undo_says()}),)

    def undo_says(self) -> str:
        """The undo on nodes, in words."""
        return "let the supervisor release the nodes"

    def reach(self, injection: Injection, owned: Mapping[str, Sequence[str]]) -> Reach:
        """Who feels it."""
        return reach(injection.aim, injection.site.spec, owned, by_links=self.on_links)
