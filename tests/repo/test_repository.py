"""The repository keeps its own rules."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from chaos.cli.table import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
CODE = sorted(path for folder in ("chaos", "probes", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
LONGEST_FILE = 350
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_rooms_import_only_downwards() -> None:
    """The arrows between rooms, and the one bridge to the toolkit, hold."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_a_file_is_short_and_says_its_contract(path: Path) -> None:
    """No file is longer than a person reads at once, and each begins with its one-sentence contract."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    assert not text.strip() or ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_every_test_says_what_is_true(path: Path) -> None:
    """Each test's docstring is a sentence."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            says = ast.get_docstring(node) or ""
            assert says.rstrip().endswith((".", "!", "`", ")")), f"{name_of(path)}::{node.name}: {says!r}"


def test_make_help_lists_every_target() -> None:
    """No target is hidden, and each has its line."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert targets
    done = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    listed = [line.split()[1] for line in done.stdout.splitlines()]
    assert sorted(listed) == sorted(targets[1].split())


@pytest.mark.parametrize(
    "what", ["Makefile", ".ci/run", ".ci/venv", ".ci/packages", ".ci/docker", "requirements/*.txt"]
)
def test_set_up_names_no_address(what: str) -> None:
    """Packages come from wherever the machine's own pip, npm and apt-get are pointed at."""
    for path in ROOT.glob(what):
        text = path.read_text(encoding="utf-8")
        assert "://" not in text
        assert not re.search(r"^\s*--?(index-url|extra-index-url|find-links|i)\b", text, re.MULTILINE)


def test_every_package_is_pinned_with_hashes() -> None:
    """A lock file that holds one line without a hash cannot be installed with --require-hashes."""
    for path in (ROOT / "requirements").glob("*.txt"):
        entries = path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        for entry in (line for line in entries if line.strip() and not line.lstrip().startswith("#")):
            assert "==" in entry, entry
            assert "--hash=sha256:" in entry, entry


def test_the_locks_hold_what_the_project_asks_for() -> None:
    """Every dependency, and every tool of the development group, is in its lock."""
    for lock, wanted in (
        ("run", PROJECT["project"]["dependencies"]),
        ("dev", PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]),
    ):
        text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
        names = {re.split(r"[<>=~ ;\[]", one)[0].lower().replace(".", "-").replace("_", "-") for one in wanted}
        locked = {line.partition("==")[0].lower() for line in text.splitlines() if "==" in line and line[0] != " "}
        assert names <= locked, f"{sorted(names - locked)}: run `make lock`"


def test_every_command_is_a_plugin_of_the_toolkit() -> None:
    """Whoever owns the `chaos` script, every command of ours is in it."""
    points = PROJECT["project"]["entry-points"]["chaostoolkit.cli_plugins"]
    assert points == {entry.name: f"chaos.cli.plugins:{entry.name}" for entry in COMMANDS}


def test_every_ignored_rule_has_its_reason() -> None:
    """Each line of ruff's ignore lists says why."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text[text.index("[tool.ruff.lint]") : text.index("[tool.ruff.lint.pydocstyle]")]
    for line in section.splitlines():
        if re.match(r'\s+"[A-Z]+\d*",', line):
            assert "#" in line, line


def test_without_ensurepip_the_set_up_says_what_to_install(tmp_path: Path) -> None:
    """A Python that cannot make virtual environments is a message with a remedy, not a traceback."""
    crippled = tmp_path / "python3"
    script = f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"\n'
    crippled.write_text(script)
    crippled.chmod(0o755)
    env = {**os.environ, "PYTHON": str(crippled), "VENV": str(tmp_path / "venv")}
    done = subprocess.run(
        [ROOT / ".ci" / "venv", "run"], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "python3-venv" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_with_an_old_python_the_set_up_says_which_is_needed(tmp_path: Path) -> None:
    """A Python that is too old is not tried."""
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    env = {**os.environ, "PYTHON": str(old), "VENV": str(tmp_path / "venv")}
    done = subprocess.run(
        [ROOT / ".ci" / "venv", "run"], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "3.11" in done.stderr


def test_packages_are_installed_in_ci_only(tmp_path: Path) -> None:
    """On a laptop nothing is installed system-wide, whatever is missing."""
    told = tmp_path / "apt-get"
    told.write_text(f"#!/bin/sh\necho called >> {tmp_path}/calls\n")
    told.chmod(0o755)
    shell = shutil.which("sh")
    assert shell
    env = {"PATH": str(tmp_path), "CI": ""}
    done = subprocess.run([shell, ROOT / ".ci" / "packages"], env=env, capture_output=True, check=False)
    assert done.returncode == 0
    assert not (tmp_path / "calls").exists()
