"""The results of `chaos trust`: written down one by one, taken up again, and summed up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chaos.errors import InvalidInput, UsageError
from chaos.model.verdict import Outcome
from chaos.report.terminal import make_console
from chaos.report.trust import document, show
from chaos.trust import runs
from chaos.trust.cases import Case
from chaos.trust.conclusion import Trust, conclude
from chaos.trust.runs import RESULTS, Result, Store, carry_out

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[3]
EVERYTHING = dict.fromkeys((*(f"M{n}" for n in range(1, 13)), *(f"D{n}" for n in range(1, 13))), Outcome.INCONCLUSIVE)


def result(kind: str, name: str, number: int = 1, **parts: Any) -> Result:
    known: dict[str, Any] = {"exit": 1 if kind == "mutant" else 0, "seconds": 46.0, "code": runs.fingerprint()}
    return Result(kind=kind, name=name, number=number, **known | parts)


def caught(name: str = "ghost", check: str = "M3", **parts: Any) -> Result:
    return result("mutant", name, outcomes={check: Outcome.FAIL, "M7": Outcome.FAIL, "D1": Outcome.PASS}, **parts)


def clean(number: int = 1, **parts: Any) -> Result:
    return result("clean", "server_loss", number, **{"hungry": EVERYTHING} | parts)


def of(*results: Result) -> Trust:
    return conclude(results)


def fake(monkeypatch: pytest.MonkeyPatch, answers: Sequence[Result]) -> list[Case]:
    """Let runs be these results, one after the other; returns what was run."""
    left, made = list(answers), list[Case]()

    def run(case: Case, *_: object) -> Result:
        made.append(case)
        return left.pop(0)

    monkeypatch.setattr(runs, "_run", run)
    return made


def test_what_was_run_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second start goes on where the first one ended."""
    wanted = [Case("mutant", "ghost", 1), Case("clean", "server_loss", 1)]
    made = fake(monkeypatch, [caught(), clean()])
    with Store(tmp_path) as store:
        carry_out(store, wanted[:1], store.known(), 1, lambda _: None)
    with Store(tmp_path) as store:
        found = carry_out(store, wanted, store.known(), 1, lambda _: None)
    assert made == wanted
    assert [one.case for one in found] == wanted


def test_other_code_s_runs_are_made_again_when_asked(tmp_path: Path) -> None:
    """By themselves they count, and are told."""
    with Store(tmp_path) as store:
        store.add(caught(code="00000000"))
        assert len(store.known()) == 1
        assert not store.known(fresh=True)
    assert of(caught(code="00000000")).foreign == 1


def test_a_late_machine_gets_another_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in which our own machine was late is made again, up to three in all."""
    late = result("mutant", "ghost", exit=3, late=True)
    made = fake(monkeypatch, [late, late, caught(), late, late, late])
    with Store(tmp_path) as store:
        (first,) = carry_out(store, [Case("mutant", "ghost", 1)], {}, 1, lambda _: None)
        (second,) = carry_out(store, [Case("mutant", "ghost", 2)], {}, 1, lambda _: None)
    assert (first.caught, second.caught, len(made)) == (True, False, 6)


def test_two_at_once_are_kept_apart(tmp_path: Path) -> None:
    """The second one in a directory is told to wait."""
    with Store(tmp_path), pytest.raises(UsageError, match="another"):
        Store(tmp_path)


def test_a_damaged_line_is_told_with_its_place(tmp_path: Path) -> None:
    """And nothing is run before it is mended."""
    with Store(tmp_path) as store:
        store.add(caught())
        with (tmp_path / RESULTS).open("a") as file:
            file.write('{"kind": "mut\n')
        with pytest.raises(InvalidInput) as told:
            store.known()
    assert str(told.value.problems[0]).endswith(
        f"{RESULTS}:2:1: is no result of a run (delete the line, and its run is made again)"
    )


def test_all_as_it_should_be_is_trusted_where_all_was_seen() -> None:
    """Every mutant caught and every clean run passed, but most checks had no mutant: so far nobody knows."""
    trust = of(caught(), clean())
    assert trust.problems == ()
    assert trust.outcome is Outcome.INCONCLUSIVE
    assert of(clean()).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("results", "says"),
    [
        ([result("mutant", "ghost", outcomes={"M7": Outcome.FAIL})], "M3 missed the mutant ghost in 1 of 1 runs"),
        ([clean(exit=1)], "1 clean runs of server_loss: fail"),
        ([clean(exit=70)], "1 clean runs of server_loss: other"),
        ([clean(hungry=EVERYTHING | {"D1": Outcome.PASS})], "D1 passed on 1 records without their observations"),
        ([clean(hungry=EVERYTHING | {"D1": Outcome.FAIL})], "D1 failed on 1 records without their observations"),
    ],
)
def test_a_wrong_verdict_is_not_trusted(results: list[Result], says: str) -> None:
    """Each way to be wrong is named, and ends with 1."""
    trust = of(*results)
    assert says in trust.problems
    assert trust.outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("results", "says"),
    [
        ([result("mutant", "ghost", late=True, exit=3)], "ghost: our own machine was late in 1 of 1 runs"),
        ([clean(1, exit=3), clean(2, exit=3)], "2 of 2 clean runs were inconclusive"),
        ([clean(hungry={"D1": Outcome.INCONCLUSIVE})], "no clean run had anything to judge for "),
    ],
)
def test_too_little_is_not_trusted_either(results: list[Result], says: str) -> None:
    """What was not seen is named, and ends with 3."""
    trust = of(*results)
    assert any(doubt.startswith(says) for doubt in trust.doubts)
    assert trust.outcome is Outcome.INCONCLUSIVE


def test_the_matrix_shows_who_caught_what(capsys: pytest.CaptureFixture[str]) -> None:
    """A row for each mutant, the check that must fail in brackets, the others as numbers."""
    show(of(caught(), caught("collapse", "metastability"), caught("forgets", "D2"), clean()), make_console())
    out = capsys.readouterr().out
    (ghost,) = [line.split() for line in out.splitlines() if line.startswith("ghost")]
    assert ghost == ["ghost", "·", "·", "[1]", "·", "·", "·", "1", "·", "·", "·", "·", "·", "1"]
    assert "metastability [1]" in out
    assert "3 of 3 mutants caught, 1 of 1 clean runs passed" in out


def test_the_document_holds_it_all() -> None:
    """The same figures for a program."""
    plain = json.loads(document(of(caught(), clean())))
    assert plain["mutants"][0]["failed"] == {"M3": 1, "M7": 1}
    assert plain["clean"] == {"server_loss": {"pass": 1}}
    assert plain["exit_code"] == 3


def test_an_interrupt_ends_the_run_under_way(tmp_path: Path) -> None:
    """SIGTERM ends `chaos trust` and the run that it has begun, which heals; nothing half done is written down."""
    state = tmp_path / "state"
    env = os.environ | {"PYTHONPATH": str(ROOT), "COLLAB_CHAOS_STATE": str(state)}
    command = [sys.executable, "-m", "chaos", "trust", "--only", "ghost", "--clean", "0", "--steady", "0"]
    with subprocess.Popen(
        [*command, "--directory", str(tmp_path / "t")], env=env, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as trust:
        assert trust.stderr is not None
        assert "1 of 1 runs to make" in trust.stderr.readline()
        trust.send_signal(signal.SIGTERM)
        assert trust.wait(60) == 143
    assert (tmp_path / "t" / RESULTS).read_text() == ""
