"""M7, resume: after a short cut a user is in the same session again, and nobody noticed, himself included.

Judged: every resume that was over within `resume_s` of the moment the connection went (`cut` by plan, or `dropped`).
Wanted where the load cuts so many that some are sure to be seen.
Violation, each counted by itself in the figures:
  - refused: the server does not take the session up again;
  - flap: a look that was asked for after the cut and answered by resume + `visibility_s` does not list it;
  - stale: the session's own look, `visibility_s` after the resume or later, lacks somebody who was proved to be in for
    that long, or lists somebody who is gone for longer than the bound for ghosts;
  - missed: a message that was acknowledged while it was away never reaches it, although it stays for the bound.
Excused: a fault that reaches the session overlaps [cut, the last look or message judged] (grace included).
Inconclusive: a look that was planned for it did not come, or what it heard is not whole in the record.
Unjudged: the resume was not answered (the flow's SLO counts that), or came too late.
Source: session resumption as meeting servers promise it; `docs/checks.md`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaos.verdict import words
from chaos.verdict.findings import Check, CheckFindings, Sight, Violation, sight
from chaos.verdict.history import NS
from chaos.verdict.presence import Connection, Looks, connections, listed, looks_at
from chaos.verdict.sometimes import makes_cuts
from chaos.verdict.talk import Listener, Said, Talk, listeners, messages
from chaos.verdict.truth import Truth

if TYPE_CHECKING:
    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op

_SHORT = frozenset({"cut", "dropped"})


@dataclass(slots=True)
class _Resume:
    """A resume that is judged: the connection that was cut, the op, and the connection that it gave."""

    old: Connection
    op: Op
    new: Connection | None
    cut_ns: int
    done_ns: int
    seen: int = 0
    """Observations that could have convicted."""
    open: str = ""
    """Why it is inconclusive; empty: it is not."""


class _Judge:
    def __init__(self, history: History, bounds: Bounds) -> None:
        self.history = history
        self.visible = int(bounds.visibility_s * NS)
        self.resume = int(bounds.resume_s * NS)
        self.people = connections(history, bounds)
        self.rooms = looks_at(history, bounds)
        self.talk, _ = messages(history, bounds)
        self.ears = listeners(history, bounds, self.people)
        self.truth = Truth(history, bounds, self.people)
        self.own: dict[str, list[Op]] = defaultdict(list)
        for op in history.of("own_roster"):
            if not op.cut_short:
                self.own[op.session].append(op)
        self.found = CheckFindings()
        self.found.figures.update(refused=0, flaps=0, stale=0, missed=0)

    def all(self) -> CheckFindings:
        for op in self.history.of("resume"):
            self._one(op)
        return self.found

    def _one(self, op: Op) -> None:
        found, links = self.found, self.people.get(op.session, [])
        at = bisect_right(links, op.begin.t_ns, key=lambda link: link.since_ns) - 1
        old = links[at] if at >= 0 else None
        end = old.end if old is not None else None
        if old is None or end is None or end.f not in _SHORT or op.end is None or op.cut_short:
            found.unjudged += 1
            return
        new = next((link for link in links[at + 1 :] if link.entered is op.end), None)
        one = _Resume(old, op, new, end.t_ns, op.end.t_ns)
        refused = op.outcome == "fail" and op.error.startswith("refused")
        if one.done_ns - one.cut_ns > self.resume or (new is None and not refused):
            found.unjudged += 1
        elif old.harm.touches(one.cut_ns, one.done_ns + self.visible):
            found.excused += 1
        elif new is None:
            self._convict(one, [self._refused(one)])
        else:
            self._convict(one, [*self._flap(one, new), *self._stale(one, new), *self._missed(one, new)])

    def _convict(self, one: _Resume, bad: list[Violation]) -> None:
        found = self.found
        if bad:
            found.judged += 1
            found.violations.append(bad[0])
        elif one.open:
            found.inconclusive += 1
            found.because(one.open)
        elif one.seen:
            found.judged += 1
        else:
            found.unjudged += 1

    def _refused(self, one: _Resume) -> Violation:
        self.found.figures["refused"] += 1
        away = f"was cut off from {one.old.key} for {self._away(one)}"
        says = f"{self._who(one)} {away} and is not taken back: {one.op.error}"
        return Violation(one.done_ns, says, tuple(self._story(one)), (self._self(one),))

    def _flap(self, one: _Resume, new: Connection) -> list[Violation]:
        if one.old.since_ns + self.visible > one.cut_ns:
            return []
        until = max(one.done_ns, min(new.proved_ns, one.done_ns + self.visible))
        for look in self.rooms.get(one.old.key, Looks()).between(one.cut_ns, until):
            if look.listed is None:
                one.open = one.open or f"{one.old.key}: a look at {self._at(look.start_ns)} did not come"
                continue
            one.seen += 1
            if one.old.session not in look.listed:
                self.found.figures["flaps"] += 1
                node = look.op.end.node if look.op.end else ""
                asked = f"an observer{words.via(look.op.begin.region)} asked who is in {one.old.key}"
                told = f"the roster{words.by(node)} does not list {one.old.session}"
                story = [*self._story(one), (look.start_ns, asked), (look.end_ns, told)]
                says = (
                    f"{self._who(one)} was cut off from {one.old.key} for {self._away(one)} and resumed; meanwhile, at "
                    f"{self._at(look.start_ns)}, the others saw that it had gone"
                )
                seen_by = (self._self(one), sight(self.history, look.op))
                return [Violation(look.start_ns, says, tuple(story), seen_by)]
        return []

    def _stale(self, one: _Resume, new: Connection) -> list[Violation]:
        until = new.end.t_ns if new.end is not None and new.end.f != "leave" else self.history.end_ns
        for op in self.own.get(one.old.session, ()):
            if not one.done_ns + self.visible <= op.begin.t_ns <= until:
                continue
            shown = listed(op)
            end_ns = op.begin.t_ns if shown is None or op.end is None else op.end.t_ns
            if one.old.harm.touches(op.begin.t_ns, end_ns):
                return []
            if shown is None or op.end is None:
                one.open = one.open or f"{self._who(one)} did not get to see the room at {self._at(op.begin.t_ns)}"
                return []
            one.seen += 1
            wrong = self.truth.contradiction(one.old.key, shown, op.begin.t_ns, end_ns)
            if not wrong:
                return []
            self.found.figures["stale"] += 1
            back = f"{self._who(one)} resumed in {one.old.key} at {self._at(one.done_ns)}"
            says = f"{back}; the roster that it is shown {wrong.says}"
            told = (end_ns, f"{one.old.session} was told{words.by(op.end.node)} of {len(shown)} sessions")
            story = (*self._story(one), *wrong.events, told)
            return [Violation(op.begin.t_ns, says, story, (sight(self.history, op),))]
        return []

    def _missed(self, one: _Resume, new: Connection) -> list[Violation]:
        ears = self.ears.get(one.old.session)
        if ears is None:
            return []
        bad = []
        for said in self.talk.get(one.old.key, Talk()).between(
            one.old.proved_ns - self.visible, new.proved_ns - self.visible
        ):
            if not one.old.since_ns < said.said_ns <= one.done_ns or one.done_ns + self.visible > new.proved_ns:
                continue
            if said.harm.touches(said.said_ns, one.done_ns + self.visible):
                continue
            if not ears.whole:
                one.open = one.open or f"what {ears.session} heard in {ears.key} is not whole in the record"
                return []
            one.seen += 1
            if said.text not in ears.heard:
                bad.append(self._lost(one, new, said, ears))
        return bad

    def _lost(self, one: _Resume, new: Connection, said: Said, ears: Listener) -> Violation:
        self.found.figures["missed"] += 1
        sender = words.who(said.op.begin)
        story = [
            *self._story(one),
            (said.said_ns, f"{sender} said {said.text!r} in {ears.key}"),
            (said.acked_ns, f"it was acknowledged{words.by(said.op.end.node if said.op.end else '')}"),
            (new.proved_ns, f"{ears.session} was still there, and had not heard it"),
        ]
        says = (
            f"{self._who(one)} was cut off from {ears.key} for {self._away(one)} and resumed; what "
            f"{said.op.begin.user} said at {self._at(said.said_ns)}, which was acknowledged, never reached it"
        )
        return Violation(said.acked_ns, says, tuple(story), (self._self(one, one.done_ns + self.visible),))

    def _story(self, one: _Resume) -> list[tuple[int, str]]:
        cut = one.old.end is not None and one.old.end.f == "cut"
        how = "went for a moment" if cut else "was ended by the other side"
        return [
            (one.old.since_ns, f"{self._who(one)} was let into {one.old.key}{words.via(one.old.region)}"),
            (one.cut_ns, f"its connection {how}"),
            (one.op.begin.t_ns, "it asked to resume"),
            (one.done_ns, f"resume: {words.result(one.op)}{words.by(one.op.end.node if one.op.end else '')}"),
            *words.fault_story(self.history, one.cut_ns, one.done_ns),
        ]

    def _self(self, one: _Resume, until_ns: int = 0) -> Sight:
        """The client that was cut off, from then to its resume, or to when it had waited long enough."""
        begin = one.op.begin
        return Sight(begin.worker, one.op.session, one.cut_ns, max(one.done_ns, until_ns))

    def _who(self, one: _Resume) -> str:
        return words.who(one.op.begin)

    def _away(self, one: _Resume) -> str:
        return f"{(one.done_ns - one.cut_ns) / NS:.1f} s"

    def _at(self, t_ns: int) -> str:
        return words.at(self.history, t_ns)


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge every resume."""
    return _Judge(history, bounds).all()


check = Check(
    "M7",
    "a short cut goes unnoticed",
    "resumes.broken",
    run,
    makes_cuts,
)
