"""The record of a run: on a disk that refuses, and as lines of JSON."""

from __future__ import annotations

import json
import math
import resource
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from chaos.errors import InvalidInput, StorageFailed
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
    assert log.damage == ("load.msgpack ends in the middle of an event",)


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


def written(folder: Path) -> Path:
    """A small record, whole."""
    with Recorder(folder / "events" / "load.msgpack", "load") as recorder:
        for number in range(12):
            recorder.record(Type.INVOKE, "edit", op=number, user=f"u{number}", key="doc-1", value=[number])
    return folder / "events" / "load.msgpack"


def test_a_record_that_was_closed_is_whole(tmp_path: Path) -> None:
    """Nothing is wrong with it, and everything is there."""
    written(tmp_path)
    log = read_log(tmp_path)
    assert (len(log.events), log.damage) == (12, ())


def test_a_record_cut_anywhere_says_so(tmp_path: Path) -> None:
    """Also between two events, where nothing but the missing end tells that more was written."""
    file = written(tmp_path)
    whole = file.read_bytes()
    said = set()
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        try:
            said.update(read_log(tmp_path).damage or ("nothing",))
        except InvalidInput as error:
            said.add(error.problems[0].message)
    assert said == {
        "is not a record of chaos (no header)",
        "load.msgpack ends in the middle of an event",
        "load.msgpack was never closed: its writer was killed",
    }


def test_a_record_with_a_bit_changed_anywhere_says_so(tmp_path: Path) -> None:
    """A disk that forgets a bit changes no verdict in silence."""
    file = written(tmp_path)
    whole = file.read_bytes()
    for bit in range(8 * len(whole)):
        at, flipped = bit // 8, 1 << bit % 8
        file.write_bytes(whole[:at] + bytes([whole[at] ^ flipped]) + whole[at + 1 :])
        with suppress(InvalidInput):
            assert read_log(tmp_path).damage, at


def test_what_is_added_to_a_closed_record_is_damage(tmp_path: Path) -> None:
    """Events after the end are nobody's."""
    file = written(tmp_path)
    file.write_bytes(file.read_bytes() + b"\x00")
    assert read_log(tmp_path).damage == ("load.msgpack is damaged: it does not hold what was written",)
