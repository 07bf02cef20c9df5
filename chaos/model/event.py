"""One thing that happened in a run: the unit of every record."""

from __future__ import annotations

import enum
from typing import Any, NamedTuple


class Type(enum.StrEnum):
    """What kind of thing happened."""

    INVOKE = "invoke"
    """An operation began; the same `op` closes it later with ok, fail or info."""
    OK = "ok"
    FAIL = "fail"
    """Certainly not applied: nothing was sent, or the server refused."""
    INFO = "info"
    """Open for ever (timeout, reset after send), or a fact about a session that is no operation."""
    OBS = "obs"
    """What an observer saw."""
    GAP = "gap"
    """A planned observation that did not come; `op` is that of its invoke."""
    FAULT = "fault"
    PHASE = "phase"


class Phase(enum.StrEnum):
    """The parts of a run, in order. A `phase` event opens each."""

    WARM_UP = "warm-up"
    BASELINE = "baseline"
    FAULT = "fault"
    RECOVERY = "recovery"
    FINAL = "final"
    """The load has ended; cold reads are made."""
    END = "end"


class Event(NamedTuple):
    """A recorded event. Times are nanoseconds of the machine's monotonic clock (`time.monotonic_ns`)."""

    seq: int
    """Counts up from 0 in each worker; (worker, seq) is unique in a record."""
    t_ns: int
    type: str
    f: str
    """The function: join, leave, rejoin, resume, say, edit, roster, tokens, cold_read, null, ..."""
    worker: str = ""
    user: str = ""
    session: str = ""
    op: int = -1
    """Pairs an invoke with its completion within a worker; -1 where there is nothing to pair."""
    key: str = ""
    """The room or the document."""
    value: Any = None
    """Plain data: what msgpack and JSON can carry."""
    node: str = ""
    """The server node that answered, where the protocol tells."""
    region: str = ""
    """The region through which the user came in."""
    intended_ns: int = 0
    """When the plan wanted the operation to begin; latency = completion - intended. 0: not planned."""
    error: str = ""
