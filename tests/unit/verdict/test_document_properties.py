"""Properties of the document checks, on random correct histories and on such with one planted violation."""

from __future__ import annotations

import random
from typing import Any

import pytest
from histories import BOUNDS, Record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaos.model.verdict import Outcome
from chaos.verdict.checks import registry
from chaos.verdict.history import build

PLANTS = {
    "forgotten": "D2",
    "phantom": "D5",
    "resurrected": "D6",
    "reordered": "D7",
    "back": "D9",
    "ghost": "D10",
    "stalled": "D11",
    "forked": "D12",
}
CHECKS = tuple(PLANTS.values())
CRASH_S = range(20, 24)
LATE_S = 30
"""When the planted thing happens, well after the crash and its grace."""
LOOKS = ("tokens", "reread", "crash_read", "cold_read")
SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SEEDS = st.integers(0, 10_000)


class Story:
    """A document under one server: users append to their own runs and delete some, others look; once it is killed."""

    def __init__(self, seed: int, plant: str = "") -> None:
        self.rng = random.Random(seed)
        self.plant = plant
        self.record = Record()
        self.users = [f"e{number}" for number in range(1, self.rng.randint(2, 4) + 1)]
        self.tokens: list[str] = []
        self.gone: list[str] = []
        self.old: list[str] = []
        """There for longer than any bound on visibility."""

    def told(self) -> Record:
        for second in range(3, 46):
            if second == CRASH_S.start:
                self._crash()
            if second not in CRASH_S:
                self._type(second)
                self._look(second + 0.5)
            if second % 3 == 0 and second not in CRASH_S:
                self._read_afresh(second)
        self.record.fact("quiet", 50, user="", key="doc-1")
        final = list(self.tokens)
        if self.plant == "reordered":
            final[0], final[1] = final[1], final[0]
        if self.plant == "resurrected":
            final.append(self.gone[0])
        self.record.cold(52, list(self.tokens), region="cn-east")
        return self.record.cold(53, final)

    def _type(self, second: int) -> None:
        user = self.rng.choice(self.users)
        others = [token for token in self.tokens if not token.startswith(user)]
        token = f"{user}-{second}"
        answer = {"level": "durable"} | ({"seen": others[-1]} if others else {})
        if self.plant == "stalled" and second >= LATE_S:
            self.record.edit(second, token, second + 5, "info", user=user, error="timeout")
            return
        self.record.edit(second, token, second + self.rng.uniform(0.01, 0.3), user=user, answer=answer)
        mine = [at for at, one in enumerate(self.tokens) if one.startswith(user)]
        self.tokens.insert(mine[-1] + 1 if mine else len(self.tokens), token)
        if second in {8, 12} or (self.rng.random() < 0.1 and len(self.tokens) > 8):
            victim = self.rng.choice(self.tokens[:-1])
            self.record.delete(second + 0.35, victim, second + 0.4, user=victim.split("-")[0])
            self.tokens.remove(victim)
            self.gone.append(victim)

    def _look(self, t: float) -> None:
        shown = [f"{user}.1" for user in self.users]
        if self.plant == "ghost" and t > 40:
            shown.append(f"{self.users[0]}.r{LATE_S}")
        strange = ["nobody"] if self.plant == "phantom" and t == LATE_S + 0.5 else []
        self.record.sight(t, [*self.tokens, *strange], present=shown)
        self.old = list(self.tokens) if int(t) % 3 == 0 else self.old

    def _read_afresh(self, second: int) -> None:
        planted = second == LATE_S
        east, north = list(self.tokens), list(self.tokens)
        lacks: list[str] = []
        if planted and self.plant == "forked":
            east.remove(self.old[0])
            north.remove(self.old[1])
        if planted and self.plant == "back":
            lacks = [self.tokens[0]]
        user = self.users[0] if planted else self.rng.choice(self.users)
        known: dict[str, Any] = {"number": second, "polite": self.rng.random() < 0.5}
        self.record.reread(second + 0.6, east, user=user, lacks=lacks, **known)
        two = self.plant == "forked" or self.rng.random() < 0.2
        node = "doc-n1" if two else "doc-e1"
        self.record.reread(second + 0.6, north, user="r", entry="cn-north", node=node, **known)

    def _crash(self) -> None:
        on, off = CRASH_S.start, CRASH_S.stop - 1
        self.record.fault(on, off, fault="server_loss", nodes=["doc-e1"], keys=["doc-1"])
        self.record.crash(on + 0.05, self.tokens[1:] if self.plant == "forgotten" else list(self.tokens), done=on + 2)


def outcome(name: str, record: Record) -> Outcome:
    return registry()[name].run(record.history(), BOUNDS).outcome


@SLOW
@given(SEEDS)
def test_a_random_correct_history_passes_every_document_check(seed: int) -> None:
    """Whatever correct users of a correct server do, no check finds anything."""
    record = Story(seed).told()
    for name in (*CHECKS, "D1", "D4"):
        found = registry()[name].run(record.history(), BOUNDS)
        assert found.outcome is Outcome.PASS, (name, found.reasons, found.violations)


@SLOW
@given(SEEDS, st.sampled_from(sorted(PLANTS)))
def test_one_planted_violation_always_fails_its_check(seed: int, plant: str) -> None:
    """A random history with one defect fails the check that looks for it."""
    assert outcome(PLANTS[plant], Story(seed, plant).told()) is Outcome.FAIL


@SLOW
@given(SEEDS, st.sampled_from(["", *sorted(PLANTS)]), st.data())
def test_removing_observations_never_makes_a_pass_of_documents(seed: int, plant: str, data: st.DataObject) -> None:
    """What failed or was open stays so when looks are gone from the record while their plan is left."""
    record = Story(seed, plant).told()
    looks = [at for at, event in enumerate(record.events) if event.type == "obs" and event.f in LOOKS]
    gone = set(data.draw(st.lists(st.sampled_from(looks), max_size=12, unique=True)))
    if data.draw(st.booleans()):
        gone |= {at for at in looks if data.draw(st.sampled_from(LOOKS)) == record.events[at].f}
    fewer = build([event for at, event in enumerate(record.events) if at not in gone])
    for name in CHECKS:
        if outcome(name, record) is not Outcome.PASS:
            assert registry()[name].run(fewer, BOUNDS).outcome is not Outcome.PASS, name


@pytest.mark.parametrize("name", [name for name in CHECKS if name != "D11"])
def test_starved_of_all_looks_nothing_about_documents_passes(name: str) -> None:
    """Without a single observation each check but D11, which needs none, is inconclusive."""
    record = Story(1).told()
    record.events = [event for event in record.events if event.type != "obs"]
    assert outcome(name, record) is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("f", LOOKS)
@pytest.mark.parametrize("name", [name for name in CHECKS if name != "D11"])
def test_starved_of_one_kind_of_look_no_check_fails(name: str, f: str) -> None:
    """Looks of one kind that are missing make a check inconclusive, or leave it as it was; they convict nobody."""
    record = Story(1).told()
    record.events = [event for event in record.events if event.type != "obs" or event.f != f]
    assert outcome(name, record) is not Outcome.FAIL


@SLOW
@given(SEEDS, st.sampled_from(["", *sorted(PLANTS)]), st.integers(1, 4))
def test_other_documents_and_rooms_change_nothing(seed: int, plant: str, strangers: int) -> None:
    """Well-behaved users elsewhere change neither the violations nor whether there are any."""
    alone, among = Story(seed, plant).told(), Story(seed, plant).told()
    for number in range(strangers):
        key, user = f"elsewhere-{number}", f"x{number}"
        among.stay(5, 15, user=user, key=key).edit(6, f"{user}-1", user=user, key=key)
        among.sight(5, [], session=f"o{user}.1", key=key, present=[]).sight(16, [f"{user}-1"], session=f"o{user}.1",
                    key=key, present=[]).cold(52, [f"{user}-1"], key=key)  # fmt: skip
    for name in CHECKS:
        one, other = (registry()[name].run(record.history(), BOUNDS) for record in (alone, among))
        assert other.violations == one.violations, name


@SLOW
@given(SEEDS, st.sampled_from(["", *sorted(PLANTS)]))
def test_the_order_of_events_in_the_files_does_not_matter(seed: int, plant: str) -> None:
    """Events in any order give the same findings, to the last word."""
    record = Story(seed, plant).told()
    before = record.history()
    shuffled = list(before.events)
    random.Random(seed).shuffle(shuffled)
    for name in CHECKS:
        assert registry()[name].run(build(shuffled), BOUNDS) == registry()[name].run(before, BOUNDS), name
