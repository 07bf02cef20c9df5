"""An engine that is reached over TCP, as one on another host is."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from docker_engine import BASE

from chaos.runtimes.docker_connect import where

WAY = Path(__file__).with_name("way_to_engine.py")


@dataclass
class Far:
    """The way to an engine."""

    path: str
    """Its socket, for who does not go this way."""
    way: subprocess.Popen[str]

    def cut(self) -> None:
        """Nothing passes any more, and nobody is told."""
        self.way.send_signal(signal.SIGSTOP)

    def mend(self) -> None:
        """What waits passes now."""
        self.way.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def far_engine() -> Iterator[Far]:
    """The engine of this environment over TCP, and what its helpers need to know, until the end."""
    path = where().host.removeprefix("unix://")
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, str(WAY), path], stdout=pipe, text=True) as way:
        assert way.stdout is not None
        port = int(way.stdout.readline())
        with pytest.MonkeyPatch.context() as env:
            env.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{port}")
            env.setenv("COLLAB_CHAOS_HELPER", BASE)
            env.setenv("COLLAB_CHAOS_HELPER_SOCKET", path)
            try:
                yield Far(path, way)
            finally:
                way.kill()


@contextlib.contextmanager
def near_engine(at: Path) -> Iterator[None]:
    """The engine of this environment through another socket of this host, until the end."""
    path = where().host.removeprefix("unix://")
    with subprocess.Popen([sys.executable, str(WAY), path, str(at)], stdout=subprocess.PIPE, text=True) as way:
        assert way.stdout is not None
        assert way.stdout.readline().strip() == str(at)
        with pytest.MonkeyPatch.context() as env:
            env.setenv("DOCKER_HOST", f"unix://{at}")
            try:
                yield
            finally:
                way.kill()
                at.unlink()
