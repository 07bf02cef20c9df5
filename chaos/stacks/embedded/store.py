"""The durable store: leases with fencing numbers, and an append-only log of document updates.

Nodes speak msgpack maps over one WebSocket each: `{"id", "do", ...}` -> `{"id", "ok"}` or `{"id", "no"}`.
An answer that promises durability leaves only after the fsync that covers it.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgpack
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Response

from chaos.stacks.embedded import mutants
from chaos.stacks.embedded.appendlog import AppendLog
from chaos.stacks.embedded.leases import Denied, Leases, Record, Session
from chaos.stacks.embedded.serving import Node, arguments, log, push, start

Call = dict[str, Any]


class Store(Node):
    """Keeps everything in memory and on the log; one process, one thread, one order of events."""

    QUICK = frozenset({"renew", "locate", "owners"})
    """Calls whose answer does not wait for the disk: they promise nothing that must survive a crash."""

    def __init__(self, options: Any) -> None:
        super().__init__("store", options)
        self._log = AppendLog(Path(options.data) / "store.log")
        leases = mutants.select(options.mutant, "leases", Leases)
        self._leases = leases(time.monotonic, lambda record: self._log.append(msgpack.packb(record)))
        self._updates: dict[str, list[bytes]] = {}
        self._loaded = False

    def load(self) -> None:
        """Replay the log of earlier lives."""
        count = 0
        for payload in self._log.replay():
            self._replay(msgpack.unpackb(payload))
            count += 1
        self._loaded = True
        log(f"replayed {count} records, {len(self._updates)} documents")

    def _replay(self, record: Record) -> None:
        if record[0] == "updates":
            self._updates.setdefault(record[1], []).extend(record[2])
        else:
            self._leases.replay(record)

    async def run(self) -> None:
        """Serve until told to end; a disk that fails ends the process, a full one keeps answers waiting."""
        self.load()
        writer = asyncio.create_task(self._log.run())
        serving = asyncio.create_task(self.serve(self.handle, self.admit))
        await asyncio.wait((writer, serving), return_when=asyncio.FIRST_COMPLETED)
        if writer.done():
            log(f"cannot write the log, ending: {writer.exception()!r}")
            raise SystemExit(3)
        await serving

    def ready(self) -> bool:
        return self._loaded

    def owned(self) -> dict[str, Any]:
        return {"owners": {key.partition(":")[2]: node for key, node in self._leases.owners().items()}}

    def gauges(self) -> dict[str, float]:
        return {
            "sessions": self._leases.sessions(),
            "leases": len(self._leases.owners()),
            "log_syncs": self._log.syncs,
            "log_refused": self._log.refused,
            "updates": sum(map(len, self._updates.values())),
        }

    async def admit(self, connection: ServerConnection, kind: str, key: str) -> Response | None:
        return None if kind == "rpc" and not key else connection.respond(404, "not found\n")

    async def handle(self, connection: ServerConnection) -> None:
        """Answer the calls of one node; each takes effect at once and in order, only its answer may wait."""
        async for frame in connection:
            call: Call = msgpack.unpackb(frame)
            self.counts[f"calls_{call['do']}"] += 1
            try:
                answer: Call = {"id": call["id"], "ok": self.do(call)}
            except Denied as denied:
                self.counts["denied"] += 1
                answer = {"id": call["id"], "no": str(denied)}
            self.answer(connection, call, answer)

    def answer(self, connection: ServerConnection, call: Call, answer: Call) -> None:
        """Send an answer: at once, or when what it promises is on the disk."""
        if call["do"] in self.QUICK:
            push(connection, msgpack.packb(answer))
        else:
            self._log.after(lambda: push(connection, msgpack.packb(answer)))

    def do(self, call: Call) -> Any:  # noqa: PLR0911 - one line per call
        """Carry out one call. All are idempotent: a node repeats those whose answer it did not get."""
        match call["do"]:
            case "renew":
                return self._leases.renew(call["session"])
            case "locate":
                return _place(self._leases.locate(call["key"], call["service"], call["region"]))
            case "owners":
                return self._leases.owners_of(call["keys"])
            case "hello":
                log(f"{call['node']} says hello as {call['session']}")
                return self._leases.hello(*(call[k] for k in ("session", "node", "service", "region", "ended")))
            case "end":
                return self._leases.end(call["session"])
            case "acquire":
                return self._leases.acquire(call["session"], call["key"])
            case "release":
                return self._leases.release(call["key"], call["number"])
            case "append":
                return self.append(call["key"], call["number"], call["updates"])
            case "load":
                self._leases.check(call["key"], call["number"])
                return self._updates.get(call["key"], [])
        raise Denied(f"unknown call {call['do']!r}")

    def append(self, key: str, number: int, updates: list[bytes]) -> int:
        """Add updates to a document, for its present owner only; return how many it has now."""
        self._leases.check(key, number)
        self._updates.setdefault(key, []).extend(updates)
        self._log.append(msgpack.packb(["updates", key, updates]))
        return len(self._updates[key])


def _place(session: Session | None) -> dict[str, str] | None:
    return None if session is None else {"node": session.node, "region": session.region}


async def main() -> None:
    """Start the store."""
    parser = arguments("store")
    parser.add_argument("--data", required=True, help="directory of the log, kept over restarts")
    parser.add_argument("--mutant", default="")
    options = parser.parse_args()
    await mutants.select(options.mutant, "store", Store)(options).run()


if __name__ == "__main__":
    start(main)
