"""When each packet of a queue may go on: after a draw of the delay, and not before an earlier one of its flow.

Order is kept within flows, not across them: else each packet would wait for the longest draw of all that came before
it from anybody, and a busy link would know the longest delay alone and no jitter. What a flow sends together (a
request and the acknowledgement before it) shares a draw, as the bytes of a chunk do in the link proxy.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

TOGETHER_S = 0.001
"""Packets of a flow that come within this time after a draw share it."""
MOST = 20_000
"""Flows that are remembered before those that have nothing on its way are forgotten."""
NO_PORTS = 0x3FFF
"""Bits of an IPv4 header of which one is set in each fragment."""


class Flow(NamedTuple):
    """What is remembered of a flow."""

    drawn_at: float
    delay_s: float
    last: float
    """When its last packet is due."""


class Flows:
    """The flows of one queue; `draw` is called for a delay in seconds."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._flows: dict[bytes, Flow] = {}

    def due(self, now: float, header: bytes) -> float:
        """When a packet that begins with this header, and came now, may go on."""
        key = flow(header)
        known = self._flows.get(key)
        if known is None or now - known.drawn_at >= TOGETHER_S:
            known = Flow(now, self._draw(), known.last if known else 0.0)
        due = max(known.last, now + known.delay_s)
        self._flows[key] = known._replace(last=due)
        if len(self._flows) > MOST:
            self._flows = {one: its for one, its in self._flows.items() if its.last > now}
        return due


def flow(header: bytes) -> bytes:
    """What packets of one connection have in common: protocol, addresses and ports; fragments show no ports."""
    head = 4 * (header[0] & 0xF)
    fragment = struct.unpack_from(">H", header, 6)[0] & NO_PORTS
    return header[9:10] + header[12:20] + (b"" if fragment else header[head : head + 4])
