"""What an answer of Prometheus says of the stack's alerts, and what is no answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chaos.engine.alerts import MOST_ALERTS, Unanswered, alerts_in


def answer(*alerts: dict[str, Any], **parts: Any) -> bytes:
    return json.dumps({"status": "success", "data": {"alerts": list(alerts)}} | parts).encode()


def alert(name: str, state: str = "firing", **labels: str) -> dict[str, Any]:
    labels = {"alertname": name} | labels
    return {"labels": labels, "annotations": {"runbook": "x"}, "state": state, "activeAt": "2026-01-01T00:00:00Z"}


def test_what_fires_is_told_in_a_fixed_order_and_what_is_pending_is_not() -> None:
    """A pending alert warns nobody; annotations are left out."""
    found = alerts_in(answer(alert("B"), alert("A", node="b"), alert("A", node="a"), alert("C", "pending")))
    assert [(one["name"], one["labels"]) for one in found] == [("A", {"node": "a"}), ("A", {"node": "b"}), ("B", {})]
    assert found[0] == {
        "name": "A",
        "labels": {"node": "a"},
        "state": "firing",
        "active_at": "2026-01-01T00:00:00Z",
    }
    assert alerts_in(answer()) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b"null",
        b"[" * 100_000,
        b"\xff",
        answer(data={}),
        answer(data={"alerts": None}),
        answer({"state": "firing"}),
        answer({"state": "firing", "labels": []}),
    ],
)
def test_what_is_not_understood_is_no_answer(body: bytes) -> None:
    """It is never taken for "nothing fires"."""
    with pytest.raises(Unanswered, match="not that of a Prometheus"):
        alerts_in(body)


def test_an_error_and_a_flood_are_no_answers() -> None:
    """Prometheus says what is wrong; more alerts than can be recorded each second are a reason, not a fact."""
    with pytest.raises(Unanswered, match="it says error: too busy"):
        alerts_in(answer(status="error", error="too busy"))
    with pytest.raises(Unanswered, match="1001 alerts fire"):
        alerts_in(answer(*(alert(f"A{number}") for number in range(MOST_ALERTS + 1))))
