"""Runs the embedded stack, and speaks its two protocols with clients that share no code with the tool's own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
import urllib.request
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from pycrdt import Array, Doc
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chaos.model.link import LinkEffect
from chaos.runtimes.process import RunningStack, start_stack
from chaos.runtimes.stackfile import load_stack
from chaos.stacks.embedded import hocuspocus as wire
from chaos.stacks.embedded.hocuspocus import Kind, Reader, Sync
from chaos.stacks.embedded.room import sign

LEASE_S = 60.0
SECRET = "staging-only"
"""The stack file's own."""


async def until(check: Callable[[], Awaitable[Any]], within_s: float = 10.0, every_s: float = 0.05) -> Any:
    """The first true answer of `check`, asked again and again; AssertionError after `within_s`."""
    deadline = time.monotonic() + within_s
    while True:
        if answer := await check():
            return answer
        assert time.monotonic() < deadline, f"not within {within_s} s"
        await asyncio.sleep(every_s)


class Stack:
    """A running embedded stack behind its link proxy; nodes are hurt through the runtime, off the event loop."""

    def __init__(self, running: RunningStack) -> None:
        self.site = running.site
        self.runtime = running.runtime

    def log(self, name: str) -> str:
        return (Path(self.site.directory) / "logs" / f"{name}.log").read_text()

    async def kill(self, name: str) -> None:
        """SIGKILL; the node stays dead until `release`."""
        await asyncio.to_thread(self.runtime.kill, f"kill-{name}", (name,), LEASE_S, None)

    async def pause(self, name: str) -> None:
        await asyncio.to_thread(self.runtime.pause, f"pause-{name}", (name,), LEASE_S)

    async def release(self, name: str) -> None:
        """Start what was killed, wake what was paused."""
        for fault in (f"kill-{name}", f"pause-{name}"):
            await asyncio.to_thread(self.runtime.release, fault)

    async def block(self, link: str) -> None:
        """Bytes of a link stop, silently."""
        effect = LinkEffect.model_validate({"block": "silent"})
        await asyncio.to_thread(self.runtime.shape, f"block-{link}", (link,), effect, LEASE_S, 1)

    async def unblock(self, link: str) -> None:
        await asyncio.to_thread(self.runtime.release, f"block-{link}")

    async def get(self, name: str, path: str) -> Any:
        """GET from a node's admin endpoint: parsed JSON, else text; None if it does not answer with 200."""
        return await asyncio.to_thread(self._get, f"http://127.0.0.1:{self.site.node_ports[name]}{path}")

    @staticmethod
    def _get(url: str) -> Any:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - loopback, our own
                text = answer.read().decode()
        except OSError:
            return None
        return json.loads(text) if "json" in answer.headers["Content-Type"] else text

    async def owner(self, key: str) -> str:
        """The node that the store says owns a key, or nothing."""
        answer = await self.get("store", "/owned")
        return str((answer or {"owners": {}})["owners"].get(key, ""))

    async def moved(self, key: str, away_from: str) -> str:
        """Wait until another node owns the key; its name."""

        async def other() -> str:
            owner = await self.owner(key)
            return "" if owner == away_from else owner

        return str(await until(other))

    def url(self, region: str, path: str) -> str:
        gateway = {"cn-east": "gw-east", "cn-north": "gw-north"}[region]
        return f"ws://127.0.0.1:{self.site.link_ports[f'users--{gateway}']}{path}"


@contextlib.contextmanager
def running(**settings: str) -> Iterator[Stack]:
    """A stack that is up, and is taken down at the end."""
    with start_stack(load_stack("embedded", settings)) as stack:
        yield Stack(stack)


_dialled: list[ClientConnection] = []


def play(scene: Coroutine[Any, Any, None]) -> None:
    """Run a scene, and end every connection that it left open."""

    async def act() -> None:
        try:
            await asyncio.wait_for(scene, 45)
        finally:
            while _dialled:
                connection = _dialled.pop()
                connection.transport.abort()
                await connection.wait_closed()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

    asyncio.run(act())


async def dial(url: str) -> ClientConnection:
    """A WebSocket through a gateway; tries again for a while when it is refused."""
    deadline = time.monotonic() + 20
    while True:
        try:
            connection = await connect(url, compression=None, proxy=None, ping_interval=None, close_timeout=1)
        except InvalidStatus as refusal:
            if refusal.response.status_code != 503 or time.monotonic() > deadline:
                raise
            await asyncio.sleep(float(refusal.response.headers["Retry-After"]) / 4)
        else:
            _dialled.append(connection)
            return connection


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

    async def ask(self, kind: str, within_s: float = 10.0, **fields: Any) -> dict[str, Any]:
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
        self.also: dict[str, Editor] = {}
        """Editors of other documents on the same socket."""
        self.close_code: int | None = None
        self.synced = asyncio.Event()
        self.node = ""
        self._task: asyncio.Task[None] | None = None

    async def open(self, url: str) -> None:
        """Connect and sync both ways."""
        self.synced.clear()
        self.socket = await dial(url)
        self.node = self.socket.response.headers["X-Node"] if self.socket.response else ""
        self._task = asyncio.create_task(self._listen(self.socket))
        await self.socket.send(wire.var(self.name) + bytes((Kind.AUTH, wire.AUTH_TOKEN)) + wire.var("") + wire.var("4"))
        await self.socket.send(wire.sync(self.name, Sync.STEP1, self.doc.get_state()))
        await asyncio.wait_for(self.synced.wait(), 15)

    def write(self, token: str) -> bytes:
        """Insert a token locally; return the update."""
        before = self.doc.get_state()
        self.array.append(token)
        return self.doc.get_update(before)

    async def edit(self, token: str, within_s: float = 15.0) -> None:
        """Insert a token, and wait for the acknowledgement."""
        assert self.socket is not None
        wanted = self.acknowledged + 1
        await self.socket.send(wire.sync(self.name, Sync.UPDATE, self.write(token)))
        await until(lambda: _true(self.acknowledged >= wanted), within_s, 0.005)

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
                reader = Reader(frame)
                name = reader.text()
                await self.also.get(name, self).hear(connection, name, reader)
        self.close_code = connection.close_code

    async def hear(self, connection: ClientConnection, name: str, reader: Reader) -> None:
        assert name == self.name
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


async def cold_read(stack: Stack, region: str, name: str) -> list[str]:
    """What a fresh client reads."""
    editor = Editor(name)
    await editor.open(stack.url(region, f"/docs/{name}"))
    await editor.close()
    return editor.tokens()
