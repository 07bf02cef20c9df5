"""The record of a run: on a disk that refuses, and as lines of JSON."""

from __future__ import annotations

import json
import math
import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from chaos.errors import StorageFailed
from chaos.model.event import Event, Type
from chaos.record import Recorder, as_json, read_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes: a write stops in the middle, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_ends_the_record_and_writes_no_event_twice(tmp_path: Path) -> None:
    """What was written is read back once, although there is room again; the file says that it is cut short."""
    recorder = Recorder(tmp_path / "events" / "load.msgpack", "load")
    recorder.record(Type.INFO, "early")
    recorder.flush()
    for number in range(100):
        recorder.record(Type.INFO, f"f{number}")
    with full_after(1000), pytest.raises(StorageFailed):
        recorder.flush()
    recorder.record(Type.INFO, "late")
    with pytest.raises(StorageFailed):
        recorder.close()
    log = read_log(tmp_path)
    seqs = [event.seq for event in log.events]
    assert seqs == list(range(len(seqs)))
    assert log.truncated == ("load.msgpack",)


def test_a_disk_that_refuses_at_the_end_says_so_in_our_words(tmp_path: Path) -> None:
    """Closing on a full disk raises `StorageFailed` and nothing else."""
    recorder = Recorder(tmp_path / "events" / "load.msgpack", "load")
    recorder.record(Type.INFO, "x" * 500)
    with full_after(100), pytest.raises(StorageFailed, match=r"load\.msgpack"):
        recorder.close()
    recorder.close()


def test_an_event_as_json_holds_every_field(tmp_path: Path) -> None:
    """Bytes, infinities and tuples come out as what JSON can say."""
    with Recorder(tmp_path / "events" / "w.msgpack", "w") as recorder:
        event = recorder.record(Type.OBS, "tokens", value={"raw": b"\x00\xff", "late": math.inf, "row": (1, "ä")})
    plain = json.loads(as_json(event))
    assert set(plain) == set(Event._fields)
    assert plain["value"] == {"raw": {"base64": "AP8="}, "late": None, "row": [1, "ä"]}
