"""A query of DNS, byte by byte, and what counts as an answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.errors import StackFailed
from chaos.runtimes import dns
from chaos.runtimes.docker_names import install


def test_a_question_is_that_of_the_standard() -> None:
    """Header, one question, labels with their lengths, type A, class IN (RFC 1035, 4.1)."""
    asked = dns.question(0x1234, "gw-east.test")
    assert asked.hex() == "123401000001000000000000" + "0767772d65617374" + "0474657374" + "00" + "0001" + "0001"


def test_an_answer_is_one_to_this_query() -> None:
    """The same number and the bit of a response; a name that does not exist is an answer too."""
    nx_domain = bytes.fromhex("12348183" + "0001000000000000")
    assert dns.is_answer(0x1234, nx_domain)
    assert not dns.is_answer(0x1235, nx_domain)
    assert not dns.is_answer(0x1234, dns.question(0x1234, "a"))
    assert not dns.is_answer(0x1234, b"\x12\x34")


def test_the_server_is_the_first_one_of_ipv4(tmp_path: Path) -> None:
    """As the resolver takes it; a file that names none is no guess."""
    path = tmp_path / "resolv.conf"
    path.write_text("search x\nnameserver fe80::1\nnameserver 127.0.0.11\nnameserver 192.0.2.1\noptions ndots:0\n")
    assert dns.server(path) == "127.0.0.11"
    path.write_text("search x\n")
    with pytest.raises(StackFailed, match="names no name server"):
        dns.server(path)


@pytest.mark.parametrize("how", ["timeout", "refused"])
def test_the_rules_are_ours_and_end_by_themselves(how: str) -> None:
    """Each jump bears the mark and a date; each rule is for a query or an answer of DNS and nothing else."""
    lines = install("run.1", how, "2030-01-01T00:00:00").splitlines()
    jumps = [line for line in lines if line.startswith("-I ")]
    assert jumps
    assert all("--datestop 2030-01-01T00:00:00" in line and '"collab-chaos run.1"' in line for line in jumps)
    rules = [line for line in lines if line.startswith("-A ")]
    assert all("127.0.0.11/32" in rule or "port 53 " in rule for rule in rules)
    assert {rule.split("-j ")[1].split()[0] for rule in rules} == {"DROP" if how == "timeout" else "REJECT"}
