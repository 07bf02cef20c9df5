"""The operator's emergency stop: a file in the state directory that ends every run and lets none begin.

Runs look for it twice a second. It stands until it is lifted.
"""

from __future__ import annotations

import getpass
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from chaos.engine.rundir import storage
from chaos.errors import Halted, Refused
from chaos.model.stack import Frozen
from chaos.runtimes.state import root

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_S = 0.5


class Halt(Frozen):
    """Who halted, when and why."""

    who: str = "somebody"
    when: str = ""
    """ISO 8601, UTC."""
    why: str = ""

    def __str__(self) -> str:
        return (
            f"halted by {self.who}" + (f" at {self.when}" if self.when else "") + (f": {self.why}" if self.why else "")
        )


def path() -> Path:
    """The file."""
    return root() / "halted.json"


def who() -> str:
    """The user's name, or the number where there is no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        import os  # noqa: PLC0415 - the rare way

        return str(os.getuid())


def halt(why: str = "") -> Halt:
    """Let no run begin, and tell those in progress; raises `StorageFailed`. Again keeps the first."""
    stands = halted()
    if stands is not None:
        return stands
    new = Halt(who=who(), when=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), why=why)
    with storage(path()):
        path().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path().with_suffix(".new")
        draft.write_text(new.model_dump_json(), encoding="utf-8")
        draft.replace(path())
    return new


def lift() -> Halt | None:
    """Let runs begin again; returns what stood, None where nothing did. Raises `StorageFailed`."""
    stood = halted()
    with storage(path()):
        path().unlink(missing_ok=True)
    return stood


def halted() -> Halt | None:
    """The halt that stands; a file that cannot be understood is one too."""
    try:
        return Halt.model_validate_json(path().read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        return Halt()


def refuse_if_halted() -> None:
    """Raise `Refused` while a halt stands."""
    stands = halted()
    if stands is not None:
        raise Refused(f"no run may begin: {stands}", hint="chaos halt --lift")


class Watch:
    """Tells a run in progress, from a thread of its own, that a halt has come."""

    def __init__(self, tell: Callable[[Halted], None]) -> None:
        self._tell = tell
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="halt", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def end(self) -> None:
        """Look no more; twice is no error."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(timeout=LOOK_S * 4)

    def _look(self) -> None:
        while not self._over.wait(LOOK_S):
            stands = halted()
            if stands is not None:
                hint = "`chaos halt --lift` lets runs begin again"
                self._tell(Halted(f"the run was ended: {stands}; everything was healed", hint=hint))
                return
