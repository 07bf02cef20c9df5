"""The straight line from a file to a verdict: load, survey, plan, conduct, judge, publish."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos import __version__
from chaos.engine import leftovers, replay, toolkit
from chaos.engine.admission import admit
from chaos.engine.rundir import RunDirectory, storage
from chaos.engine.session import Session, expect
from chaos.errors import ExitCode, Interrupted, StillDirty
from chaos.experiment.document import load
from chaos.experiment.overrides import parse_sets, settings_of
from chaos.experiment.plan import asks, make_plan
from chaos.experiment.policy import rulings
from chaos.experiment.policyfile import docker_context, load_policy
from chaos.model.stack import Site
from chaos.model.verdict import Outcome
from chaos.report import publish, tell
from chaos.report.live import view_for
from chaos.report.terminal import make_console, print_verdict
from chaos.runtimes import carriers, sandbox
from chaos.runtimes.process import list_stacks
from chaos.runtimes.stackfile import load_stack
from chaos.verdict import confirmation
from chaos.verdict.confirmation import Confirmation, failed_safety
from chaos.verdict.run import load_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.experiment.overrides import Overrides
    from chaos.model.carrier import Survey
    from chaos.model.experiment import Experiment
    from chaos.model.plan import Plan
    from chaos.model.policy import Policy
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
    sandbox: bool = False
    """In a private network of this process's own."""
    confirm: bool = False
    """Run once more with the same seed if a safety check fails."""
    name: str = ""
    """What the run directory is called after; the experiment's file where empty."""
    json: bool = False
    runs_dir: Path = Path("runs")
    journal: Path | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """A checked experiment with its plan; nothing was touched yet."""

    plan: Plan
    attach: str = ""
    policy: Policy | None = None


def prepare(options: Options) -> Ready:
    """From the command line to the plan: reads, and changes nothing but this process's network, if that was asked for.

    Raises `UsageError` leaves.
    """
    if options.sandbox:
        sandbox.enter()
    changes = parse_sets(options.sets)
    experiment = load(options.target, changes)
    if options.seed is not None:
        experiment = experiment.model_copy(update={"seed": options.seed})
    if options.stack is not None:
        experiment = experiment.model_copy(update={"stack": options.stack})
    spec, found, attach = survey(experiment, changes)
    plan = make_plan(experiment, spec, found, sandbox=options.sandbox)
    return ruled(Ready(plan, attach))


def ruled(ready: Ready) -> Ready:
    """With what the operator's policy says, where one rules; raises `InvalidInput` for a policy that is none."""
    policy = load_policy()
    if policy is None:
        return ready
    stack = ready.attach or ready.plan.experiment.stack
    now = datetime.now().astimezone()
    said = rulings(policy, ready.plan, stack=stack, context=docker_context(os.environ), now=now)
    return Ready(ready.plan.model_copy(update={"policy": said}), ready.attach, policy)


def survey(experiment: Experiment, changes: Overrides) -> tuple[StackSpec, Survey, str]:
    """The stack that the experiment means, who carries its faults there, and the stack's id if it runs already.

    Containers have to be there by now. Carriers are tried where nothing of anybody's is touched.
    """
    spec, attach, site = _stack(experiment, changes)
    known = carriers.lacks(site) if site is not None else {}
    helper = site is not None and site.helper
    runtime = carriers.SANDBOX if sandbox.entered() else carriers.HELPER if helper else spec.runtime
    return spec, carriers.survey(runtime, asks(experiment), known), attach


def _stack(experiment: Experiment, changes: Overrides) -> tuple[StackSpec, str, Site | None]:
    """What is meant, its id if it runs already, and what runs of it."""
    for site in list_stacks():
        if site.id == experiment.stack:
            sandbox.must_fit(site.spec, site.id)
            return site.spec, experiment.stack, site
    base = Path(experiment.file).parent
    beside = base / experiment.stack
    name = str(beside) if beside.is_file() else experiment.stack
    spec = load_stack(name, settings_of(load_stack(name, {}), changes))
    sandbox.must_fit(spec)
    if spec.runtime != "docker":
        return spec, "", Site(spec=spec)
    from chaos.runtimes.docker import look  # noqa: PLC0415 - the engine's library takes a while to import

    return spec, "", look(spec)


def execute(options: Options) -> ExitCode:
    """Run an experiment of ours whole; returns the exit code, raises what kept it from a verdict."""
    ready = prepare(options)
    leftovers.sweep()
    for note in leftovers.notes():
        sys.stderr.write(f"note: {note}\n")
    name = options.name or Path(ready.plan.experiment.file).stem
    verdict, path = _conducted(options, ready, name)
    suspects = failed_safety(verdict) if options.confirm else ()
    if suspects:
        verdict = _second_look(options, ready, name, path, suspects)
    if options.json:
        report(verdict, path, as_json=True)
    return verdict.exit_code


def _conducted(options: Options, ready: Ready, name: str) -> tuple[Verdict, Path]:
    """One run and its verdict, told to people; raises `StillDirty` once that is done."""
    directory = RunDirectory.named(options.runs_dir, name)
    session = session_for(ready, directory, json=options.json)
    with audited(session):
        written = run(session, _replay(options, ready.plan))
        try:
            verdict = conclude(session)
            dirty = isinstance(session.trouble, StillDirty)
            if dirty or not options.json:
                report(verdict, directory.path, as_json=options.json)
        finally:
            if options.journal is not None:
                with storage(options.journal):
                    shutil.copyfile(written, options.journal)
    if isinstance(session.trouble, StillDirty):
        raise session.trouble
    return verdict, directory.path


def _second_look(options: Options, ready: Ready, name: str, first: Path, suspects: tuple[str, ...]) -> Verdict:
    """The same once more; what fails again is confirmed, and what does not was seen once. Says which."""
    sys.stderr.write(f"note: {', '.join(suspects)} failed; the same seed again, to confirm it\n")
    second, path = _conducted(dataclasses.replace(options, journal=None), ready, name)
    told = Confirmation(run=path.name, failed=failed_safety(second))
    RunDirectory(first).write_json(confirmation.FILE, told.model_dump(mode="json"))
    verdict = rejudge(first)
    word = "CONFIRMED" if verdict.outcome is Outcome.FAIL else "NOT CONFIRMED"
    sys.stderr.write(f"{word}  {verdict.says}  exit {int(verdict.exit_code)}  ({first.name}, again {path.name})\n")
    return verdict


def replayed(run: Path, options: Options) -> Options:
    """These options for what a recorded run did; a seed or a stack given now outranks the run's."""
    known, experiment = replay.load(run, options.sets)
    return dataclasses.replace(
        options,
        target=str(experiment),
        sets=known.sets,
        seed=known.seed if options.seed is None else options.seed,
        stack=known.stack if options.stack is None else options.stack,
        sandbox=options.sandbox or known.sandbox,
        name=Path(known.experiment).stem,
    )


def _replay(options: Options, plan: Plan) -> replay.Replay:
    file, stack = Path(plan.experiment.file), plan.experiment.stack
    beside = file.parent / stack
    return replay.Replay(
        experiment=options.name or str(file),
        stack=str(beside.absolute()) if beside.is_file() else stack,
        seed=plan.seed,
        sets=options.sets,
        sandbox=options.sandbox,
    )


def session_for(ready: Ready, directory: RunDirectory, *, json: bool) -> Session:
    """A session with its place among the runs in progress; whoever gets it must close it. Raises as `admit` does."""
    admission = admit(ready.plan, directory.path, attach=ready.attach, policy=ready.policy)
    view = view_for(make_console(), json=json, env=os.environ)
    return Session(ready.plan, directory, view, admission, attach=ready.attach)


def run(session: Session, again: replay.Replay) -> Path:
    """Let the toolkit carry the experiment out; the session is closed then. Returns the journal's file."""
    with contextlib.closing(session.view), contextlib.closing(session):
        fill_directory(session.directory, session.plan)
        replay.save(session.directory, again)
        expect(session)
        log = session.directory.path / "logs" / "chaostoolkit.log"
        try:
            journal = toolkit.conduct(session.plan.experiment.document, log)
        finally:
            expect(None)
    return session.directory.write_json("journal.json", journal)


@contextlib.contextmanager
def audited(session: Session) -> Iterator[None]:
    """Write whatever keeps a run from its verdict into the audit log."""
    try:
        yield
    except BaseException as error:
        session.admission.failed(error)
        raise


def fill_directory(directory: RunDirectory, plan: Plan) -> None:
    """Make the run's directory with what is known before it: the experiment as it was, and the plan."""
    file = Path(plan.experiment.file)
    directory.make()
    if file.is_file():
        directory.write(f"experiment{file.suffix}", file.read_text(encoding="utf-8"))
    write_plan(directory, plan)


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
    """Judge a run that has ended and write its reports; raises what ended it too early for that."""
    if session.trouble is not None and not session.will_be_judged:
        if isinstance(session.trouble, Interrupted):
            session.trouble.hint = f"chaos judge {session.directory.path}   what was seen until then"
        raise session.crash or session.trouble
    verdict = rejudge(session.directory.path)
    session.admission.judged(verdict)
    return verdict


def rejudge(directory: Path) -> Verdict:
    """The verdict on what a run directory holds now, and its reports anew."""
    record = load_run(directory)
    verdict = record.verdict
    publish(record, verdict, directory)
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
    # The toolkit's own run adds `dry: null` to what it loaded.
    written = {key: value for key, value in document.items() if (key, value) != ("dry", None)}
    file = directory.write_json("experiment.json", written)
    ready = prepare(Options(str(file)))
    write_plan(directory, ready.plan)
    for note in leftovers.notes():
        logging.getLogger("chaostoolkit").warning("collab-chaos: %s", note)
    return session_for(ready, directory, json=False)


def conclude_stock(session: Session, journal: dict[str, Any]) -> None:
    """Under the stock toolkit: judge, say so in its log and in the journal; its exit code stays its own."""
    session.view.close()
    log = logging.getLogger("chaostoolkit")
    try:
        with audited(session):
            verdict = conclude(session)
        report(verdict, session.directory.path, as_json=False)
    except Exception as error:  # noqa: BLE001 - the toolkit would pass over it in silence, and call the run a success
        log.error("collab-chaos: %s", error)  # noqa: TRY400 - the toolkit's log is read by people
        journal["deviated"] = True
        return
    log.info("collab-chaos: %s, %s", verdict.outcome.value, session.directory.path / "report.html")
    if session.trouble is not None:
        trouble = session.trouble
        log.error("collab-chaos: %s", "; ".join((trouble.message, *trouble.evidence, trouble.hint)).removesuffix("; "))
    if verdict.exit_code is not ExitCode.PASS:
        journal["deviated"] = True
