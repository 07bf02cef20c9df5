"""What one session hears, numbered and counted, so that a record shows when a part of it is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chaos.model.event import Type

if TYPE_CHECKING:
    from chaos.backends.base import MeetingSession
    from chaos.load.scribe import Scribe


class Ears:
    """Records every message that one user's sessions receive: `listening`, `heard` 1, 2, 3 ..., `heard_total`."""

    def __init__(self, scribe: Scribe, user: str, key: str, region: str) -> None:
        self._scribe = scribe
        self._who: dict[str, Any] = {"user": user, "key": key, "region": region}
        self._session = ""
        self._number = 0
        self._link: MeetingSession | None = None

    def attach(self, link: MeetingSession) -> None:
        """Before it comes in, so that nothing is missed; what another session heard is closed."""
        self.close()
        self._link = link
        link.on_heard = self._heard

    def open(self) -> None:
        """It is in, and what is said from now on must reach it; again after a resume is no second time."""
        if self._link is not None and not self._session:
            self._session, self._number = self._link.session, 0
            self._scribe.fact("listening", session=self._session, **self._who)
            self._scribe.at_end.add(self.close)

    def close(self) -> None:
        """It is out, or the load is over."""
        if self._session:
            self._scribe.fact("heard_total", session=self._session, value=self._number, **self._who)
            self._scribe.at_end.discard(self.close)
        self._session, self._link = "", None

    def _heard(self, sender: str, text: str) -> None:
        if self._link is None:
            return
        self.open()
        self._number += 1
        value = {"from": sender, "text": text, "i": self._number}
        self._scribe.fact("heard", kind=Type.OBS, session=self._session, value=value, **self._who)
