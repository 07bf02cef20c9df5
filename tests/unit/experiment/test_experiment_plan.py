"""From an experiment and a stack to a plan."""

from __future__ import annotations

import json
from typing import Any

import pytest
from experiment_twin import planned, twin

from chaos.errors import ExitCode, InvalidInput, NoSuchTarget, UnsafeTarget, UsageError
from chaos.experiment.document import check, load
from chaos.experiment.plan import asks, make_plan
from chaos.experiment.positions import parse
from chaos.model.carrier import Survey, Tried
from chaos.model.experiment import Experiment, Injection, PhaseSpec, Threshold
from chaos.model.plan import MASK, Plan, masked
from chaos.model.stack import Alerts, NodeSpec, ServiceSpec, StackSpec


def experiment(*injections: dict[str, Any], extension: dict[str, Any] | None = None, **activity: Any) -> Experiment:
    """An experiment whose method injects these, one after the other."""

    def action(func: str, arguments: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        provider = {"type": "python", "module": "chaos.actions", "func": func, "arguments": arguments or {}}
        return {"type": "action", "name": func, "provider": provider, **more}

    document = {
        "title": "t",
        "description": "d",
        "extensions": [{"name": "collab-chaos", "seed": 5, **(extension or {})}],
        "method": [*(action("inject", one, **activity) for one in injections), action("recover")],
        "rollbacks": [action("heal")],
    }
    return check(parse(json.dumps(document, indent=1), "t.json"))


def pause(duration: float = 5, **target: Any) -> dict[str, Any]:
    return {"fault": "pause", "duration": duration, "target": target}


def cut(**target: Any) -> dict[str, Any]:
    return {"fault": "partition", "duration": 5, "target": target}


def test_a_fault_on_links_is_aimed_at_links() -> None:
    """Carrier, undo, words and times stand in the plan; no node is hit directly, and one region's users feel it."""
    plan = planned(load("network_congestion"), twin())
    (one,) = plan.injections
    assert (one.fault, one.links, one.nodes) == ("congestion", ("users--gw-east",), ())
    assert (one.starts_s, one.duration_s) == (11, 10)
    assert one.carriers == ("link proxy, on live connections",)
    assert one.undo
    assert "120 ms" in one.says
    assert plan.blast.users == {"cn-east": 1.0, "cn-north": 0.0}
    assert set(plan.blast.services.values()) == {0.0}


def test_an_owner_is_a_rule_until_it_is_injected() -> None:
    """The plan names the candidates and the seed; one of them counts as hit."""
    plan = planned(load("server_loss"), twin())
    first, second = plan.injections
    assert "known at injection (seed 4712)" in first.rule
    assert second.nodes == ("meet-e1", "meet-e2", "meet-n1", "meet-n2")
    assert plan.blast.services == {"store": 0.0, "gateway": 0.0, "meetings": 0.25, "documents": 0.25}
    assert plan.blast.users == {"cn-east": 0.5, "cn-north": 0.5}


def test_a_slow_region_hits_nodes_and_links() -> None:
    """Half of each service, all users of the region; without a delay the links are left alone."""
    plan = planned(load("region_slowdown"), twin())
    (one,) = plan.injections
    assert len(one.nodes) == 5
    assert "users--gw-north" in one.links
    assert plan.blast.users == {"cn-east": 0.0, "cn-north": 1.0}
    slow = {"fault": "slowdown", "cpu_share": 0.5, "duration": 5, "target": {"node": "doc-e1"}}
    (one,) = planned(experiment(slow), twin()).injections
    assert (one.nodes, one.links) == (("doc-e1",), ())
    assert len(one.carriers) == 1


def test_phases_follow_each_other_and_say_what_to_expect() -> None:
    """Warm-up, baseline, the injections one after the other, recovery; the horizon leaves room for proofs."""
    plan = planned(experiment(pause(3, node="doc-e1"), pause(4, node="doc-e2")), twin())
    assert [(one.name, one.starts_s, one.seconds) for one in plan.phases] == [
        ("warm-up", 0, 3),
        ("baseline", 3, 6),
        ("fault", 9, 7),
        ("recovery", 16, 13),
    ]
    assert [one.starts_s for one in plan.injections] == [9, 12]
    assert plan.total_s == 29
    assert plan.horizon_s >= plan.total_s + 20
    assert plan.phases[1].expected["edit_ack"] == 24 * 6


def test_pauses_and_background_move_the_times() -> None:
    """An injection in the background lets the next begin at once; a pause that is a variable counts as none."""
    both = (pause(8, node="doc-e1"), pause(4, node="doc-e2"))
    plan = planned(experiment(*both, background=True, pauses={"before": 1, "after": "${x}"}), twin())
    assert [one.starts_s for one in plan.injections] == [10, 11]
    assert plan.phases[2].seconds == 9


def test_a_plan_is_plain_data_without_secrets() -> None:
    """As JSON it can be read again, and neither settings nor services show a secret in it, wherever it stands."""
    spec = twin()
    node = NodeSpec(name="x", command=("serve", "--key=staging-only"), env={"API_TOKEN": "abcd", "PATH": "/bin"})
    spec = spec.model_copy(update={"services": {**spec.services, "extra": ServiceSpec(nodes=(node,))}})
    plan = planned(load("network_congestion"), spec)
    text = plan.model_dump_json()
    assert "staging-only" not in text
    assert "abcd" not in text
    assert f"--key={MASK}" in text
    assert "/bin" in text
    again = Plan.model_validate_json(text)
    assert again.injections == plan.injections
    assert again.spec.settings == {"mutant": "", "secret": MASK}
    assert plan.spec.settings["secret"] == "staging-only"
    assert masked(twin(settings={"secret": "${TOKEN}"}))["settings"] == {"secret": "${TOKEN}"}


@pytest.mark.parametrize("environment", ["", "production"])
def test_a_stack_that_is_not_staging_is_never_attacked(environment: str) -> None:
    """Whatever else the experiment says."""
    with pytest.raises(UnsafeTarget) as caught:
        planned(load("network_congestion"), twin(environment=environment))
    assert caught.value.exit_code is ExitCode.USAGE
    assert "environment: staging" in caught.value.hint


@pytest.mark.parametrize(
    ("injection", "said"),
    [
        (pause(service="meetings"), "pause would hit all 4 nodes of service meetings"),
        (pause(service="gateway", pick="all"), "pause would hit all 2 nodes of service gateway"),
        (pause(role="store"), "pause would hit the only node of service store"),
    ],
)
def test_a_whole_service_needs_a_reason(injection: dict[str, Any], said: str) -> None:
    """A service of one node is whole at once; with a reason the plan notes it."""
    with pytest.raises(UnsafeTarget) as caught:
        planned(experiment(injection), twin())
    assert caught.value.message == f"t.json:11:3: {said}"
    plan = planned(experiment(injection, extension={"allow_whole_service": "we drill it"}), twin())
    assert plan.notes[0].endswith("allowed because: we drill it")


def test_whoever_depends_on_the_store_feels_it() -> None:
    """Everybody does."""
    plan = planned(experiment(pause(role="store"), extension={"allow_whole_service": "drill"}), twin())
    assert plan.blast.users == {"cn-east": 1.0, "cn-north": 1.0}


def test_a_stack_without_regions_has_one_kind_of_users() -> None:
    """They are called default, and half of them feel one node of two."""
    nodes = tuple(NodeSpec(name=name, command=("serve",)) for name in "ab")
    services = {"rooms": ServiceSpec(role="meetings", backend="rooms", urls={"default": "ws://x"}, nodes=nodes)}
    plan = planned(experiment(pause(node="a")), twin(regions={}, links=(), services=services))
    assert plan.blast.users == {"default": 0.5}


@pytest.mark.parametrize(
    ("injection", "said", "hint"),
    [
        (pause(region="cn-west"), "the target region=cn-west matches nothing", "there are regions cn-east, cn-north"),
        (
            pause(kind="access"),
            "pause hits nodes, and the target kind=access has none",
            "users--gw-east, users--gw-north",
        ),
    ],
)
def test_a_target_that_matches_nothing_lists_what_there_is(injection: dict[str, Any], said: str, hint: str) -> None:
    """With the place of the injection; a target of links is nothing for a fault on nodes."""
    with pytest.raises(NoSuchTarget) as caught:
        planned(experiment(injection), twin())
    assert caught.value.message.startswith("t.json:11:3: ")
    assert said in caught.value.message
    assert hint in caught.value.hint


def test_a_fault_on_links_needs_links() -> None:
    """A stack without links cannot be cut."""
    with pytest.raises(NoSuchTarget, match="partition hits links, and the target node=doc-e1 has none"):
        planned(experiment(cut(node="doc-e1")), twin(links=()))


@pytest.mark.parametrize("runtime", ["process", "docker"])
def test_a_fault_without_a_carrier_is_refused_with_all_that_was_tried(runtime: str) -> None:
    """Every ask without a carrier is named with its place, and each carrier with the reason why it cannot."""
    slow = {"fault": "congestion", "delay_ms": 9, "rate_kbps": 5, "duration": 5, "target": {"node": "doc-e1"}}
    given = experiment(slow, cut(node="doc-e2"))
    works, tried = Tried(carrier="htb"), Tried(carrier="netem", why_not="the kernel has none")
    found = {ask: (works,) if ask.what == "rate" else (tried, *[tried] * (ask.what == "delay")) for ask in asks(given)}
    with pytest.raises(InvalidInput) as caught:
        make_plan(given, twin(runtime=runtime), Survey(found))
    assert caught.value.exit_code is ExitCode.USAGE
    why = "netem: the kernel has none"
    assert caught.value.evidence == (
        f"t.json:11:3: congestion has no carrier for delay: {why}; {why}",
        f"t.json:29:3: partition has no carrier for silent cut: {why}",
    )
    assert "chaos list faults" in caught.value.hint


def test_what_does_not_add_up_on_a_link_is_refused_where_it_overlaps() -> None:
    """At the place of the later one; one after the other, in other directions or on other links all is well."""

    def both(first: dict[str, Any], second: dict[str, Any]) -> Experiment:
        slow = {"fault": "congestion", "delay_ms": 9, "duration": 5}
        extension = {"allow_all_users": "drill"}
        return experiment(slow | first, slow | second, extension=extension, background=True, pauses={"after": 2})

    def plan(given: Experiment) -> Plan:
        queue = (Tried(carrier="NFQUEUE", once="queue"),)
        return make_plan(given, twin(), Survey(dict.fromkeys(asks(given), queue)))

    here, there = {"target": {"link": "users--gw-east"}}, {"target": {"link": "users--gw-north"}}
    with pytest.raises(InvalidInput) as caught:
        plan(both(here, {"target": {"kind": "access", "region": "cn-east"}, "name": "later"}))
    (said,) = caught.value.evidence
    assert "congestion on users--gw-east: delay does not add up with that of 'inject'" in said
    assert said.startswith("t.json:33:3: ")
    for fine in ((here, there), (here | {"duration": 1}, here), (here | {"direction": "forward"}, here)):
        first, second = fine
        other = second | ({"direction": "backward"} if "direction" in first else {})
        assert len(plan(both(first, other)).injections) == 2


def test_a_carrier_that_cannot_reach_a_node_is_passed_over() -> None:
    """The next one is taken where the target is, and the plan says why not the better one."""
    given = experiment(pause(node="doc-e1"))
    first = Tried(carrier="first", not_on={"doc-e1": "it is too far", "doc-e2": "so is this"})
    (one,) = make_plan(given, twin(), Survey({asks(given)[0]: (first, Tried(carrier="second"))})).injections
    assert one.carriers == ("second",)
    assert one.means[0].instead_of == (Tried(carrier="first", why_not="doc-e1: it is too far"),)


def test_the_parts_of_a_partition_stand_in_the_plan() -> None:
    """Who is cut off from whom, and the very links; users' own links are not among them."""
    parts = {"fault": "partition", "duration": 5, "topology": "bisect", "target": {"region": "cn-east"}}
    (one,) = planned(experiment(parts), twin()).injections
    left, right = (set(part.strip("{}").split(", ")) for part in one.parts.split(" | "))
    assert left | right == {"gw-east", "meet-e1", "meet-e2", "doc-e1", "doc-e2"}
    assert one.links
    assert all((name.split("--")[0] in left) != (name.split("--")[1] in left) for name in one.links)
    (whole,) = planned(experiment(cut(link="users--gw-east")), twin()).injections
    assert whole.parts == ""


def test_a_partition_that_cuts_no_link_is_refused() -> None:
    """With its place, and with the links that there are: nodes of one service do not speak to each other here."""
    none = {"fault": "partition", "duration": 5, "topology": "bisect", "target": {"service": "meetings"}}
    with pytest.raises(NoSuchTarget) as caught:
        planned(experiment(none), twin())
    assert caught.value.message.startswith("t.json:11:3: bisect: no link joins two of the nodes")
    assert caught.value.hint.startswith("links between nodes: gw-east--store, ")
    assert caught.value.exit_code == ExitCode.USAGE


def test_thresholds_without_enough_samples_are_noted() -> None:
    """Before the run, not after it: what will be inconclusive, and what `proven` would take."""
    load_spec = {"participants": 40, "stay_s": 10, "rejoin": 0}
    rules = {"run": ["join.success >= 99%", "join.success == 100%", "rejoin.success >= 50%", "resume.p50 < 1 s"]}
    extension = {"load": load_spec, "thresholds": rules, "assurance": "proven"}
    plan = planned(experiment(pause(5, node="doc-e1"), extension=extension), twin())
    assert plan.notes == (
        "join.success >= 99% (run): about 108 expected, 268 needed to prove it (67 s of run)",
        "join.success == 100% (run): no number of samples proves it",
        "rejoin.success >= 50% (run): about 0 expected, 30 needed; it will be inconclusive",
    )
    measured = {**extension, "assurance": "measured"}
    assert len(planned(experiment(pause(5, node="doc-e1"), extension=measured), twin()).notes) == 1


def test_an_experiment_with_nothing_of_ours_has_no_plan() -> None:
    """The stock toolkit runs it."""
    with pytest.raises(UsageError, match="nothing of ours"):
        planned(Experiment(file="x.json", title="", document={}, ours=False), twin())


def test_a_node_that_the_stack_attaches_to_cannot_be_stopped() -> None:
    """Nothing here started the node, so nothing here can touch it; the plan says so before anything runs."""
    nodes = (NodeSpec(name="a"), NodeSpec(name="b"))
    services = {"rooms": ServiceSpec(role="meetings", backend="rooms", urls={"default": "ws://x"}, nodes=nodes)}
    spec = StackSpec(stack="s", environment="staging", services=services)
    injection = Injection(name="x", fault="pause", arguments={"target": {"node": "a"}, "duration": 1})
    with pytest.raises(NoSuchTarget, match="only attaches to"):
        planned(Experiment(file="f", title="t", document={}, injections=(injection,)), spec)


def test_a_stack_without_users_is_refused() -> None:
    """Without a service that users can reach there is nothing to drive and nothing to judge."""
    spec = StackSpec(stack="s", environment="staging", services={"web": ServiceSpec()})
    with pytest.raises(UsageError, match="no service that users can reach"):
        planned(Experiment(file="f", title="t", document={}), spec)


def test_a_warning_that_nobody_can_give_is_noted() -> None:
    """A rule on alerts needs a stack file that says whom to ask."""
    given = experiment({"fault": "pause", "target": {"node": "meet-e1"}, "duration": 1})
    rule = Threshold(text="warning < 9 s", phase="run", metric="warning", op="<", value=9)
    asking = given.model_copy(update={"thresholds": (rule,)})
    assert any("names no `alerts`" in note for note in planned(asking, twin()).notes)
    asked = twin().model_copy(update={"alerts": Alerts(prometheus="http://127.0.0.1:9090")})
    assert not any("warning" in note for note in planned(asking, asked).notes)
    late = rule.model_copy(update={"text": "warning < 60 s", "value": 60})
    notes = planned(given.model_copy(update={"thresholds": (late,)}), asked).notes
    assert any("the load ends 14 s after the first fault" in note for note in notes)


@pytest.mark.parametrize(("duration", "noted"), [(16, True), (48, False)])
def test_thin_windows_are_noted(duration: float, noted: bool) -> None:
    """A flow that half the users use ten times a second needs windows of about two seconds to have eight each."""
    given = {"fault": "interleave", "of": "congestion", "arguments": {"delay_ms": 30}, "duration": duration}
    rules = {"load": {"editors": 10}, "thresholds": {"fault": ["edit_ack.p95.effect <= 1.5x"]}}
    made = experiment({**given, "target": {"link": "users--gw-east"}}, extension=rules)
    assert any("in each window; less than 8" in note for note in planned(made, twin()).notes) is noted


def test_an_extension_belongs_to_the_horizon() -> None:
    """Arrivals are planned as far as the recovery may go on; the phases and their starts stay as they are."""
    lengths = {"phases": {"extend": 60}}
    short, longer = (planned(experiment(pause(node="doc-e1"), extension=one), twin()) for one in ({}, lengths))
    assert longer.horizon_s == short.horizon_s + 60
    assert (longer.total_s, longer.phases) == (short.total_s, short.phases)


def test_a_short_recovery_is_noted() -> None:
    """A recovery phase that cannot hold ten good seconds is told before the run."""
    given = experiment({"fault": "pause", "target": {"node": "meet-e1"}, "duration": 1})
    short = given.model_copy(update={"phases": PhaseSpec(recovery=4)})
    notes = planned(short, twin()).notes
    assert any("a phase of 4 s cannot show it" in note for note in notes)
