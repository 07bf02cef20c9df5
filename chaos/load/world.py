"""What all users of a load share: the ways in, the clock of the plan, the bounds, and the tasks that drive them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chaos.backends import registry
from chaos.backends.base import Backend, Entry
from chaos.errors import LoadFailed

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from chaos.load.scribe import Scribe
    from chaos.model.experiment import LoadSpec
    from chaos.model.stack import Bounds, ServiceSpec, Site


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways into one service of the stack."""

    service: ServiceSpec
    backend: Backend

    @property
    def ack(self) -> str:
        """What an acknowledgement means here."""
        return self.service.ack or self.backend.ack

    @property
    def regions(self) -> tuple[str, ...]:
        return tuple(self.service.urls)

    def session(self, key: str, user: str, session: str, region: str) -> Any:
        """A session that has not begun yet."""
        urls = self.service.urls
        url = urls.get(region) or urls.get("default") or next(iter(urls.values()))
        return self.backend.session(Entry(url, region, key, user, session, self.service.secret, self.service.key))


def find_ways(site: Site, serves: str) -> Ways | None:
    """The first service whose backend serves `meetings` or `documents`; None where the stack has none.

    Raises `LoadFailed` for a service that names a backend that is not installed.
    """
    backends = registry()
    for name, service in site.spec.services.items():
        if not service.backend or not service.urls:
            continue
        backend = backends.get(service.backend)
        if backend is None:
            known = ", ".join(backends)
            raise LoadFailed(f"the service {name} needs the backend {service.backend!r}", hint=f"installed: {known}")
        if backend.serves == serves:
            return Ways(service, backend)
    return None


def entries(site: Site) -> tuple[str, ...]:
    """The regions through which users come in, in the order of the stack file."""
    found: dict[str, None] = {}
    for serves in ("meetings", "documents"):
        ways = find_ways(site, serves)
        found.update(dict.fromkeys(ways.regions if ways else ()))
    known = [region for region in site.spec.regions if region in found]
    return tuple(known) or tuple(found)


class World:
    """One run of a load. `failed` ends with the exception of any task that died."""

    def __init__(self, site: Site, load: LoadSpec, seed: int, scribe: Scribe, tag: str) -> None:
        self.site = site
        self.load = load
        self.seed = seed
        self.scribe = scribe
        self.tag = tag
        """Before every token, so that tokens of another run in the same document are not taken for ours."""
        self.meetings = find_ways(site, "meetings")
        self.documents = find_ways(site, "documents")
        self.start_ns = 0
        self.stopped_s: float | None = None
        """When the load was told to end, in seconds since it began."""
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def bounds(self) -> Bounds:
        return self.site.spec.bounds

    @property
    def attempt_s(self) -> float:
        """How long one attempt may take before the user tries anew."""
        return self.load.patience_s if self.load.retry == "none" else max(1.0, self.load.patience_s / 2)

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def begin(self, at_ns: int | None = None) -> None:
        """Set the plan's clock to 0, now or at a given moment of the monotonic clock."""
        self.start_ns = time.monotonic_ns() if at_ns is None else at_ns

    def stop(self) -> None:
        """No more arrivals, edits or re-entries."""
        if self.stopped_s is None:
            self.stopped_s = self.now_s()
            self._stop.set()

    def now_s(self) -> float:
        """Seconds since the load began."""
        return (time.monotonic_ns() - self.start_ns) / 1e9

    def ns(self, at_s: float) -> int:
        """The monotonic clock at a time of the plan."""
        return self.start_ns + int(at_s * 1e9)

    async def until(self, at_s: float) -> bool:
        """Wait for a time of the plan; False if the load was told to end before it."""
        # A loop, since uvloop's timers of whole milliseconds may ring a moment early.
        while not self.stopping and (left := at_s - self.now_s()) > 0:
            await wait(self._stop, left)
        return not self.stopping

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a task of the load; if it dies, the load has failed."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or self.failed.done():
            return
        error = task.exception()
        if error is not None:
            self.failed.set_exception(error)


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event came within so many seconds."""
    if event.is_set():
        return True
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
