"""What "supported" means: scenarios that a backend passes against a running server of its protocol.

Each takes a `Stage` and raises `AssertionError` where the backend or the server does not keep the contract of
`chaos.backends.base`. `MEETINGS` and `DOCUMENTS` list them by name; run every one on rooms of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from chaos.backends.base import Backend, DocumentSession, Entry, Lost, MeetingSession, NotSent, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@dataclass
class Stage:
    """A backend and a way in to a server; `prefix` keeps rooms and documents of one run apart from another's."""

    backend: Backend
    entry: Entry
    """`key`, `user` and `session` are replaced."""
    prefix: str
    ghost_s: float = 10.0
    """A participant who vanished is gone from the roster within this."""
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def _entry(self, key: str, user: str | None) -> Entry:
        number = next(self._numbers)
        name = f"{self.prefix}-c{number}" if user is None else f"{self.prefix}-{user}"
        return replace(self.entry, key=f"{self.prefix}-{key}", user=name, session=f"{name}.{number}")

    def person(self, user: str | None = None, *, secret: str | None = None) -> MeetingSession:
        """A new session, of a new user unless one is named."""
        entry = self._entry("room", user)
        if secret is not None:
            entry = replace(entry, secret=secret)
        return cast("MeetingSession", self.backend.session(entry))

    def client(self) -> DocumentSession:
        """A new client of the document, with an empty copy."""
        return cast("DocumentSession", self.backend.session(self._entry("doc", None)))


async def eventually(says: str, check: Callable[[], Awaitable[bool]], within_s: float = 5.0) -> None:
    """Ask until `check` holds; raises `AssertionError` with `says` when it does not within the time."""
    end = time.monotonic() + within_s
    while not await check():
        assert time.monotonic() < end, f"not within {within_s:g} s: {says}"  # noqa: S101 - an assertion suite
        await asyncio.sleep(0.05)


def _must(fact: object, says: str) -> None:
    assert fact, says  # noqa: S101 - an assertion suite


async def _raises(kind: type[Exception], waiting: Awaitable[object], says: str) -> Exception:
    try:
        await waiting
    except kind as error:
        return error
    message = f"{says}: no {kind.__name__} was raised"
    raise AssertionError(message)


async def joined_is_listed(stage: Stage) -> None:
    """Who has joined stands in the roster, and who has left does not."""
    one, two = stage.person(), stage.person()
    await one.join()
    await two.join()
    _must(set(await one.roster()) >= {one.session, two.session}, "both are listed")
    await two.leave()
    await eventually("who left is gone", lambda: _unlisted(one, two.session))
    await one.leave()


async def _unlisted(watcher: MeetingSession, session: str) -> bool:
    return session not in await watcher.roster()


async def said_is_heard(stage: Stage) -> None:
    """What one says is acknowledged, and the others hear it once."""
    one, two = stage.person(), stage.person()
    heard: list[tuple[str, str]] = []
    two.on_heard = lambda sender, text: heard.append((sender, text))
    await one.join()
    await two.join()
    await one.say("hello")
    await eventually("the other hears it", lambda: _true(len(heard) > 0))
    _must(heard == [(one.session, "hello")], f"heard once and from its sender, not {heard}")
    await one.leave()
    await two.leave()


async def _true(fact: bool) -> bool:  # noqa: FBT001 - a predicate's value
    return fact


async def wrong_secret_is_refused(stage: Stage) -> None:
    """A join with a token of another secret is refused, with a reason."""
    error = await _raises(Refused, stage.person(secret="not-the-secret").join(), "a wrong token")  # noqa: S106
    _must(str(error), "the refusal has a reason")


async def vanished_is_forgotten(stage: Stage) -> None:
    """Who vanished without a leave is gone from the roster within the bound."""
    one, two = stage.person(), stage.person()
    await one.join()
    await two.join()
    await two.cut()
    await eventually("who vanished is gone", lambda: _unlisted(one, two.session), stage.ghost_s)
    await one.leave()


async def cut_is_resumed(stage: Stage) -> None:
    """A cut session is taken up again as the same session."""
    one, two = stage.person(), stage.person()
    await one.join()
    await two.join()
    await two.cut()
    await two.resume()
    _must((await one.roster()).count(two.session) == 1, "the resumed session is listed once")
    await two.say("back")
    await two.leave()
    await one.leave()


async def unknown_is_not_resumed(stage: Stage) -> None:
    """A session that never joined cannot be resumed."""
    await _raises(Refused, stage.person().resume(), "resume without a join")


async def user_comes_in_again(stage: Stage) -> None:
    """A user who left, and one who vanished, gets in again with a new session."""
    watcher = stage.person()
    await watcher.join()
    for way in ("leave", "cut"):
        first = stage.person(way)
        await first.join()
        await (first.leave() if way == "leave" else first.cut())
        again = stage.person(way)
        await again.join()
        _must(again.session in await watcher.roster(), f"in again after {way}")
        await again.leave()
    await watcher.leave()


async def outside_nothing_is_sent(stage: Stage) -> None:
    """Who is not connected has nothing sent."""
    await _raises(NotSent, stage.person().say("into the void"), "say before a join")


async def edit_is_read(stage: Stage) -> None:
    """An acknowledged edit is in what a fresh client reads."""
    one, two = stage.client(), stage.client()
    await one.open()
    await one.edit("a")
    await one.edit("b")
    _must(one.tokens() == ("a", "b"), "one's own copy has both in order")
    await two.open()
    _must(two.tokens() == ("a", "b"), f"a fresh client reads both, not {two.tokens()}")
    await one.close()
    await two.close()


async def clients_converge(stage: Stage) -> None:
    """Two clients that edit at once end with the same copy, each one's run in order."""
    one, two = stage.client(), stage.client()
    await one.open()
    await two.open()
    for number in range(5):
        await asyncio.gather(one.edit(f"one-{number}"), two.edit(f"two-{number}"))
    await eventually("both hold all", lambda: _true(len(one.tokens()) == len(two.tokens()) == 10))  # noqa: PLR2004
    _must(one.tokens() == two.tokens(), "the copies are equal")
    for name in ("one", "two"):
        run = [token for token in one.tokens() if token.startswith(name)]
        _must(run == sorted(run), f"the run of {name} keeps its order: {run}")
    await one.close()
    await two.close()


async def offline_edits_merge(stage: Stage) -> None:
    """Edits made offline are acknowledged after the reconnect, and others get them without a nudge."""
    one, two = stage.client(), stage.client()
    await one.open()
    await two.open()
    await one.edit("before")
    await one.cut()
    one.edit_offline("offline-1")
    one.edit_offline("offline-2")
    await two.edit("meanwhile")
    await one.open()
    await one.settled()
    await eventually("the other has them", lambda: _true(set(two.tokens()) >= {"offline-1", "offline-2"}))
    _must(sorted(one.tokens()) == ["before", "meanwhile", "offline-1", "offline-2"], f"all merged: {one.tokens()}")
    await one.close()
    await two.close()


async def forgotten_copy_is_empty(stage: Stage) -> None:
    """A client that forgot its copy has nothing until it reads the server's again."""
    # Somebody stays: a server may forget a document that nobody has open.
    one, other = stage.client(), stage.client()
    await other.open()
    await one.open()
    await one.edit("kept by the server")
    await one.cut()
    one.forget()
    _must(one.tokens() == (), "nothing is left")
    await one.open()
    _must(one.tokens() == ("kept by the server",), "and the server's copy is read again")
    await one.close()
    await other.close()


async def cut_edit_stays_open(stage: Stage) -> None:
    """An edit whose connection is cut before its acknowledgement raises `Lost`."""
    one = stage.client()
    await one.open()
    edit = asyncio.create_task(one.edit("perhaps"))
    await asyncio.sleep(0)
    await one.cut()
    await _raises(Lost, edit, "an edit in flight at the cut")


async def unconnected_edit_is_not_sent(stage: Stage) -> None:
    """An edit without a connection is not sent, and not in the local copy."""
    one = stage.client()
    await _raises(NotSent, one.edit("never"), "an edit before open")
    _must(one.tokens() == (), "the copy is untouched")


async def pulse_proves_freshness(stage: Stage) -> None:
    """After a pulse the local copy holds all that was acknowledged before it."""
    one, two = stage.client(), stage.client()
    await one.open()
    await two.open()
    await one.edit("seen")
    await two.pulse()
    _must(two.tokens() == ("seen",), "the pulse brought it")
    await one.close()
    await two.close()


async def deleted_is_gone(stage: Stage) -> None:
    """An acknowledged delete is gone from every copy and from what a fresh client reads; the rest stays."""
    one, two, late = stage.client(), stage.client(), stage.client()
    await one.open()
    await two.open()
    for token in ("a", "b", "c"):
        await one.edit(token)
    await two.pulse()
    await one.delete("b")
    await two.pulse()
    await late.open()
    for who, client in (("its editor", one), ("another", two), ("a fresh client", late)):
        _must(client.tokens() == ("a", "c"), f"{who} has {client.tokens()}")
    await one.edit("d")
    _must(one.tokens() == ("a", "c", "d"), "the run goes on behind what is left")
    await asyncio.gather(one.close(), two.close(), late.close())


async def others_last_word_is_known(stage: Stage) -> None:
    """`latest` is what came last from somebody else, never an own token."""
    one, two = stage.client(), stage.client()
    await one.open()
    await two.open()
    await one.edit("mine")
    _must(one.latest() == "", f"nobody else has written: {one.latest()!r}")
    await two.edit("theirs")
    await one.pulse()
    _must(one.latest() == "theirs", f"not {one.latest()!r}")
    await one.close()
    await two.close()


async def present_are_shown(stage: Stage) -> None:
    """Who has a document open is shown in it to others; who closed it, or vanished, is not for long."""
    watcher, polite, rude = stage.client(), stage.client(), stage.client()
    await watcher.open()
    await polite.open()
    await rude.open()
    both = {polite.session, rude.session}
    await eventually("both are shown", lambda: _true(both <= set(watcher.present())))
    await polite.close()
    await rude.cut()
    await eventually("neither is shown", lambda: _true(not both & set(watcher.present())), stage.ghost_s)
    await watcher.close()


MEETINGS = {
    scenario.__name__: scenario
    for scenario in (
        joined_is_listed,
        said_is_heard,
        wrong_secret_is_refused,
        vanished_is_forgotten,
        cut_is_resumed,
        unknown_is_not_resumed,
        user_comes_in_again,
        outside_nothing_is_sent,
    )
}
DOCUMENTS = {
    scenario.__name__: scenario
    for scenario in (
        edit_is_read,
        clients_converge,
        offline_edits_merge,
        forgotten_copy_is_empty,
        cut_edit_stays_open,
        unconnected_edit_is_not_sent,
        pulse_proves_freshness,
        deleted_is_gone,
        others_last_word_is_known,
        present_are_shown,
    )
}
