"""What was said in the rooms, and what each listener heard of it."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from chaos.verdict.excuse import Harm, harm
from chaos.verdict.presence import observed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chaos.model.event import Event
    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op
    from chaos.verdict.presence import Connection


class Said(NamedTuple):
    """A message that somebody said."""

    op: Op
    text: str
    place: int
    """Its number among its sender's messages, in the order in which they were sent."""
    said_ns: int
    acked_ns: int
    """0: never acknowledged, so it may arrive or not."""
    harm: Harm
    """Of its sender."""


class Stretch(NamedTuple):
    """A time in which a listener was certainly in the room, on one connection."""

    since_ns: int
    until_ns: int
    """The server still answered it at this time, or later."""


@dataclass(slots=True)
class Listener:
    """A session whose every received message was recorded."""

    session: str
    user: str
    key: str
    region: str
    worker: str
    harm: Harm
    heard: dict[str, list[Event]] = field(default_factory=dict)
    """Per text, each time that it came."""
    order: list[tuple[str, Event]] = field(default_factory=list)
    """The texts in the order in which they came, each once."""
    whole: bool = True
    """False: a part of what it heard is missing in the record, so that nothing can be said."""
    stretches: tuple[Stretch, ...] = ()
    gaps: tuple[int, ...] = ()
    """Times of planned looks that did not come, and so do not prove it alive."""


class Talk:
    """The messages of one room, in the order of their acknowledgements."""

    def __init__(self) -> None:
        self.acked: list[Said] = []
        self.times: list[int] = []

    def between(self, since_ns: int, until_ns: float) -> Iterator[Said]:
        """Acknowledged in [since, until]."""
        for at in range(bisect_left(self.times, since_ns), len(self.times)):
            if self.times[at] > until_ns:
                return
            yield self.acked[at]


def messages(history: History, bounds: Bounds) -> tuple[dict[str, Talk], dict[str, Said]]:
    """Per room what was acknowledged, and per text what was said at all; texts are unique in a run."""
    places: dict[str, int] = defaultdict(int)
    harms: dict[str, Harm] = {}
    texts: dict[str, Said] = {}
    for op in history.of("say"):
        begin, text = op.begin, op.begin.value
        if not isinstance(text, str) or text in texts:
            continue
        if op.session not in harms:
            harms[op.session] = harm(history, bounds, session=op.session, region=begin.region, key=begin.key)
        acked = op.end.t_ns if op.end is not None and op.outcome == "ok" else 0
        texts[text] = Said(op, text, places[op.session], begin.t_ns, acked, harms[op.session])
        places[op.session] += 1
    rooms: dict[str, Talk] = defaultdict(Talk)
    for said in sorted((one for one in texts.values() if one.acked_ns), key=lambda one: one.acked_ns):
        room = rooms[said.op.begin.key]
        room.acked.append(said)
        room.times.append(said.acked_ns)
    return rooms, texts


def listeners(
    history: History, bounds: Bounds, participants: Mapping[str, Sequence[Connection]]
) -> dict[str, Listener]:
    """Everybody whose ears were recorded."""
    found: dict[str, Listener] = {}
    begun = {event.session: event for event in history.facts.get("listening", ())}
    harms = {
        name: harm(history, bounds, session=name, region=event.region, key=event.key) for name, event in begun.items()
    }
    watching = observed(history, harms)
    for name, event in begun.items():
        one = found[name] = Listener(name, event.user, event.key, event.region, event.worker, harms[name])
        if name in participants:
            one.stretches = tuple(Stretch(link.since_ns, link.proved_ns) for link in participants[name])
        elif name in watching:
            last, gaps = watching[name]
            one.stretches = (Stretch(event.t_ns, max(last, event.t_ns)),)
            one.gaps = tuple(gaps)
    _hear(history, found)
    return found


def _hear(history: History, found: Mapping[str, Listener]) -> None:
    numbers: dict[str, list[int]] = defaultdict(list)
    totals = {event.session: event.value for event in history.facts.get("heard_total", ())}
    for event in history.facts.get("heard", ()):
        one, value = found.get(event.session), event.value if isinstance(event.value, dict) else {}
        if one is None:
            continue
        number, text = value.get("i"), str(value.get("text"))
        numbers[event.session].append(number if isinstance(number, int) else 0)
        times = one.heard.setdefault(text, [])
        if not times:
            one.order.append((text, event))
        times.append(event)
    for name, one in found.items():
        mine = numbers[name]
        steps = all(after == before + 1 for before, after in pairwise([0, *mine]))
        one.whole = steps and totals.get(name) == len(mine)
