"""What a roster must and must not list at a moment, by what is certain of everybody's stays."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from chaos.verdict import words
from chaos.verdict.excuse import harm
from chaos.verdict.history import NS
from chaos.verdict.lifetimes import Ended, ended_sessions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chaos.model.stack import Bounds
    from chaos.verdict.history import History
    from chaos.verdict.presence import Connection


SLOT_NS = 4 * NS


class Contradiction(NamedTuple):
    """What is wrong with a roster, and the events that show it."""

    says: str
    events: tuple[tuple[int, str], ...]


class Truth:
    """Who was certainly in each room, and who certainly was not."""

    def __init__(self, history: History, bounds: Bounds, people: Mapping[str, Sequence[Connection]]) -> None:
        self._history = history
        self._bounds = bounds
        self._visible = int(bounds.visibility_s * NS)
        self._there: dict[tuple[str, int], list[Connection]] = defaultdict(list)
        """Per room and slot of time, who was proved to be in during a part of it."""
        for links in people.values():
            for link in links:
                for slot in range((link.since_ns + self._visible) // SLOT_NS, link.proved_ns // SLOT_NS + 1):
                    self._there[link.key, slot].append(link)
        self._ended: dict[str, list[Ended]] = defaultdict(list)
        for ended in ended_sessions(history):
            self._ended[ended.session].append(ended)

    def contradiction(self, key: str, listed: frozenset[str], start_ns: int, end_ns: int) -> Contradiction | None:
        """What contradicts a roster that was asked for and answered in [start, end]; None: nothing."""
        return self._absent(key, listed, start_ns, end_ns) or self._ghost(listed, start_ns, end_ns)

    def _absent(self, key: str, listed: frozenset[str], start_ns: int, end_ns: int) -> Contradiction | None:
        for link in self._there.get((key, start_ns // SLOT_NS), ()):
            certain = link.since_ns + self._visible <= start_ns and end_ns <= link.proved_ns
            if certain and link.session not in listed and not link.harm.touches(start_ns, end_ns):
                who, since = words.who(link.entered), words.at(self._history, link.since_ns)
                events = (
                    (link.since_ns, f"{who} was let into {key}"),
                    (link.proved_ns, f"{who} was still there: the server answered it later"),
                )
                return Contradiction(f"does not show {who}, who is in since {since}", events)
        return None

    def _ghost(self, listed: frozenset[str], start_ns: int, end_ns: int) -> Contradiction | None:
        bounds = self._bounds
        for name in sorted(listed & self._ended.keys()):
            for ended in self._ended[name]:
                due = ended.end.t_ns + int((bounds.clean_ghost_s if ended.clean else bounds.unclean_ghost_s) * NS)
                if not due < start_ns <= end_ns < ended.until_ns:
                    continue
                reached = harm(self._history, bounds, session=name, region=ended.region, key=ended.key)
                if not reached.touches(ended.end.t_ns, end_ns):
                    who, when = words.who(ended.end), words.at(self._history, ended.end.t_ns)
                    events = ((ended.end.t_ns, f"{who} was gone ({ended.end.f})"),)
                    return Contradiction(f"still shows {who}, who was gone at {when}", events)
        return None
