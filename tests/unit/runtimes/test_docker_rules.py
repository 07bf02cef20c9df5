"""What iptables, tc and NFQUEUE are told, as text and bytes; no engine and no root needed."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from chaos.errors import InvalidInput, StillDirty
from chaos.model.fault import Undo
from chaos.model.link import LinkEffect
from chaos.runtimes import docker_rules as rules
from chaos.runtimes.docker_cpu import PERIODS_US, Quota
from chaos.runtimes.docker_delay import _packets
from chaos.runtimes.docker_rules import Order, Way
from chaos.runtimes.stackfile import load_stack
from chaos.runtimes.undo import undo

FROM_NODE = Way("a--b", ("10.0.0.2",), 80)
FROM_USERS = Way("users--b", (), 80)
STOP = "2030-01-01T00:00:00"


def order(effect: LinkEffect, *ways: Way) -> Order:
    return Order("run.1", ways, ("10.0.0.2", "10.0.0.3"), effect)


def delayed(effect: LinkEffect, *ways: Way) -> Order:
    """All of it by netem."""
    rest = LinkEffect(direction=effect.direction)
    return Order("run.1", ways, ("10.0.0.2", "10.0.0.3"), rest, netem=effect)


def text(effect: LinkEffect, *ways: Way) -> str:
    made = order(effect, *ways)
    return rules.install(made, made.directions, STOP)


def test_users_are_everybody_that_is_no_node() -> None:
    """Nodes return from the chain before the rule for everybody else."""
    lines = text(LinkEffect(block="silent", direction="forward"), FROM_USERS).splitlines()
    returns = [at for at, line in enumerate(lines) if line.endswith("-j RETURN")]
    drops = [at for at, line in enumerate(lines) if line.endswith("-j DROP")]
    assert len(returns) == 2
    assert max(returns) < min(drops)


def test_a_direction_is_a_hook() -> None:
    """Forward comes in, backward goes out, and the other hook has no rule of ours."""
    assert "OUTPUT" not in text(LinkEffect(loss=0.1, direction="forward"), FROM_NODE)
    assert "INPUT" not in text(LinkEffect(loss=0.1, direction="backward"), FROM_NODE)


def test_every_jump_is_marked_and_ends_by_itself() -> None:
    """Whatever is put in bears the fault's name and the moment from which it matches no more."""
    jumps = [line for line in text(LinkEffect(loss=0.1, delay_ms=5), FROM_NODE).splitlines() if line.startswith("-I")]
    assert len(jumps) == 4
    assert all(f"--datestop {STOP}" in line and 'collab-chaos run.1"' in line for line in jumps)


def test_what_is_put_in_is_found_and_taken_out() -> None:
    """From the saved rules alone, ours are recognised, and others are left out."""
    name = rules.chain("run.1", "i")
    jump = f"-A INPUT {rules.jump(order(LinkEffect(loss=0.1), FROM_NODE), 'i', 'INPUT', STOP)}"
    saved = f"*filter\n:INPUT ACCEPT [0:0]\n:{name} - [0:0]\n:THEIRS - [0:0]\n{jump}\n-A INPUT -j THEIRS\nCOMMIT\n"
    assert rules.remove(saved, "run.1") == f"*filter\n-D {jump[3:]}\n-F {name}\n-X {name}\nCOMMIT\n"
    assert rules.remove(saved, "run.2") == ""
    prolonged = rules.prolong(saved, "run.1", "2031-01-01T00:00:00").splitlines()
    assert prolonged[1].startswith("-I INPUT 1 ")
    assert "2031" in prolonged[1]
    assert prolonged[2] == f"-D {jump[3:]}"


def test_a_rate_is_one_filter_for_address_and_port() -> None:
    """Both have to match: with two filters either would."""
    commands = rules.classes(order(LinkEffect(rate_kbps=100), FROM_NODE), "eth0", "i")
    (words,) = [command for command in commands if command[0] == "filter"]
    assert words.count("match") == 2
    assert "10.0.0.2/32" in words
    assert words[-1] == f"{rules.MAJOR}{rules.queue('run.1', 'i'):x}"


def test_what_leaves_is_put_in_its_class_by_a_rule_that_ends() -> None:
    """Backward a class has no filter of its own: a marked jump with an end feeds it; forward it is the other way."""
    for effect in (order(LinkEffect(rate_kbps=100), FROM_USERS), delayed(LinkEffect(delay_ms=5), FROM_USERS)):
        assert not [command for command in rules.classes(effect, "eth0", "o") if command[0] == "filter"]
        assert [command for command in rules.classes(effect, "veth1", "i") if command[0] == "filter"]
        lines = rules.install(effect, ("i", "o"), STOP).splitlines()
        (jump,) = [line for line in lines if line.startswith("-I")]
        assert jump.startswith("-I POSTROUTING 1 ! -o lo")
        assert f"--datestop {STOP}" in jump
        classified = [line for line in lines if "CLASSIFY" in line]
        assert all(line.endswith(f"--set-class {rules.class_of(effect, 'o')}") for line in classified)
        assert len(classified) == 2
        assert lines.index(classified[0]) > max(at for at, line in enumerate(lines) if line.endswith("-j RETURN"))


def test_what_is_classified_is_found_and_taken_out() -> None:
    """The jump in POSTROUTING is recognised as ours from the saved rules, prolonged and removed."""
    made = delayed(LinkEffect(delay_ms=5), FROM_NODE)
    name, jump = rules.chain("run.1", "O"), f"-A POSTROUTING {rules.jump(made, 'O', 'POSTROUTING', STOP)}"
    saved = f"*mangle\n:{name} - [0:0]\n{jump}\n-A POSTROUTING -j THEIRS\nCOMMIT\n"
    assert rules.remove(saved, "run.1") == f"*mangle\n-D {jump[3:]}\n-F {name}\n-X {name}\nCOMMIT\n"
    assert rules.prolong(saved, "run.1", "2031-01-01T00:00:00").count("-I POSTROUTING 1") == 1


@pytest.mark.parametrize(
    ("effect", "said"),
    [
        (LinkEffect(delay_ms=9), "delay 9ms"),
        (LinkEffect(delay_ms=9, jitter_ms=2), "delay 9ms 2ms distribution normal rate 100000000kbit"),
        (LinkEffect(delay_ms=9, jitter_ms=2, distribution="uniform"), "delay 9ms 3.4641ms rate 100000000kbit"),
        (
            LinkEffect(delay_ms=9, jitter_ms=2, distribution="pareto"),
            "delay 9ms 2.436ms distribution pareto rate 100000000kbit",
        ),
        (LinkEffect(delay_ms=9, reorder=0.25), "delay 9ms reorder 25%"),
        (LinkEffect(loss=0.01), "loss random 1%"),
        (LinkEffect(burst_loss=0.1, burst=4, density=0.5), "loss gemodel 6.25% 25% 50% 0%"),
        (LinkEffect(duplicate=0.5, corrupt=0.001), "duplicate 50% corrupt 0.1%"),
    ],
)
def test_netem_is_told_in_its_own_words(effect: LinkEffect, said: str) -> None:
    """Deviations as its tables have them, bursts as its chain; a jitter with a rate, so that nothing overtakes."""
    assert " ".join(rules.netem(effect)[3:]) == said


@pytest.mark.parametrize(("rate", "delay"), [(None, 200.0), (8000.0, 500.0), (64.0, 1.0)])
def test_netem_holds_more_than_is_on_its_way(rate: float | None, delay: float) -> None:
    """Its queue is half more packets than the rate can bring in the longest delay, and never below its default."""
    words = rules.netem(LinkEffect(delay_ms=delay, jitter_ms=10), rate)
    on_its_way = (rate or rules.WIDE_KBPS) * (delay + 40) / 8 / rules.MTU
    assert int(words[2]) >= max(1000, 1.5 * on_its_way)


def test_on_loopback_both_directions_share_a_class() -> None:
    """Two netems on one device cannot duplicate; only with a rate has each direction a class of its own."""
    made = Order("run.1", (FROM_USERS,), (), LinkEffect(), lo=True, netem=LinkEffect(duplicate=0.5))
    assert rules.class_of(made, "i") == rules.class_of(made, "o")
    narrow = Order("run.1", (FROM_USERS,), (), LinkEffect(rate_kbps=9), lo=True)
    assert rules.class_of(narrow, "i") != rules.class_of(narrow, "o")


def test_faults_that_cannot_share_a_link_are_told_apart_from_those_that_can() -> None:
    """Two delays or two classes on one link and direction exclude each other; losses and cuts go with everything."""
    queued, lossy = order(LinkEffect(delay_ms=5), FROM_NODE), order(LinkEffect(loss=0.1), FROM_NODE)
    narrow = order(LinkEffect(rate_kbps=9, direction="forward"), FROM_NODE)
    assert "do not add up" in rules.conflict(queued, queued)
    assert "do not add up" in rules.conflict(narrow, delayed(LinkEffect(delay_ms=5), FROM_NODE))
    assert rules.conflict(narrow, delayed(LinkEffect(delay_ms=5, direction="backward"), FROM_NODE)) == ""
    assert rules.conflict(narrow, order(LinkEffect(rate_kbps=9), FROM_USERS)) == ""
    assert rules.conflict(lossy, lossy) == rules.conflict(lossy, queued) == rules.conflict(narrow, queued) == ""
    twice = delayed(LinkEffect(duplicate=0.5), FROM_USERS)
    assert "the only one" in rules.conflict(twice, delayed(LinkEffect(delay_ms=5), FROM_NODE))


def test_numbers_fit_their_fields() -> None:
    """A fault's number makes a valid class, three priorities and two queues, the same each time."""
    for name in ("run.1", "a", "20260101T000000Z-x-1234.17"):
        number = rules.slot(name)
        assert 0 < number < rules.EXCLUDED
        assert rules.CAUGHT + number < 1 << 16
        assert {rules.queue(name, "i"), rules.queue(name, "o")} == {2 * number, 2 * number + 1}


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
def test_a_quota_is_a_share_of_what_was_there(share: float) -> None:
    """Of one processor without a limit, else of the limit; and it is known as ours by its period."""
    for was, processors in ((Quota(-1, 100_000), 1.0), (Quota(150_000, 100_000), 1.5)):
        made = was.share(share)
        assert made.ours
        assert made.quota_us / made.period_us == pytest.approx(share * processors, rel=0.01)
        assert made.quota_us >= 1000
        assert not was.ours
    assert 100_000 not in PERIODS_US


def test_packets_are_read_from_a_message() -> None:
    """The number of each packet, and what was copied of it, several to a read."""

    def message(number: int, length: int) -> bytes:
        header = struct.pack("=HH", 11, 1) + struct.pack(">IHB", number, 0x0800, 1) + b"\0"
        payload = struct.pack("=HH", 24, 10) + struct.pack(">BBH", 0x45, 0, length) + bytes(16)
        body = struct.pack(">BBH", 2, 0, 7) + header + payload
        return struct.pack("=IHHII", 16 + len(body), 0x300, 0, 0, 0) + body

    found = _packets(message(5, 1500) + message(6, 60))
    assert [(number, int.from_bytes(content[2:4])) for number, content in found] == [(5, 1500), (6, 60)]
    assert _packets(b"") == []


def test_a_stack_file_of_containers_is_checked(tmp_path: Path) -> None:
    """A command has no place in it, and a node without labels would be anybody."""
    path = tmp_path / "stack.yaml"
    node = "services: {web: {nodes: [{name: web, command: [x]}]}}"
    path.write_text(f"stack: s\nenvironment: staging\nruntime: docker\n{node}\n")
    with pytest.raises(InvalidInput) as caught:
        load_stack(str(path))
    said = " ".join(problem.message for problem in caught.value.problems)
    assert "has a command" in said
    assert "no labels" in said


def test_an_undo_without_its_data_is_refused() -> None:
    """A ledger line that was tampered with heals nothing in silence."""
    with pytest.raises(StillDirty, match="needs `agent`"):
        undo(Undo(primitive="docker.release.v1", arguments={}, says=""))
