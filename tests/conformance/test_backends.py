"""Every backend that speaks to the embedded stack passes the shipped conformance scenarios."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING

import pytest

from chaos.backends import registry
from chaos.backends.base import Entry
from chaos.backends.conformance import DOCUMENTS, MEETINGS, Stage
from chaos.runtimes.process import RunningStack, start_stack
from chaos.runtimes.stackfile import load_stack

if TYPE_CHECKING:
    from collections.abc import Iterator

SCENARIOS = {"meetings": MEETINGS, "documents": DOCUMENTS}
CASES = [(name, scenario) for name, backend in registry().items() for scenario in SCENARIOS[backend.serves]]


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    """The embedded stack, up for this file."""
    running = start_stack(load_stack("embedded"))
    yield running
    running.close()


@pytest.mark.parametrize(("name", "scenario"), CASES)
def test_backend_keeps_its_contract(stack: RunningStack, name: str, scenario: str) -> None:
    """Each scenario holds, through each region of the stack."""
    backend = registry()[name]
    spec = stack.site.spec
    services = [service for service in spec.services.values() if service.backend == name]
    if not services:
        pytest.skip(f"the embedded stack has no service that speaks {name}")
    for region, url in services[0].urls.items():
        entry = Entry(url, region, key="", user="", session="", secret=services[0].secret)
        stage = Stage(backend, entry, prefix=uuid.uuid4().hex[:8], ghost_s=spec.bounds.unclean_ghost_s)
        asyncio.run(asyncio.wait_for(SCENARIOS[backend.serves][scenario](stage), 30))
