"""The store's log file: what was synced is read back, what was torn is cut off."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.stacks.embedded.appendlog import AppendLog


async def _write(path: Path, records: list[bytes]) -> list[bytes]:
    """Replay, append, wait for the sync; return what was there before."""
    log = AppendLog(path)
    before = list(log.replay())
    writer = asyncio.create_task(log.run())
    synced = asyncio.Event()
    for record in records:
        log.append(record)
    log.after(synced.set)
    await asyncio.wait_for(synced.wait(), 15)
    writer.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await writer
    os.close(log._fd)
    return before


@given(
    records=st.lists(st.binary(min_size=1, max_size=50), max_size=5),
    tail=st.binary(max_size=12),
    cut=st.integers(0, 9),
)
def test_whole_records_survive_a_torn_tail(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes], tail: bytes, cut: int
) -> None:
    """Whatever half-written bytes end the file, every whole record before them is replayed, and later ones follow."""
    path = tmp_path_factory.mktemp("log") / "store.log"
    asyncio.run(_write(path, records))
    whole = path.read_bytes()
    torn = (9).to_bytes(4, "big") + b"\1\2\3\4" + tail[:8]
    path.write_bytes(whole + torn[: len(torn) - cut])
    assert asyncio.run(_write(path, [b"later"])) == records
    assert asyncio.run(_write(path, [])) == [*records, b"later"]


def test_callback_waits_for_the_sync_that_covers_it(tmp_path: Path) -> None:
    """Nothing pending: at once; something pending: only after it is on disk; many callers share one sync."""

    async def scene() -> None:
        log = AppendLog(tmp_path / "store.log")
        assert list(log.replay()) == []
        heard: list[str] = []
        log.after(lambda: heard.append("idle"))
        assert heard == ["idle"]
        for number in range(10):
            log.append(b"x")
            log.after(lambda number=number: heard.append(str(number)))  # type: ignore[misc]
        all_synced = asyncio.Event()
        log.after(all_synced.set)
        assert heard == ["idle"]
        writer = asyncio.create_task(log.run())
        await asyncio.wait_for(all_synced.wait(), 15)
        assert heard == ["idle", *map(str, range(10))]
        assert log.syncs == 1
        writer.cancel()
        os.close(log._fd)

    asyncio.run(scene())


def test_second_process_is_kept_out(tmp_path: Path) -> None:
    """Two stores on one log would tear it: the second gets BlockingIOError."""

    async def scene() -> None:
        log = AppendLog(tmp_path / "store.log")
        with pytest.raises(BlockingIOError):
            AppendLog(tmp_path / "store.log", wait_s=0)
        os.close(log._fd)

    asyncio.run(scene())
