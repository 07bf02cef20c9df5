"""The test run itself: in CI nothing is skipped in silence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"
TEST = '''
import pytest

def test_skipped() -> None:
    """It is not here."""
    pytest.skip("no such server")

def test_passes() -> None:
    """It passes."""
'''


@pytest.mark.parametrize(
    ("ci", "allowed", "code"), [("true", "", 1), ("true", "test_one.py::*skip*  # known", 0), ("", "", 0)]
)
def test_a_skip_fails_the_run_in_ci_only_and_only_if_it_is_not_listed(
    tmp_path: Path, ci: str, allowed: str, code: int
) -> None:
    """An unlisted skip is named with its reason just before the closing line."""
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "allowed_skips.txt").write_text(allowed)
    (tmp_path / "test_one.py").write_text(TEST)
    env = {**os.environ, "CI": ci, "PYTHONPATH": str(CONFTEST.parents[1]), "PYTEST_ADDOPTS": ""}
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout
    assert "1 passed, 1 skipped" in done.stdout.splitlines()[-1]
    assert ("test_one.py::test_skipped: Skipped: no such server" in done.stdout) is bool(code)
