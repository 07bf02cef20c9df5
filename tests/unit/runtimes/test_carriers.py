"""Which carriers there are for what a fault asks, and why the others cannot."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from chaos.faults import registry
from chaos.faults.ramp import Ramp
from chaos.faults.slowdown import Slowdown
from chaos.model.carrier import Ask
from chaos.model.fault import Target
from chaos.model.link import LinkEffect
from chaos.model.stack import Container, NodeSpec, ServiceSpec, Site, StackSpec
from chaos.runtimes import clocks, docker_shape
from chaos.runtimes.carriers import ONE_RESOLVER, RUNTIMES, lacks, survey

FAULTS = registry()
AT = {"target": Target(), "duration": 10.0}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_what_a_fault_asks_for_is_known_to_every_runtime(name: str) -> None:
    """Every example asks for something, and each runtime has tried a carrier for it or says that it has none."""
    asks = FAULTS[name].example().asks()
    assert asks
    for runtime in RUNTIMES:
        for ask in asks:
            tried = survey(runtime, asks).tried[ask]
            assert tried, f"{runtime} has no line for {ask.what}"


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_processes_carry_every_fault_or_say_why_not(name: str) -> None:
    """Without root and without a kernel's help the supervisor and the link proxy do what they can do."""
    asks = FAULTS[name].example().asks()
    found = survey("process", asks)
    for means in (found.means(ask, ()) for ask in asks):
        assert means.carrier or all(one.why_not for one in means.instead_of)


def test_an_effect_is_asked_for_part_by_part() -> None:
    """Each part has its own figures alone, so that each may have a carrier of its own."""
    whole = LinkEffect(delay_ms=9, jitter_ms=2, loss=0.1, stall_ms=50, rate_kbps=5, block="loud", direction="forward")
    parts = {ask.what: ask.effect for ask in Ask.parts(whole)}
    assert parts == {
        "delay": LinkEffect(delay_ms=9, jitter_ms=2, direction="forward"),
        "loss": LinkEffect(loss=0.1, stall_ms=50, direction="forward"),
        "rate": LinkEffect(rate_kbps=5, direction="forward"),
        "loud cut": LinkEffect(block="loud", direction="forward"),
    }
    assert LinkEffect(direction="forward").parts() == {}
    assert list(LinkEffect(jitter_ms=3).parts()) == ["delay"]


def test_a_fault_asks_only_for_what_its_arguments_need() -> None:
    """A slowdown without a delay leaves links alone; a ramp asks for what either of its ends needs."""
    assert [ask.what for ask in Slowdown(**AT, cpu_share=0.5).asks()] == ["throttling"]
    assert [ask.what for ask in Slowdown(**AT, delay_ms=5).asks()] == ["delay"]
    fading = Ramp(**AT, of="congestion", arguments={"delay_ms": 5}, figure="loss", start=0.5, end=0)
    assert [ask.what for ask in fading.asks()] == ["delay", "loss"]


def test_a_container_that_lacks_something_is_named() -> None:
    """What cannot be done to one container can be done to the others."""
    loose = Container(id="1", name="web", started="", listens=1, lacks={"lifecycle": "its ports are picked"})
    ask = Ask(what="lifecycle")
    (tried,) = survey("docker", (ask,), {"web": loose.lacks}).tried[ask]
    assert tried.on(("web",)).why_not.endswith("its ports are picked") or tried.why_not
    assert "picked" not in tried.on(("front",)).why_not


@pytest.mark.parametrize("part", [{"strike": "freeze"}, {"read_bps": 10.0}, {"close_ms": 9.0}])
def test_what_only_a_link_proxy_does_has_no_carrier_on_containers(part: dict[str, object]) -> None:
    """Nothing that meets packets knows the connections that they belong to."""
    (ask,) = Ask.parts(LinkEffect.model_validate(part))
    means = survey("docker", (ask,)).means(ask, ("web",))
    assert means.carrier == ""
    assert [one.why_not for one in means.instead_of] == ["no link proxy stands between containers"]


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"reorder": 0.1}, "reorder needs a delay"),
        ({"loss": 0.1, "burst_loss": 0.1}, "two ways to lose"),
        ({"burst_loss": 0.9, "burst": 2.0}, "can lose"),
        ({"burst_loss": 0.6, "density": 0.5}, "can lose"),
    ],
)
def test_an_effect_that_cannot_be_is_refused(figures: dict[str, float], said: str) -> None:
    """Figures that contradict each other have no meaning to any carrier."""
    with pytest.raises(ValidationError, match=said):
        LinkEffect.model_validate(figures)


@pytest.mark.parametrize("name", ["duplicate", "reorder"])
def test_a_stream_of_bytes_has_no_packets_to_touch(name: str) -> None:
    """On processes outside a sandbox it has no carrier, and the link proxy says why."""
    asks = FAULTS[name].example().asks()
    found = survey("process", asks)
    for means in (found.means(ask, ()) for ask in asks if ask.what in {"duplication", "reordering"}):
        assert means.carrier == ""
        assert "nothing comes twice or out of turn" in means.instead_of[-1].why_not


def test_corruption_of_packets_takes_netem() -> None:
    """Nothing else in the kernel changes bytes: without netem the reason is said."""
    (ask,) = Ask.parts(LinkEffect(corrupt=0.1))
    (netem, proxy) = survey("docker", (ask,)).tried[ask]
    assert (netem.carrier, proxy.why_not) == ("netem", "no link proxy stands between containers")
    assert docker_shape.why_not(LinkEffect(corrupt=0.1)) == (docker_shape.missing() or "only netem does corruption")


def test_clocks_take_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where libfaketime is not installed, the plan says what to install."""
    monkeypatch.setattr(clocks, "FOLDERS", ("/nowhere",))
    means = survey("process", (Ask(what="skewing"),)).means(Ask(what="skewing"), ("a",))
    assert means.carrier == ""
    assert [one.why_not for one in means.instead_of] == [clocks.NOT_INSTALLED]


def test_a_stack_that_runs_already_has_the_clocks_that_it_was_started_with() -> None:
    """Nodes that run without the library are named; those of a stack that was started with it lack nothing."""
    spec = StackSpec(stack="s", services={"web": ServiceSpec(nodes=(NodeSpec(name="a"),))})
    assert lacks(Site(spec=spec)) == {"a": {"skewing": clocks.NOT_PRELOADED}}
    assert lacks(Site(spec=spec, clocks={"a": "/run/clock"})) == {}


def test_names_fail_on_containers_alone() -> None:
    """All processes of a machine ask one name server: the reason stands in the plan."""
    ask = Ask(what="naming")
    assert survey("process", (ask,)).means(ask, ("a",)).instead_of[0].why_not == ONE_RESOLVER
