"""A participant: joins a room, speaks, leaves or vanishes, comes back; and what it does when it is cut off."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from chaos.backends.base import BackendError, Lost, MeetingSession, NotSent, Refused
from chaos.load.attempt import Outcome, attempt
from chaos.load.chance import chance
from chaos.load.ears import Ears
from chaos.load.moments import CUT_S
from chaos.load.observer import ask_roster
from chaos.load.plan import Person, Visit
from chaos.load.world import wait

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from chaos.load.scribe import Op
    from chaos.load.world import Ways, World

SPREAD_S = 2.0
"""At the end of the load the participants leave over this time, not all in one moment."""
TWIN_STAY_S = 4.0
"""How long the twin of a user who was cut off stays."""


class Rooms:
    """All participants of a load, and the pairs of re-entries and twins."""

    def __init__(self, world: World, ways: Ways) -> None:
        self.world = world
        self.ways = ways
        self.live: set[Participant] = set()
        self.look: Callable[[str], None] = lambda _room: None
        """Lets the observers of a room look now, beside their own schedule."""
        self._pairs: dict[int, asyncio.Future[int]] = {}
        self._extra = 1_000_000

    def start(self, person: Person) -> None:
        """Let a person come now."""
        participant = Participant(self, person)
        self.live.add(participant)
        self.world.spawn(participant.run())

    def stop(self) -> None:
        """Wake everybody, so that they leave."""
        for participant in self.live:
            participant.wake.set()

    def pair(self, number: int) -> asyncio.Future[int]:
        """When the user of this pair comes back (ns); 0: he will not."""
        future = self._pairs.get(number)
        if future is None:
            future = self._pairs[number] = asyncio.get_running_loop().create_future()
        return future

    def settle_pair(self, number: int, at_ns: int) -> None:
        """Say when the user of this pair comes back; the first word counts."""
        future = self.pair(number)
        if not future.done():
            future.set_result(at_ns)

    def extra_pair(self, person: Person, at_ns: int) -> int:
        """Pair a re-entry that no plan foresaw: the twin comes at the same moment."""
        self._extra += 1
        at_s = (at_ns - self.world.start_ns) / 1e9
        visit = Visit(at_s, at_s + TWIN_STAY_S, "leave")
        twin = Person(f"{person.user}t{self._extra - 1_000_000}", person.room, person.region, (visit,), self._extra)
        self.settle_pair(self._extra, at_ns)
        self.start(twin)
        return self._extra


class Participant:
    """One user; `run` lives through the visits of its plan."""

    def __init__(self, rooms: Rooms, person: Person) -> None:
        self.rooms = rooms
        self.world = rooms.world
        self.person = person
        self.wake = asyncio.Event()
        self.link: MeetingSession | None = None
        self.inside = False
        self._rng = chance(self.world.seed, person.user)
        self._number = 0
        self._gone = ""
        self._in_ns = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._said = 0
        self._ears = Ears(self.world.scribe, person.user, person.room, person.region)
        self._listens = False

    async def run(self) -> None:
        try:
            over_s = 0.0
            for index, visit in enumerate(self.person.visits):
                if index and not await self._rest(visit):
                    return
                self._listens = visit.cut_s > 0
                # Who could not leave in time comes back later than planned: his wish begins when he is out.
                at_s = max(visit.at_s, over_s)
                if not await self._come(visit, at_s) or not await self._stay(visit, at_s - visit.at_s):
                    return
                await self._depart(visit, at_s - visit.at_s)
                over_s = self.world.now_s()
        finally:
            self._ears.close()
            self.rooms.live.discard(self)
            for visit in self.person.visits:
                if visit.pair:
                    self.rooms.settle_pair(visit.pair, 0)

    async def _rest(self, visit: Visit) -> bool:
        """Wait outside; False when the load ends meanwhile."""
        while not self.world.stopping:
            left = visit.at_s - self.world.now_s()
            if left <= 0:
                return True
            self.wake.clear()
            await wait(self.wake, left)
        return False

    # -- in

    async def _come(self, visit: Visit, at_s: float) -> bool:
        at_ns = self.world.ns(at_s)
        if visit.pair:
            self.rooms.settle_pair(visit.pair, at_ns)
            return await self._enter("rejoin", at_ns, {"pair": visit.pair, "after": visit.after})
        if self.person.twin_of:
            paired_ns = await self.rooms.pair(self.person.twin_of)
            if paired_ns:
                return await self._enter("join", paired_ns, {"pair": self.person.twin_of, "twin": True})
            if self.world.stopping:
                return False
            at_ns = max(at_ns, time.monotonic_ns())
        return await self._enter("join", at_ns, None)

    async def _enter(self, f: str, at_ns: int, value: dict[str, object] | None) -> bool:
        self._number += 1
        person, world = self.person, self.world
        session = f"{person.user}.{self._number}"
        link: MeetingSession = self.rooms.ways.session(person.room, person.user, session, person.region)
        link.on_gone = self._dropped
        self._ears.close()
        if self._listens:
            self._ears.attach(link)
        self.link = link
        self._gone = ""
        op = world.scribe.invoke(f, person.user, session, person.room, person.region, intended_ns=at_ns, value=value)
        outcome = await attempt(
            link.join,
            until_s=at_ns / 1e9 + world.load.patience_s,
            each_s=world.attempt_s,
            policy=world.load.retry,
            rng=self._rng,
        )
        self._note(outcome, op)
        if outcome.granted:
            self._ears.open()
        else:
            self._fact("gone_home", error=outcome.error)
        return outcome.granted

    def _note(self, outcome: Outcome, op: Op) -> None:
        self.inside = outcome.granted
        self._in_ns = time.monotonic_ns()
        outcome.close(op, self.link.node if self.link else "")

    def _fact(self, f: str, **parts: Any) -> None:
        session = self.link.session if self.link else ""
        person = self.person
        self.world.scribe.fact(f, user=person.user, session=session, key=person.room, region=person.region, **parts)

    def _dropped(self, reason: str) -> None:
        self.inside = False
        self._gone = reason or "gone"
        self.wake.set()

    # -- inside

    async def _stay(self, visit: Visit, shift_s: float) -> bool:
        """Until the planned end; False when the user is out for good before it."""
        says = deque(said_s + shift_s for said_s in visit.says)
        until_s = visit.until_s + shift_s
        cut_s = visit.cut_s + shift_s if visit.cut_s else math.inf
        told_s = None
        while True:
            if self._gone:
                if not await self._recover():
                    return False
                continue
            if self.world.stopped_s is not None and told_s is None:
                told_s = self.world.stopped_s + self._rng.random() * SPREAD_S
                until_s, says, cut_s = min(until_s, told_s), deque(), math.inf
            if visit.end == "stay" and told_s is None:
                until_s = math.inf
            now_s = self.world.now_s()
            if now_s >= until_s:
                return True
            if now_s >= cut_s:
                cut_s = math.inf
                if not await self._cut_short():
                    return False
                continue
            if says and now_s >= says[0]:
                self._spawn(self._say(says.popleft()))
                continue
            self.wake.clear()
            await wait(self.wake, min(until_s, cut_s, says[0] if says else math.inf, now_s + 3600.0) - now_s)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.world.spawn(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _say(self, at_s: float) -> None:
        link, person, world = self.link, self.person, self.world
        if link is None:
            return
        at_ns = world.ns(at_s)
        self._said += 1
        text = f"{link.session}-{self._said}"
        op = world.scribe.invoke(
            "say", person.user, link.session, person.room, person.region, intended_ns=at_ns, value=text
        )
        try:
            async with asyncio.timeout(at_ns / 1e9 + world.load.patience_s - time.monotonic()):
                await link.say(text)
        except Refused as refusal:
            op.fail(f"refused: {refusal.reason}", refusal.node)
        except NotSent as reason:
            op.fail(f"not sent: {reason}")
        except Lost as reason:
            op.info(f"lost: {reason}")
        except TimeoutError:
            op.info("timeout")
        else:
            op.ok(text, link.node)

    async def _recover(self) -> bool:
        """After the connection ended from the other side: resume the session, or come in again with a twin."""
        self._fact("dropped", error=self._gone)
        self._gone = ""
        return not self.world.stopping and await self._take_up()

    async def _cut_short(self) -> bool:
        """The user's own connection goes for a moment; meanwhile the observers look, and then he is back."""
        link = self.link
        if link is None or not self.inside or self.world.stopping:
            return True
        self.inside = False
        self._fact("cut")
        await link.cut()
        length_s = min(CUT_S, self.world.bounds.resume_s / 4)
        await asyncio.sleep(length_s / 2)
        self.rooms.look(self.person.room)
        await asyncio.sleep(length_s / 2)
        if not await self._take_up():
            return False
        if link is self.link:
            self._spawn(self._own_look(link))
        return True

    async def _own_look(self, link: MeetingSession) -> None:
        """What the resumed session itself is told of the room, once the bound for news is over."""
        await asyncio.sleep(self.world.bounds.visibility_s + 0.1)
        if link is self.link and self.inside:
            person = self.person
            op = self.world.scribe.invoke("own_roster", person.user, link.session, person.room, person.region)
            await ask_roster(link, op)

    async def _take_up(self) -> bool:
        """Resume the session, or come in again with a twin; False when he is out for good."""
        link, world, person = self.link, self.world, self.person
        if link is None:
            return False
        at_ns = time.monotonic_ns()
        op = world.scribe.invoke("resume", person.user, link.session, person.room, person.region, intended_ns=at_ns)
        outcome = await attempt(
            link.resume,
            until_s=at_ns / 1e9 + min(world.bounds.resume_s, world.load.patience_s),
            each_s=world.attempt_s,
            policy=world.load.retry,
            rng=self._rng,
        )
        self._note(outcome, op)
        if outcome.granted:
            return True
        if world.stopping:
            return False
        at_ns = time.monotonic_ns()
        pair = self.rooms.extra_pair(person, at_ns)
        return await self._enter("rejoin", at_ns, {"pair": pair, "after": "dropped"})

    # -- out

    async def _depart(self, visit: Visit, shift_s: float) -> None:
        link, world, person = self.link, self.world, self.person
        if link is None:
            return
        self.inside = False
        if visit.end == "vanish" and not world.stopping:
            self._fact("vanish")
            await link.cut()
            return
        link.on_gone = None
        at_ns = time.monotonic_ns()
        if not world.stopping:
            # Nobody wishes to leave before he is in.
            at_ns = min(at_ns, max(world.ns(visit.until_s + shift_s), self._in_ns))
        op = world.scribe.invoke("leave", person.user, link.session, person.room, person.region, intended_ns=at_ns)
        try:
            async with asyncio.timeout(world.bounds.leave_s):
                await link.leave()
        except TimeoutError:
            op.info("timeout", link.node)
        except BackendError as error:
            kind = "refused" if isinstance(error, Refused) else "lost"
            op.info(f"{kind}: {error.reason}", error.node)
            if kind == "lost":
                self._fact("dropped", error=error.reason)
        else:
            op.ok(node=link.node)
            return
        await link.cut()
