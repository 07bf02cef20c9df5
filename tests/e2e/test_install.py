"""The built wheel, installed as people install it: whoever owns the `chaos` script, `chaos run` is ours."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = sorted(path.stem for path in (ROOT / "experiments").iterdir() if path.suffix in {".json", ".yaml"})
PATIENCE_S = 110

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@dataclass(frozen=True)
class Installed:
    """A virtual environment with scripts to call in a directory of their own."""

    venv: Path
    cwd: Path

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    def call(self, script: str, *words: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        where = cwd or self.cwd
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
        clean |= {"HOME": str(where), "COLLAB_CHAOS_STATE": str(where / "state"), "NO_COLOR": "1", **env}
        command = [self.venv / "bin" / script, *words]
        return subprocess.run(
            command, cwd=where, env=clean, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )


def do(*words: str | Path) -> None:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, words))}\n{done.stdout}\n{done.stderr}"


def uv(*words: str | Path) -> None:
    do(sys.executable, "-m", "uv", "--quiet", *words)


def other_python(version: str) -> str | Path | None:
    """A Python of that version which really runs; a version manager's placeholder may not."""
    managed = Path.home().glob(f".pyenv/versions/{version}*/bin/python")
    for candidate in (shutil.which(f"python{version}"), *managed):
        if candidate and subprocess.run([candidate, "-c", "pass"], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    do(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", directory, ROOT)
    (built,) = directory.glob("*.whl")
    return built


def make(way: str, venv: Path, wheel: Path) -> None:
    """Install the wheel in one of the ways that leave a different owner of the `chaos` script.

    uv brings the other dependencies also where pip is looked at: pip then installs the two that own the script.
    """
    installer, _, again = way.partition("+")
    python = other_python(installer.removeprefix("python")) if installer.startswith("python") else sys.executable
    if python is None:
        pytest.skip(f"no {installer} on this machine")
    uv("venv", "--seed", "--python", python, venv)
    inside = ("--python", venv / "bin" / "python")
    uv("pip", "install", *inside, wheel)
    pip = (venv / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    if installer == "pip":
        uv("pip", "uninstall", *inside, "collab-chaos", "chaostoolkit")
        do(*pip, wheel)
    if again:
        if installer == "pip":
            do(*pip, "--force-reinstall", "--no-deps", "chaostoolkit")
        else:
            uv("pip", "install", *inside, "--reinstall", "--no-deps", "chaostoolkit")


@pytest.fixture(scope="module", params=["pip", "pip+again", "uv", "uv+again", "python3.12", "python3.13"])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installed:
    directory = tmp_path_factory.mktemp("installed")
    make(request.param, directory / "venv", wheel)
    (directory / "cwd").mkdir()
    return Installed(directory / "venv", directory / "cwd")


def test_run_is_ours_whoever_owns_the_script(installed: Installed) -> None:
    """`chaos run --help` prints our exit codes, by either script and by `python -m chaos`."""
    for script, words in (("chaos", ()), ("collab-chaos", ()), ("python", ("-m", "chaos"))):
        done = installed.call(script, *words, "run", "--help")
        assert "Exit codes:" in done.stdout, (script, done.stdout, done.stderr)
    said = installed.call("collab-chaos", "--version").stdout
    assert said.startswith("collab-chaos ")


def test_the_script_is_ours_or_the_toolkits_with_our_commands_in_it(installed: Installed) -> None:
    """`chaos --help` lists our commands in both cases, and the toolkit's own are still reachable."""
    said = installed.call("chaos", "--help").stdout
    for name in ("run", "plan", "judge", "heal", "doctor"):
        assert f"\n  {name} " in said
    info = installed.call("chaos", "--no-version-check", "--no-log-file", "info", "core")
    assert "Core library" in info.stdout
    assert info.returncode == 0


def test_our_commands_leave_no_log_and_call_no_server(installed: Installed) -> None:
    """Whichever group is entered first, a command of ours writes no log file and makes no connection."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.setblocking(False)
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        done = installed.call("chaos", "list", "faults", HTTPS_PROXY=address, https_proxy=address, NO_PROXY="")
        with pytest.raises(BlockingIOError):
            proxy.accept()
    assert done.returncode == 0, done.stderr
    assert "congestion" in done.stdout
    assert not (installed.cwd / "chaostoolkit.log").exists()


def test_shipped_experiments_are_found_by_name(installed: Installed) -> None:
    """Outside a checkout, by name: listed, valid, and copied out to start from."""
    listed = json.loads(installed.call("chaos", "list", "experiments", "--json").stdout)
    assert [row["name"] for row in listed] == EXPERIMENTS
    valid = installed.call("chaos", "validate", *EXPERIMENTS)
    assert valid.returncode == 0, valid.stderr
    copied = installed.call("chaos", "new", "experiment", "mine", "--from", "network_congestion")
    assert copied.returncode == 0, copied.stderr
    assert installed.call("chaos", "validate", "mine.json").returncode == 0
    (installed.cwd / "mine.json").unlink()


def test_a_failure_of_ours_has_our_exit_code(installed: Installed) -> None:
    """Our errors stay ours below the toolkit's group too: exit 2, a hint, no traceback."""
    done = installed.call("chaos", "run", "network_congestoin")
    assert done.returncode == 2, done.stderr
    assert "network_congestion" in done.stderr
    assert "Traceback" not in done.stderr


PYTHON_PROBE = {"type": "python", "module": "os.path", "func": "exists", "arguments": {"path": "${where}"}}
STOCK: dict[str, Any] = {
    "title": "A directory stays where it is",
    "description": "Nothing of ours.",
    "configuration": {"where": "/"},
    "steady-state-hypothesis": {
        "title": "It is there",
        "probes": [{"type": "probe", "name": "there", "tolerance": True, "provider": PYTHON_PROBE}],
    },
    "method": [
        {
            "type": "action",
            "name": "say",
            "provider": {"type": "process", "path": "echo", "arguments": "hello", "timeout": 5},
        }
    ],
    "rollbacks": [
        {
            "type": "action",
            "name": "back",
            "provider": {"type": "process", "path": "echo", "arguments": "back", "timeout": 5},
        }
    ],
}
MISSING = STOCK | {"configuration": {"where": "/nowhere/at/all"}}
INVALID = {key: value for key, value in STOCK.items() if key != "title"}
BROKEN_ACTION = STOCK | {
    "method": [
        {"type": "action", "name": "no", "provider": {"type": "process", "path": "/nowhere/at/all", "timeout": 5}}
    ]
}
CASES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "passes": (STOCK, ()),
    "hypothesis-not-met": (MISSING, ()),
    "a-variable": (MISSING, ("--var", "where=/")),
    "invalid": (INVALID, ()),
    "not-validated": (INVALID, ("--no-validation",)),
    "a-broken-action": (BROKEN_ACTION, ("--rollback-strategy", "always")),
    "dry": (STOCK, ("--dry", "actions", "--hypothesis-strategy", "after-method-only", "--fail-fast")),
    "journal": (STOCK, ("--journal-path", "elsewhere.json")),
    "unknown-option": (STOCK, ("--no-such-option", "1")),
}
CHANGING = {"start", "end", "duration", "platform", "node", "chaoslib-version", "traceback", "exception"}


def steady(value: Any) -> Any:
    """A journal without what differs between any two runs."""
    if isinstance(value, dict):
        return {key: steady(inner) for key, inner in value.items() if key not in CHANGING}
    return [steady(inner) for inner in value] if isinstance(value, list) else value


def outcome(installed: Installed, directory: Path, case: str) -> dict[str, Any]:
    experiment, options = CASES[case]
    directory.mkdir()
    (directory / "experiment.json").write_text(json.dumps(experiment))
    done = installed.call("chaos", "--no-version-check", "run", *options, "experiment.json", cwd=directory)
    journals = {
        path.name: steady(json.loads(path.read_text())) for path in directory.glob("*.json") if "exp" not in path.name
    }
    log = directory / "chaostoolkit.log"
    lines = [line.partition("] ")[2].rpartition("] ")[2] for line in done.stderr.splitlines() if "] " in line]
    return {
        "exit": done.returncode,
        "journals": journals,
        "says": lines,
        "stdout": done.stdout,
        "logged": log.exists() and len(log.read_text().splitlines()),
    }


@dataclass(frozen=True)
class Pair:
    """The toolkit alone, as a team has it before we are installed, and with us beside it."""

    alone: Installed
    beside: Installed


@pytest.fixture(scope="module", params=["uv", "uv+again", "python3.12"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Pair:
    alone, beside = (tmp_path_factory.mktemp(name) for name in ("alone", "beside"))
    make(request.param, beside / "venv", wheel)
    uv("venv", "--python", beside / "venv" / "bin" / "python", alone / "venv")
    uv("pip", "install", "--python", alone / "venv" / "bin" / "python", "chaostoolkit")
    return Pair(Installed(alone / "venv", alone), Installed(beside / "venv", beside))


@pytest.mark.parametrize("case", CASES)
def test_an_experiment_of_theirs_runs_as_if_we_were_not_there(pair: Pair, case: str) -> None:
    """Same exit code, journal, log lines and files as with the toolkit alone, whoever owns the script."""
    expected = outcome(pair.alone, pair.alone.cwd / case, case)
    assert outcome(pair.beside, pair.beside.cwd / case, case) == expected


def test_an_experiment_of_theirs_is_validated_by_the_toolkit(pair: Pair, tmp_path: Path) -> None:
    """`chaos validate` of one file without anything of ours says what the toolkit says."""
    for experiment in (STOCK, INVALID):
        (tmp_path / "experiment.json").write_text(json.dumps(experiment))
        words = ("--no-version-check", "--no-log-file", "validate", "experiment.json")
        theirs, ours = (one.call("chaos", *words, cwd=tmp_path) for one in (pair.alone, pair.beside))
        assert ours.returncode == theirs.returncode
        assert len(ours.stderr.splitlines()) == len(theirs.stderr.splitlines())
