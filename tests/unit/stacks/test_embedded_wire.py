"""The document node's codec and awareness, against bytes recorded from the npm package's server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.stacks.embedded import hocuspocus as wire
from chaos.stacks.embedded.awareness import Awareness
from chaos.stacks.embedded.hocuspocus import Malformed, Reader, Sync


def test_frames_are_the_real_servers() -> None:
    """What we send is byte for byte what @hocuspocus/server 4.7.0 and 2.15.3 sent for the same events."""
    update = bytes.fromhex("01014d00080106746f6b656e730177017800")
    assert wire.sync("plain", Sync.UPDATE, update).hex() == "05706c61696e00021201014d00080106746f6b656e730177017800"
    assert wire.sync_status("plain", saved=True).hex() == "05706c61696e0801"
    assert wire.sync_status("sess\0abc", saved=True).hex() == "0873657373006162630801"
    assert wire.authenticated("d").hex() == "0164" + "0202" + "0a" + b"read-write".hex()


@given(st.integers(0, 2**53 - 1), st.text(max_size=200), st.binary(max_size=300))
def test_what_is_written_is_read_back(number: int, text: str, data: bytes) -> None:
    """Integers, strings and bytes survive the round trip, one after the other."""
    reader = Reader(wire.uint(number) + wire.var(text) + wire.var(data))
    assert (reader.uint(), reader.text(), reader.bytes()) == (number, text, data)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x05abc", b"\xff" * 12])
def test_truncated_frames_are_malformed(data: bytes) -> None:
    """A frame that ends too early is no frame."""
    with pytest.raises(Malformed):
        Reader(data).bytes()


def test_newer_clocks_win_and_the_gone_are_forgotten() -> None:
    """A state counts if its clock is newer, or if it says gone at the same clock; dropping makes the clock grow."""
    awareness = Awareness()
    assert awareness.apply(_state(5, 2, "{}"), 0.0) == {5}
    assert awareness.apply(_state(5, 1, '"old"'), 1.0) == set()
    assert awareness.encode({5}) == _state(5, 2, "{}")
    assert awareness.apply(_state(5, 2, "null"), 1.0) == {5}
    assert awareness.present() == set()
    awareness.apply(_state(5, 3, "{}"), 2.0)
    assert awareness.outdated(31.0) == set()
    assert awareness.outdated(33.0) == {5}
    assert awareness.drop({5, 6}, 33.0) == {5}
    assert awareness.encode({5}) == _state(5, 4, "null")


def _state(client: int, clock: int, state: str) -> bytes:
    return wire.uint(1) + wire.uint(client) + wire.uint(clock) + wire.var(state)
