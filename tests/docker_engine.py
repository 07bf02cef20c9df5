"""A real Docker engine for tests, and small containers on it; skips with the reason where there is none."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chaos.errors import ChaosError
from chaos.model.stack import StackSpec
from chaos.runtimes import docker_cpu, docker_io, docker_memory, ports
from chaos.runtimes.docker_engine import Engine
from chaos.runtimes.docker_net import run
from chaos.runtimes.stackfile import load_stack

BASE = os.environ.get("COLLAB_CHAOS_BASE", "collab-chaos-base:bookworm")
HINT = "`make test-deps` sets it up on Debian"
SERVER = """
import json, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

kept = []

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        body = b"ok"
        if self.path.startswith("/work"):
            wall, cpu = time.perf_counter(), time.thread_time()
            while time.thread_time() - cpu < 0.02:
                pass
            figures = {"wall_ms": (time.perf_counter() - wall) * 1000, "cpu_ms": (time.thread_time() - cpu) * 1000}
            body = json.dumps(figures).encode()
        elif self.path == "/owned":
            body = b'{"keys": ["room-1"]}'
        elif self.path.startswith("/grow/"):
            kept.append(b"x" * int(self.path.rpartition("/")[2]))
        elif self.path.startswith("/bulk/"):
            body = bytes(int(self.path.rpartition("/")[2]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

print("serving", flush=True)
ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""
STACK = """
stack: cans
environment: staging
runtime: docker
containers: {collab-chaos.test: PROJECT}
regions: {east: {}}
services:
  web:
    role: meetings
    nodes:
      - {name: web, region: east, listens: 8080, data: /data, container: {node: web}}
  front:
    role: gateway
    nodes:
      - {name: front, region: east, listens: 8080, container: {node: front}}
links:
  - {name: users--web, source: users, target: web, kind: access, regions: [east]}
  - {name: front--web, source: front, target: web, kind: internal, regions: [east]}
"""


def engine_or_skip() -> None:
    """Go on only where an engine answers, has the base image, and the host's tools can reach its containers."""
    if os.geteuid() != 0:
        pytest.skip("the faults on containers take root")
    if absent := [tool for tool in ("docker", "nsenter", "iptables", "tc", "ss") if shutil.which(tool) is None]:
        pytest.skip(f"not on this machine: {', '.join(absent)}; {HINT}")
    try:
        with contextlib.closing(Engine()) as engine:
            if not engine.where.local:
                pytest.skip("DOCKER_HOST names an engine on another host")
    except ChaosError as error:
        pytest.skip(f"{error.message}; {HINT}")
    if subprocess.run(["docker", "image", "inspect", BASE], capture_output=True, check=False).returncode:
        pytest.skip(f"the engine has no image {BASE}; {HINT}")


@dataclass
class Cans:
    """Two containers on a network of their own: `web`, which users and `front` speak to."""

    project: str
    port: int
    folder: Path

    def spec(self, **changes: str) -> StackSpec:
        """Its stack file, loaded."""
        path = self.folder / "stack.yaml"
        text = STACK.replace("PROJECT", self.project)
        for old, new in changes.items():
            text = text.replace(old, new)
        path.write_text(text)
        return load_stack(str(path))

    def name(self, node: str) -> str:
        return f"{self.project}-{node}"

    def pid(self, node: str) -> int:
        with contextlib.closing(Engine()) as engine:
            return engine.facts(self.name(node)).pid

    def snapshot(self) -> dict[str, Any]:
        """Everything that a fault may change, of both containers; empty tables of iptables are as good as none."""
        return {node: snapshot(self.name(node)) for node in ("web", "front")}


def docker(*words: str) -> str:
    """A docker command that has to succeed."""
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True, timeout=60).stdout


@contextlib.contextmanager
def cans(folder: Path) -> Iterator[Cans]:
    """Start the containers, and remove them with their network at the end."""
    engine_or_skip()
    project = f"cans-{secrets.token_hex(3)}"
    with contextlib.closing(ports.claim(1)) as claim:
        made = Cans(project, claim.ports[0], folder)
        docker("network", "create", project)
        try:
            for node, extra in (
                ("web", ("-p", f"127.0.0.1:{made.port}:8080", "--tmpfs", "/data:size=16m")),
                ("front", ()),
            ):
                start_can(made, node, *extra)
            _serving(made)
            yield made
        finally:
            names = docker("ps", "-aq", "--filter", f"label=collab-chaos.test={project}").split()
            if names:
                docker("rm", "-f", *names)
            docker("network", "rm", project)


def start_can(made: Cans, node: str, *extra: str) -> None:
    labels = ("--label", f"collab-chaos.test={made.project}", "--label", f"node={node}")
    docker(
        "run", "-d", "--init", "--network", made.project, "--name", made.name(node), *labels, *extra,
        BASE, "python3", "-c", SERVER,
    )  # fmt: skip


def _serving(made: Cans) -> None:
    end = time.monotonic() + 20
    for node in ("web", "front"):
        while "serving" not in docker("logs", made.name(node)):
            assert time.monotonic() < end, "a container does not serve"


def snapshot(container: str) -> dict[str, Any]:
    """All that a fault may change of a container, and of this host for its sake."""
    with contextlib.closing(Engine()) as engine:
        facts = engine.facts(container)
        notes = sorted(note.did for note in engine.notes() if note.container == facts.id)
    state = {"id": facts.id, "status": facts.status, "restarts": facts.restarts, "notes": notes}
    if not facts.up:
        return state
    host = _host_side(facts.pid)
    return {
        **state,
        **body(facts.pid),
        "quota": docker_cpu.read(facts.pid),
        "rules": _rules(run(facts.pid, "iptables-save")),
        "host rules": [rule for rule in _rules(run(0, "iptables-save")) if "cc-" in rule or "collab-chaos" in rule],
        "tc": _tc(facts.pid, "eth0"),
        "host tc": _tc(0, host),
        "namespace": Path(facts.sandbox).exists(),
    }


def _rules(saved: str) -> list[str]:
    # The engine's own name server gets other ports at each start.
    return [line for line in saved.splitlines() if re.match(r"-A|:\S+ - ", line) and "127.0.0.11" not in line]


def body(pid: int) -> dict[str, Any]:
    """Limits of memory and disk, and what lies where the container has its data."""
    return {
        "memory": docker_memory.read(pid),
        "first to be killed": docker_memory.chosen(pid),
        "pace": docker_io.read(pid, docker_io.device(pid, "/")),
        "files": sorted(path.name for path in Path(f"/proc/{pid}/root/data").glob("*")),
    }


def _tc(pid: int, device: str) -> list[str]:
    shown = [run(pid, "tc", kind, "show", "dev", device) for kind in ("qdisc", "class", "filter")]
    return [re.sub(r" direct_packets_stat \d+", "", text) for text in shown]


def _host_side(pid: int) -> str:
    index = re.search(r"eth0@if(\d+)", run(pid, "ip", "link", "show", "eth0"))
    assert index
    name = re.search(rf"^{index[1]}: (\S+?)@", run(0, "ip", "link"), re.MULTILINE)
    assert name
    return name[1]
