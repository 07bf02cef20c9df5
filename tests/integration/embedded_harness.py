"""Starts the embedded stack's processes with direct ports in place of link proxies, and speaks its two protocols."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pycrdt import Array, Doc
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chaos.model.stack import NodeSpec, StackSpec
from chaos.stacks.embedded import hocuspocus as wire
from chaos.stacks.embedded.hocuspocus import Kind, Reader, Sync
from chaos.stacks.embedded.room import sign

ROOT = Path(__file__).parents[2]
STACK = ROOT / "chaos" / "stacks" / "embedded" / "stack.yaml"
SECRET = "staging-only"  # noqa: S105 - the stack's published default


async def until(check: Callable[[], Awaitable[Any]], within_s: float = 10.0) -> Any:
    """The first true answer of `check`, asked again and again; AssertionError after `within_s`."""
    deadline = time.monotonic() + within_s
    while True:
        if answer := await check():
            return answer
        assert time.monotonic() < deadline, f"not within {within_s} s"
        await asyncio.sleep(0.05)


class Stack:
    """A running embedded stack; every link's port is its target's own."""

    def __init__(self, directory: Path, settings: dict[str, str] | None = None) -> None:
        raw = yaml.safe_load(STACK.read_text())
        raw["settings"].update(settings or {})
        self.spec = StackSpec.model_validate(raw)
        self.directory = directory
        self.ports = {name: _free_port() for name in self.spec.nodes()}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def _fill(self, text: str, node: NodeSpec) -> str:
        targets = {link.name: link.target for link in self.spec.links}
        plain = {
            "python": sys.executable, "port": str(self.ports[node.name]), "name": node.name,
            "region": node.region or "", "data": str(self.directory / "data" / node.name),
        }

        def value(match: re.Match[str]) -> str:
            word = match[1]
            kind, _, rest = word.partition(".")
            if kind == "links":
                return str(self.ports[targets[rest.removesuffix(".port")]])
            return self.spec.settings[rest] if kind == "settings" else plain[word]

        return re.sub(r"\$\{([^}]+)\}", value, text)

    def start(self, name: str) -> None:
        """Start a node; its output goes to a file."""
        _, node = self.spec.nodes()[name]
        command = [self._fill(word, node) for word in node.command]
        with (self.directory / f"{name}.log").open("ab") as output:
            self.processes[name] = subprocess.Popen(
                command, cwd=ROOT, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text()

    def signal(self, name: str, number: int) -> None:
        self.processes[name].send_signal(number)

    def kill(self, name: str) -> None:
        """SIGKILL, and wait for the end."""
        self.processes[name].kill()
        self.processes[name].wait(5)

    def get(self, name: str, path: str) -> Any:
        """GET from a node's admin endpoint: parsed JSON, else text; None if it does not answer with 200."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}{path}", timeout=2) as answer:
                text = answer.read().decode()
        except OSError:
            return None
        return json.loads(text) if "json" in answer.headers["Content-Type"] else text

    async def healthy(self, name: str) -> bool:
        return await asyncio.to_thread(self.get, name, "/healthz") == "ok\n"

    async def owner(self, key: str) -> str:
        """The node that the store says owns a key, or nothing."""
        answer = await asyncio.to_thread(self.get, "store", "/owned")
        return str((answer or {"owners": {}})["owners"].get(key, ""))

    async def up(self) -> float:
        """Start everything; return the seconds until every node is healthy."""
        began = time.monotonic()
        for name in self.ports:
            self.start(name)
        for name in self.ports:
            await until(lambda name=name: self.healthy(name), 20)  # type: ignore[misc]
        return time.monotonic() - began

    def down(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
        for process in self.processes.values():
            process.wait(5)

    def url(self, gateway: str, path: str) -> str:
        return f"ws://127.0.0.1:{self.ports[gateway]}{path}"


_ports = itertools.count(20_000 + os.getpid() * 37 % 11_000)


def _free_port() -> int:
    while True:
        port = next(_ports)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.asynccontextmanager
async def running(directory: Path, **settings: str) -> AsyncIterator[Stack]:
    """A stack that is up, and is taken down at the end."""
    stack = Stack(directory, settings)
    try:
        await stack.up()
        yield stack
    finally:
        stack.down()


async def dial(url: str) -> ClientConnection:
    """A WebSocket through a gateway; tries again for a while when it is refused."""
    deadline = time.monotonic() + 8
    while True:
        try:
            return await connect(url, compression=None, proxy=None, ping_interval=None, close_timeout=1)
        except InvalidStatus as refusal:
            assert refusal.response.status_code == 503
            assert float(refusal.response.headers["Retry-After"]) > 0
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)


class Person:
    """A participant of a meeting, beating every half second."""

    def __init__(self, session: str, user: str = "") -> None:
        self.session = session
        self.user = user or session.partition(".")[0]
        self.socket: ClientConnection | None = None
        self.pushed: list[dict[str, Any]] = []
        self.joined: dict[str, Any] = {}
        self.close_code: int | None = None
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self, url: str, *, beating: bool = True) -> None:
        self.socket = await dial(url)
        self._tasks = [asyncio.create_task(self._listen(self.socket))]
        if beating:
            self._tasks.append(asyncio.create_task(self._beat(self.socket)))

    async def ask(self, kind: str, within_s: float = 3.0, **fields: Any) -> dict[str, Any]:
        assert self.socket is not None
        number = next(self._ids)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps({"t": kind, "id": number, **fields}))
        return await asyncio.wait_for(self._answers[number], within_s)

    async def join(self, url: str, *, beating: bool = True) -> dict[str, Any]:
        await self.connect(url, beating=beating)
        token = sign(SECRET, self.user)
        self.joined = await self.ask("join", user=self.user, session=self.session, token=token)
        return self.joined

    async def resume(self, url: str) -> dict[str, Any]:
        await self.connect(url)
        return await self.ask("resume", user=self.user, session=self.session, resume=self.joined["resume"])

    async def roster(self) -> list[str]:
        return list((await self.ask("roster"))["sessions"])

    def cut(self) -> None:
        assert self.socket is not None
        self.socket.transport.abort()
        self.stop()

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _listen(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for frame in connection:
                message = json.loads(frame)
                future = self._answers.pop(message.get("id"), None)
                if future is not None and not future.done():
                    future.set_result(message)
                elif message["t"] != "beat":
                    self.pushed.append(message)
        self.close_code = connection.close_code

    async def _beat(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.send('{"t":"beat"}')
                await asyncio.sleep(0.5)


class Editor:
    """A Yjs client on Hocuspocus's wire, with an Array of tokens."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.doc: Doc[Any] = Doc()
        self.array = self.doc.get("tokens", type=Array)
        self.socket: ClientConnection | None = None
        self.acknowledged = 0
        self.awareness: list[bytes] = []
        self.frames: list[tuple[int, bytes]] = []
        self.close_code: int | None = None
        self.synced = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self, url: str) -> None:
        """Connect and sync both ways."""
        self.synced.clear()
        self.socket = await dial(url)
        self._task = asyncio.create_task(self._listen(self.socket))
        await self.socket.send(wire.var(self.name) + bytes((Kind.AUTH, wire.AUTH_TOKEN)) + wire.var("") + wire.var("4"))
        await self.socket.send(wire.sync(self.name, Sync.STEP1, self.doc.get_state()))
        await asyncio.wait_for(self.synced.wait(), 5)

    def write(self, token: str) -> bytes:
        """Insert a token locally; return the update."""
        before = self.doc.get_state()
        self.array.append(token)
        return self.doc.get_update(before)

    async def edit(self, token: str, within_s: float = 5.0) -> None:
        """Insert a token, and wait for the acknowledgement."""
        assert self.socket is not None
        wanted = self.acknowledged + 1
        await self.socket.send(wire.sync(self.name, Sync.UPDATE, self.write(token)))
        await until(lambda: _true(self.acknowledged >= wanted), within_s)

    def tokens(self) -> list[str]:
        return list(self.array.to_py() or [])

    def cut(self) -> None:
        assert self.socket is not None
        self.socket.transport.abort()

    async def close(self) -> None:
        assert self.socket is not None
        await self.socket.close()

    async def _listen(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for frame in connection:
                assert isinstance(frame, bytes)
                await self._hear(connection, Reader(frame))
        self.close_code = connection.close_code

    async def _hear(self, connection: ClientConnection, reader: Reader) -> None:
        assert reader.text() == self.name
        kind = reader.uint()
        if kind == Kind.SYNC_STATUS:
            assert reader.uint() == 1
            self.acknowledged += 1
        elif kind == Kind.AWARENESS:
            self.awareness.append(reader.bytes())
        elif kind == Kind.SYNC:
            step, payload = reader.uint(), reader.bytes()
            if step == Sync.STEP1:
                await connection.send(wire.sync(self.name, Sync.STEP2, self.doc.get_update(payload)))
            else:
                self.doc.apply_update(payload)
            if step == Sync.STEP2:
                self.synced.set()


async def _true(value: object) -> object:
    return value


async def cold_read(stack: Stack, gateway: str, name: str) -> list[str]:
    """What a fresh client reads."""
    editor = Editor(name)
    await editor.open(stack.url(gateway, f"/docs/{name}"))
    await editor.close()
    return editor.tokens()


def stopped(stack: Stack, name: str) -> Iterator[None]:
    """SIGSTOP now, SIGCONT at the end."""
    stack.signal(name, signal.SIGSTOP)
    try:
        yield
    finally:
        stack.signal(name, signal.SIGCONT)


paused = contextlib.contextmanager(stopped)
