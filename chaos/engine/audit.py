"""The operator's audit log: who ran what, when, and what came of it; one JSON object a line, only ever appended.

Kept where a policy rules. A run that cannot be written down does not begin.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.engine.halt import who
from chaos.engine.rundir import storage
from chaos.errors import ChaosError, ExitCode, UnsafeTarget
from chaos.runtimes.state import root

if TYPE_CHECKING:
    from chaos.model.plan import Plan
    from chaos.model.policy import Policy
    from chaos.model.verdict import Verdict


class Audit:
    """What is written of one run: `begin`, then `end`; or `refused`."""

    def __init__(self, policy: Policy | None, plan: Plan, run: str) -> None:
        self._path = Path(policy.audit or root() / "audit.jsonl") if policy is not None else None
        self._plan = plan
        self._run = run
        self._begun = False

    def check(self) -> None:
        """Raise `UnsafeTarget` with every rule that the plan breaks, after writing that down."""
        broken = tuple(str(one) for one in self._plan.policy if not one.allowed)
        if broken:
            self._write("refused", why=list(broken))
            hint = "the operator's policy outranks the experiment; `chaos plan` shows what it says"
            raise UnsafeTarget("the operator's policy does not allow this run", hint=hint, evidence=broken)

    def begin(self) -> None:
        """The run begins; raises `StorageFailed`."""
        plan = self._plan
        faults = [f"{one.fault} on {one.target}: {one.says}" for one in plan.injections]
        self._write("begin", experiment=plan.experiment.file, title=plan.experiment.title, stack=plan.spec.stack,
                    seed=plan.seed, faults=faults, nodes=sorted({n for one in plan.injections for n in one.nodes}),
                    links=sorted({link for one in plan.injections for link in one.links}))  # fmt: skip
        self._begun = True

    def end(self, verdict: Verdict) -> None:
        """The run has a verdict; a second end is not written."""
        self._end(verdict=verdict.outcome.value, exit_code=int(verdict.exit_code), says=verdict.says)

    def failed(self, error: BaseException) -> None:
        """The run has none; before its begin, nothing is written."""
        code = error.exit_code if isinstance(error, ChaosError) else ExitCode.INTERNAL
        says = error.message if isinstance(error, ChaosError) else f"{type(error).__name__}: {error}"
        self._end(verdict=None, exit_code=int(code), says=says)

    def _end(self, **facts: Any) -> None:
        if self._begun:
            self._begun = False
            self._write("end", **facts)

    def _write(self, event: str, **facts: Any) -> None:
        if self._path is None:
            return
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = {"event": event, "when": when, "who": who(), "host": socket.gethostname(), "run": self._run, **facts}
        with storage(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                os.write(handle, (json.dumps(line, ensure_ascii=False) + "\n").encode())
                os.fsync(handle)
            finally:
                os.close(handle)
