"""The straight line from a file to a verdict: load, survey, plan, conduct, judge, publish."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos import __version__
from chaos.engine import toolkit
from chaos.engine.rundir import RunDirectory
from chaos.engine.session import Session, expect
from chaos.errors import ExitCode
from chaos.experiment.document import load
from chaos.experiment.overrides import parse_sets, settings_of
from chaos.experiment.plan import make_plan
from chaos.report import publish, tell
from chaos.report.live import view_for
from chaos.report.terminal import make_console, print_verdict
from chaos.runtimes.process import list_stacks
from chaos.runtimes.stackfile import load_stack
from chaos.verdict.judge import judge
from chaos.verdict.run import load_run

if TYPE_CHECKING:
    from chaos.experiment.overrides import Overrides
    from chaos.model.experiment import Experiment
    from chaos.model.plan import Plan
    from chaos.model.stack import StackSpec
    from chaos.model.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    target: str
    """A file, or the name of a shipped experiment."""
    sets: tuple[str, ...] = ()
    seed: int | None = None
    stack: str | None = None
    """Outranks the experiment's: a name, a stack file, or the id of a running stack."""
    json: bool = False
    runs_dir: Path = Path("runs")
    journal: Path | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """A checked experiment with its plan; nothing was touched yet."""

    plan: Plan
    attach: str = ""


def prepare(options: Options) -> Ready:
    """From the command line to the plan: reads, and changes nothing. Raises `UsageError` leaves."""
    changes = parse_sets(options.sets)
    experiment = load(options.target, changes)
    if options.seed is not None:
        experiment = experiment.model_copy(update={"seed": options.seed})
    if options.stack is not None:
        experiment = experiment.model_copy(update={"stack": options.stack})
    spec, attach = survey(experiment, changes)
    return Ready(make_plan(experiment, spec), attach)


def survey(experiment: Experiment, changes: Overrides) -> tuple[StackSpec, str]:
    """The stack that the experiment means, and its id if it runs already. Containers have to be there by now."""
    for site in list_stacks():
        if site.id == experiment.stack:
            return site.spec, experiment.stack
    base = Path(experiment.file).parent
    beside = base / experiment.stack
    name = str(beside) if beside.is_file() else experiment.stack
    spec = load_stack(name, settings_of(load_stack(name, {}), changes))
    if spec.runtime == "docker":
        from chaos.runtimes.docker import look  # noqa: PLC0415 - the engine's library takes a while to import

        look(spec)
    return spec, ""


def execute(options: Options) -> ExitCode:
    """Run an experiment of ours whole; returns the exit code, raises what kept it from a verdict."""
    ready = prepare(options)
    directory = open_directory(options.runs_dir, ready.plan)
    view = view_for(make_console(), json=options.json, env=os.environ)
    session = Session(ready.plan, directory, view, attach=ready.attach)
    expect(session)
    try:
        journal = toolkit.conduct(ready.plan.experiment.document, directory.path / "logs" / "chaostoolkit.log")
    finally:
        expect(None)
        session.close()
        view.close()
    for path in filter(None, (directory.path / "journal.json", options.journal)):
        path.write_text(json.dumps(journal, indent=1, default=str), encoding="utf-8")
    verdict = conclude(session)
    report(verdict, directory.path, as_json=options.json)
    return verdict.exit_code


def open_directory(root: Path, plan: Plan) -> RunDirectory:
    """The run's directory with what is known before it: the experiment as it was, and the plan."""
    file = Path(plan.experiment.file)
    directory = RunDirectory.create(root, file.stem)
    if file.is_file():
        directory.write(f"experiment{file.suffix}", file.read_text(encoding="utf-8"))
    write_plan(directory, plan)
    return directory


def write_plan(directory: RunDirectory, plan: Plan) -> None:
    """The plan, with the versions of what carries it out: a record is judged again years later."""
    names = ("collab-chaos", "chaostoolkit-lib", "websockets", "pycrdt")
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    versions.setdefault("collab-chaos", __version__)
    directory.write_json("plan.json", plan.model_copy(update={"versions": versions}).model_dump(mode="json"))


def conclude(session: Session) -> Verdict:
    """Judge a run that has ended and write its reports; raises what ended it early."""
    if session.trouble is not None:
        raise session.trouble
    record = load_run(session.directory.path)
    verdict = judge(record.history, record.checks)
    publish(record, verdict, session.directory.path)
    return verdict


def report(verdict: Verdict, directory: Path, *, as_json: bool) -> None:
    """Say it: for a person, or as the document and nothing else."""
    if as_json:
        sys.stdout.write((directory / "verdict.json").read_text(encoding="utf-8"))
        return
    print_verdict(verdict, tell(load_run(directory)))


def session_for_document(document: dict[str, Any]) -> Session:
    """A session for the toolkit's stock `chaos run`, which hands over the experiment but not its file."""
    root = Path(os.environ.get("COLLAB_CHAOS_RUNS", "runs"))
    directory = RunDirectory.create(root, str(document.get("title", "experiment")))
    file = directory.write_json("experiment.json", document)
    ready = prepare(Options(str(file)))
    write_plan(directory, ready.plan)
    return Session(ready.plan, directory, view_for(make_console(), json=False, env=os.environ), attach=ready.attach)


def conclude_stock(session: Session, journal: dict[str, Any]) -> None:
    """Under the stock toolkit: judge, say so in its log and in the journal; its exit code stays its own."""
    session.view.close()
    log = logging.getLogger("chaostoolkit")
    if session.trouble is not None:
        log.error("collab-chaos: %s", session.trouble.message)
        journal["deviated"] = True
        return
    verdict = conclude(session)
    log.info("collab-chaos: %s, %s", verdict.outcome.value, session.directory.path / "report.html")
    report(verdict, session.directory.path, as_json=False)
    if verdict.exit_code is ExitCode.FAIL:
        journal["deviated"] = True
