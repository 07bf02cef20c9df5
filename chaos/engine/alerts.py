"""Asks the stack's own monitoring, once a second, which of its alerts fire: how soon it warned is part of the verdict.

Each look is planned, so that one that did not come shows: an `invoke` as it is asked, then `obs` with all alerts that
fire, or `gap` with the reason. The API: <https://prometheus.io/docs/prometheus/latest/querying/api/#alerts>.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import requests
from urllib3.exceptions import HTTPError

from chaos.errors import ChaosError
from chaos.model.event import Type

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos.model.stack import Alerts

EVERY_S = 1.0
ANSWER_S = 2.0
"""To connect, to wait for the next bytes, and for all of them."""
MOST_BYTES = 4 << 20
MOST_ALERTS = 1000
"""Each look is recorded with all that fire; whose alerts fire by the thousand has no warning left to time."""


class Unanswered(Exception):
    """A look that told nothing, with the reason."""


def firing(base: str, session: requests.Session) -> list[dict[str, Any]]:
    """The alerts that fire now: `{name, labels, state, active_at}`, in a fixed order; raises `Unanswered`."""
    until = time.monotonic() + ANSWER_S
    try:
        with session.get(
            base.rstrip("/") + "/api/v1/alerts", timeout=ANSWER_S, stream=True, allow_redirects=False
        ) as answer:
            if answer.status_code != requests.codes.ok:
                raise Unanswered(f"it answers with HTTP {answer.status_code}")
            return alerts_in(_body(answer, until))
    except requests.Timeout as error:
        raise Unanswered(f"no answer within {ANSWER_S:g} s") from error
    except requests.ConnectionError as error:
        raise Unanswered("it cannot be reached") from error
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        raise Unanswered(f"its answer cannot be read ({type(error).__name__})") from error


def _body(answer: requests.Response, until: float) -> bytes:
    body = b""
    for part in answer.iter_content(1 << 16):
        body += part
        if len(body) > MOST_BYTES:
            raise Unanswered(f"its answer is longer than {MOST_BYTES >> 20} MiB")
        if time.monotonic() > until:
            raise Unanswered(f"no whole answer within {ANSWER_S:g} s")
    return body


def alerts_in(body: bytes) -> list[dict[str, Any]]:
    """What fires, according to an answer of `/api/v1/alerts`; pending alerts warn nobody. Raises `Unanswered`."""
    try:
        answer = json.loads(body)
        if answer["status"] != "success":
            raise Unanswered(f"it says {answer['status']}: {answer.get('error', 'no reason')}"[:200])
        found = [_alert(one) for one in answer["data"]["alerts"] if one["state"] == "firing"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Unanswered("its answer is not that of a Prometheus") from error
    if len(found) > MOST_ALERTS:
        raise Unanswered(f"{len(found)} alerts fire, more than {MOST_ALERTS}")
    return sorted(found, key=_identity)


def _alert(one: dict[str, Any]) -> dict[str, Any]:
    labels = {str(key): str(value) for key, value in one["labels"].items()}
    name = labels.pop("alertname", "without a name")
    return {"name": name, "labels": labels, "state": "firing", "active_at": str(one.get("activeAt", ""))}


def _identity(alert: dict[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    return alert["name"], sorted(alert["labels"].items())


class AlertWatch:
    """Looks from a thread of its own, from `start` to `end`; without `alerts` it does nothing.

    `record(type, f, op=..., ...)` takes the events. `say` hears of each alert that begins or ends to fire, and when the
    monitoring falls silent or answers again. `fail` hears that the record takes no more.
    """

    def __init__(
        self,
        alerts: Alerts | None,
        record: Callable[..., None],
        say: Callable[[str], None],
        fail: Callable[[ChaosError], None],
    ) -> None:
        self._alerts = alerts
        self._record = record
        self._say = say
        self._fail = fail
        self._over = threading.Event()
        self._now = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="alerts", daemon=True)
        self._known: set[str] | None = None
        """What fired at the last look that was answered."""
        self._silent = ""

    def start(self) -> None:
        """Begin to look, where there is somebody to ask."""
        if self._alerts is not None:
            self._thread.start()

    def look_now(self) -> None:
        """Look before the second is over: what does not fire as a fault begins may warn of it."""
        self._now.set()

    def end(self) -> None:
        """Look no more; twice is no error."""
        self._over.set()
        self._now.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2 * ANSWER_S)

    def _watch(self) -> None:
        number = 0
        with contextlib.closing(requests.Session()) as session:
            # Neither proxies nor passwords of the environment: what is asked stands in the stack file alone.
            session.trust_env = False
            while not self._over.is_set():
                due = time.monotonic() + EVERY_S
                number += 1
                try:
                    self._look(session, number)
                except ChaosError as error:
                    self._fail(error)
                    return
                self._now.wait(max(0.0, due - time.monotonic()))
                self._now.clear()

    def _look(self, session: requests.Session, number: int) -> None:
        if self._alerts is None:
            return
        self._record(Type.INVOKE, "alerts", op=number)
        try:
            found = firing(self._alerts.prometheus, session)
        except Unanswered as why:
            self._close(Type.GAP, op=number, error=str(why))
            self._tell_silence(str(why))
        else:
            self._close(Type.OBS, op=number, value=found)
            self._tell_silence("")
            self._tell({_words(alert) for alert in found})

    def _close(self, kind: Type, **parts: Any) -> None:
        """Record an end, unless the record itself may have ended meanwhile."""
        if not self._over.is_set():
            self._record(kind, "alerts", **parts)

    def _tell_silence(self, why: str) -> None:
        if bool(why) != bool(self._silent):
            self._say(f"the stack's alerts cannot be asked: {why}" if why else "the stack's alerts can be asked again")
        self._silent = why

    def _tell(self, now: set[str]) -> None:
        before = now if self._known is None else self._known
        for name in sorted(now - before):
            self._say(f"alert {name} fires")
        for name in sorted(before - now):
            self._say(f"alert {name} has ended")
        self._known = now


def _words(alert: dict[str, Any]) -> str:
    labels = ", ".join(f"{key}={value}" for key, value in sorted(alert["labels"].items()))
    return f"{alert['name']} ({labels})" if labels else str(alert["name"])
