"""The shipped compose stack on a real engine: built, started, looked at, and removed at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from docker_engine import BASE, HINT, engine_or_skip, snapshot
from docker_rig import ROOT, until

from chaos.model.stack import Site
from chaos.runtimes import docker as runtime
from chaos.runtimes import ports, ways
from chaos.runtimes.docker_engine import Engine
from chaos.runtimes.http import NoAnswer
from chaos.runtimes.stackfile import load_stack

COMPOSE = ROOT / "chaos" / "stacks" / "compose" / "compose.yaml"
TAG = "collab-chaos-embedded:test"


@dataclass
class Composed:
    """The containers under compose."""

    project: str
    site: Site

    def stack_file(self, folder: Path) -> Path:
        """A stack file that attaches to them."""
        path = folder / "stack.yaml"
        text = (COMPOSE.parent / "stack.yaml").read_text()
        path.write_text(text.replace("project: collab ", f"project: {self.project} "))
        return path

    def snapshot(self) -> dict[str, Any]:
        """Everything that a fault may change, of all of them."""
        return {node: snapshot(container.name) for node, container in self.site.containers.items()}

    def lives(self) -> dict[str, str]:
        """When each of them was started last."""
        with contextlib.closing(Engine()) as engine:
            return {node: engine.facts(one.name).started for node, one in self.site.containers.items()}


@contextlib.contextmanager
def composed(project: str) -> Iterator[Composed]:
    """The stack, every node of it healthy; skips with the reason where there is no engine or no compose."""
    engine_or_skip()
    words = next((one for one in (["docker", "compose"], ["docker-compose"]) if _works(one)), None)
    if words is None:
        pytest.skip(f"no docker compose; {HINT}")
    build = [sys.executable, "-m", "chaos.stacks.compose.image", "--base", BASE, "--tag", TAG]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with contextlib.closing(ports.claim(3)) as claim:
        names = zip(("STORE_PORT", "GW_EAST_PORT", "GW_NORTH_PORT"), map(str, claim.ports), strict=True)
        env = {**os.environ, "COLLAB_CHAOS_IMAGE": TAG, **dict(names)}
        compose = [*words, "-p", project, "-f", str(COMPOSE)]
        try:
            subprocess.run([*compose, "up", "-d"], env=env, check=True, capture_output=True)
            site = runtime.look(load_stack("compose", {"project": project}))
            until(lambda: all(_answers(site, node) for node in site.containers), 60)
            yield Composed(project, site)
        finally:
            subprocess.run([*compose, "down", "-v", "-t", "1"], env=env, check=False, capture_output=True)


def _works(words: list[str]) -> bool:
    if shutil.which(words[0]) is None:
        return False
    return subprocess.run([*words, "version"], capture_output=True, check=False).returncode == 0


def _answers(site: Site, node: str) -> bool:
    with contextlib.suppress(NoAnswer):
        return ways.ask_node(site, node, "/healthz", 1.0).status == 200
    return False
