"""Containers that are asked to end, whole regions of them, and cuts among several, on a real engine."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from docker_engine import Cans, cans, docker, start_can
from docker_rig import left_as_it_was, passes, until

from chaos.engine.injector import Injector
from chaos.engine.ledger import Ledger
from chaos.errors import StackFailed
from chaos.faults import registry
from chaos.runtimes import dns, ways
from chaos.runtimes.docker import DockerStack, attach
from chaos.runtimes.docker_net import inside
from chaos.runtimes.http import NoAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chaos.model.fault import Evidence

pytestmark = pytest.mark.needs_docker
TWO_REGIONS = {
    "regions: {east: {}}": "regions: {east: {}, west: {}}",
    "name: front, region: east": "name: front, region: west",
    "internal, regions: [east]": "internal, regions: [west, east]",
}


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cans]:
    with cans(tmp_path_factory.mktemp("cans")) as made:
        yield made


@pytest.fixture(scope="module")
def stack(web: Cans) -> Iterator[DockerStack]:
    with attach(web.spec(**TWO_REGIONS)) as attached:
        yield attached


@pytest.fixture(autouse=True)
def _as_before(web: Cans, stack: DockerStack) -> Iterator[None]:
    """Every test leaves the containers as they were."""
    with left_as_it_was(web, stack):
        yield


def hit(stack: DockerStack, folder: Path, name: str, look: Callable[[], Any], **arguments: Any) -> tuple[Evidence, Any]:
    """Run one fault for a moment: its proof, and what `look` saw while it was on."""
    seen: list[Any] = []
    told: dict[str, dict[str, Any]] = {}

    def tell(step: str, _: str, data: dict[str, Any]) -> None:
        told[step] = data
        if step == "on":
            seen.append(look())

    fault = registry()[name].model_validate({"duration": 2} | arguments)
    evidence = Injector(stack.runtime, Ledger.create("run", folder), 1, threading.Event(), tell).run(fault, name)
    assert told["off-proof"]["clean"], told
    return evidence, seen[0]


def inner_link_answers(stack: DockerStack) -> bool:
    try:
        return ways.ask_through(stack.site, "front--web", "/", 1.0).status == 200
    except NoAnswer:
        return False


def test_a_bisected_pair_keeps_its_users(web: Cans, stack: DockerStack, tmp_path: Path) -> None:
    """The link between the two halves answers nothing, the one of the users does."""

    def look() -> tuple[bool, bool]:
        return inner_link_answers(stack), passes(web.port)

    evidence, seen = hit(stack, tmp_path, "partition", look, target={}, topology="bisect")
    assert evidence.bit, evidence
    assert evidence.measured["cut"] == ["front--web"]
    assert seen == (False, True)
    assert inner_link_answers(stack)


def test_a_lost_region_comes_back_whole(web: Cans, stack: DockerStack, tmp_path: Path) -> None:
    """Its containers are dead for as long as it lasts, and others go on."""
    evidence, seen = hit(
        stack, tmp_path, "region_loss", lambda: (_status(web, "front"), passes(web.port)), target={"region": "west"}
    )
    assert evidence.bit, evidence
    assert set(evidence.measured["gone"]) == {"front"}
    assert seen == ("exited", True)


@pytest.mark.parametrize("name", ["stop", "restart"])
def test_a_container_ends_on_its_stop_signal(name: str, web: Cans, stack: DockerStack, tmp_path: Path) -> None:
    """It has heard SIGTERM (exit code 143) and is down until healed, or back by itself."""
    evidence, code = hit(stack, tmp_path, name, lambda: _exit_code(web, "web"), target={"node": "web"}, grace=4)
    assert evidence.bit, evidence
    if name == "stop":
        assert code == 143
    assert _status(web, "web") == "running"


def test_a_container_that_does_not_end_is_killed(web: Cans, tmp_path: Path) -> None:
    """The first process of a container is deaf to a signal that it does not handle: SIGKILL when its time is over."""
    start_can(web, "deaf", "--init=false")
    with attach(web.spec(**{"node: front": "node: deaf"})) as stack:
        began = time.monotonic()
        stack.runtime.kill("k.1", ("front",), 5, None, 1.0)
        took = time.monotonic() - began
        assert _exit_code(web, "deaf") == 137
        assert took >= 1
        stack.runtime.release("k.1")
        assert _status(web, "deaf") == "running"


def test_a_stop_needs_ports_that_stay(web: Cans) -> None:
    """Refused before anybody is asked to end, also where another node could come back."""
    start_can(web, "loose", "-p", "127.0.0.1::8080")
    with attach(web.spec(**{"node: front": "node: loose"})) as stack:
        with pytest.raises(StackFailed, match="would be others"):
            stack.runtime.kill("k.1", ("web", "front"), 5, None, 1.0)
        assert _status(web, "loose") == _status(web, "web") == "running"


@pytest.mark.parametrize("answer", ["timeout", "refused"])
def test_names_cannot_be_looked_up(answer: str, web: Cans, stack: DockerStack, tmp_path: Path) -> None:
    """By UDP and by TCP, with the resolver that programs use, and for one node only; connections are left alone."""

    def look() -> tuple[str, bool, bool]:
        front = ways.look_up(stack.site, "front", tcp=False, timeout_s=1.0)
        return front, inner_link_answers(stack), _resolves(web, "web")

    assert _resolves(web, "web")
    evidence, seen = hit(stack, tmp_path, "dns_failure", look, target={"node": "web"}, answer=answer, duration=4)
    assert evidence.bit, evidence
    assert evidence.measured["queries"] == {"web udp": answer, "web tcp": answer}
    assert seen == ("answered", True, False)
    assert _resolves(web, "web")


@pytest.mark.parametrize("answer", ["timeout", "refused"])
def test_other_name_servers_fail_too(answer: str, web: Cans, stack: DockerStack) -> None:
    """One that is not the engine's own, at port 53 of another machine, which still hears from everybody else."""
    (address,) = stack.site.containers["front"].addresses
    with name_server(web.pid("front"), address):

        def ask(node: str) -> str:
            return inside(web.pid(node), lambda: dns.ask(address, "front", tcp=False, timeout_s=1.0))

        assert ask("web") == "answered"
        stack.runtime.fail_names("n.1", ("web",), answer, 30.0)
        assert ask("web") == answer
        assert ask("front") == "answered"
        stack.runtime.release("n.1")
        assert ask("web") == "answered"


@contextlib.contextmanager
def name_server(pid: int, address: str) -> Iterator[None]:
    """Answers every query of DNS by UDP with nothing, as a server that knows no name does."""

    def bound() -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((address, dns.PORT))
        return sock

    def serve() -> None:
        while message := sock.recvfrom(512):
            data, peer = message
            if not data:
                return
            sock.sendto(data[:2] + b"\x81\x83" + data[4:], peer)

    sock = inside(pid, bound)
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        with inside(pid, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as last:
            last.sendto(b"", (address, dns.PORT))
        thread.join(5)
        sock.close()


def test_a_container_without_names_loses_them_again_after_a_restart(web: Cans, stack: DockerStack) -> None:
    """The rules went with the namespace, and come back until the heal."""
    stack.runtime.fail_names("n.1", ("web",), "refused", 30.0)
    docker("restart", "-t", "0", web.name("web"))
    until(lambda: ways.look_up(stack.site, "web", tcp=True, timeout_s=1.0) == "refused")
    stack.runtime.release("n.1")
    assert ways.look_up(stack.site, "web", tcp=False, timeout_s=1.0) == "answered"


def _resolves(web: Cans, node: str) -> bool:
    """Whether the C library in the container finds another container by its name."""
    ask = f"import socket; socket.gethostbyname('{web.name('front')}')"
    done = subprocess.run(
        ["docker", "exec", "-e", "RES_OPTIONS=timeout:1 attempts:1", web.name(node), "python3", "-c", ask],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def _status(web: Cans, node: str) -> str:
    return docker("inspect", "-f", "{{.State.Status}}", web.name(node)).strip()


def _exit_code(web: Cans, node: str) -> int:
    return int(docker("inspect", "-f", "{{.State.ExitCode}}", web.name(node)))
