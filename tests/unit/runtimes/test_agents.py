"""Control sockets, ports, the state directory, probes and undo: each alone."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.errors import ChaosError, StackFailed, StillDirty, StorageFailed
from chaos.model.fault import Undo
from chaos.runtimes import child, control, http, ports, state, undo


class Agent:
    """A control server in a thread of its own, with the given handler."""

    def __init__(self, path: str, handler: control.Handler) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(path, handler),))
        self._thread.start()
        assert self._ready.wait(15)

    async def _serve(self, path: str, handler: control.Handler) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await control.serve(path, handler)
        self._ready.set()
        await self._end.wait()
        server.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    async def handler(request: dict[str, Any]) -> Any:
        match request["do"]:
            case "echo":
                return request["word"]
            case "refuse":
                raise control.BadRequest("not today")
            case "sleep":
                await asyncio.sleep(1.0)
        return 1 / 0

    path = str(tmp_path / "agent.sock")
    one = Agent(path, handler)
    yield path
    one.close()


def test_call_returns_the_value(agent: str) -> None:
    """A question comes back with its value, large ones included, and the socket is only its user's."""
    assert control.call(agent, "echo", word={"a": [1, "ü" * 200_000]}) == {"a": [1, "ü" * 200_000]}
    assert Path(agent).stat().st_mode & 0o777 == 0o600


def test_agent_survives_bad_requests(agent: str) -> None:
    """A refusal, a bug in a handler and nonsense are answered, and the agent lives on."""
    with pytest.raises(control.AgentRefused, match="`refuse` was refused: not today"):
        control.call(agent, "refuse")
    with pytest.raises(control.AgentRefused, match="ZeroDivisionError"):
        control.call(agent, "crash")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(agent)
        sock.sendall(b"nonsense\n[1]\n")
        with sock.makefile() as lines:
            assert all('"ok": false' in lines.readline() for _ in range(2))
    assert control.call(agent, "echo", word=1) == 1


def test_call_maps_every_failure_to_the_error_tree(agent: str, tmp_path: Path) -> None:
    """No answer in time, no socket, a dead socket and a path too long are all leaves of our tree."""
    with pytest.raises(control.AgentSilent, match="no answer"):
        control.call(agent, "sleep", timeout_s=0.05)
    with pytest.raises(control.AgentGone):
        control.call(str(tmp_path / "none.sock"), "echo")
    dead = str(tmp_path / "dead.sock")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(dead)
    with pytest.raises(control.AgentGone):
        control.call(dead, "echo")
    with pytest.raises(StackFailed):
        control.call("/" + "x" * 200, "echo")


def test_undo_tells_dirt_from_success(agent: str, tmp_path: Path) -> None:
    """A socket that is gone is a success; a refusal, an unknown primitive and lacking arguments are dirt."""

    def release(**arguments: Any) -> str:
        return undo.undo(Undo(primitive="link.release.v1", arguments=arguments, says="lift"))

    assert release(proxy=str(tmp_path / "none.sock"), fault="f") == "already gone"
    with pytest.raises(StillDirty, match="f could not be released"):
        release(proxy=agent, fault="f")
    with pytest.raises(StillDirty, match="needs `proxy`"):
        release(fault="f")
    with pytest.raises(StillDirty, match="unknown undo"):
        undo.undo(Undo(primitive="link.release.v9", arguments={}, says="lift"))


def test_claimed_ports_are_nobody_elses() -> None:
    """Claims do not overlap, lie below the ephemeral range, and can be bound."""
    first, second = ports.claim(60), ports.claim(3)
    assert len(set(first.ports) | set(second.ports)) == 63
    assert all(ports.FIRST <= port < ports.LAST for port in first.ports)
    with socket.create_server(("127.0.0.1", second.ports[0])):
        assert not ports.is_free(second.ports[0])
    assert ports.is_free(second.ports[0])
    assert ports.claim(0).ports == ()
    for one in (first, second, second):
        one.close()


def test_claim_keeps_away_from_given_and_busy_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports to avoid and ports in use are left out; too few make a clear error."""
    claim = ports.claim(1)
    base = claim.ports[0]
    claim.close()
    monkeypatch.setattr(ports, "FIRST", base)
    monkeypatch.setattr(ports, "LAST", base + 4)
    monkeypatch.setattr(ports, "BLOCK", 4)
    again = ports.claim(2, avoid={base, base + 1})
    assert set(again.ports) == {base + 2, base + 3}
    with pytest.raises(StackFailed, match="no 1 free ports"):
        ports.claim(1)
    again.close()


def test_state_directory_follows_the_environment() -> None:
    """Our own variable wins over XDG's, which wins over the home directory."""
    assert state.root({"COLLAB_CHAOS_STATE": "/s", "XDG_STATE_HOME": "/x"}) == Path("/s")
    assert state.root({"XDG_STATE_HOME": "/x"}) == Path("/x/collab-chaos")
    assert state.root({}) == Path.home() / ".local/state/collab-chaos"


def test_stack_folder_lives_with_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is alive while its lock is held, and swept once nobody holds it; a very young one is left."""
    monkeypatch.setenv("COLLAB_CHAOS_STATE", str(tmp_path))
    assert state.living() == ()
    folder = state.create("tiny")
    assert folder.id.startswith("tiny-")
    assert folder.path.stat().st_mode & 0o777 == 0o700
    young = tmp_path / "stacks" / "young"
    young.mkdir()
    assert state.living() == (folder.path,)
    folder.unlock()
    assert state.living() == ()
    assert not folder.path.exists()
    assert young.exists()
    folder.remove()


def test_long_state_path_gets_a_short_place_for_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the path is too long for a unix socket, sockets go to a short private folder that is removed as well."""
    monkeypatch.setenv("COLLAB_CHAOS_STATE", str(tmp_path / ("d" * 90)))
    folder = state.create("tiny")
    assert folder.sockets != folder.path
    assert len(os.fsencode(folder.sockets / "supervisor.sock")) < state.SOCKET_PATH_LIMIT
    folder.remove()
    assert not folder.sockets.exists()
    folder.unlock()


def test_unwritable_state_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state directory that cannot be made is StorageFailed with a hint."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COLLAB_CHAOS_STATE", str(tmp_path / "file"))
    with pytest.raises(StorageFailed, match="cannot be used") as caught:
        state.create("tiny")
    assert "COLLAB_CHAOS_STATE" in caught.value.hint


def test_get_times_an_answer_and_maps_failures() -> None:
    """A GET returns status, body and time; a closed port, silence and nonsense are NoAnswer."""
    claim = ports.claim(2)
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"nonsense\r\n\r\n", b""]
    listener = socket.create_server(("127.0.0.1", claim.ports[0]))

    def serve() -> None:
        for answer in answers:
            sock, _ = listener.accept()
            with sock:
                sock.recv(1000)
                time.sleep(0.02)
                sock.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    answer = http.get(claim.ports[0])
    assert (answer.status, answer.body) == (200, b"ok")
    assert 0.02 <= answer.elapsed_s < 1
    for _ in range(2):
        with pytest.raises(http.NoAnswer):
            http.get(claim.ports[0])
    thread.join()
    with pytest.raises(http.NoAnswer, match="timed out"):
        http.get(claim.ports[0], timeout_s=0.05)
    listener.close()
    with pytest.raises(http.NoAnswer, match="refused"):
        http.get(claim.ports[1])
    claim.close()


def test_tail_gives_the_last_lines(tmp_path: Path) -> None:
    """The end of a file comes line by line; a file that is not there has none."""
    path = tmp_path / "log"
    path.write_text("".join(f"line {number}\n" for number in range(20_000)))
    assert child.tail(path, 2) == ("line 19998", "line 19999")
    assert child.tail(path, 0) == ()
    assert child.tail(tmp_path / "none", 5) == ()


def test_errors_of_the_runtimes_are_leaves_of_the_tree() -> None:
    """Whatever these modules raise to callers is a ChaosError with an exit code for users."""
    for error in (control.AgentGone, control.AgentRefused, control.AgentSilent, http.NoAnswer):
        assert issubclass(error, StackFailed)
        assert issubclass(error, ChaosError)
