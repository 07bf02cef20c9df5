"""A node's session with a store that is slow to greet it, over a real socket."""

from __future__ import annotations

import argparse
import asyncio
import contextlib

import msgpack
import pytest
from websockets.asyncio.server import ServerConnection, serve

from chaos.stacks.embedded import tenancy
from chaos.stacks.embedded.calls import Calls
from chaos.stacks.embedded.serving import Node
from chaos.stacks.embedded.tenancy import Tenancy


def test_a_store_that_does_not_greet_in_time_is_greeted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node whose first hello is lost in a store that is still starting gets its session by the second one."""
    hellos: list[str] = []

    async def store(socket: ServerConnection) -> None:
        first = not hellos
        async for frame in socket:
            call = msgpack.unpackb(frame)
            if call["do"] == "hello":
                hellos.append(call["session"])
            if not first:
                await socket.send(msgpack.packb({"id": call["id"], "ok": {} if call["do"] == "hello" else True}))

    async def scene() -> None:
        options = argparse.Namespace(name="n", region="r", port=0, host="127.0.0.1")
        async with serve(store, "127.0.0.1", 0) as server:
            (sock,) = server.sockets
            calls = Calls(f"ws://127.0.0.1:{sock.getsockname()[1]}")
            node = Tenancy(Node("test", options), "meetings", calls, lambda: None)
            running = asyncio.create_task(node.run())
            async with asyncio.timeout(10):
                while not node.valid:  # noqa: ASYNC110 - a clock, not an event
                    await asyncio.sleep(0.01)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    monkeypatch.setattr(tenancy, "TTL", 0.3)
    asyncio.run(scene())
    assert len(hellos) > 1
