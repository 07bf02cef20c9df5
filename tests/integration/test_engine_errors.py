"""No engine, no permission, an old one, none at all behind the address: a usage error in words, nothing touched."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from docker_rig import ROOT

from chaos.errors import ExitCode, UsageError
from chaos.runtimes.docker_connect import connect, where


@contextmanager
def answering(body: str) -> Iterator[str]:
    """Something that answers every request with this, and its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def trouble(env: dict[str, str]) -> UsageError:
    with pytest.raises(UsageError) as caught:
        connect(where(env)).close()
    assert caught.value.exit_code == ExitCode.USAGE
    return caught.value


@pytest.mark.parametrize("host", ["nonsense://x", "tcp://", "tcp://127.0.0.1:none", "unix:///nowhere/d.sock", "x y"])
def test_an_address_that_is_none_is_named(host: str) -> None:
    """Whatever DOCKER_HOST says, what is wrong with it is said with its value."""
    assert f"DOCKER_HOST={host}" in trouble({"DOCKER_HOST": host}).message


def test_a_socket_that_does_not_let_us_in_is_no_missing_engine(tmp_path: Path) -> None:
    """Without permission the message is about permission."""
    import socket

    path = tmp_path / "d.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            said = trouble({"DOCKER_HOST": f"unix://{path}"})
        finally:
            if root:
                os.seteuid(0)
    assert (
        said.message == f"no permission for the Docker socket (unix://{path}): join the group `docker`, or run as root"
    )


def test_an_engine_that_is_too_old_is_named_with_its_version() -> None:
    """The oldest version that will do is said too."""
    with answering(json.dumps({"ApiVersion": "1.24", "Version": "1.12"})) as host:
        said = trouble({"DOCKER_HOST": host}).message
    assert "too old: it speaks API 1.24, and 1.25 is needed" in said


@pytest.mark.parametrize("body", ["<html>a web server</html>", "{}", '{"ApiVersion": "new"}', "[1]"])
def test_what_is_no_engine_is_not_taken_for_one(body: str) -> None:
    """A server that answers with anything else is no engine."""
    with answering(body) as host:
        assert "no Docker engine answers" in trouble({"DOCKER_HOST": host}).message


def test_the_chosen_context_is_where_its_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with Docker's own client: DOCKER_HOST, DOCKER_CONTEXT, then the chosen context; one that is none is named."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    meta = tmp_path / "contexts" / "meta" / hashlib.sha256(b"staging").hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(
        json.dumps({"Name": "staging", "Metadata": {}, "Endpoints": {"docker": {"Host": "tcp://far:2375"}}})
    )
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "staging"}))
    assert where({}).host == "tcp://far:2375"
    assert where({"DOCKER_CONTEXT": "default"}).host == "unix:///var/run/docker.sock"
    assert where({"DOCKER_CONTEXT": "staging", "DOCKER_HOST": "unix:///x"}).host == "unix:///x"
    assert "'gone'" in trouble({"DOCKER_CONTEXT": "gone"}).message
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "gone"}))
    assert "'gone'" in trouble({}).message


@pytest.mark.parametrize("words", [["plan"], ["run", "--runs-dir", "RUNS"]])
def test_a_command_ends_with_exit_code_2_and_touches_nothing(words: list[str], tmp_path: Path) -> None:
    """Neither a run's directory nor a ledger is made for a stack whose engine is not there."""
    env = {**os.environ, "DOCKER_HOST": "unix:///nowhere/d.sock", "COLLAB_CHAOS_STATE": str(tmp_path / "state")}
    command = [word.replace("RUNS", str(tmp_path / "runs")) for word in words]
    done = subprocess.run(
        [sys.executable, "-m", "chaos", command[0], "network_congestion", "--stack", "compose", *command[1:]],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == ExitCode.USAGE, done.stderr
    assert "no Docker engine answers at DOCKER_HOST=unix:///nowhere/d.sock" in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
