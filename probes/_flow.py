"""What the active probes share: where the stack is, who comes in, how long it took."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.backends import registry
from chaos.backends.base import BackendError, Entry
from chaos.errors import UsageError
from chaos.model.stack import Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Coroutine

    from chaos.model.stack import ServiceSpec

Answer = dict[str, Any]


class ProbeFailed(RuntimeError):
    """The flow that should have been measured was not even reached, so there is nothing to say about it."""


@dataclass(frozen=True, slots=True)
class Door:
    """A service of a stack, as users reach it."""

    service: ServiceSpec
    role: str

    @property
    def regions(self) -> tuple[str, ...]:
        """Where one can come in."""
        return tuple(self.service.urls)

    def session(self, key: str, region: str | None, user: str | None = None) -> Any:
        """A new session of a new (or a given) user; not connected yet."""
        entry = region or self.regions[0]
        if entry not in self.service.urls:
            known = ", ".join(self.regions)
            raise UsageError(f"no way into the {self.role} in region {entry!r}", hint=f"there is {known}")
        who = user or fresh("probe")
        backend = registry()[self.service.backend or ""]
        return backend.session(
            Entry(
                url=self.service.urls[entry],
                region=entry,
                key=key,
                user=who,
                session=fresh(who),
                secret=self.service.secret,
                api_key=self.service.key,
            )
        )


def fresh(stem: str) -> str:
    """A name that nobody has."""
    return f"{stem}-{uuid.uuid4().hex[:10]}"


def site_of(stack: str | None) -> Site:
    """The stack that is meant: a name or id of a running one, its directory, or (None) that of the run in progress."""
    if stack is None:
        from chaos.engine.session import current  # noqa: PLC0415 - the engine is heavy, and named stacks need none

        return current().stack.site
    saved = Path(stack) / "site.json" if Path(stack).is_dir() else Path(stack)
    if saved.is_file():
        return Site.model_validate_json(saved.read_text(encoding="utf-8"))
    from chaos.runtimes.process import attach_stack  # noqa: PLC0415 - as above

    return attach_stack(stack).site


def door(stack: str | None, role: str) -> Door:
    """The way into the service of a role; raises `UsageError` if users cannot reach one."""
    site = site_of(stack)
    for service in site.spec.services.values():
        if service.role == role and service.backend and service.urls:
            return Door(service, role)
    raise UsageError(f"stack {site.spec.stack} has no service that users reach with role: {role}")


def run(flow: Coroutine[Any, Any, Answer]) -> Answer:
    """Do one flow from a plain function."""
    return asyncio.run(flow)


async def measured(step: Awaitable[object], timeout_s: float, session: Any) -> Answer:
    """Do one step once and say how it went; a refusal, a loss and a silence are findings, not errors."""
    began = time.perf_counter()
    error = ""
    try:
        async with asyncio.timeout(timeout_s):
            await step
    except BackendError as failure:
        error = f"{type(failure).__name__.lower()}: {failure.reason}"
    except TimeoutError:
        error = f"no answer within {timeout_s:g} s"
    ms = (time.perf_counter() - began) * 1000
    answer: Answer = {"ok": not error, "ms": round(ms, 3), "node": session.node}
    return answer | ({"error": error} if error else {})


async def reached(step: Awaitable[object], timeout_s: float, what: str) -> None:
    """Do a step that comes before the measured one; raises `ProbeFailed` if it does not succeed."""
    try:
        async with asyncio.timeout(timeout_s):
            await step
    except (BackendError, TimeoutError) as failure:
        reason = str(failure) or f"no answer within {timeout_s:g} s"
        raise ProbeFailed(f"{what} failed, so there is nothing to measure: {reason}") from failure


@contextlib.asynccontextmanager
async def closing(*sessions: Any) -> AsyncIterator[None]:
    """Leave nothing behind: every session leaves if it can, and is cut if it cannot."""
    try:
        yield
    finally:
        for session in sessions:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2.0):
                    await (session.leave() if hasattr(session, "leave") else session.close())
            with contextlib.suppress(Exception):
                await session.cut()
