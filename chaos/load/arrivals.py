"""From a description of the load and a seed to the arrival plan: a pure function.

Arrivals are open: nobody waits for the server before he comes. The initial population ramps in over the
warm-up; after it first joins are a Poisson process, at the rate that keeps the population level while a share of
those who go comes back, each with a fresh twin. With N users, mean stay s and share r, N/s users go per second;
twins do not come back, so (N/s)·(1-r)/(1+r) fresh users, (N/s)·r/(1+r) who come back, and as many twins
come per second. Which departures vanish, and which come back, is drawn stratified, so that a short phase is
never without either.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from chaos.load.chance import chance
from chaos.load.moments import with_moments
from chaos.load.plan import Edit, EditorPlan, End, Limited, Person, Plan, Visit, Watcher, Window
from chaos.load.shares import Share

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from chaos.model.experiment import LoadSpec

CHURN_STAY_S = 5.0
CHURN_REJOIN = 0.9
SHORTEST_STAY_S = 2.0
HOME = 0.9
"""Share of a room's users who come in through the room's home region."""
LOOK_S = 1.0
"""An observer looks once per this time."""
OTHER_SIDE = 8
"""So many rooms have a second observer, through another region where there is one: what only one side sees shows."""
SETTLE_S = 0.3
"""An editor stops typing so long before it goes offline, and starts no sooner after it was idle."""
NO_LIMITS: Mapping[str, int] = MappingProxyType({})


def make_plan(
    load: LoadSpec,
    seed: int,
    regions: Sequence[str],
    horizon_s: float,
    *,
    warm_up_s: float = 3.0,
    idle_s: float = 5.5,
    visible_s: float = 2.0,
    limits: Mapping[str, int] = NO_LIMITS,
) -> Plan:
    """The same arguments give the same plan; nothing in it lies after the horizon.

    `idle_s`: how long an editor that came back from offline stays idle, so that its edits must appear by themselves.
    `visible_s`: the stack's visibility bound; a stay that is cut must be longer than that before it and after it.
    `limits`: rooms of the stack that admit only so many.
    """
    if not regions:
        message = "a load needs at least one region to come in through"
        raise ValueError(message)
    people = _People(load, chance(seed, "people"), tuple(regions), horizon_s).all(min(warm_up_s, horizon_s))
    people = with_moments(people, load, seed, horizon_s, visible_s)
    editors = _editors(load, chance(seed, "editors"), regions, horizon_s, warm_up_s, idle_s)
    return Plan(horizon_s, people, editors, _watchers(load, regions, horizon_s), _limited(load, limits))


def home(index: int, regions: Sequence[str]) -> str:
    """The home region of the room or document with this index."""
    return regions[index % len(regions)]


@dataclass(slots=True)
class _Draft:
    user: str
    room: str
    region: str
    visits: list[Visit]
    twin_of: int = 0
    returns: bool = True
    """False for twins, and for those of the first population who stand for twins."""


class _People:
    """Draws the participants in order of time: a departure may plan a re-entry and its twin."""

    def __init__(self, load: LoadSpec, rng: random.Random, regions: tuple[str, ...], horizon_s: float) -> None:
        self.load = load
        self.rng = rng
        self.regions = regions
        self.horizon_s = horizon_s
        churn = load.profile == "churn"
        self.stay_s = min(load.stay_s, CHURN_STAY_S) if churn else load.stay_s
        self.rejoin = max(load.rejoin, CHURN_REJOIN) if churn else load.rejoin
        self.vanishes = Share(load.vanish, rng)
        self.comes_back = Share(self.rejoin, rng)
        self.at_home = Share(HOME, rng)
        self.drafts: list[_Draft] = []
        self.leaving: list[tuple[float, int]] = []
        self.pairs = 0
        self.rooms: list[int] = []

    def all(self, warm_up_s: float) -> tuple[Person, ...]:
        load = self.load
        once = Share(self.rejoin / (1 + self.rejoin), self.rng)
        for index in range(load.participants):
            # Even over most of the ramp, so that nobody's first seconds are a burst.
            self._come(warm_up_s * 0.9 * (index + self.rng.random()) / load.participants, returns=not once())
        rate = load.participants / self.stay_s * (1 - self.rejoin) / (1 + self.rejoin)
        at_s = warm_up_s
        while rate > 0 and (at_s := at_s + self.rng.expovariate(rate)) < self.horizon_s:
            self._come(at_s)
        while self.leaving:
            self._go(self.drafts[heapq.heappop(self.leaving)[1]])
        drafts = sorted(self.drafts, key=lambda draft: draft.visits[0].at_s)
        return tuple(Person(d.user, d.room, d.region, tuple(d.visits), d.twin_of) for d in drafts)

    def _come(self, at_s: float, *, returns: bool = True) -> None:
        if not self.rooms:
            self.rooms = list(range(self.load.rooms))
            self.rng.shuffle(self.rooms)
        room = self.rooms.pop()
        region = home(room, self.regions)
        if len(self.regions) > 1 and not self.at_home():
            region = self.rng.choice([other for other in self.regions if other != region])
        self._add(f"room-{room}", region, at_s, returns=returns)

    def _add(self, room: str, region: str, at_s: float, *, twin_of: int = 0, returns: bool = False) -> None:
        draft = _Draft(f"u{len(self.drafts) + 1}", room, region, [self._visit(at_s)], twin_of, returns)
        self.drafts.append(draft)
        self._note(len(self.drafts) - 1)

    def _note(self, index: int) -> None:
        last = self.drafts[index].visits[-1]
        if last.end != "stay":
            heapq.heappush(self.leaving, (last.until_s, index))

    def _visit(self, at_s: float, pair: int = 0, after: str = "") -> Visit:
        shortest = min(SHORTEST_STAY_S, self.stay_s / 2)
        until_s = at_s + shortest + self.rng.expovariate(1 / (self.stay_s - shortest))
        stays = until_s >= self.horizon_s
        until_s = min(until_s, self.horizon_s)
        says = []
        said_s = at_s + self.rng.uniform(0.3, 1.0) * self.load.say_every_s
        while said_s < until_s - SETTLE_S:
            says.append(said_s)
            said_s += self.rng.uniform(0.5, 1.5) * self.load.say_every_s
        return Visit(at_s, until_s, "stay" if stays else "leave", tuple(says), pair, after)

    def _go(self, draft: _Draft) -> None:
        """Decide how the last visit ends, and whether another follows."""
        index = int(draft.user[1:]) - 1
        end: End = "vanish" if self.vanishes() else "leave"
        draft.visits[-1] = replace(draft.visits[-1], end=end)
        if not draft.returns or not self.comes_back():
            return
        at_s = draft.visits[-1].until_s + self.rng.uniform(0.5, 1.5) * self.load.away_s
        if at_s >= self.horizon_s:
            return
        self.pairs += 1
        draft.visits.append(self._visit(at_s, self.pairs, end))
        self._note(index)
        self._add(draft.room, draft.region, at_s, twin_of=self.pairs)


def _editors(
    load: LoadSpec, rng: random.Random, regions: Sequence[str], horizon_s: float, warm_up_s: float, idle_s: float
) -> tuple[EditorPlan, ...]:
    refreshing = _refreshing(load, rng, regions)
    numbers = range(load.editors)
    # Who was offline on purpose keeps its copy, and so would hide what the others' reloads are there to show.
    keepers_first = sorted(numbers, key=lambda number: number % load.documents in refreshing)
    absent = keepers_first[: round(load.offline * load.editors)]
    period_s = load.offline_s + idle_s + max(2 * load.offline_s, 3.0)
    at_home = Share(HOME, rng)
    plans = []
    for number in numbers:
        document = number % load.documents
        region = home(document, regions)
        if len(regions) > 1 and not at_home():
            region = rng.choice([other for other in regions if other != region])
        user = f"e{number + 1}"
        windows: tuple[Window, ...] = ()
        if number in absent:
            first_s = warm_up_s + 0.5 + period_s * absent.index(number) / len(absent)
            windows = _windows(user, first_s, period_s, load.offline_s, idle_s, horizon_s)
        at_s = warm_up_s * 0.8 * (number + rng.random()) / load.editors
        if at_s < horizon_s:
            edits = _edits(load, rng, user, at_s, windows, horizon_s)
            refresh = document in refreshing
            plans.append(EditorPlan(user, f"doc-{document}", region, refresh, at_s, edits, windows))
    return tuple(plans)


def _refreshing(load: LoadSpec, rng: random.Random, regions: Sequence[str]) -> set[int]:
    """The documents whose editors all reload.

    One editor that keeps its copy uploads again what the server lost, so a mixed document would hide a loss.
    Spread over the regions, so that wherever a node dies such a document is likely near.
    """
    chosen = Share(load.refresh, rng)
    by_region = sorted(range(load.documents), key=lambda document: (document % len(regions), document))
    return {document for document in by_region if chosen()}


def _windows(
    user: str, first_s: float, period_s: float, offline_s: float, idle_s: float, horizon_s: float
) -> tuple[Window, ...]:
    windows: list[Window] = []
    off_s = first_s
    while off_s + offline_s < horizon_s:
        back_s = off_s + offline_s
        group = f"{user}-g{len(windows) + 1}"
        windows.append(Window(group, off_s, back_s, min(back_s + idle_s, horizon_s)))
        off_s += period_s
    return tuple(windows)


def _edits(
    load: LoadSpec, rng: random.Random, user: str, at_s: float, windows: tuple[Window, ...], horizon_s: float
) -> tuple[Edit, ...]:
    times: list[tuple[float, bool]] = []
    time_s = at_s + 0.7 + rng.random() * load.edit_every_s
    while time_s < horizon_s:
        if not any(w.off_s - SETTLE_S <= time_s < w.idle_until_s + SETTLE_S for w in windows):
            times.append((time_s, False))
        time_s += load.edit_every_s * rng.uniform(0.7, 1.3)
    for window in windows:
        length_s = window.back_s - window.off_s
        count = max(2, min(20, round(length_s / load.edit_every_s)))
        times += [(window.off_s + length_s * (step + 1) / (count + 1), True) for step in range(count)]
    # With a chance of its own, so that it moves no other draw; early once in each document, or a short load had none.
    taken_back = Share(load.undo, chance(len(times), user), early=int(user[1:]) <= load.documents)
    return tuple(
        Edit(t, f"{user}-{number}", offline, undo=not offline and taken_back())
        for number, (t, offline) in enumerate(sorted(times), 1)
    )


def _watchers(load: LoadSpec, regions: Sequence[str], horizon_s: float) -> tuple[Watcher, ...]:
    watchers = []
    rooms = load.rooms if load.participants else 0
    documents = load.documents if load.editors else 0
    for index in range(rooms):
        at_s = min(LOOK_S * (1 + index / rooms), horizon_s)
        watchers.append(Watcher(f"o-room-{index}", "room", f"room-{index}", home(index, regions), at_s, LOOK_S))
    for index in range(min(rooms, OTHER_SIDE)):
        # Half a second apart from the look through the home region, so that together they see twice as often.
        at_s = min(LOOK_S * (2.5 + index / rooms), horizon_s)
        other = home(index + 1, regions)
        # Later than the first: a room may live where it was asked for first.
        come_s = min(LOOK_S, horizon_s)
        watchers.append(Watcher(f"o-room-{index}-b", "room", f"room-{index}", other, at_s, LOOK_S, come_s))
    for index in range(documents):
        at_s = min(LOOK_S * (1 + index / documents), horizon_s)
        watchers.append(Watcher(f"o-doc-{index}", "document", f"doc-{index}", home(index, regions), at_s, LOOK_S))
    return tuple(watchers)


def _limited(load: LoadSpec, limits: Mapping[str, int]) -> tuple[Limited, ...]:
    own = {f"room-{index}": index for index in range(load.rooms)}
    found = (Limited(room, limit, own.get(room, place)) for place, (room, limit) in enumerate(limits.items()))
    return tuple(found) if load.participants else ()
