"""The rooms protocol on a connection that goes at the worst moment."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError

from chaos.backends import rooms
from chaos.backends.base import Entry, Lost
from chaos.backends.rooms import RoomSession

ENTRY = Entry("ws://nowhere/{key}", "here", "room", "u1", "u1.1")


class Transport:
    """Nothing to abort."""

    def abort(self) -> None: ...


class Socket:
    """Answers the first question and is gone at once; `dead`: takes no question at all."""

    def __init__(self) -> None:
        self.transport = Transport()
        self.session: RoomSession | None = None
        self.dead = False
        self._answers: asyncio.Queue[str | None] = asyncio.Queue()

    async def send(self, text: str) -> None:
        if self.dead and self.session is not None:
            self.session._gone("reset")
            raise ConnectionClosedError(None, None)
        answer = {"t": "joined", "id": json.loads(text)["id"], "node": "n1", "resume": "word"}
        self._answers.put_nowait(json.dumps(answer))
        self._answers.put_nowait(None)

    async def recv(self) -> str:
        text = await self._answers.get()
        if text is None:
            raise ConnectionClosedError(None, None)
        return text


def test_who_is_cut_off_as_he_is_let_in_is_told_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A join whose connection ends with the answer is granted, and `on_gone` is called once, afterwards."""

    async def opened(_url: str) -> Socket:
        return Socket()

    async def scene() -> list[str]:
        told: list[str] = []
        session = RoomSession(ENTRY)
        session.on_gone = told.append
        await session.join()
        assert told == []
        await asyncio.sleep(0)
        return told

    monkeypatch.setattr(rooms, "open_socket", opened)
    assert asyncio.run(scene()) == ["reset"]


def test_a_question_that_cannot_be_sent_leaves_no_forgotten_answer() -> None:
    """The caller gets `Lost`, and the loop has nothing to complain of."""

    async def scene() -> list[Any]:
        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
        session, socket = RoomSession(ENTRY), Socket()
        socket.session, socket.dead = session, True
        session._socket = socket  # type: ignore[assignment]
        with pytest.raises(Lost):
            await session.say("hello")
        gc.collect()
        await asyncio.sleep(0)
        return complaints

    assert asyncio.run(scene()) == []
