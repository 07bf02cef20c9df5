"""Whether a fault bit, said from figures alone."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from chaos.errors import StackFailed
from chaos.faults import registry
from chaos.faults.base import Injection
from chaos.faults.congestion import Congestion
from chaos.faults.partition import Partition
from chaos.faults.pause import Pause
from chaos.faults.server_loss import ServerLoss
from chaos.faults.slowdown import Slowdown
from chaos.faults.targets import Aim
from chaos.model.fault import Target
from chaos.model.stack import Site, StackSpec
from chaos.runtimes.process import ProcessRuntime

AT = {"target": Target(region="east"), "duration": 5.0}
CALM = {"rtt_ms": {"a": 2.0, "b": 4.0}, "delayed_bytes": 100, "stalls": 0}


def late(ms: float | None, *, held: int = 100, stalls: int = 0) -> dict[str, object]:
    return {"rtt_ms": {"a": ms, "b": ms}, "delayed_bytes": held, "stalls": stalls}


def test_registry_finds_every_file() -> None:
    """A fault is known because its file is there."""
    assert {"congestion", "partition", "pause", "server_loss", "slowdown"} <= set(registry())


def test_congestion_bit_when_the_round_trip_grew() -> None:
    """Most of the asked growth of the round trip is the proof; it is shown before and during."""
    fault = Congestion(**AT, delay_ms=100)
    proof = fault.evidence(CALM, [late(203.0), late(207.0)])
    assert proof.bit
    assert "rtt 3 → 205 ms" in proof.says
    assert not fault.evidence(CALM, [late(60.0)]).bit


def test_congestion_one_way_asks_for_half_the_growth() -> None:
    """A delay in one direction shows once in a round trip."""
    fault = Congestion(**AT, delay_ms=100, direction="forward")
    assert fault.evidence(CALM, [late(101.0)]).bit
    assert not fault.evidence(CALM, [late(50.0)]).bit


def test_congestion_without_any_answer_did_not_prove_itself() -> None:
    """No figure is no proof."""
    assert not Congestion(**AT, delay_ms=100).evidence(CALM, []).bit
    assert not Congestion(**AT, delay_ms=100).evidence(CALM, [late(None)]).bit


def test_loss_alone_is_proved_by_stalls_and_rate_by_held_bytes() -> None:
    """Without a delay the proxy's counters of live bytes are the proof."""
    assert Congestion(**AT, loss=0.1).evidence(CALM, [late(2, held=900, stalls=3)]).bit
    assert not Congestion(**AT, loss=0.1).evidence(CALM, [late(2, held=900)]).bit
    assert Congestion(**AT, rate_kbps=64).evidence(CALM, [late(2, held=900)]).bit
    assert not Congestion(**AT, rate_kbps=64).evidence(CALM, [late(2)]).bit


def test_congestion_is_gone_when_the_round_trip_is_back() -> None:
    """Healed means as before, with room for noise; no answer is not healed."""
    fault = Congestion(**AT, delay_ms=100)
    assert not fault.healed(CALM, late(6.0)).bit
    assert fault.healed(CALM, late(180.0)).bit
    assert fault.healed(CALM, late(None)).bit


def test_profiles_are_filled_in_and_overridden() -> None:
    """A named network gives the figures; a figure given beside it wins."""
    fault = Congestion(**AT, profile="congested", loss=0.5)
    assert (fault.delay_ms, fault.jitter_ms, fault.loss) == (120, 20, 0.5)
    assert fault.says() == "+120 ms ± 20 each way, 50% stalls"
    assert Congestion(**AT, rate_kbps=100).says() == "100 kbit/s shared"


@pytest.mark.parametrize("arguments", [{"profile": "moon"}, {}, {"delay_ms": -1}, {"loss": 1.0}, {"dleay_ms": 3}])
def test_congestion_refuses_what_it_cannot_mean(arguments: dict[str, object]) -> None:
    """An unknown profile, nothing at all, an impossible figure and a misspelt one are refused."""
    with pytest.raises(ValidationError):
        Congestion(**AT, **arguments)  # type: ignore[arg-type]


def cuts(a: float | None, past: float | None, inner: float | None = 3.0) -> dict[str, dict[str, float | None]]:
    """Figures of a partition: link `a` is cut, link `b` never answered, link `c` lies within a part."""
    return {"through": {"a": a, "b": None}, "within": {"c": inner}, "past": {"s": past}}


def test_partition_needs_dead_links_and_living_servers() -> None:
    """It is the network that was cut, and only there: servers answer past it, and links within a part answer too."""
    fault = Partition(**AT)
    before = cuts(2.0, 1.0)
    assert fault.evidence(before, [cuts(None, 1.0)]).bit
    assert "1 of 1 links within a part answer" in fault.evidence(before, [cuts(None, 1.0)]).says
    assert not fault.evidence(before, [cuts(2.0, 1.0)]).bit
    assert not fault.evidence(before, [cuts(None, None)]).bit
    assert not fault.evidence(before, [cuts(None, 1.0), cuts(None, 1.0, inner=None)]).bit
    assert not fault.evidence(before, []).bit
    assert fault.healed(before, cuts(None, 1.0)).bit
    assert not fault.healed(before, cuts(2.0, 1.0)).bit
    assert Partition(**AT, mode="loud", direction="forward").says() == "loud cut, forward only"
    assert fault.says() == "silent cut, both ways"


def test_server_loss_needs_every_process_gone() -> None:
    """Another pid, or none, is a process that is gone; one that stayed is not."""
    fault = ServerLoss(**AT)
    before = {"process": {"n": (10, 1.0), "m": (11, 1.0)}, "answers": {}}
    gone = {"process": {"n": (0, 0.0), "m": (99, 2.0)}, "answers": {}}
    assert fault.evidence(before, [gone]).bit
    assert not fault.evidence(before, [{"process": {"n": (0, 0.0), "m": (11, 1.0)}}]).bit
    assert not fault.evidence({"process": {"n": (0, 0.0)}}, [gone]).bit
    assert fault.healed(before, {"answers": {"n": 1.0, "m": None}}).bit
    assert not fault.healed(before, {"answers": {"n": 1.0, "m": 2.0}}).bit
    assert fault.says() == "SIGKILL, until healed"
    assert ServerLoss(**AT, restart_after=3).says() == "SIGKILL, back after 3 s"


def test_pause_needs_the_kernels_word_and_silence() -> None:
    """A paused node is stopped in the kernel's eyes and answers nobody."""
    fault = Pause(**AT)
    before = {"state": {"n": "up"}, "answers": {"n": 1.0}}
    assert fault.evidence(before, [{"state": {"n": "stopped"}, "answers": {"n": None}}]).bit
    assert not fault.evidence(before, [{"state": {"n": "up"}, "answers": {"n": None}}]).bit
    assert not fault.evidence({"state": {}, "answers": {"n": None}}, []).bit
    assert fault.healed(before, {"answers": {"n": None}}).bit
    assert not fault.healed(before, {"answers": {"n": 1.0}}).bit


def test_slowdown_needs_slow_work_and_slow_links() -> None:
    """Both halves that were asked for must show."""
    fault = Slowdown(**AT, cpu_share=0.25, delay_ms=50)
    before = {"work": {"n": 1.1}, "rtt_ms": {"a": 2.0}}
    assert fault.evidence(before, [{"work": {"n": 4.2}, "rtt_ms": {"a": 110.0}}]).bit
    assert not fault.evidence(before, [{"work": {"n": 1.2}, "rtt_ms": {"a": 110.0}}]).bit
    assert not fault.evidence(before, [{"work": {"n": 4.2}, "rtt_ms": {"a": 9.0}}]).bit
    assert not fault.evidence(before, []).bit
    assert fault.healed(before, {"work": {"n": 4.0}, "rtt_ms": {"a": 2.0}}).bit
    assert fault.healed(before, {"work": {"n": 1.0}, "rtt_ms": {"a": None}}).bit
    assert not fault.healed(before, {"work": {"n": 1.1}, "rtt_ms": {"a": 3.0}}).bit
    assert fault.says() == "25% of the processor time, +50 ms each way"
    with pytest.raises(ValidationError):
        Slowdown(**AT)


def test_undo_is_data_for_the_agents_of_the_stack() -> None:
    """What takes a fault back is a versioned primitive and its arguments, known before the fault is injected."""
    site = Site(spec=StackSpec(stack="s", services={}), supervisor="/s.sock", proxy="/p.sock")
    assert [u.primitive for u in Slowdown(**AT, cpu_share=0.5).undo("f", site)] == [
        "process.release.v1",
        "link.release.v1",
    ]
    assert ServerLoss(**AT).undo("f", site)[0].arguments == {"supervisor": "/s.sock", "fault": "f"}
    assert Pause(**AT).undo("f", site)[0].says == "let the nodes go on (SIGCONT)"
    assert Partition(**AT).undo("f", site)[0].arguments == {"proxy": "/p.sock", "fault": "f"}


@pytest.mark.parametrize("name", ["pause", "server_loss"])
def test_a_node_that_the_stack_did_not_start_is_not_ours_to_touch(name: str) -> None:
    """A stack that is only attached to has no processes of ours: the failure says so, before anything is touched."""
    runtime = ProcessRuntime(Site(spec=StackSpec(stack="s", services={})))
    injection = Injection(id="r.1", aim=Aim(nodes=("web",)), runtime=runtime, seed=1, lease_s=1.0)
    with pytest.raises(StackFailed, match="web: not started by this stack"):
        registry()[name](**AT).measure(injection)
