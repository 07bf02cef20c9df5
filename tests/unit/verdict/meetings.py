"""Random meetings that keep every promise, and the same ones with one promise broken."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from histories import Record

ROOM = "room-1"
OBSERVERS = (("watcher", "cn-north", 0.0), ("other", "cn-east", 0.5))
PLANTED = {
    "hung": "M1",
    "ghost": "M3",
    "stuck": "M5",
    "barred": "M6",
    "kept out": "M6",
    "overfull": "M9",
    "shut": "M9",
    "smuggled": "M9",
    "missing": "M2",
    "split": "M4",
    "flap": "M7",
    "stale": "M7",
    "missed": "M7",
    "refused": "M7",
    "doubled": "M8",
    "dropped": "M10",
    "lost": "M11",
    "repeated": "M11",
    "swapped": "M11",
}
"""What may be broken, and the check that must find it."""


_KEPT_OUT = {"barred": "refused: already-in", "kept out": "refused: try later"}


@dataclass
class _Stay:
    user: str
    since: float
    until: float
    session: str
    cut: float = 0.0
    """Cut off then, and back half a second later; 0: never."""
    says: list[tuple[float, str]] = field(default_factory=list)

    def there(self, t: float) -> bool:
        return self.since < t < self.until


def meeting(seed: int, planted: str = "") -> Record:
    """A host who stays and speaks all the time, guests who come, are cut off and go, and one who comes back."""
    rng = random.Random(seed)
    host = _Stay("u0", 2, 48, "u0.1")
    stays = [host]
    for number in range(1, rng.randint(3, 6)):
        since = rng.uniform(3, 25)
        until = since + rng.uniform(9, 20)
        cut = rng.uniform(since + 2, until - 5) if number < 3 else 0.0
        stays.append(_Stay(f"u{number}", since, until, f"u{number}.1", cut))
    back = rng.uniform(10.5, 12)
    stays += [_Stay("twin", back, back + 6, "twin.1"), _Stay("v", 3, back + 2.5, "v.1"), _Stay("v", back, 40, "v.2")]
    _speak(rng, stays)
    record = Record()
    for stay in stays:
        _live(record, stay, stays, planted)
    if planted == "hung":
        record.do("join", 14, 30, "info", user="h", error="timeout", intended=14)
    _observe(record, stays, planted, round(back + 2))
    _hall(record, rng, planted)
    return record


def _speak(rng: random.Random, stays: list[_Stay]) -> None:
    host = stays[0]
    times = [3 + number * 1.5 + rng.uniform(0, 1) for number in range(28)]
    times += [stay.cut + 0.2 for stay in stays if stay.cut]
    host.says = [(t, f"u0.1-{number}") for number, t in enumerate(sorted(times))]
    for stay in stays[1:]:
        t = rng.uniform(stay.since + 0.5, stay.until - 2.5)
        if stay.user != "v" and not stay.cut - 0.5 < t < stay.cut + 1:
            stay.says.append((t, f"{stay.session}-0"))


def _live(record: Record, stay: _Stay, stays: list[_Stay], planted: str) -> None:
    who = {"user": stay.user, "session": stay.session}
    f = "rejoin" if stay.session == "v.2" else "join"
    value = {"v.2": {"pair": 1, "after": "vanish"}, "twin.1": {"pair": 1, "twin": True}}.get(stay.session)
    if f == "rejoin" and planted in _KEPT_OUT:
        record.do(f, stay.since, stay.since + 0.02, "fail", value=value, error=_KEPT_OUT[planted], **who)
        return
    record.do(f, stay.since, stay.since + 0.02, value=value, **who)
    for t, text in stay.says:
        record.say(t, text)
    if stay.session == "v.1":
        record.fact("vanish", 10, **who)
        return
    if stay.cut:
        _cut(record, stay, stays, planted if stay.user == "u1" else "")
    if planted == "dropped" and stay.user == "u1":
        record.fact("dropped", stay.until, error="closed 4000", **who)
    elif planted == "stuck" and stay.user == "u2":
        record.do("leave", stay.until, stay.until + 4, "info", error="timeout", **who)
    else:
        record.do("leave", stay.until, stay.until + 0.02, **who)


def _cut(record: Record, stay: _Stay, stays: list[_Stay], planted: str) -> None:
    refused = planted == "refused"
    record.cut(
        stay.cut,
        stay.cut + 0.5,
        "fail" if refused else "ok",
        user=stay.user,
        error="refused: expired" if refused else "",
    )
    away = (stay.cut, stay.cut + 0.52)
    texts = sorted((t, text) for one in stays for t, text in one.says if stay.since + 0.02 < t < stay.until - 0.1)
    if planted == "missed":
        texts = [(t, text) for t, text in texts if not away[0] < t < away[1]]
    # What was said meanwhile comes after the resume, in the order in which it was said.
    heard = [(away[1] + (t - away[0]) / 100 if away[0] < t < away[1] else t + 0.01, text) for t, text in texts]
    record.listen(stay.since + 0.03, stay.until + 0.03, *heard, user=stay.user, region="cn-east")
    own = stay.cut + 1.6
    seen = [one.session for one in stays if one.there(own)]
    record.look(own, [name for name in seen if planted != "stale" or name != "u0.1"], user=stay.user, f="own_roster")


def _observe(record: Record, stays: list[_Stay], planted: str, twice_at: int) -> None:
    texts = sorted((t + 0.01, text) for stay in stays for t, text in stay.says)
    middle = len(texts) // 2
    for user, region, shift in OBSERVERS:
        heard = list(texts)
        if user == "watcher":
            heard = _spoilt(heard, middle, planted)
        record.listen(1, 55, *heard, user=user, region=region)
        looks = [float(t) + shift for t in range(2, 50)] + [stay.cut + 0.25 for stay in stays if stay.cut]
        for t in sorted(looks):
            seen = [stay.session for stay in stays if stay.there(t) and (stay.session != "v.1" or t < stays[-1].since)]
            record.look(t, _seen(seen, t, user, stays, planted, twice_at), user=user, region=region)


def _seen(seen: list[str], t: float, user: str, stays: list[_Stay], planted: str, twice_at: int) -> list[str]:
    whole = ["watcher.1", "other.1", *seen]
    if planted == "missing" and t == 30 and user == "watcher":
        return [name for name in whole if name != "u0.1"]
    if planted == "ghost" and t == 48 and user == "watcher":
        return [*whole, "u2.1"]
    if planted == "split" and 30 <= t < 31:
        return [f"{user}.1"]
    if planted == "doubled" and t == twice_at:
        return [*whole, "v.1"]
    if planted == "flap" and t == stays[1].cut + 0.25:
        return [name for name in whole if name != "u1.1"]
    return whole


def _hall(record: Record, rng: random.Random, planted: str) -> None:
    """A room with a limit: every eight seconds two more knock than it admits, an observer among those inside."""
    limit = rng.randint(3, 5)
    hall = {"key": "hall", "region": "cn-north"}
    record.fact("limit", 0, value=limit, user="", **hall).listen(1, 50, user="doorman", **hall)
    wrong = rng.choice([5, 13, 21])
    for at in (5, 13, 21):
        spoilt = planted if at == wrong else ""
        people = [f"k{at}-{number}" for number in range(limit + 2)]
        inside = people[: limit + 1 if spoilt == "overfull" else limit - 1]
        for number, user in enumerate(people):
            _knock(record, user, at + number / 100, let_in=user in inside)
        if spoilt == "shut":
            _knock(record, f"k{at}", at + 6, let_in=False)
        smuggled = people[-1:] if spoilt == "smuggled" else []
        listed = [f"{user}.1" for user in ["doorman", *inside, *smuggled]]
        record.look(at - 1, ["doorman.1"], user="doorman", **hall).look(at + 1, listed, user="doorman", **hall)


def _knock(record: Record, user: str, t: float, *, let_in: bool) -> None:
    parts = {"user": user, "key": "hall", "region": "cn-north"}
    record.do("knock", t, t + 0.1, "ok" if let_in else "fail", error="" if let_in else "refused: full", **parts)
    if let_in:
        record.do("knock_leave", t + 1.5, t + 1.6, **parts)


def _spoilt(heard: list[tuple[float, str]], middle: int, planted: str) -> list[tuple[float, str]]:
    if planted == "lost":
        return heard[:middle] + heard[middle + 1 :]
    if planted == "repeated":
        return [*heard, (heard[middle][0] + 1, heard[middle][1])]
    if planted == "swapped":
        mine = [at for at, (_, text) in enumerate(heard) if text.startswith("u0")]
        one, two = mine[len(mine) // 2], mine[len(mine) // 2 + 1]
        swapped = list(heard)
        swapped[one], swapped[two] = (heard[one][0], heard[two][1]), (heard[two][0], heard[one][1])
        return swapped
    return heard
