"""Random documents that keep every promise, and the same ones with one promise broken."""

from __future__ import annotations

import random
from typing import Any

from histories import Record

PLANTED = {
    "lost": "D1",
    "forgotten": "D2",
    "diverged": "D3",
    "twice": "D4",
    "phantom": "D5",
    "resurrected": "D6",
    "reordered": "D7",
    "offline": "D8",
    "back": "D9",
    "ghost": "D10",
    "stalled": "D11",
    "forked": "D12",
}
"""What may be broken, and the check that must find it."""
CRASH_S = range(20, 24)
LATE_S = 30
"""When the planted thing happens, well after the crash and its grace."""
AWAY = ("w", "w-1")
"""Who is offline from 31 to 33 s, and what he writes meanwhile."""


def story(seed: int, planted: str = "") -> Record:
    """What is recorded of one document from the first edit to the cold reads."""
    return _Story(seed, planted).told()


class _Story:
    """A document under one server: users append to their own runs and delete some, others look; once it is killed.

    One of them is offline for a moment.
    """

    def __init__(self, seed: int, plant: str = "") -> None:
        self.rng = random.Random(seed)
        self.plant = plant
        self.record = Record()
        self.users = [f"e{number}" for number in range(1, self.rng.randint(2, 4) + 1)]
        self.tokens: list[str] = []
        self.gone: list[str] = []
        self.old: list[str] = []
        """There for longer than any bound on visibility."""

    def told(self) -> Record:
        for second in range(3, 46):
            if second == CRASH_S.start:
                self._crash()
            if second not in CRASH_S:
                self._type(second)
                self._look(second + 0.5)
            if second % 3 == 0 and second not in CRASH_S:
                self._read_afresh(second)
            if second == LATE_S + 3:
                self._come_back()
        if self.plant == "offline":
            self.tokens.append(AWAY[1])
        self.record.fact("quiet", 50, user="", key="doc-1")
        self._views()
        return self.record.cold(52, list(self.tokens), region="cn-east").cold(53, self._final())

    def _final(self) -> list[str]:
        final = list(self.tokens)
        if self.plant == "lost":
            final.remove(self.rng.choice(final))
        if self.plant == "twice":
            final.append(self.rng.choice(final))
        if self.plant == "reordered":
            final[0], final[1] = final[1], final[0]
        if self.plant == "resurrected":
            final.append(self.gone[0])
        return final

    def _type(self, second: int) -> None:
        user = self.rng.choice(self.users)
        others = [token for token in self.tokens if not token.startswith(user)]
        token = f"{user}-{second}"
        answer = {"level": "durable"} | ({"seen": others[-1]} if others else {})
        if self.plant == "stalled" and second >= LATE_S:
            self.record.edit(second, token, second + 5, "info", user=user, error="timeout")
            return
        self.record.edit(second, token, second + self.rng.uniform(0.01, 0.3), user=user, answer=answer)
        mine = [at for at, one in enumerate(self.tokens) if one.startswith(user)]
        self.tokens.insert(mine[-1] + 1 if mine else len(self.tokens), token)
        if second in {8, 12} or (self.rng.random() < 0.1 and len(self.tokens) > 8):
            victim = self.rng.choice(self.tokens[:-1])
            self.record.delete(second + 0.35, victim, second + 0.4, user=victim.split("-")[0])
            self.tokens.remove(victim)
            self.gone.append(victim)

    def _come_back(self) -> None:
        user, token = AWAY
        known: dict[str, Any] = {"user": user, "key": "doc-1", "value": {"group": 1}}
        self.record.fact("offline", LATE_S + 1, **known)
        late = self.plant == "offline"
        parts: dict[str, Any] = {"user": user, "key": "doc-1", "value": token, "answer": {"level": "durable"}}
        self.record.do("offline_edit", LATE_S + 2, 49 if late else LATE_S + 3.2, **parts)
        self.record.fact("online", LATE_S + 3, **known).fact("idle_end", 46, **known)
        if not late:
            self.tokens.append(token)

    def _views(self) -> None:
        for t in (50.5, 55.5, 56):
            for user in [*self.users, AWAY[0]]:
                stale = self.plant == "diverged" and user == self.users[0]
                self.record.view(t, self.tokens[:-1] if stale else self.tokens, user=user)

    def _look(self, t: float) -> None:
        shown = [f"{user}.1" for user in self.users]
        if self.plant == "ghost" and t > 40:
            shown.append(f"{self.users[0]}.r{LATE_S}")
        strange = ["nobody"] if self.plant == "phantom" and t == LATE_S + 0.5 else []
        self.record.sight(t, [*self.tokens, *strange], present=shown)
        self.old = list(self.tokens) if int(t) % 3 == 0 else self.old

    def _read_afresh(self, second: int) -> None:
        planted = second == LATE_S
        east, north = list(self.tokens), list(self.tokens)
        lacks: list[str] = []
        if planted and self.plant == "forked":
            east.remove(self.old[0])
            north.remove(self.old[1])
        if planted and self.plant == "back":
            lacks = [self.tokens[0]]
        user = self.users[0] if planted else self.rng.choice(self.users)
        known: dict[str, Any] = {"number": second, "polite": self.rng.random() < 0.5}
        self.record.reread(second + 0.6, east, user=user, lacks=lacks, **known)
        two = self.plant == "forked" or self.rng.random() < 0.2
        node = "doc-n1" if two else "doc-e1"
        self.record.reread(second + 0.6, north, user="r", entry="cn-north", node=node, **known)

    def _crash(self) -> None:
        on, off = CRASH_S.start, CRASH_S.stop - 1
        self.record.fault(on, off, fault="server_loss", nodes=["doc-e1"], keys=["doc-1"])
        self.record.crash(on + 0.05, self.tokens[1:] if self.plant == "forgotten" else list(self.tokens), done=on + 2)
