"""The log of a run: append events in the hot path, read them back merged by time.

A log is one file per writer, `events/<worker>.msgpack`: a msgpack map (the header: format, version, worker,
fields), one msgpack array per event in the order of `Event`'s fields, and, once the writer has closed it, a map
with the number of events and a checksum of all before it. A file without that end is read as far as it goes, and the
log says what is wrong with it. The format in full: `docs/record.md`.
"""

from __future__ import annotations

import base64
import json
import math
import stat
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgpack

from chaos.errors import InvalidInput, Problem, StorageFailed
from chaos.model.event import Event, Type

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

FORMAT = "collab-chaos-events"
VERSION = 2
UNREADABLE = (msgpack.UnpackException, ValueError, TypeError)
"""What bytes that are no MessagePack of ours may raise; a map whose key is a list is a `TypeError`."""
DEEPEST = 100
"""So many lists and mappings may lie in each other as JSON."""
LAST_NS = 2**63 - 1
"""No clock goes further, nor before 0."""
DAMAGED = "is damaged: it does not hold what was written"


class Recorder:
    """Appends events of one worker; cheap to call, flushed every `flush_every` events and by `flush()`.

    Not thread-safe: a worker has one thread that records. Raises `StorageFailed` when the disk refuses.
    """

    def __init__(
        self, path: Path, worker: str, *, clock: Callable[[], int] = time.monotonic_ns, flush_every: int = 256
    ) -> None:
        self.worker = worker
        self.clock = clock
        self._seq = 0
        self._op = 0
        self._crc = 0
        self._packer = msgpack.Packer()
        self._pending: list[Event] = []
        self._flush_every = flush_every
        self._refused = ""
        """Why the disk took no more: then the record ends there, since an event written twice is worse than none."""
        header = {"format": FORMAT, "version": VERSION, "worker": worker, "fields": list(Event._fields)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb", buffering=0)
        except OSError as error:
            raise StorageFailed(f"cannot write the record {path}: {error.strerror}") from error
        self._write(self._packer.pack(header))

    def next_op(self) -> int:
        """A number that pairs an invoke with its completion."""
        self._op += 1
        return self._op

    def record(self, kind: Type, f: str, *, t_ns: int | None = None, **parts: Any) -> Event:
        """Append one event; `parts` are the other fields of `Event`."""
        event = Event(self._seq, self.clock() if t_ns is None else t_ns, kind.value, f, self.worker, **parts)
        self._seq += 1
        self._pending.append(event)
        if len(self._pending) >= self._flush_every:
            self.flush()
        return event

    def flush(self) -> None:
        """Hand what is pending to the kernel."""
        pack = self._packer.pack
        packed = b"".join([pack(event) for event in self._pending])
        self._pending.clear()
        self._write(packed)

    def _write(self, packed: bytes) -> None:
        self._crc = zlib.crc32(packed, self._crc)
        rest = memoryview(packed)
        try:
            while rest and not self._refused:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._refused = error.strerror or str(error)
        if self._refused:
            raise StorageFailed(f"cannot write the record {self._file.name}: {self._refused}")

    def close(self) -> None:
        """Flush, say that this is all, and close; twice is no error."""
        if not self._file.closed:
            try:
                self.flush()
                self._write(self._packer.pack({"events": self._seq, "crc32": self._crc}))
            finally:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Log:
    """Events of all workers in order of time, and what is wrong with their files."""

    events: tuple[Event, ...]
    damage: tuple[str, ...] = ()
    """A sentence per file that is not whole: `load.msgpack was never closed: its writer was killed`."""


def read_log(directory: Path) -> Log:
    """Read `events/*.msgpack` under a run directory; raises `InvalidInput` for what is no record of ours."""
    files = sorted((directory / "events").glob("*.msgpack"))
    if not files:
        raise InvalidInput((Problem(str(directory), 0, 0, "holds no record (events/*.msgpack)"),))
    events: list[Event] = []
    damage = [f"{file.name} {wrong}" for file in files if (wrong := _read_file(file, events))]
    events.sort(key=lambda event: (event.t_ns, event.worker, event.seq))
    return Log(tuple(events), tuple(damage))


def as_json(event: Event) -> str:
    """An event as one line of JSON.

    Bytes become `{"base64": ...}`; numbers that JSON lacks, and what lies deeper than `DEEPEST`, become null.
    """
    return json.dumps(_plain(event._asdict()), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _plain(value: Any, room: int = DEEPEST) -> Any:
    if not room:
        return None
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _plain(item, room - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, room - 1) for item in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def _read_file(file: Path, into: list[Event]) -> str:
    """Append the events of a file; returns what is wrong with it, or nothing."""
    data = _bytes_of(file)
    unpacker = msgpack.Unpacker(max_buffer_size=len(data) or 1, strict_map_key=False)
    unpacker.feed(data)
    worker = _must_be_ours(file, unpacker)
    began, fields = len(into), len(Event._fields)
    known: dict[str, str] = {}
    while (at := unpacker.tell()) < len(data):
        try:
            row = unpacker.unpack()
        except msgpack.OutOfData:
            return "ends in the middle of an event"
        except UNREADABLE:
            return DAMAGED
        if isinstance(row, dict):
            end = {"events": len(into) - began, "crc32": zlib.crc32(data[:at])}
            return "" if row == end and unpacker.tell() == len(data) else DAMAGED
        if not isinstance(row, list) or len(row) != fields or not _follows(row, len(into) - began, worker):
            return DAMAGED
        # The same names stand in a million events: one text for each saves four tenths of the memory.
        into.append(Event._make([known.setdefault(part, part) if type(part) is str else part for part in row]))
    return "was never closed: its writer was killed"


def _bytes_of(file: Path) -> bytes:
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise InvalidInput((Problem(str(file), 0, 0, "is not a record of chaos (no file)"),))
        return file.read_bytes()
    except OSError as error:
        raise InvalidInput((Problem(str(file), 0, 0, f"cannot be read: {error.strerror}"),)) from error


def _must_be_ours(file: Path, unpacker: msgpack.Unpacker) -> str:
    """Read the header; returns the name of the writer, which is the file's too."""
    try:
        header = unpacker.unpack()
    except UNREADABLE:
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise InvalidInput((Problem(str(file), 0, 0, "is not a record of chaos (no header)"),))
    version, fields = header.get("version"), header.get("fields")
    if type(version) is not int or version != VERSION:
        problem = f"is a record of version {version!r}; this chaos reads version {VERSION}"
        raise InvalidInput((Problem(str(file), 0, 0, problem, "read it with the chaos that wrote it"),))
    if fields != list(Event._fields):
        problem = f"has events of other fields than version {VERSION}: {fields!r:.200}"
        raise InvalidInput((Problem(str(file), 0, 0, problem, "read it with the chaos that wrote it"),))
    if header.get("worker") != file.stem:
        problem = f"is the record of {header.get('worker')!r:.200}, under another name"
        raise InvalidInput((Problem(str(file), 0, 0, problem, "give it its own name back"),))
    return file.stem


def _follows(row: list[Any], seq: int, worker: str) -> bool:
    """Whether the parts that put events in order are what they must be; anything else is damage."""
    t_ns = row[1]
    return row[0] == seq and type(row[0]) is type(t_ns) is int and 0 <= t_ns <= LAST_NS and row[4] == worker
