"""The safety engine through the command line on real processes: halt, targets, stop conditions, what stays dirty."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from chaos.experiment.document import shipped
from chaos.runtimes import control

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture
def env(tmp_path: Path) -> Iterator[dict[str, str]]:
    env = os.environ | {"COLLAB_CHAOS_STATE": str(tmp_path / "state"), "PYTHONPATH": str(ROOT), "CI": "true"}
    yield env
    chaos("stack", "down", "--all", env=env, cwd=tmp_path)


def chaos(*words: str, env: dict[str, str], cwd: Path, program: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(["-c", program] if program else ["-m", "chaos"]), *words]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=110, check=False)


def write(folder: Path, *, duration: float, mode: str = "silent", **extension: Any) -> str:
    """A short experiment that cuts one region off, with few users who have little patience."""
    document = json.loads(shipped()["region_partition"].read_text())
    document["extensions"][0] |= {
        "load": {"participants": 24, "rooms": 4, "editors": 0, "patience_s": 1},
        "phases": {"warm_up": 1, "baseline": 2, "recovery": 2},
        "thresholds": {"baseline": ["join.success >= 10%"]},
        **extension,
    }
    target = {"region": "cn-east", "kind": "access"}
    for activity in document["method"]:
        if activity["provider"]["func"] == "inject":
            arguments = {"fault": "partition", "mode": mode, "target": target, "duration": duration}
            activity["provider"]["arguments"] = arguments
    document.pop("steady-state-hypothesis")
    (folder / "short.json").write_text(json.dumps(document, indent=1))
    return "short.json"


def policy(folder: Path, text: str) -> str:
    """An operator's policy with an audit log beside it."""
    (folder / "policy.yaml").write_text(f"{text}audit: {folder}/audit.jsonl\n")
    return str(folder / "policy.yaml")


def survivors(env: dict[str, str]) -> list[str]:
    """Command lines of processes that carry this test's state directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("COLLAB_CHAOS_STATE") == env["COLLAB_CHAOS_STATE"]:
                process.wait(timeout=10)
        except psutil.TimeoutExpired:
            found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


@contextmanager
def holding(stack: str, env: dict[str, str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A run on that stack that has its fault in force."""
    words = [sys.executable, "-m", "chaos", "run", write(cwd, duration=300), "--stack", stack]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, env=env, cwd=cwd) as process:
        assert process.stdout is not None
        assert any(" is on" in line for line in process.stdout)
        yield process


def up(env: dict[str, str], cwd: Path) -> str:
    """The id of a stack that lives until it is ended."""
    done = chaos("stack", "up", "--json", env=env, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["id"])


def test_sigkill_of_a_run_leaves_a_stack_that_lives_as_it_was(env: dict[str, str], tmp_path: Path) -> None:
    """Within ten seconds no fault is in force and no user is left; a heal clears ledger and files."""
    stack = up(env, tmp_path)
    before = files(tmp_path / "state")
    with holding(stack, env, tmp_path) as run:
        load = [p for p in psutil.Process(run.pid).children(recursive=True) if "chaos.load.worker" in p.cmdline()]
        assert attach_active(stack, env)
        run.kill()
        killed = time.monotonic()
        run.communicate()
    while attach_active(stack, env):
        assert time.monotonic() - killed < 10
        time.sleep(0.1)
    assert load
    assert psutil.wait_procs(load, timeout=10)[1] == []
    healed = json.loads(chaos("heal", "--json", env=env, cwd=tmp_path).stdout)
    assert [one["undone"] for one in healed["healed"]] == ["released"]
    assert files(tmp_path / "state") == before
    assert chaos("heal", env=env, cwd=tmp_path).stdout == "nothing was left behind\n"


def attach_active(stack: str, env: dict[str, str]) -> list[str]:
    """Ids of the faults that the link proxy holds."""
    folder = Path(env["COLLAB_CHAOS_STATE"]) / "stacks" / stack
    held: list[str] = control.call(json.loads((folder / "site.json").read_text())["proxy"], "active")
    return held


def files(state: Path) -> list[str]:
    """Files of a state directory, but for logs, data of nodes, and ledgers that were put away."""
    found = (path.relative_to(state) for path in state.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if not {"done", "logs", "data"} & set(path.parts))


def test_one_run_a_target_and_a_halt_ends_it(env: dict[str, str], tmp_path: Path) -> None:
    """A second run on the stack is refused by the first one's name; a halt heals and ends the first, in words."""
    stack = up(env, tmp_path)
    with holding(stack, env, tmp_path) as first:
        experiment = "short.json"
        run = (tmp_path / "runs" / "latest").resolve().name
        second = chaos("run", experiment, "--stack", stack, env=env, cwd=tmp_path)
        assert second.returncode == 2, second.stdout + second.stderr
        assert f"{stack} is the target of run {run}" in second.stderr
        assert len([path for path in (tmp_path / "runs").iterdir() if not path.is_symlink()]) == 1
        healed = chaos("heal", env=env, cwd=tmp_path)
        assert f"run {run} is in progress and keeps its faults" in healed.stdout
        halted = chaos("halt", "--reason", "live class", env=env, cwd=tmp_path)
        assert halted.returncode == 0, halted.stdout + halted.stderr
        assert f"ending run {run}" in halted.stdout
        out, err = first.communicate(timeout=30)
    assert first.returncode == 3, out + err
    assert "the run was ended: halted by" in err
    assert "live class" in err
    assert chaos("halt", "--lift", env=env, cwd=tmp_path).returncode == 0
    ps = json.loads(chaos("stack", "ps", "--json", env=env, cwd=tmp_path).stdout)
    assert {node["state"] for site in ps for node in site["nodes"]} == {"up"}
    assert json.loads(chaos("heal", "--json", env=env, cwd=tmp_path).stdout)["healed"] == []


def test_a_stop_condition_ends_the_method_healed_and_fails(env: dict[str, str], tmp_path: Path) -> None:
    """Long before the fault's time is over; verdict, reports and audit log say which condition, with its figures."""
    env["COLLAB_CHAOS_POLICY"] = policy(tmp_path, "stacks: [embedded]\nhosts: [127.0.0.1]\n")
    experiment = write(tmp_path, duration=300, stop=["join.success < 95% for 3 s"])
    ended = chaos("run", experiment, "--json", env=env, cwd=tmp_path)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    verdict = json.loads(ended.stdout)
    (line,) = [check for check in verdict["checks"] if check["id"] == "stop"]
    assert (line["kind"], line["outcome"]) == ("slo", "fail")
    assert line["figures"]["value"] < 0.95
    assert line["place"]["line"] > 1
    (fault,) = verdict["faults"]
    assert fault["clean"] is True
    assert fault["off_s"] - fault["on_s"] < 60
    run = tmp_path / "runs" / "latest"
    for report in ("junit.xml", "summary.md", "report.html"):
        assert "join.success" in (run / report).read_text()
    again = chaos("judge", str(run.resolve()), env=env, cwd=tmp_path)
    assert again.returncode == 1
    assert "stop if join.success < 95 % for 3 s" in again.stdout
    begin, end = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert (begin["event"], begin["run"]) == ("begin", run.resolve().name)
    assert (end["event"], end["verdict"], end["exit_code"]) == ("end", "fail", 1)
    assert survivors(env) == []


STUBBORN = """
import sys
from chaos.engine import ledger
from chaos.errors import StillDirty
def undo(step):
    raise StillDirty("the proxy does not answer")
ledger.undo = undo
sys.argv = ["chaos", *sys.argv[1:]]
from chaos.__main__ import main
main()
"""


def test_what_cannot_be_healed_is_4_and_still_judged(env: dict[str, str], tmp_path: Path) -> None:
    """Verdict and reports are written, dirty; the list and the command are printed, and the command heals."""
    experiment = write(tmp_path, duration=2)
    ended = chaos("run", experiment, "--json", env=env, cwd=tmp_path, program=STUBBORN)
    assert ended.returncode == 4, ended.stdout + ended.stderr
    verdict = json.loads(ended.stdout)
    assert (verdict["outcome"], verdict["exit_code"]) == ("dirty", 4)
    (line,) = [check for check in verdict["checks"] if check["id"] == "dirty"]
    assert "the proxy does not answer" in line["reasons"][0]
    run = (tmp_path / "runs" / "latest").resolve()
    assert "the proxy does not answer" in ended.stderr
    assert f"hint: chaos heal --run {run.name}" in ended.stderr
    assert "DIRTY" in (run / "junit.xml").read_text()
    forbidden = env | {"COLLAB_CHAOS_POLICY": policy(tmp_path, "stacks: []\n")}
    told = chaos("run", experiment, env=forbidden, cwd=tmp_path)
    assert told.returncode == 2
    assert f"note: run {run.name} ended without healing 1 fault: chaos heal --run {run.name}" in told.stderr
    assert run.name in chaos("heal", "--dry-run", env=env, cwd=tmp_path).stdout
    healed = chaos("heal", "--run", run.name, "--json", env=env, cwd=tmp_path)
    assert healed.returncode == 0, healed.stderr
    assert [one["undone"] for one in json.loads(healed.stdout)["healed"]] == ["already gone"]
    assert (tmp_path / "state" / "ledger" / "done" / f"{run.name}.jsonl").exists()
    assert survivors(env) == []
