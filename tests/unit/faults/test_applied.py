"""Faults that apply other faults in steps, from figures and arguments alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from pydantic import ValidationError

from chaos.faults.base import Injection
from chaos.faults.corrupt import Corrupt
from chaos.faults.cut import Cut
from chaos.faults.flap import Flap
from chaos.faults.half_open import HalfOpen
from chaos.faults.interleave import Interleave
from chaos.faults.ramp import Ramp
from chaos.faults.slow_reader import SlowReader
from chaos.faults.targets import Aim
from chaos.model.fault import Target
from chaos.model.stack import Site, StackSpec

if TYPE_CHECKING:
    from chaos.faults.applied import Turned
    from chaos.runtimes.base import Runtime

AT = {"target": Target(region="east"), "duration": 10.0}
THROUGH = {"through": {"a": 1.0}}
SITE = Site(spec=StackSpec(stack="s", services={}), proxy="/proxy.sock", supervisor="/supervisor.sock")


def late(ms: float, step: int) -> dict[str, object]:
    return {"rtt_ms": {"a": ms}, "delayed_bytes": 0, "stalls": 0, "step": step, "on": step % 2 == 0}


class Releases:
    """A runtime that notes what is put on links and taken off."""

    def __init__(self) -> None:
        self.did: list[str] = []

    def shape(self, *_: object) -> None:
        self.did.append("on")

    def release(self, _: str) -> None:
        self.did.append("off")


def step_of(fault: Turned, number: int, seed: int = 1, *, last: int | None = None) -> Injection:
    runtime = cast("Runtime", Releases())
    return Injection(id="r.1", aim=Aim(links=("a",)), runtime=runtime, seed=seed, lease_s=6, step=number, last=last)


def order(fault: Turned, seed: int, steps: int) -> list[bool]:
    return [fault.is_on(step_of(fault, number, seed)) for number in range(steps)]


def test_a_flap_turns_over_in_its_rhythm() -> None:
    """On for the duty and off for the rest of each period, until the end."""
    flap = Flap(**AT, of="pause", period=4, duty=0.25)
    assert flap.steps(1) == (1.0, 4.0, 5.0, 8.0, 9.0)
    assert order(flap, 1, 3) == [True, False, True]


def test_a_flap_is_the_same_for_the_same_seed() -> None:
    """The seed decides how far each part of the rhythm is stretched, and the bounds hold."""
    flap = Flap(**AT, of="pause", period=2, spread=0.2)
    assert flap.steps(3) == flap.steps(3) != flap.steps(4)
    gaps = [later - earlier for earlier, later in zip((0.0, *flap.steps(3)), flap.steps(3), strict=False)]
    assert all(0.8 <= gap <= 1.2 for gap in gaps)


def test_a_flap_bites_only_if_it_comes_and_goes() -> None:
    """The other fault must show while on and be gone while off; what was never looked at is not proved."""
    flap = Flap(**AT, of="congestion", arguments={"delay_ms": 100}, period=2)
    calm = late(2, 0)
    assert flap.evidence(calm, [late(203, 0), late(2, 1), late(204, 4)]).bit
    assert not flap.evidence(calm, [late(203, 0), late(204, 1)]).bit
    assert not flap.evidence(calm, [late(2, 0), late(2, 1)]).bit
    assert not flap.evidence(calm, [late(203, 0)]).bit


def test_an_interleaved_fault_is_on_once_in_each_pair() -> None:
    """Eight pairs of equal windows; the order in each is the seed's, and over many seeds either is as likely."""
    fault = Interleave(**AT | {"duration": 32}, of="pause")
    assert fault.steps(1) == tuple(2.0 * number for number in range(1, 16))
    drawn = [order(fault, seed, 16) for seed in range(200)]
    assert drawn[3] == order(fault, 3, 16)
    assert all(one[pair] != one[pair + 1] for one in drawn for pair in range(0, 16, 2))
    first = [sum(one[pair] for one in drawn) for pair in range(0, 16, 2)]
    assert all(70 < times < 130 for times in first)


def test_a_turn_changes_only_what_has_to_change() -> None:
    """On after off puts in, off after on takes out, and the same again does nothing, also where a step was missed."""
    flap = Flap(**AT, of="congestion", arguments={"delay_ms": 100}, period=2)

    def did(number: int, last: int | None) -> list[str]:
        injection = step_of(flap, number, last=last)
        flap.inject(injection)
        return cast("Releases", injection.runtime).did

    assert [did(0, None), did(1, 0), did(2, 1), did(2, 0), did(3, 1)] == [["on"], ["off"], ["on"], [], []]


def test_an_interleaved_fault_is_shown_before_its_windows() -> None:
    """It begins on and goes off once before the first window, so that no look falls into one."""
    fault = Interleave(**AT | {"duration": 32}, of="congestion", arguments={"delay_ms": 100})
    assert fault.first_step == -2
    assert [fault.is_on(step_of(fault, number)) for number in (-2, -1)] == [True, False]


@pytest.mark.parametrize(
    ("more", "said"),
    [({"settle": 1.0}, "nothing would be left"), ({"pairs": 4}, "pairs"), ({"of": "flap"}, "cannot apply 'flap'")],
)
def test_an_interleaved_fault_refuses_windows_that_tell_nothing(more: dict[str, object], said: str) -> None:
    """Windows that are all settling, and too few of them, are refused with the reason."""
    with pytest.raises(ValidationError, match=said):
        Interleave(**{**AT, "duration": 16, "of": "pause", **more})  # type: ignore[arg-type]


def test_a_ramp_goes_from_start_to_end() -> None:
    """Equal levels for equal times, judged by the last one that was seen."""
    ramp = Ramp(**AT, of="congestion", figure="delay_ms", start=20, end=100, levels=5)
    assert ramp.steps(1) == (2.0, 4.0, 6.0, 8.0)
    assert [getattr(ramp.at(step), "delay_ms", None) for step in range(5)] == [20, 40, 60, 80, 100]
    assert ramp.evidence(late(2, 0), [late(30, 0), late(202, 4)]).bit
    assert not ramp.evidence(late(2, 0), [late(42, 0), late(42, 4)]).bit
    assert not ramp.evidence(late(2, 0), []).bit


def test_what_applies_a_fault_has_its_undo() -> None:
    """One undo under one id, made by the fault that is applied."""
    assert [one.primitive for one in Flap(**AT, of="cut", period=2).undo("r.1", SITE)] == ["link.release.v1"]
    ramp = Ramp(**AT, of="slowdown", figure="cpu_share", start=0.9, end=0.2)
    assert {one.arguments["fault"] for one in ramp.undo("r.1", SITE)} == {"r.1"}
    assert {one.primitive for one in ramp.undo("r.1", SITE)} == {"link.release.v1", "process.release.v1"}


@pytest.mark.parametrize(
    ("of", "arguments", "said"),
    [
        ("flap", {}, "cannot apply 'flap'"),
        ("moon", {}, "cannot apply 'moon'"),
        ("congestion", {}, "congests nothing"),
        ("congestion", {"dleay_ms": 3}, "dleay_ms"),
        ("pause", {"duration": 3}, "duration stand"),
    ],
)
def test_a_flap_refuses_what_it_cannot_apply(of: str, arguments: dict[str, object], said: str) -> None:
    """A fault that is unknown, comes in steps itself or has wrong arguments is refused with the reason."""
    with pytest.raises(ValidationError, match=said):
        Flap(**AT, of=of, arguments=arguments, period=2)


def test_a_ramp_refuses_a_figure_that_is_given_twice_or_unknown() -> None:
    """The figure is the ramp's alone, and one that the other fault has."""
    with pytest.raises(ValidationError, match="leave it out"):
        Ramp(**AT, of="congestion", arguments={"delay_ms": 1}, figure="delay_ms", start=1, end=2)
    with pytest.raises(ValidationError, match="height"):
        Ramp(**AT, of="congestion", figure="height", start=1, end=2)


def test_cut_counts_resets_against_those_that_lived() -> None:
    """At least half of the asked share must have been reset, and new connections must pass."""
    before = {"live": 10, "reset": 3, **THROUGH}
    cut = Cut(**AT, percentage=40)
    assert cut.evidence(before, [{"live": 6, "reset": 7, **THROUGH}]).says == (
        "4 of 10 connections reset, new ones pass: yes"
    )
    assert not cut.evidence(before, [{"live": 6, "reset": 4, **THROUGH}]).bit
    assert not cut.evidence(before, [{"live": 6, "reset": 7, "through": {"a": None}}]).bit
    assert not cut.evidence({"live": 0, "reset": 3, **THROUGH}, [{"live": 0, "reset": 3, **THROUGH}]).bit


def test_half_open_needs_held_bytes_and_open_doors() -> None:
    """Frozen connections alone are no proof: bytes were held in them, and new ones got through."""
    before = {"live": 4, "frozen": 0, "held": 0, **THROUGH}
    fault = HalfOpen(**AT)
    assert fault.evidence(before, [{"live": 4, "frozen": 4, "held": 9, **THROUGH}]).bit
    assert not fault.evidence(before, [{"live": 4, "frozen": 4, "held": 0, **THROUGH}]).bit
    assert not fault.evidence(before, [{"live": 4, "frozen": 4, "held": 9, "through": {"a": None}}]).bit
    assert fault.healed(before, {"live": 4, "frozen": 1, "held": 9, **THROUGH}).bit
    assert not fault.healed(before, {"live": 4, "frozen": 0, "held": 9, **THROUGH}).bit


def test_slow_reader_needs_late_answers_from_living_servers() -> None:
    """Bytes waited and answers are as late as the pace makes them, while the server answers past the link."""
    before = {"unread": 0, "rtt_ms": {"a": 2.0}, "past": {"s": 1.0}}
    fault = SlowReader(**AT, bytes_per_s=600)
    assert fault.evidence(before, [{"unread": 99, "rtt_ms": {"a": 250.0}, "past": {"s": 1.0}}]).bit
    assert fault.evidence(before, [{"unread": 99, "rtt_ms": {"a": None}, "past": {"s": 1.0}}]).bit
    assert not fault.evidence(before, [{"unread": 99, "rtt_ms": {"a": None}, "past": {"s": None}}]).bit
    assert not fault.evidence(before, [{"unread": 0, "rtt_ms": {"a": 250.0}, "past": {"s": 1.0}}]).bit
    assert fault.healed(before, {"unread": 99, "rtt_ms": {"a": None}, "past": {"s": 1.0}}).bit


def test_corrupt_needs_changed_bytes_and_ends_with_them() -> None:
    """The count of changed bytes grew during the fault, and stands still after it."""
    before = {"counted": 5, "now": 0, **THROUGH}
    fault = Corrupt(**AT, probability=0.1)
    assert fault.evidence(before, [{"counted": 7, "now": 1, **THROUGH}]).bit
    assert not fault.evidence(before, [{"counted": 5, "now": 0, **THROUGH}]).bit
    assert fault.healed(before, {"counted": 9, "now": 1, **THROUGH}).bit
    assert not fault.healed(before, {"counted": 9, "now": 0, **THROUGH}).bit
