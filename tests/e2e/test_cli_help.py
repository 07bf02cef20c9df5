"""The command line as a person meets it: help, names, versions."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner, Result

from chaos.cli.commands.run import EXIT_CODES
from chaos.cli.main import main
from chaos.cli.table import COMMANDS
from chaos.errors import ExitCode

HEAVY = ("chaoslib", "chaostoolkit", "docker", "jinja2", "pydantic", "requests", "rich", "ruamel", "websockets", "yaml")


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), prog_name="chaos")


def every_command() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for entry in COMMANDS:
        found.append((entry.name,))
        command = __import__(entry.module, fromlist=["command"]).command
        if isinstance(command, click.Group):
            found += [(entry.name, name) for name in command.commands]
    return found


def test_help_names_every_command_of_the_table() -> None:
    """`chaos --help` shows each command with its line."""
    text = call("--help").output
    for entry in COMMANDS:
        assert f"  {entry.name} " in text
        assert entry.says in text


def test_help_imports_none_of_the_heavy_libraries() -> None:
    """`chaos --help` ends without having imported what only commands need."""
    program = (
        "import sys\nsys.argv = ['chaos', '--help']\nfrom chaos.__main__ import main\n"
        f"try:\n    main()\nexcept SystemExit:\n    pass\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_the_table_says_what_the_command_says(entry: object) -> None:
    """The short help that is printed without importing a command is the command's own."""
    command = __import__(entry.module, fromlist=["command"]).command  # type: ignore[attr-defined]
    assert command.name == entry.name  # type: ignore[attr-defined]
    assert command.get_short_help_str(200) == entry.says  # type: ignore[attr-defined]


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_command_has_a_help_with_an_example(words: tuple[str, ...]) -> None:
    """`--help` of each command tells what it does, fits into 80 columns and shows a call."""
    done = call(*words, "--help")
    assert done.exit_code == 0
    assert f"Example:\n  chaos {words[0]}" in done.output or "Example:\n  eval" in done.output
    assert max(len(line) for line in done.output.splitlines()) <= 80


def test_run_help_prints_every_exit_code() -> None:
    """Nobody has to look elsewhere for what an exit code means."""
    text = call("run", "--help").output
    assert set(EXIT_CODES) == set(ExitCode)
    for code, says in EXIT_CODES.items():
        assert f"{int(code):>3}  {says}" in text


def test_a_misspelt_command_is_answered_with_its_neighbour() -> None:
    """`chaos vaildate` is a usage error that names `validate`."""
    done = call("vaildate")
    assert done.exit_code == 2
    assert "No such command 'vaildate'. Did you mean validate?" in done.stderr


def test_a_misspelt_option_of_run_is_answered_with_its_neighbour() -> None:
    """An option that nobody knows is an error when the experiment is ours."""
    done = call("run", "network_congestion", "--jsno")
    assert done.exit_code == 2
    assert "--json" in done.stderr


def test_version_names_us_and_the_toolkit() -> None:
    """`chaos --version` is ours."""
    done = call("--version")
    assert done.exit_code == 0
    assert done.output.startswith("collab-chaos ")
    assert "chaostoolkit-lib" in done.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_our_scripts_answer_to(shell: str) -> None:
    """The printed script asks with the variable that click listens to."""
    done = call("completion", shell, "--name", "collab-chaos")
    assert done.exit_code == 0
    assert "_CHAOS_COMPLETE" in done.output
    assert "collab-chaos" in done.output


def test_commands_complete_without_importing_the_toolkit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shell asks for while somebody types is answered from the table."""
    monkeypatch.setenv("COMP_WORDS", "chaos he")
    monkeypatch.setenv("COMP_CWORD", "1")
    monkeypatch.setenv("_CHAOS_COMPLETE", "bash_complete")
    done = call()
    assert done.output.split() == ["plain,heal"]
