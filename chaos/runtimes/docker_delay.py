"""Does to the packets of an NFQUEUE what netem would: delays, reorders, doubles them, and drops them in bursts.

What comes in is held back in the kernel. What goes out must not be: the sender would wait for it before it sends more
(TCP small queues), and feel the delay twice. It is taken from the kernel instead, and sent again by a raw socket.

The socket belongs to a container's network namespace, the event loop to the agent. When the agent ends, by
whatever signal, the socket does, and `--queue-bypass` lets every later packet pass at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import heapq
import itertools
import random
import socket
import struct
from typing import NamedTuple

from chaos.model.link import LinkEffect
from chaos.runtimes.flows import Flows
from chaos.runtimes.shaping import Chain, delay_s

NETLINK_NETFILTER = 12
NFQUEUE = 3 << 8
"""Subsystem of netfilter's netlink messages."""
PACKET, VERDICT, CONFIG = NFQUEUE, NFQUEUE | 1, NFQUEUE | 2
REQUEST = 1
CFG_COMMAND, CFG_PARAMS, CFG_LENGTH, CFG_MASK, CFG_FLAGS = 1, 2, 3, 4, 5
FAIL_OPEN, WHOLE = 1, 4
"""A full queue lets packets pass; packets are not cut to segments first."""
PACKET_HEADER, VERDICT_HEADER, PAYLOAD = 1, 2, 10
COPY_PACKET = 2
HEADER_BYTES = 64
"""As much of each packet as tells its length and its flow: the longest IPv4 header, and two ports."""
BUFFER = 8 << 20
LENGTH = 16384
DROP, ACCEPT = 0, 1
Sockets = tuple[socket.socket, socket.socket | None]
"""A queue, and what sends its packets again."""
MARK = 0xCA05
"""Of what is sent again: it has waited already."""
SO_MARK = 36
SO_RCVBUFFORCE = 33


def _attribute(kind: int, value: bytes) -> bytes:
    padded = value + bytes(-len(value) % 4)
    return struct.pack("=HH", 4 + len(value), kind) + padded


def _message(kind: int, queue: int, *attributes: bytes) -> bytes:
    body = struct.pack(">BBH", 0, 0, queue) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), kind, REQUEST, 0, 0) + body


def open_sender() -> socket.socket:
    """What sends whole packets in the namespace that this thread is in; raises `OSError`."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW)
    sock.setblocking(False)  # noqa: FBT003 - the socket module's way
    sock.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)
    return sock


def open_queue(number: int, *, copies: bool) -> socket.socket:
    """Bind to a queue of the namespace that this thread is in; raises `OSError`.

    `copies`: whole packets are read, complete with their checksums, so that they can be sent again.
    """
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
    sock.setblocking(False)  # noqa: FBT003 - the socket module's way
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    sock.bind((0, 0))
    sock.send(_message(CONFIG, number, _attribute(CFG_COMMAND, struct.pack(">BBH", 1, 0, 0))))
    flags = struct.pack(">I", FAIL_OPEN | (0 if copies else WHOLE))
    settings = (
        _attribute(CFG_PARAMS, struct.pack(">IB", 0xFFFF if copies else HEADER_BYTES, COPY_PACKET)),
        _attribute(CFG_LENGTH, struct.pack(">I", LENGTH)),
        _attribute(CFG_MASK, flags),
        _attribute(CFG_FLAGS, flags),
    )
    sock.send(_message(CONFIG, number, *settings))
    return sock


def open_sockets(number: int, effect: LinkEffect, *, resend: bool) -> Sockets:
    """A queue, and a sender where packets are sent again or twice, in this thread's namespace. Raises `OSError`."""
    copies = resend or effect.duplicate > 0
    return open_queue(number, copies=copies), open_sender() if copies else None


class Counts(NamedTuple):
    """What became of a queue's packets."""

    delayed_bytes: int = 0
    dropped: int = 0
    duplicated: int = 0
    reordered: int = 0

    def by_link_stats(self) -> dict[str, int]:
        """As `LinkStats` calls them: a dropped packet makes a stream stall."""
        return {"stalls" if name == "dropped" else name: count for name, count in self._asdict().items()}


class Held(NamedTuple):
    """A packet that waits."""

    due: float
    number: int
    """Of those that are due together the first goes first."""
    packet: int
    content: bytes
    twice: bool


class Delayer:
    """One queue, with the sockets of `open_sockets`.

    Each packet waits for a draw of the delay, and overtakes another of its flow only if it is to be reordered.
    `resend`: packets are taken from the kernel and sent again.
    """

    def __init__(
        self,
        sockets: Sockets,
        queue: int,
        effect: LinkEffect,
        seed: str,
        *,
        resend: bool,
    ) -> None:
        self.counts = Counts()
        self._sock, self._sender = sockets
        self._resend = resend
        self._queue = queue
        self._effect = effect
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._chain = Chain(effect, self._random) if effect.burst_loss else None
        self._flows = Flows(lambda: delay_s(effect, self._random))
        self._waiting: list[Held] = []
        self._numbers = itertools.count()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._sock, self._read)

    def close(self) -> None:
        """Let go whatever waits, and end. The rules that feed the queue have to be gone by now."""
        if self._sock.fileno() < 0:
            return
        self._read()
        self._loop.remove_reader(self._sock)
        if self._timer is not None:
            self._timer.cancel()
        while self._waiting:
            self._let_go(heapq.heappop(self._waiting))
        self._sock.close()
        if self._sender is not None:
            self._sender.close()

    def _read(self) -> None:
        now = self._loop.time()
        while True:
            try:
                data = self._sock.recv(1 << 17)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno == errno.ENOBUFS:  # the kernel let pass what the socket could not hold
                    continue
                break
            for packet, content in _packets(data):
                self._take(now, packet, content)
        self._arm()

    def _arm(self) -> None:
        """Ring when the first is due; one that came later may be due sooner."""
        if self._waiting and (self._timer is None or self._waiting[0].due < self._timer.when()):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._waiting[0].due, self._due)

    def _take(self, now: float, packet: int, content: bytes) -> None:
        """Decide what becomes of one packet."""
        effect, draw = self._effect, self._random.random
        seen = Counts(
            delayed_bytes=struct.unpack_from(">H", content, 2)[0] if effect.delay_ms or effect.jitter_ms else 0,
            dropped=self._chain is not None and self._chain.loses(),
        )
        twice = bool(effect.duplicate) and draw() < effect.duplicate
        overtakes = bool(effect.reorder) and draw() < effect.reorder
        if seen.dropped:
            self._count(Counts(dropped=1))
            self._say(DROP, packet)
            return
        self._count(seen._replace(duplicated=twice, reordered=overtakes and bool(self._waiting)))
        if self._resend:
            self._say(DROP, packet)
        if overtakes:
            self._let_go(Held(now, 0, packet, content, twice))
            return
        heapq.heappush(self._waiting, Held(self._flows.due(now, content), next(self._numbers), packet, content, twice))

    def _count(self, seen: Counts) -> None:
        self.counts = Counts(*(before + now for before, now in zip(self.counts, seen, strict=True)))

    def _due(self) -> None:
        now = self._loop.time() + 0.0005
        while self._waiting and self._waiting[0].due <= now:
            self._let_go(heapq.heappop(self._waiting))
        self._timer = None
        self._arm()

    def _let_go(self, held: Held) -> None:
        if not self._resend:
            self._say(ACCEPT, held.packet)
        if self._sender is not None:
            target = (socket.inet_ntoa(held.content[16:20]), 0)
            for _ in range(self._resend + held.twice):
                with contextlib.suppress(OSError):  # a full buffer or a lost route drops packets, as it does elsewhere
                    self._sender.sendto(held.content, target)

    def _say(self, what: int, packet: int) -> None:
        verdict = _attribute(VERDICT_HEADER, struct.pack(">II", what, packet))
        with contextlib.suppress(OSError):  # the namespace is gone, and the packet with it
            self._sock.send(_message(VERDICT, self._queue, verdict))


def _packets(data: bytes) -> list[tuple[int, bytes]]:
    """Number and copied content, at least an IP header, of each packet in what was received."""
    found = []
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if kind == PACKET:
            attributes = _attributes(data[at + 20 : at + length])
            (number,) = struct.unpack_from(">I", attributes[PACKET_HEADER])
            found.append((number, attributes[PAYLOAD]))
        at += max(16, (length + 3) & ~3)
    return found


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        found[kind & 0x3FFF] = data[at + 4 : at + length]
        at += max(4, (length + 3) & ~3)
    return found
