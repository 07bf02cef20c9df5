"""An editor: types unique tokens, goes offline and comes back, and reconnects when it is cut off."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from chaos.backends.base import BackendError, DocumentSession, Lost, NotSent, Refused
from chaos.load.chance import chance
from chaos.load.plan import Edit, EditorPlan, Window
from chaos.load.retry import CAP_S, delay_s

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from chaos.load.hold import Hold
    from chaos.load.scribe import Op
    from chaos.load.world import Ways, World

UNDO_S = 1.0
"""An editor thinks better of an edit so long after it was acknowledged."""


class Client:
    """A connection to a document that is opened again until it is stopped; sessions are `USER.1`, `USER.2`, ..."""

    def __init__(self, world: World, ways: Ways, user: str, document: str, region: str, *, fresh: bool) -> None:
        self.world = world
        self.ways = ways
        self.user = user
        self.document = document
        self.region = region
        self.fresh = fresh
        """After a drop it comes back with an empty copy, as a new session."""
        self.up = asyncio.Event()
        self.hold: Hold | None = None
        """The door of its document, where it has one."""
        self.drops = 0
        self.rng = chance(world.seed, user)
        self._number = 0
        self._connecting: asyncio.Task[None] | None = None
        self.link = self._new_link()

    def _new_link(self) -> DocumentSession:
        self._number += 1
        session = f"{self.user}.{self._number}"
        link: DocumentSession = self.ways.session(self.document, self.user, session, self.region)
        link.on_gone = self._gone
        return link

    def connect(self) -> None:
        """Go on trying to be connected, in the background."""
        if self._connecting is None or self._connecting.done():
            self._connecting = self.world.spawn(self._connect())

    async def _connect(self) -> None:
        count = 0
        while True:
            if self.hold is not None:
                await self.hold.passed()
            count += 1
            retry_after_s = None
            try:
                async with asyncio.timeout(self.world.attempt_s):
                    await self.link.open()
            except BackendError as error:
                retry_after_s = error.retry_after_s
            except TimeoutError:
                pass
            else:
                if self.link.synced:  # and not gone again before this task had its turn
                    self.up.set()
                    return
            # An editor's program goes on trying, whatever its user's patience with a single edit is.
            pause = delay_s(self.world.load.retry, count, self.rng, retry_after_s)
            await asyncio.sleep(CAP_S if pause is None else pause)

    async def disconnect(self, *, politely: bool = False) -> None:
        """Be offline, with the copy kept."""
        self.up.clear()
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        await (self.link.close() if politely else self.link.cut())

    async def stand_back(self) -> None:
        """Break off an attempt to connect and begin it anew: at the door, where there is one."""
        if self._connecting is not None and not self._connecting.done():
            await self.disconnect()
            self.connect()

    def _gone(self, reason: str) -> None:
        self.up.clear()
        self.drops += 1
        self.dropped(reason)
        if self.fresh:
            self.link = self._new_link()
            self.refreshed()
        if self.hold is not None:
            self.hold.dropped()
        self.connect()

    def dropped(self, reason: str) -> None:
        """What is to be recorded when the connection ended from the other side."""

    def refreshed(self) -> None:
        """What is to be recorded when the copy was thrown away."""

    def fact(self, f: str, **parts: Any) -> None:
        self.world.scribe.fact(
            f, user=self.user, session=self.link.session, key=self.document, region=self.region, **parts
        )

    def invoke(self, f: str, *, at_ns: int = 0, value: object = None) -> Op:
        return self.world.scribe.invoke(
            f, self.user, self.link.session, self.document, self.region, intended_ns=at_ns, value=value
        )


class Editor(Client):
    """Lives through an editor's plan; `finish` brings it to rest."""

    def __init__(self, world: World, ways: Ways, plan: EditorPlan) -> None:
        super().__init__(world, ways, plan.user, plan.document, plan.region, fresh=plan.refresh)
        self.plan = plan
        self.away = False
        self.was_away = False
        self._group = ""
        """The group whose edits must appear without a nudge: the editor is idle."""
        self._offline: list[tuple[Op, str]] = []
        self._window: Window | None = None
        self._tokens: list[str] = []
        """Written in this window."""
        self._edits: set[asyncio.Task[None]] = set()

    @property
    def kind(self) -> str:
        """What a view of its copy is called in the record."""
        if self.drops and self.fresh:
            return "refreshed"
        return "reconnected" if self.drops or self.was_away else "stayed"

    async def run(self) -> None:
        world = self.world
        steps: list[tuple[float, Edit | Window, str]] = [(edit.at_s, edit, "edit") for edit in self.plan.edits]
        for window in self.plan.windows:
            steps.append((window.off_s, window, "off"))
            steps.append((window.back_s, window, "back"))
        steps.sort(key=lambda step: step[0])
        if not await world.until(self.plan.at_s):
            return
        self.connect()
        for at_s, step, kind in steps:
            if not await world.until(at_s):
                return
            if isinstance(step, Edit):
                self._type(step)
            elif kind == "off":
                await self._go_off(step)
            else:
                self._start(self._come_back(step.idle_until_s - step.back_s))

    async def finish(self) -> None:
        """No more edits: come back where offline, and wait until every edit has ended."""
        if self.away:
            self._start(self._come_back(0.0))
        if self._edits:
            await asyncio.wait(self._edits, timeout=2 * self.world.load.patience_s)

    def end_idle(self) -> None:
        """From here on anything may nudge the copy."""
        if self._group:
            group, self._group = self._group, ""
            self.fact("idle_end", value={"group": group})

    def dropped(self, reason: str) -> None:
        self.end_idle()
        self.fact("dropped", error=reason)

    def refreshed(self) -> None:
        self.fact("refreshed")
        for op, _ in self._offline:
            op.info("lost: the copy was thrown away")
        self._offline.clear()

    # -- online

    def _type(self, edit: Edit) -> None:
        token = self.world.tag + edit.token
        if self.away:
            op = self.invoke("offline_edit", value=token)
            self.link.edit_offline(token)
            self._offline.append((op, token))
            self._tokens.append(token)
        elif edit.offline or self._group:
            # Planned for a window that begins or ends later than planned.
            self.world.scribe.counts["edits.skipped_idle"] += 1
        else:
            self._start(self._edit(token, self.world.ns(edit.at_s), undo=edit.undo))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.world.spawn(work)
        self._edits.add(task)
        task.add_done_callback(self._edits.discard)

    async def _edit(self, token: str, at_ns: int, *, undo: bool) -> None:
        op = self.invoke("edit", at_ns=at_ns, value=token)
        attempt = _Attempt(self, token)
        try:
            async with asyncio.timeout(at_ns / 1e9 + self.world.load.patience_s - time.monotonic()):
                done = await attempt.run()
        except TimeoutError:
            if attempt.written_to is None:
                op.fail("not sent: no connection")
            else:
                op.info("timeout")
        except Refused as refusal:
            op.fail(f"refused: {refusal.reason}", refusal.node)
        else:
            if done:
                self._saved(op, token, attempt.seen)
                if undo and await self.world.until(self.world.now_s() + UNDO_S):
                    await self._take_back(token)
            else:
                op.info("lost: the copy was thrown away")

    def _saved(self, op: Op, token: str, seen: str = "") -> None:
        promise = {"level": self.ways.ack}
        op.ok({**promise, "seen": seen} if seen else promise, self.link.node)
        if self.hold is not None:
            self.hold.kept.add(token)

    async def _take_back(self, token: str) -> None:
        """Delete an own token; tried once, and not from an idle or an offline copy."""
        link = self.link
        if not hasattr(link, "delete"):
            self.fact("cannot", value="delete")
            return
        if self.away or self._group or token not in link.tokens():
            return
        if self.hold is not None:
            self.hold.kept.discard(token)
        op = self.invoke("delete", at_ns=time.monotonic_ns(), value=token)
        try:
            async with asyncio.timeout(self.world.load.patience_s):
                await link.delete(token)
        except NotSent as reason:
            if token in link.tokens():
                op.fail(f"not sent: {reason}")
            else:
                op.info(f"lost: {reason}")
        except BackendError as failure:
            op.info(f"lost: {failure.reason}", failure.node)
        except TimeoutError:
            op.info("timeout")
        else:
            op.ok({"level": self.ways.ack}, link.node)

    # -- offline

    async def _go_off(self, window: Window) -> None:
        self.end_idle()
        self.away = self.was_away = True
        self._window, self._tokens = window, []
        await self.disconnect()
        self.fact("offline", value={"group": window.group})

    async def _come_back(self, idle_s: float) -> None:
        self.away = False
        group = self._window.group if self._window else ""
        self.connect()
        await self.up.wait()
        self.fact("online", value={"group": group, "tokens": self._tokens})
        self._group = group
        await self._settle_offline()
        if await self.world.until(self.world.now_s() + idle_s) and self._group == group:
            self.end_idle()

    async def _settle_offline(self) -> None:
        try:
            async with asyncio.timeout(self.world.load.patience_s):
                while self._offline:
                    await self.up.wait()
                    try:
                        await self.link.settled()
                    except (Lost, NotSent):
                        await asyncio.sleep(0)
                        continue
                    for op, token in self._offline:
                        self._saved(op, token)
                    self._offline.clear()
        except TimeoutError:
            for op, _ in self._offline:
                op.info("timeout")
            self._offline.clear()


class _Attempt:
    """One token on its way: written once, and then waited for over as many connections as it takes."""

    def __init__(self, editor: Editor, token: str) -> None:
        self.editor = editor
        self.token = token
        self.written_to: DocumentSession | None = None
        self.seen = ""
        """What had come last from others when it was written."""

    async def run(self) -> bool:
        """True once acknowledged; False when the copy that held it was thrown away."""
        editor = self.editor
        while True:
            link = editor.link
            if self.written_to is not None and self.written_to is not link:
                return False
            try:
                if self.written_to is not None:
                    await editor.up.wait()
                    if editor.link is link:
                        await link.settled()
                        return True
                elif editor.up.is_set():
                    self.written_to = link
                    self.seen = getattr(link, "latest", str)()
                    await link.edit(self.token)
                    return True
                elif editor.drops and not editor.fresh:
                    # The page is open and its copy is there: the user types on, and the copy syncs later.
                    link.edit_offline(self.token)
                    self.written_to = link
                else:
                    await editor.up.wait()
            except NotSent:
                if self.written_to is link and self.token not in link.tokens():
                    self.written_to = None
                await asyncio.sleep(0)
            except Lost:
                await asyncio.sleep(0)
