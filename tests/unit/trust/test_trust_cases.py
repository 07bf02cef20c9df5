"""What `chaos trust` has to run."""

from __future__ import annotations

import pytest

from chaos.experiment.document import load, shipped
from chaos.load import patient
from chaos.runtimes.stackfile import load_stack
from chaos.stacks.embedded import mutants
from chaos.trust.cases import STEADY, Case, cases
from chaos.verdict.checks import registry, stuck_joins


def test_every_check_has_a_mutant_that_it_must_catch() -> None:
    """No checker is left without a defect to fail on."""
    assert set(registry()) <= {mutants.described(name)[1] for name in mutants.names()}


@pytest.mark.parametrize("name", mutants.names())
def test_each_mutant_is_shown_by_a_shipped_experiment(name: str) -> None:
    """And it is caught by a check, or by the gate against collapse."""
    experiment, check = mutants.described(name)
    assert experiment in shipped()
    assert check in {*registry(), "metastability"}


def test_the_stack_offers_every_mutant() -> None:
    """In their order; one that the stack file does not name could not be switched on."""
    assert load_stack("embedded").choices["mutant"] == tuple(mutants.names())


def test_nothing_is_injected_where_nothing_shall_happen() -> None:
    """The experiment of the runs that are compared with each other has no fault."""
    experiment = load(STEADY)
    assert experiment.injections == ()
    assert experiment.load == load("network_congestion").load


def test_a_part_of_the_cases_makes_sense() -> None:
    """Of each kind the first comes before any second; clean runs go round all experiments."""
    found = cases(["ghost", "forgets"], 2, 12, 2)
    assert len(found) == 2 * 2 + 12 + 2
    assert [case.number for case in found] == sorted(case.number for case in found)
    assert {case.name for case in found if case.kind == "clean"} == set(shipped())


def test_a_mutant_is_on_only_where_the_run_says_so() -> None:
    """A clean run names no mutant, and runs without a fault share their seed."""
    assert Case("mutant", "ghost", 3).words == ("--seed", "3", "--set", "embedded.mutant=ghost")
    assert Case("clean", "server_loss", 3).words == ("--seed", "3")
    assert Case("steady", "nothing happens", 3).words == Case("steady", "nothing happens", 1).words


def test_the_patient_wait_longer_than_a_join_may_hang() -> None:
    """Whoever gives up sooner can show no stuck join."""
    assert (patient.DEADLINES, patient.BEYOND_S > 0) == (stuck_joins.DEADLINES, True)
