"""What the supervisor says: to its starter on stdout, a JSON object a line, and to its log on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from typing import Any

from chaos.runtimes.child import Child


class StartFailed(Exception):
    """A process did not come up; the arguments of the report to the starter."""

    def __init__(self, node: str, why: str, child: Child) -> None:
        super().__init__(f"{node}: {why}")
        self.report = {
            "say": "failed",
            "node": node,
            "why": why,
            "exit_code": child.exit_code,
            "log": child.last_lines(),
        }


def code(number: int | None) -> str:
    """An exit code in words: `exit code 3`, `SIGKILL`."""
    if number is None or number >= 0:
        return f"exit code {number}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-number).name
    return f"signal {-number}"


def log(what: str) -> None:
    """One line in the supervisor's own log, which its stderr is."""
    print(what, file=sys.stderr, flush=True)  # noqa: T201


def tell(message: dict[str, Any]) -> None:
    """To the starter; one that has gone shows on the owner's pipe."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(message).encode() + b"\n")
