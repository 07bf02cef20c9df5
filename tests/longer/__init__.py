"""Suites that take longer than `make test` may; programs. What they share with the tests lies beside these."""

import sys
from pathlib import Path

_TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(_TESTS / folder) for folder in ("", "conformance", "integration")]
