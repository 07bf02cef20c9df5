"""M11, broadcast: an acknowledged message reaches everybody in the room once, and each sender's in his order.

Judged at listeners: observers, and the participants whose ears the load records. A pair of a message and a listener
is judged when the listener was certainly in the room, on one connection, from before the message was sent until
`visibility_s` after its acknowledgement. Those who are cut off meanwhile and resume belong to M7.
Violation: never heard (lost); heard twice (whatever was acknowledged); two messages of one sender heard in the other
order than they were sent in. Excused: a fault that reaches the listener or the sender overlaps [sent, acknowledged +
bound] (grace included). Inconclusive: what the listener heard is not whole in the record (its messages are numbered and
counted), or the look that would prove it alive did not come. Unjudged: nothing was planned that proves it alive.
Source: reliable FIFO broadcast (V. Hadzilacos, S. Toueg, "Fault-tolerant broadcasts and related problems", 1993:
validity, integrity, FIFO order); `docs/checks.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.verdict import words
from chaos.verdict.findings import Check, CheckFindings, Sight, Violation
from chaos.verdict.history import NS
from chaos.verdict.presence import connections
from chaos.verdict.talk import Listener, Said, Stretch, Talk, listeners, messages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chaos.model.stack import Bounds
    from chaos.verdict.history import History


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge what every listener heard."""
    found = CheckFindings()
    rooms, texts = messages(history, bounds)
    nothing = Talk()
    found.figures.update(lost=0, duplicated=0, reordered=0)
    for one in listeners(history, bounds, connections(history, bounds)).values():
        room = rooms.get(one.key, nothing)
        if not one.whole:
            found.inconclusive += 1
            found.because(f"what {one.session} heard in {one.key} is not whole in the record")
            continue
        bound = int(bounds.visibility_s * NS)
        for stretch in one.stretches:
            _arrivals(history, one, stretch, room, bound, found)
        _unproved(one, room, bound, found)
        _twice(one, texts, found)
        _order(one, texts, found)
    return found


def _arrivals(history: History, one: Listener, stretch: Stretch, room: Talk, bound: int, found: CheckFindings) -> None:
    for said in room.between(stretch.since_ns, stretch.until_ns - bound):
        if said.said_ns <= stretch.since_ns:
            continue
        if _excused(one, said, said.acked_ns + bound):
            found.excused += 1
            continue
        found.judged += 1
        if said.text not in one.heard:
            found.figures["lost"] += 1
            found.violations.append(_lost(history, one, said, stretch, bound))


def _unproved(one: Listener, room: Talk, bound: int, found: CheckFindings) -> None:
    """What was said when a look that did not come would have proved the listener alive."""
    if not one.gaps or not one.stretches:
        return
    since = one.stretches[-1].until_ns - bound + 1
    for said in room.between(since, one.gaps[-1] - bound):
        if not _excused(one, said, said.acked_ns + bound):
            found.inconclusive += 1
            found.because(f"{one.key}: the look that would prove {one.session} alive did not come")


def _twice(one: Listener, texts: Mapping[str, Said], found: CheckFindings) -> None:
    for text, times in one.heard.items():
        said = texts.get(text)
        if len(times) > 1 and said is not None and not _excused(one, said, times[-1].t_ns):
            found.judged += 1
            found.figures["duplicated"] += 1
            story = _story(one, said)
            story += [(event.t_ns, f"{_name(one)} heard it") for event in times]
            says = f"{_name(one)} heard a message of {said.op.session} in {one.key} {len(times)} times"
            found.violations.append(
                Violation(times[1].t_ns, says, tuple(story), _by(one, times[0].t_ns, times[-1].t_ns))
            )


def _order(one: Listener, texts: Mapping[str, Said], found: CheckFindings) -> None:
    latest: dict[str, tuple[Said, int]] = {}
    for text, event in one.order:
        said = texts.get(text)
        if said is None:
            continue
        before = latest.get(said.op.session)
        if before is not None and before[0].place > said.place:
            if not _excused(one, said, event.t_ns) and not _excused(one, before[0], event.t_ns):
                found.judged += 1
                found.figures["reordered"] += 1
                found.violations.append(_reordered(one, said, event.t_ns, before))
            continue
        latest[said.op.session] = (said, event.t_ns)


def _excused(one: Listener, said: Said, until_ns: float) -> bool:
    return one.harm.touches(said.said_ns, until_ns) or said.harm.touches(said.said_ns, until_ns)


def _name(one: Listener) -> str:
    return f"{one.user} (session {one.session})" if one.user else one.session


def _story(one: Listener, said: Said) -> list[tuple[int, str]]:
    sender = words.who(said.op.begin)
    story = [(said.said_ns, f"{sender} said {said.text!r} in {one.key}{words.via(said.op.begin.region)}")]
    if said.op.end is not None and said.acked_ns:
        story.append((said.acked_ns, f"it was acknowledged{words.by(said.op.end.node)}"))
    return story


def _by(one: Listener, start_ns: int, end_ns: int) -> tuple[Sight, ...]:
    return (Sight(one.worker, one.session, start_ns, end_ns),)


def _lost(history: History, one: Listener, said: Said, stretch: Stretch, bound: int) -> Violation:
    story = _story(one, said)
    story += [
        (stretch.since_ns, f"{_name(one)} was in {one.key}{words.via(one.region)}"),
        *words.fault_story(history, stretch.since_ns, stretch.until_ns),
        (stretch.until_ns, f"{_name(one)} was still there: the server answered it, and it had not heard the message"),
    ]
    says = (
        f"{words.who(said.op.begin)} was told at {words.at(history, said.acked_ns)} that a message to {one.key} was "
        f"sent; {_name(one)}, in the room all the time, never heard it"
    )
    return Violation(said.acked_ns, says, tuple(story), _by(one, said.said_ns, said.acked_ns + bound))


def _reordered(one: Listener, said: Said, at_ns: int, before: tuple[Said, int]) -> Violation:
    later, later_ns = before
    story = [*_story(one, said), *_story(one, later)]
    story += [
        (later_ns, f"{_name(one)} heard {later.text!r}"),
        (at_ns, f"{_name(one)} heard {said.text!r} after it"),
    ]
    says = f"{_name(one)} heard two messages of {said.op.session} in {one.key} in the wrong order"
    return Violation(at_ns, says, tuple(story), _by(one, later_ns, at_ns))


check = Check(
    "M11",
    "what is said is heard once, in order",
    "messages.wrong",
    run,
    lambda load: load.participants > 0,
)
