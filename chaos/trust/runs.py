"""Carries the runs out, one `chaos run` each, and writes down what each has shown; goes on where it was interrupted.

A run in which our own machine was late proves nothing and is made again, twice at most.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, ValidationError

import chaos
from chaos.errors import InvalidInput, Problem, StorageFailed, UsageError
from chaos.model.stack import Frozen
from chaos.model.verdict import Outcome
from chaos.trust.cases import Case
from chaos.trust.starve import starved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

RESULTS = "results.jsonl"
LATENESS = ("generator", "null-target")
ATTEMPTS = 3
LONGEST_S = 240
LOOK_S = 0.5
_DIRTY = 4


class Result(Frozen):
    """What one run has shown."""

    kind: str
    name: str
    number: int
    exit: int
    """Of `chaos run`."""
    seconds: float
    code: str
    """A fingerprint of the code that made it."""
    outcomes: dict[str, Outcome] = Field(default_factory=dict)
    """Per id of a check or rule its outcome, the worst where it has several."""
    why: tuple[str, ...] = ()
    """What did not pass, in words."""
    late: bool = False
    """Our own machine was late."""
    hungry: dict[str, Outcome] = Field(default_factory=dict)
    """Of a clean run: what the checks say that passed, once the observations are taken out of its record."""
    record: str = ""
    """Where it is kept."""

    @property
    def case(self) -> Case:
        """What was run."""
        return Case(self.kind, self.name, self.number)  # type: ignore[arg-type]

    @property
    def caught(self) -> bool:
        """Whether the check that looks for this mutant has failed."""
        return self.outcomes.get(self.case.wanted) is Outcome.FAIL

    @property
    def settled(self) -> bool:
        """Whether another attempt could say no more."""
        return self.caught if self.kind == "mutant" else self.exit in {0, 1, _DIRTY}


class Store:
    """The directory of the results; one `chaos trust` at a time works in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = threading.Lock()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._file = (directory / RESULTS).open("a", encoding="utf-8")
        except OSError as error:
            raise StorageFailed(f"cannot write {directory}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            hint = "wait for it, or give another --directory"
            raise UsageError(f"another `chaos trust` works in {directory}", hint=hint) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def known(self, *, fresh: bool = False) -> dict[Case, Result]:
        """What stands there, the last word on each case; `fresh`: only what this very code has made.

        Raises `InvalidInput` for what is no result.
        """
        path, code = self.directory / RESULTS, fingerprint()
        found = {}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                result = Result.model_validate_json(line)
            except ValidationError as error:
                hint = "delete the line, and its run is made again"
                raise InvalidInput((Problem(str(path), number, 1, "is no result of a run", hint),)) from error
            if not fresh or result.code == code:
                found[result.case] = result
        return found

    def add(self, result: Result) -> None:
        """Write one down; raises `StorageFailed`."""
        with self._lock:
            try:
                self._file.write(result.model_dump_json() + "\n")
                self._file.flush()
            except OSError as error:
                raise StorageFailed(f"cannot write {self.directory / RESULTS}: {error.strerror}") from error


def carry_out(
    store: Store, wanted: Sequence[Case], known: Mapping[Case, Result], jobs: int, told: Callable[[Result], None]
) -> list[Result]:
    """Run what is not known yet, `jobs` at a time; returns the results of all that is wanted, in its order.

    An interrupt lets the runs under way end (they heal) and drops the rest; it is raised then.
    """
    stop, made = threading.Event(), dict(known)

    def one(case: Case) -> None:
        if stop.is_set():
            return
        result = _settled(case, store.directory, stop)
        if not stop.is_set():
            store.add(result)
            made[case] = result
            told(result)

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            for future in [pool.submit(one, case) for case in wanted if case not in known]:
                future.result()
        except BaseException:
            stop.set()
            raise
    return [made[case] for case in wanted]


def fingerprint() -> str:
    """Of the code that judges and is judged: the first 8 hexadecimal digits of a SHA-256 over its files."""
    root = Path(chaos.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix in {".py", ".yaml", ".json"}:
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:8]


def _settled(case: Case, directory: Path, stop: threading.Event) -> Result:
    result = _run(case, directory, stop)
    for _ in range(ATTEMPTS - 1):
        if result.settled or not result.late or stop.is_set():
            break
        result = _run(case, directory, stop)
    return result


def _run(case: Case, directory: Path, stop: threading.Event) -> Result:
    runs = directory / f"{case.kind}-{case.name.replace(' ', '-')}-{case.number}"
    shutil.rmtree(runs, ignore_errors=True)
    command = [sys.executable, "-m", "chaos", "run", case.experiment, *case.words, "--json", "--runs-dir", str(runs)]
    began = time.monotonic()
    code, out, err = _ended(command, stop)
    result = Result(
        kind=case.kind,
        name=case.name,
        number=case.number,
        exit=code,
        seconds=round(time.monotonic() - began, 1),
        code=fingerprint(),
        **_shown(out, err),
    )
    return _kept(result, runs)


def _ended(command: Sequence[str], stop: threading.Event) -> tuple[int, str, str]:
    """Exit code and output. A run that is told to stop, or takes too long, is asked to: it heals what it did."""
    pipe, asked = subprocess.PIPE, False
    began = time.monotonic()
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=_env()) as run:
        while True:
            try:
                out, err = run.communicate(timeout=LOOK_S)
            except subprocess.TimeoutExpired:
                took = time.monotonic() - began
                if (took > LONGEST_S or stop.is_set()) and not asked:
                    run.send_signal(signal.SIGINT)
                    asked = True
                elif took > 2 * LONGEST_S:
                    run.kill()
            else:
                return run.returncode, out, err


def _env() -> dict[str, str]:
    """The run's: it must find the same code, wherever it is started."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _shown(out: str, err: str) -> dict[str, Any]:
    try:
        checks = json.loads(out)["checks"]
    except (ValueError, KeyError):
        return {"why": tuple(err.strip().splitlines()[-5:])}
    return {
        "outcomes": {one["id"]: _worst(other["outcome"] for other in checks if other["id"] == one["id"])
                     for one in checks},
        "why": tuple(
            f"{one['id']} {one['phase']} {one['outcome']}: {'; '.join((one['measured'], *one['reasons']))}"
            for one in checks
            if one["outcome"] != "pass"
        ),
        "late": any(one["id"] in LATENESS and one["outcome"] != "pass" for one in checks),
    }  # fmt: skip


def _worst(outcomes: Iterable[str]) -> str:
    return max(outcomes, key=("pass", "inconclusive", "fail").index)


def _kept(result: Result, runs: Path) -> Result:
    """Keep the record of what surprises, and of runs that are compared with others; starve that of a clean one."""
    record = next((path.parent for path in runs.glob("*/plan.json") if not path.parent.is_symlink()), None)
    if result.kind == "clean" and result.exit == 0 and record is not None:
        result = result.model_copy(update={"hungry": starved(record)})
    expected = result.caught if result.kind == "mutant" else result.exit == 0 and result.kind == "clean"
    if expected or record is None:
        shutil.rmtree(runs, ignore_errors=True)
        return result
    return result.model_copy(update={"record": str(record)})
