"""What holds for every test: a state directory of its own, reproducible properties, no silent skips in CI."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOWED = Path(__file__).with_name("allowed_skips.txt")
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}

settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if IN_CI else "here")

_skipped: list[tuple[str, str]] = []


@pytest.fixture(scope="session", autouse=True)
def _state_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Stacks, ledgers and crash files of the tests lie apart from the user's, and nothing is left in there running."""
    directory = tmp_path_factory.mktemp("state")
    before = os.environ.get("COLLAB_CHAOS_STATE")
    os.environ["COLLAB_CHAOS_STATE"] = str(directory)
    yield directory
    left = _stacks_left()
    if before is None:
        del os.environ["COLLAB_CHAOS_STATE"]
    else:
        os.environ["COLLAB_CHAOS_STATE"] = before
    assert not left, f"tests left stacks running: {', '.join(left)}"


def _stacks_left() -> list[str]:
    from chaos.runtimes.process import list_stacks, stop_stack

    left = [site.id for site in list_stacks()]
    for name in left:
        stop_stack(name)
    return left


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note each skip with its reason."""
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append((report.nodeid, _reason(report.longrepr)))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note a file that skipped itself."""
    if report.skipped:
        _skipped.append((report.nodeid, _reason(report.longrepr)))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skip that is not on the list fails the run."""
    if IN_CI and _unlisted() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the skips that CI does not accept, just before the closing line."""
    if IN_CI and _unlisted():
        terminalreporter.section("skipped, and not on tests/allowed_skips.txt", red=True)
        for nodeid, reason in _unlisted():
            terminalreporter.line(f"{nodeid}: {reason}")


def _unlisted() -> list[tuple[str, str]]:
    lines = [line.partition("#")[0].strip() for line in ALLOWED.read_text(encoding="utf-8").splitlines()]
    allowed = [re.compile(re.escape(line).replace(r"\*", ".*")) for line in lines if line]
    return [one for one in _skipped if not any(pattern.fullmatch(one[0]) for pattern in allowed)]


def _reason(longrepr: Any) -> str:
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
