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
    jump = f"-A INPUT {rules.jump(order(LinkEffect(loss=0.1), FROM_NODE), 'i', STOP)}"
    saved = f"*filter\n:INPUT ACCEPT [0:0]\n:{name} - [0:0]\n:THEIRS - [0:0]\n{jump}\n-A INPUT -j THEIRS\nCOMMIT\n"
    assert rules.remove(saved, "run.1") == f"*filter\n-D {jump[3:]}\n-F {name}\n-X {name}\nCOMMIT\n"
    assert rules.remove(saved, "run.2") == ""
    prolonged = rules.prolong(saved, "run.1", "2031-01-01T00:00:00").splitlines()
    assert prolonged[1].startswith("-I INPUT 1 ")
    assert "2031" in prolonged[1]
    assert prolonged[2] == f"-D {jump[3:]}"


def test_a_rate_is_one_filter_for_address_and_port() -> None:
    """Both have to match: with two filters either would."""
    commands = rules.rate(order(LinkEffect(rate_kbps=100), FROM_NODE), "eth0", "o")
    (words,) = [command for command in commands if command[0] == "filter"]
    assert words.count("match") == 2
    assert "10.0.0.2/32" in words
    assert words[-1] == f"{rules.MAJOR}{rules.queue('run.1', 'o'):x}"


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
