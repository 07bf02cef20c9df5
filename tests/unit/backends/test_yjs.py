"""The codec of Yjs and the local copy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.backends.yjs import Copy, Presence, Reader, awareness_update, read_awareness, var_bytes, var_string, var_uint


@given(st.integers(min_value=0, max_value=2**53 - 1))
def test_integers_come_back(number: int) -> None:
    """What is written as a variable-length integer is read back, and nothing is left over."""
    reader = Reader(var_uint(number))
    assert reader.uint() == number
    assert not reader.more


@pytest.mark.parametrize(("number", "wire"), [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02")])
def test_integers_have_lib0s_bytes(number: int, wire: str) -> None:
    """Integers are seven bits a byte, lowest first, as lib0 writes them."""
    assert var_uint(number).hex() == wire


@given(st.text(), st.binary())
def test_strings_and_bytes_come_back(text: str, data: bytes) -> None:
    """Strings and byte arrays are read back one after the other."""
    reader = Reader(var_string(text) + var_bytes(data))
    assert (reader.string(), reader.bytes()) == (text, data)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x05abc"])
def test_short_messages_are_refused(data: bytes) -> None:
    """A message that ends too early raises ValueError, never an index error."""
    with pytest.raises(ValueError, match="the message ends"):
        Reader(data).bytes()


def test_awareness_comes_back() -> None:
    """An awareness update names its client, its clock and its state; a client that is gone has none."""
    assert read_awareness(awareness_update(7, 3, {"user": "ü"})) == {7: (3, {"user": "ü"})}
    assert read_awareness(awareness_update(7, 4, None)) == {7: (4, None)}


def test_presence_knows_who_is_there() -> None:
    """The newest clock counts, and at the same clock that somebody has gone; an older word changes nothing."""
    there = Presence()
    for client, clock, state in ((1, 1, {"session": "b"}), (2, 5, {"session": "a"}), (3, 1, {"x": 1}), (2, 4, None)):
        there.apply(awareness_update(client, clock, state))
    assert there.sessions() == ("a", "b")
    there.apply(awareness_update(2, 5, None))
    assert there.sessions() == ("b",)


def test_a_deleted_token_is_gone_for_all() -> None:
    """A delete reaches the other copy, and the deleter's next token goes to the end."""
    mine, theirs = Copy(), Copy()
    theirs.apply(mine.append("m1"))
    mine.apply(theirs.append("t1"))
    theirs.apply(mine.remove("m1"))
    theirs.apply(mine.append("m2"))
    assert mine.tokens() == theirs.tokens() == ("t1", "m2")
    with pytest.raises(ValueError, match="m1"):
        mine.remove("m1")


def test_the_latest_of_others_is_no_own_token() -> None:
    """Own tokens and deletes leave it as it is."""
    mine, theirs = Copy(), Copy()
    mine.append("m1")
    assert mine.latest == ""
    mine.apply(theirs.append("t1"))
    mine.append("m2")
    mine.apply(theirs.remove("t1"))
    assert mine.latest == "t1"


@given(st.lists(st.sampled_from("ab"), max_size=24), st.booleans())
def test_copies_converge_and_keep_runs(writers: list[str], eager: bool) -> None:
    """Whoever writes when, and whenever updates are exchanged, the copies end equal and each run is in order."""
    copies = {"a": Copy(), "b": Copy()}
    for number, writer in enumerate(writers):
        update = copies[writer].append(f"{writer}{number:03}")
        if eager:
            copies["b" if writer == "a" else "a"].apply(update)
    for one, other in (("a", "b"), ("b", "a")):
        copies[other].apply(copies[one].diff(copies[other].state()))
    assert copies["a"].tokens() == copies["b"].tokens()
    assert len(copies["a"].tokens()) == len(writers)
    for writer in "ab":
        run = [token for token in copies["a"].tokens() if token.startswith(writer)]
        assert run == sorted(run)


def test_own_run_stays_together() -> None:
    """A user's tokens follow his own last one, even where others have written behind it."""
    mine, theirs = Copy(), Copy()
    theirs.apply(mine.append("m1"))
    mine.apply(theirs.append("t1"))
    mine.append("m2")
    assert mine.tokens() == ("m1", "m2", "t1")


def test_nonsense_is_no_update() -> None:
    """Bytes that are no update raise ValueError."""
    with pytest.raises(ValueError, match="cannot apply"):
        Copy().apply(b"\xff\xff\xff")
