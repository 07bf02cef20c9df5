"""A failing name server: nodes go on with what they know, and find nobody whom they have to look up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from chaos.faults.base import Fault, Injection
from chaos.faults.measure import answers, fell_silent, look_ups
from chaos.model.fault import Evidence
from chaos.runtimes.base import Naming

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class DnsFailure(Fault):
    """Nodes cannot look names up: their DNS queries, UDP and TCP, get no answer or are turned away; nothing else."""

    name: ClassVar[str] = "dns_failure"
    band: ClassVar[str] = "#0f766e"
    needs: ClassVar[tuple[type, ...]] = (Naming,)

    answer: Literal["timeout", "refused"] = Field(
        "timeout", description="timeout: no answer comes; refused: as if no name server listened."
    )

    def says(self) -> str:
        """What becomes of a query."""
        return "DNS queries time out" if self.answer == "timeout" else "DNS queries are refused"

    def undo_says(self) -> str:
        """Let them through."""
        return "let the nodes' DNS queries through"

    def inject(self, injection: Injection) -> None:
        """Put the rules on queries in."""
        injection.runtime.fail_names(injection.id, injection.aim.nodes, self.answer, injection.lease_s)

    def measure(self, injection: Injection) -> dict[str, Any]:
        """A query from where each node is, by each protocol, and whether the node itself answers."""
        nodes = injection.aim.nodes
        return {"dns": look_ups(injection.site, nodes), "answers": answers(injection.site, nodes)}

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if each query that was answered before ended as asked, while the nodes themselves answer."""
        asked = _answered(before)
        hit = [key for key in asked if during and all(_said(figures, *key) == self.answer for figures in during)]
        dumb = {node for figures in during for node in fell_silent(before["answers"], figures["answers"])}
        says = f"{len(hit)} of {len(asked)} queries: {self.answer}, nodes alive: {'no' if dumb else 'yes'}"
        if not asked:
            says = "no name server answered before"
        last = {f"{node} {protocol}": _said(during[-1], node, protocol) for node, protocol in asked} if during else {}
        bit = bool(asked) and len(hit) == len(asked) and not dumb
        return Evidence(bit=bit, says=says, measured={"queries": last, "silent": sorted(dumb)})

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if every query that was answered before is answered again."""
        left = [
            f"{node} {protocol}" for node, protocol in _answered(before) if _said(after, node, protocol) != "answered"
        ]
        return Evidence(bit=bool(left), says=f"no answer: {', '.join(left)}" if left else "queries are answered again")


def _answered(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (node, protocol)
        for node, said in figures["dns"].items()
        for protocol, word in said.items()
        if word == "answered"
    ]


def _said(figures: Mapping[str, Any], node: str, protocol: str) -> str:
    word: str = figures["dns"].get(node, {}).get(protocol, "not asked")
    return word


fault = DnsFailure
