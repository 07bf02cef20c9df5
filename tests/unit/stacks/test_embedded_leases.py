"""Leases and fencing numbers, on a clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.stacks.embedded.leases import GRACE, TTL, Denied, Leases, Record


class Table:
    """A table of leases with its clock and what it wrote."""

    def __init__(self, records: list[Record] | None = None, now: float = 0.0) -> None:
        self.now = now
        self.records: list[Record] = list(records or [])
        self.leases = Leases(lambda: self.now, self.records.append)
        for record in self.records:
            self.leases.replay(record)

    def hello(self, session: str, node: str, region: str = "east", ended: str = "") -> dict[str, int]:
        return self.leases.hello(session, node, "documents", region, ended)


def test_key_has_one_owner_until_its_session_ends() -> None:
    """A key that one session holds is denied to others, and granted again to itself under the same number."""
    table = Table()
    table.hello("a", "n1")
    table.hello("b", "n2")
    number = table.leases.acquire("a", "doc:x")
    assert table.leases.acquire("a", "doc:x") == number
    with pytest.raises(Denied, match="held by n1"):
        table.leases.acquire("b", "doc:x")
    assert table.leases.owners() == {"doc:x": "n1"}


def test_lapsed_lease_is_granted_under_a_higher_number_and_the_old_one_is_fenced() -> None:
    """After its time a lease goes to who asks; writes under the old number are refused from then on."""
    table = Table()
    table.hello("a", "n1")
    old = table.leases.acquire("a", "doc:x")
    table.now = TTL + GRACE - 0.01
    table.hello("b", "n2")
    with pytest.raises(Denied):
        table.leases.acquire("b", "doc:x")
    table.now = TTL + GRACE
    assert table.leases.renew("a") is False
    table.leases.check("doc:x", old)
    new = table.leases.acquire("b", "doc:x")
    assert new > old
    with pytest.raises(Denied, match="fenced"):
        table.leases.check("doc:x", old)


def test_renewed_session_keeps_its_leases() -> None:
    """A renewal prolongs every lease of the session, counted from its receipt."""
    table = Table()
    table.hello("a", "n1")
    table.leases.acquire("a", "doc:x")
    table.now = 2.0
    assert table.leases.renew("a")
    table.now = 4.1
    assert table.leases.owners() == {"doc:x": "n1"}


def test_released_and_ended_keys_are_free_at_once() -> None:
    """A release under the present number frees a key, one under another number does not; the end of a session does."""
    table = Table()
    table.hello("a", "n1")
    table.hello("b", "n2")
    number = table.leases.acquire("a", "doc:x")
    table.leases.release("doc:x", number + 1)
    assert "doc:x" in table.leases.owners()
    table.leases.release("doc:x", number)
    assert table.leases.acquire("b", "doc:x") == number + 1
    table.hello("b2", "n2", ended="b")
    assert table.leases.owners() == {}
    table.leases.end("nobody")


def test_restart_remembers_who_owns_what_for_one_time_to_live() -> None:
    """A restarted store grants nothing that an earlier grant may still cover, and takes its owner back."""
    first = Table()
    first.hello("a", "n1")
    number = first.leases.acquire("a", "doc:x")
    again = Table(first.records, now=100.0)
    again.hello("b", "n2")
    with pytest.raises(Denied, match="held by n1"):
        again.leases.acquire("b", "doc:x")
    assert again.hello("a", "n1") == {"doc:x": number}
    lost = Table(first.records, now=100.0)
    lost.now += TTL + GRACE
    assert lost.hello("a", "n1") == {}
    with pytest.raises(Denied, match="over"):
        lost.leases.acquire("zzz", "doc:x")
    assert lost.leases.acquire("a", "doc:x") > number


def test_locate_prefers_the_owner_then_the_region_that_asked_first() -> None:
    """The owner is the answer while its lease lives; else a live node of the key's home region; else any."""
    table = Table()
    assert table.leases.locate("doc:x", "documents", "north") is None
    table.hello("e", "e1", "east")
    assert _node(table, "doc:x", "north") == "e1"
    table.hello("n", "n1", "north")
    assert _node(table, "doc:x", "east") == "n1"
    table.leases.acquire("e", "doc:x")
    assert _node(table, "doc:x", "north") == "e1"
    assert table.leases.locate("room:x", "meetings", "north") is None
    assert table.leases.sessions() == 2


def test_keys_spread_over_the_nodes_of_a_region() -> None:
    """Rendezvous hashing gives each of two nodes a fair part of forty keys."""
    table = Table()
    table.hello("a", "n1")
    table.hello("b", "n2")
    placed = [_node(table, f"doc:{i}", "east") for i in range(40)]
    assert 8 <= placed.count("n1") <= 32


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.floats(0, 3)), max_size=40))
def test_numbers_only_grow_over_any_history_and_restarts(steps: list[tuple[str, str, float]]) -> None:
    """Whatever happens, each new grant of a key has a higher number than all before, also after a restart."""
    table, highest = Table(), 0
    for position, (session, key, wait) in enumerate(steps):
        if position % 7 == 6:
            table = Table(table.records, table.now)
        table.now += wait
        table.hello(session, session)
        owner = table.leases.owner(key)
        try:
            number = table.leases.acquire(session, key)
        except Denied:
            assert owner is not None
            assert owner.name != session
            continue
        assert number > highest or (owner is not None and owner.name == session)
        highest = max(highest, number)
        table.leases.check(key, number)


def _node(table: Table, key: str, region: str) -> str:
    place = table.leases.locate(key, "documents", region)
    assert place is not None
    return place.node
