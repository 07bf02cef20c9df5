"""Stacks of containers: the embedded servers under compose, and stack files that mean none, or the wrong one."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from docker_engine import BASE, HINT, Cans, cans, docker, engine_or_skip, snapshot, start_can
from docker_rig import ROOT, until

from chaos.cli.main import main
from chaos.errors import ChaosError, NoSuchTarget, StackFailed, UnsafeTarget
from chaos.execute import Options, prepare
from chaos.model.stack import Site
from chaos.runtimes import docker as runtime
from chaos.runtimes import ports, ways
from chaos.runtimes.http import NoAnswer
from chaos.runtimes.stackfile import load_stack

pytestmark = [pytest.mark.needs_docker, pytest.mark.slow]

COMPOSE = ROOT / "chaos" / "stacks" / "compose" / "compose.yaml"
PROJECT = f"collab-test-{secrets.token_hex(3)}"
TAG = "collab-chaos-embedded:test"
EXPERIMENT = ROOT / "experiments" / "network_congestion.json"


@pytest.fixture(scope="module")
def embedded() -> Iterator[Site]:
    """The compose stack, every node of it healthy."""
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
        compose = [*words, "-p", PROJECT, "-f", str(COMPOSE)]
        try:
            subprocess.run([*compose, "up", "-d"], env=env, check=True, capture_output=True)
            site = runtime.look(load_stack("compose", {"project": PROJECT}))
            until(lambda: all(_answers(site, node) for node in site.containers), 60)
            yield site
        finally:
            subprocess.run([*compose, "down", "-t", "1"], env=env, check=False, capture_output=True)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cans]:
    with cans(tmp_path_factory.mktemp("cans")) as made:
        yield made


def _works(words: list[str]) -> bool:
    if shutil.which(words[0]) is None:
        return False
    return subprocess.run([*words, "version"], capture_output=True, check=False).returncode == 0


def _answers(site: Site, node: str) -> bool:
    with contextlib.suppress(NoAnswer):
        return ways.ask_node(site, node, "/healthz", 1.0).status == 200
    return False


def _short(folder: Path) -> Path:
    """A shipped experiment on the compose stack, with few users and a long fault."""
    document: dict[str, Any] = json.loads(EXPERIMENT.read_text())
    ours = document["extensions"][0]
    ours.update(stack=str(_stack_file(folder)), thresholds={})
    ours["load"].update(participants=8, rooms=2, editors=2, documents=2)
    ours["phases"].update(warm_up=2, baseline=2, recovery=2)
    for step in document["method"]:
        if "fault" in step["provider"].get("arguments", {}):
            step["provider"]["arguments"]["duration"] = 60
    path = folder / "short.json"
    path.write_text(json.dumps(document))
    return path


def _stack_file(folder: Path) -> Path:
    path = folder / "stack.yaml"
    path.write_text((COMPOSE.parent / "stack.yaml").read_text().replace("project: collab ", f"project: {PROJECT} "))
    return path


def test_every_node_is_reached_past_and_through_its_links(embedded: Site) -> None:
    """Seven containers are found by the labels that compose gives them, and every link carries a request."""
    assert len(embedded.containers) == 7
    for link in embedded.spec.links:
        assert ways.ask_through(embedded, link.name, "/healthz", 2.0).status == 200, link.name
    assert set(embedded.node_ports) == {"store", "gw-east", "gw-north"}


def test_a_plan_names_the_carrier_and_touches_nothing(embedded: Site, tmp_path: Path) -> None:
    """What will be done to containers is said in their own words."""
    plan = prepare(Options(str(_short(tmp_path)))).plan
    assert "NFQUEUE" in " ".join(plan.injections[0].carriers)
    assert plan.spec.runtime == "docker"


def test_what_containers_cannot_suffer_is_refused_by_the_plan(embedded: Site, tmp_path: Path) -> None:
    """`chaos run` of a fault that only a link proxy carries ends with exit 2 and the place, and begins nothing."""
    path = _short(tmp_path)
    document = json.loads(path.read_text())
    for step in document["method"]:
        if "fault" in step["provider"].get("arguments", {}):
            target = step["provider"]["arguments"]["target"]
            step["provider"]["arguments"] = {"fault": "half_open", "duration": 5, "target": target}
    path.write_text(json.dumps(document, indent=1))
    done = CliRunner().invoke(main, ["run", str(path), "--runs-dir", str(tmp_path / "runs")], prog_name="chaos")
    assert done.exit_code == 2
    words = " ".join(done.stderr.split())
    assert re.search(
        r"short\.json:\d+:\d+: half_open has no carrier for freeze: link proxy, .*between containers", words
    )
    assert not (tmp_path / "runs").exists()


def test_a_run_that_is_killed_leaves_nothing(embedded: Site, tmp_path: Path) -> None:
    """SIGKILL of `chaos run` in the middle of a shipped experiment: all seven containers are as before in 10 s."""
    names = [container.name for container in embedded.containers.values()]
    before = {name: snapshot(name) for name in names}
    log = tmp_path / "log"
    with log.open("w") as out:
        run = subprocess.Popen(
            [sys.executable, "-m", "chaos", "run", str(_short(tmp_path)), "--runs-dir", str(tmp_path / "runs")],
            stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    try:
        until(lambda: "congestion is on" in log.read_text() or run.poll() is not None, 60)
        assert run.poll() is None, log.read_text()
        assert {name: snapshot(name) for name in names} != before
    finally:
        run.kill()
        run.wait()
    began = time.monotonic()
    until(lambda: {name: snapshot(name) for name in names} == before, 10)
    print(f"as before {time.monotonic() - began:.1f} s after SIGKILL")


def test_labels_that_pick_none_or_several_are_named(web: Cans) -> None:
    """A node is one container: none and two are a mistake in the stack file, exit 2."""
    with pytest.raises(NoSuchTarget, match=r"node front: .* picks none") as caught:
        runtime.look(web.spec(**{"node: front": "node: nobody"}))
    assert caught.value.exit_code == 2
    with pytest.raises(NoSuchTarget, match=r"must pick one container, and picks .*front, .*web"):
        runtime.look(web.spec(**{"container: {node: web}": "container: {}"}))
    with pytest.raises(NoSuchTarget, match="same container"):
        runtime.look(web.spec(**{"node: front": "node: web"}))


def test_a_container_of_production_is_refused(web: Cans) -> None:
    """The label outranks the stack file's own word."""
    start_can(web, "prod", "--label", "collab-chaos.environment=production")
    with pytest.raises(UnsafeTarget, match="production"):
        runtime.look(web.spec(**{"node: front": "node: prod"}))


def test_a_kill_needs_ports_that_stay(web: Cans) -> None:
    """A port that the engine picks would be another after the restart: refused before anything is killed."""
    start_can(web, "loose", "-p", "127.0.0.1::8080")
    with runtime.attach(web.spec(**{"node: front": "node: loose"})) as stack:
        with pytest.raises(StackFailed, match="would be others"):
            stack.runtime.kill("k.1", ("front",), 5, None)
        assert docker("inspect", "-f", "{{.State.Running}}", web.name("loose")).strip() == "true"


def test_a_container_that_stands_is_refused(web: Cans) -> None:
    """What is paused or stopped already is nobody's to harm."""
    docker("pause", web.name("front"))
    try:
        with pytest.raises(StackFailed, match="paused"):
            runtime.look(web.spec())
    finally:
        docker("unpause", web.name("front"))


def test_the_agent_answers_bad_requests_in_words(web: Cans) -> None:
    """Unknown nodes, links and shares are refused, and nothing is held then."""
    with runtime.attach(web.spec()) as stack:
        with pytest.raises(StackFailed, match="no container of this stack: nobody"):
            stack.runtime.pause("b.1", ("nobody",), 5)
        with pytest.raises(StackFailed, match="between 0 and 1"):
            stack.runtime.throttle("b.1", ("web",), 3, 5)
        assert stack.runtime.active() == ()


@pytest.mark.parametrize("host", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:9"])
def test_without_an_engine_it_says_so(host: str, web: Cans, monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine, or one that does not answer, is a usage error with the next thing to do."""
    spec = web.spec()
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(ChaosError, match="no Docker engine answers") as caught:
        runtime.look(spec)
    assert caught.value.exit_code == 2
