"""The end of a run under the toolkit's own `chaos run`."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from chaos.engine.rundir import RunDirectory
from chaos.engine.session import Session
from chaos.execute import conclude_stock
from chaos.model.view import Unwatched

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_run_that_cannot_be_judged_is_no_success(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The toolkit passes over what a control raises: so the journal says that it deviated, and the log says why."""
    failed: list[BaseException] = []
    admission = SimpleNamespace(failed=failed.append)
    session = Session(cast("Any", None), RunDirectory.create(tmp_path, "x"), Unwatched(), cast("Any", admission))
    journal: dict[str, Any] = {"deviated": False}
    # The toolkit's own set-up, wherever it ran before, keeps its log from going further up.
    caplog.set_level(logging.INFO, "chaostoolkit")
    monkeypatch.setattr(logging.getLogger("chaostoolkit"), "propagate", True)
    conclude_stock(session, journal)
    assert journal["deviated"]
    assert "plan.json" in caplog.text
    assert len(failed) == 1
