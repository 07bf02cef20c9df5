"""A region's gateway: relays WebSockets at /rooms/ROOM and /docs/NAME to the node that owns the key.

The store says who owns what. An owner in another region is reached through that region's gateway. What cannot
be reached is refused with 503 and Retry-After within a bounded time; a client whose owner dies or changes is
closed with 1012, and a client that dies is an abrupt end for its node too.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, NamedTuple
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.http11 import Response
from websockets.protocol import State

from chaos.stacks.embedded import mutants
from chaos.stacks.embedded.calls import Calls
from chaos.stacks.embedded.leases import Denied
from chaos.stacks.embedded.serving import (
    LARGEST_FRAME,
    NODE_HEADER,
    SERVICE_RESTART,
    Node,
    arguments,
    start,
    unavailable,
)

SERVICES = {"rooms": ("meetings", "room:"), "docs": ("documents", "doc:")}
RELAYED = "X-Relayed-By"
"""Header of a request that comes from another gateway: it goes to a node here, or nowhere."""
STORE_TIMEOUT_S = 1.0
NODE_TIMEOUT_S = 1.2
PEER_TIMEOUT_S = 2.0
BOUND_S = 2.5
"""No request waits longer than this for its answer."""
CACHE_S = 0.3
WATCH_S = 0.4
CLOSE_S = 1.0


class Unreachable(Exception):
    """The owner cannot be reached now."""

    def __init__(self, why: str, retry_after_s: float = 0.5) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class Place(NamedTuple):
    """Where a key lives."""

    node: str
    region: str


class Relay:
    """One client, joined to the owner of its key."""

    def __init__(self, key: str, place: Place, upstream: ClientConnection) -> None:
        self.key = key
        self.place = place
        self.upstream = upstream


class Gateway(Node):
    """Knows the links to its own region's nodes and to the other regions' gateways."""

    def __init__(self, options: Any) -> None:
        super().__init__("gateway", options)
        self._nodes = dict(pair.split("=", 1) for pair in options.node)
        self._peers = dict(pair.split("=", 1) for pair in options.peer)
        self._calls = Calls(options.store)
        self._cache: dict[str, tuple[float, Place]] = {}
        self._asking: dict[str, asyncio.Task[Place]] = {}
        self._relays: set[Relay] = set()
        self._calls.on_open = self._opened
        self._begun = False

    def _opened(self) -> None:
        self._begun = True

    async def run(self) -> None:
        """Serve until told to end."""
        tasks = [asyncio.create_task(self._calls.run()), asyncio.create_task(self._watch())]
        await self.serve(self.handle, self.admit)
        for task in tasks:
            task.cancel()

    def ready(self) -> bool:
        return self._begun

    def gauges(self) -> dict[str, float]:
        return {"relays": len(self._relays), "store_connected": float(self._calls.connected)}

    def answers_as(self, connection: ServerConnection) -> str:
        relay: Relay | None = getattr(connection, "relay", None)
        response = None if relay is None else relay.upstream.response
        return self.name if response is None else response.headers.get(NODE_HEADER, self.name)

    async def admit(self, connection: ServerConnection, kind: str, key: str) -> Response | None:
        """Reach the owner first: only then is the client's WebSocket opened."""
        if kind not in SERVICES or not key:
            return connection.respond(404, "not found\n")
        relayed = connection.request is not None and RELAYED in connection.request.headers
        try:
            async with asyncio.timeout(BOUND_S):
                relay = await self.reach(kind, key, relayed=relayed)
        except TimeoutError:
            self.counts["refused"] += 1
            return unavailable(connection, "the owner does not answer")
        except Unreachable as why:
            self.counts["refused"] += 1
            return unavailable(connection, str(why), why.retry_after_s)
        connection.relay = relay  # type: ignore[attr-defined]
        self.background.add(_follow(connection, relay.upstream))
        return None

    async def reach(self, kind: str, key: str, *, relayed: bool) -> Relay:
        """Connect to the owner; once more if it says that it is not the owner."""
        service, prefix = SERVICES[kind]
        path = f"/{kind}/{quote(key, safe='')}"
        for attempt in (1, 2):
            place = await self._locate(prefix + key, service)
            try:
                return Relay(prefix + key, place, await self._connect(place, path, relayed=relayed))
            except InvalidStatus as refusal:
                self._cache.pop(prefix + key, None)
                if attempt == 2:  # noqa: PLR2004 - the last one
                    raise Unreachable(f"{place.node} refuses", _retry_after(refusal.response)) from refusal
            except (OSError, TimeoutError, InvalidHandshake, InvalidMessage) as error:
                self._cache.pop(prefix + key, None)
                raise Unreachable(f"{place.node} cannot be reached") from error
        raise AssertionError

    async def _connect(self, place: Place, path: str, *, relayed: bool) -> ClientConnection:
        here = self._nodes.get(place.node)
        peer = None if relayed else self._peers.get(place.region)
        base = here or peer
        if base is None:
            raise Unreachable(f"no way to {place.node} in {place.region or 'no region'}")
        self.counts["connects_here" if here else "connects_peer"] += 1
        return await connect(
            base.rstrip("/") + path,
            compression=None,
            ping_interval=None,
            proxy=None,
            max_size=LARGEST_FRAME,
            max_queue=64,
            open_timeout=NODE_TIMEOUT_S if here else PEER_TIMEOUT_S,
            close_timeout=CLOSE_S,
            additional_headers=None if here else {RELAYED: self.name},
        )

    async def _locate(self, key: str, service: str) -> Place:
        """The owner of the key, or the node that should become it; remembered for a moment."""
        until, place = self._cache.get(key, (0.0, Place("", "")))
        if time.monotonic() < until:
            return place
        if key not in self._asking:
            task = asyncio.create_task(self._ask(key, service))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
            self._asking[key] = task
        return await asyncio.shield(self._asking[key])

    async def _ask(self, key: str, service: str) -> Place:
        try:
            found = await self._calls.call("locate", STORE_TIMEOUT_S, key=key, service=service, region=self.region)
        except (Denied, TimeoutError) as error:
            raise Unreachable("the store does not answer") from error
        if found is None:
            raise Unreachable(f"no node of {service} is alive", 1.0)
        place = Place(found["node"], found["region"])
        self._cache[key] = (time.monotonic() + CACHE_S, place)
        return place

    async def handle(self, connection: ServerConnection) -> None:
        """Carry frames both ways until either side ends."""
        relay: Relay = connection.relay  # type: ignore[attr-defined]
        upstream = relay.upstream
        self._relays.add(relay)
        up = asyncio.create_task(self._pump(connection, upstream, "frames_up"))
        down = asyncio.create_task(self._pump(upstream, connection, "frames_down"))
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            if upstream.state is State.OPEN:
                await _end_upstream(connection, upstream)
            else:
                await asyncio.wait((down,), timeout=CLOSE_S)
                await connection.close(_relayable(upstream.close_code), (upstream.close_reason or "")[:100])
        finally:
            self._relays.discard(relay)
            up.cancel()
            down.cancel()

    async def _pump(self, source: Connection, sink: Connection, counter: str) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for frame in source:
                await sink.send(frame)
                self.counts[counter] += 1

    async def _watch(self) -> None:
        """Cut relays to nodes that no longer own their key: a stopped owner does not say so itself."""
        while True:
            await asyncio.sleep(WATCH_S)
            relays = tuple(self._relays)
            if not relays:
                continue
            try:
                owners = await self._calls.call("owners", STORE_TIMEOUT_S, keys=sorted({r.key for r in relays}))
            except (Denied, TimeoutError):
                continue
            for relay in relays:
                if owners[relay.key] != relay.place.node:
                    self.counts["moved"] += 1
                    self._cache.pop(relay.key, None)
                    relay.upstream.transport.abort()


async def _follow(connection: ServerConnection, upstream: ClientConnection) -> None:
    """Whatever happens to a client's handshake or handler, its upstream does not outlive it for long."""
    await connection.wait_closed()
    await asyncio.sleep(CLOSE_S)
    upstream.transport.abort()


async def _end_upstream(connection: ServerConnection, upstream: ClientConnection) -> None:
    """Pass on the client's clean close; anything else becomes a reset."""
    code = connection.close_code
    if code is not None and _relayable(code) == code:
        await upstream.close(code)
    else:
        upstream.transport.abort()


def _relayable(code: int | None) -> int:
    """A close code that may be sent: the other side's own, or 1012 if it ended without one."""
    sendable = code is not None and (code in {1000, 1001, 1003, *range(1007, 1015)} or 3000 <= code < 5000)  # noqa: PLR2004
    return code if sendable and code is not None else SERVICE_RESTART


def _retry_after(response: Response) -> float:
    try:
        return float(response.headers.get("Retry-After", "0.5"))
    except ValueError:
        return 0.5


async def main() -> None:
    """Start a gateway."""
    parser = arguments("gateway")
    parser.add_argument("--store", required=True, help="ws://HOST:PORT of the store")
    parser.add_argument("--node", action="append", default=[], metavar="NAME=URL", help="a node of this region")
    parser.add_argument("--peer", action="append", default=[], metavar="REGION=URL", help="another region's gateway")
    parser.add_argument("--mutant", default="")
    options = parser.parse_args()
    await mutants.select(options.mutant, "gateway", Gateway)(options).run()


if __name__ == "__main__":
    start(main)
