"""The two containers that the tests use, for benchmarks; where there is no engine, why not."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.runtimes.docker import DockerStack, attach

TESTS = Path(__file__).resolve().parents[1] / "tests"


@dataclass(frozen=True)
class Containers:
    """Two containers, and the stack that they are."""

    cans: Any
    """`tests.docker_engine.Cans`."""
    stack: DockerStack


@contextlib.contextmanager
def containers() -> Iterator[tuple[Containers | None, str]]:
    """Start them and attach, and remove them at the end; or None and the reason."""
    import pytest

    sys.path[:0] = [str(TESTS), str(TESTS / "integration")]
    import docker_engine

    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        try:
            cans = stack.enter_context(docker_engine.cans(Path(folder)))
        except pytest.skip.Exception as why:
            yield None, str(why)
            return
        yield Containers(cans, stack.enter_context(attach(cans.spec()))), ""
