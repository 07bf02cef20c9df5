"""Places of keys and values in JSON and YAML, and files that are neither."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.errors import InvalidInput
from chaos.experiment.positions import load_text, parse, position

KEYS = st.text(max_size=8)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def problem(text: str, *, json_text: bool = True) -> str:
    with pytest.raises(InvalidInput) as caught:
        parse(text, "f", json_text=json_text)
    return "\n".join(caught.value.evidence)


@settings(max_examples=40, deadline=None)
@given(DATA, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_every_value_of_json_is_found_where_it_stands(data: object, indent: int | str | None, ascii_only: bool) -> None:
    """At the offset of each path the text holds exactly the value that the data has there."""
    text = json.dumps(data, indent=indent, ensure_ascii=ascii_only)
    located = parse(text, "f.json")
    decoder = json.JSONDecoder()
    for path, offset in located.marks.values.items():
        value = located.data
        for part in path:
            value = value[part]
        assert decoder.raw_decode(text, offset)[0] == value
    for path, offset in located.marks.keys.items():
        assert decoder.raw_decode(text, offset)[0] == path[-1]


def test_lines_and_columns_count_from_one_over_every_kind_of_line_end() -> None:
    """A line ends at LF, CR LF or CR, and the first character of the text is 1:1."""
    text = "a\nb\r\nc\rd"
    assert [position(text, text.index(letter)) for letter in "abcd"] == [(1, 1), (2, 1), (3, 1), (4, 1)]


def test_tabs_count_as_one_column() -> None:
    """Indentation by tabs neither breaks the reader nor moves a column by more than one."""
    located = parse('{\n\t"a":\t[1,\t2]\n}', "f.json")
    assert (located.place(("a", 1)).line, located.place(("a", 1)).col) == (2, 11)


def test_a_missing_key_has_the_place_of_its_parent() -> None:
    """What is not in the file is shown where it would have to be."""
    located = parse('{"a": {"b": 1}}', "f.json")
    assert located.place(("a", "nothing", 3)) == located.place(("a",))
    assert str(parse("[]", "f.json").place((5,))) == "f.json:1"


def test_an_offset_points_into_a_string() -> None:
    """A column inside a quoted or plain string is exact; with escapes it falls back to the string's start."""
    located = parse('{"a": "xyz", "b": "x\\nyz", "c": 1}', "f.json")
    assert located.place(("a",), offset=2).col == 10
    assert located.place(("b",), offset=2).col == located.place(("b",)).col
    assert located.place(("c",), offset=2).col == located.place(("c",)).col
    assert parse("a: xyz", "f.yaml", json_text=False).place(("a",), offset=2).col == 6


def test_a_key_that_stands_twice_is_a_problem_in_json_and_yaml() -> None:
    """Both formats let one of two equal keys vanish silently; here each is named with both lines."""
    as_json = parse('{"a": 1,\n "b": {"c": 1, "c": 2},\n "a": 3}', "f.json")
    assert [str(one) for one in as_json.duplicates()] == [
        "f.json:2:16: the key 'c' stands twice here (first on line 2; one of the two would be lost)",
        "f.json:3:2: the key 'a' stands twice here (first on line 1; one of the two would be lost)",
    ]
    as_yaml = parse("a: 1\nb: 2\na: 3", "f.yaml", json_text=False)
    assert [str(one) for one in as_yaml.duplicates()] == [
        "f.yaml:3:1: the key 'a' stands twice here (first on line 1; one of the two would be lost)"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1,}', "f:1:8: JSON: a comma with only } after it (take the comma away)"),
        ('{"a": [1,\n 2,\n]}', "f:2:3: JSON: a comma with only ] after it (take the comma away)"),
        ("{a: 1}", "f:1:2: JSON: expecting property name enclosed in double quotes (keys take double quotes)"),
        ("{'a': 1}", "f:1:2: JSON: expecting property name enclosed in double quotes (strings take double quotes)"),
        ('{"a": True}', "f:1:7: JSON: expecting value (write true)"),
        ('{"a": nil}', "f:1:7: JSON: expecting value"),
        ('{"a": 1', "f:1:8: JSON: the file ends too early (a bracket or a quote is not closed)"),
        ("// x\n{}", "f:1:1: JSON: expecting value (JSON has no comments; YAML has)"),
        (
            "\ufeff{}",
            "f:1:1: JSON: unexpected UTF-8 BOM (decode using utf-8-sig) (save the file without a byte order mark)",
        ),
        ('{"a" 1}', "f:1:6: JSON: expecting ':' delimiter (a colon is missing between key and value)"),
        (
            "[1 2]",
            "f:1:4: JSON: expecting ',' delimiter (a comma is missing before this place, or a bracket is not closed)",
        ),
        ("{}\n{}", "f:2:1: JSON: extra data (a file holds one experiment)"),
        ('["abc]', "f:1:2: JSON: unterminated string (the closing quote is missing)"),
        (
            '"' + "x\ty" + '"',
            "f:1:3: JSON: invalid control character (within a string write \\n for a new line and \\t for a tab)",
        ),
        ("[" * 100_000, "f: JSON: nested too deeply"),
    ],
)
def test_a_syntax_error_of_json_is_placed_and_explained(text: str, expected: str) -> None:
    """The first place where the text stops being JSON, and what to do about it."""
    assert problem(text) == expected


def test_a_number_of_thousands_of_digits_is_a_problem_and_no_traceback() -> None:
    """Python refuses to read such a number; the user hears it as a problem of the file."""
    assert problem("1" * 5000).startswith("f: JSON: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: b: c", "f:1:5: YAML: mapping values are not allowed here"),
        ("a:\n\t- x", "f:2:1: YAML: found character '\\t' that cannot start any token (indent with spaces)"),
        ("a: *x", "f:1:4: YAML: found undefined alias 'x'"),
        ("---\na: 1\n---\nb: 2", "f:3:1: YAML: expected a single document in the stream, but found another document"),
        ("&a [*a]", "f: YAML: an alias stands inside its own anchor"),
        ("a: \x07", "f: YAML: unacceptable character #x0007: special characters are not allowed"),
    ],
)
def test_a_syntax_error_of_yaml_is_placed(text: str, expected: str) -> None:
    """YAML's own words, at its own place."""
    assert problem(text, json_text=False) == expected


def test_yaml_becomes_plain_data() -> None:
    """Keys are texts, dates are texts, and `yes` is a word: what JSON would give."""
    located = parse("1: 2020-01-01\nb: [yes, true, null, 1.5]\nc: &x {d: 1}\ne: *x", "f.yaml", json_text=False)
    assert located.data == {"1": "2020-01-01", "b": ["yes", True, None, 1.5], "c": {"d": 1}, "e": {"d": 1}}
    assert located.place(("b", 2)).col == 16
    assert located.place(("e", "d")).line == 3


def test_files_that_are_no_text_are_said_in_words(tmp_path: Path) -> None:
    """Missing, a directory, empty, not UTF-8, of no known kind: each a problem with a way out."""
    (tmp_path / "churn.json").write_text("{}")
    (tmp_path / "empty.json").write_text(" \n")
    (tmp_path / "latin.json").write_bytes(b'{"a":\n "caf\xe9"}')
    (tmp_path / "plan.txt").write_text("{}")
    said = {}
    for name in ("chrun.json", ".", "empty.json", "latin.json", "plan.txt"):
        with pytest.raises(InvalidInput) as caught:
            load_text(tmp_path / name, name)
        said[name] = caught.value.evidence[0]
    assert said == {
        "chrun.json": "chrun.json: there is no such file (did you mean churn.json?)",
        ".": ".: is a directory, not an experiment (experiments in it: churn.json, empty.json, latin.json)",
        "empty.json": "empty.json: is empty",
        "latin.json": "latin.json:2:6: is not UTF-8 text (byte 0xe9) (save it as UTF-8)",
        "plan.txt": "plan.txt: .txt says neither JSON nor YAML (name it .json, .yaml or .yml)",
    }


def test_a_file_in_a_folder_that_is_none_cannot_be_read(tmp_path: Path) -> None:
    """Whatever the system says against reading becomes a problem of that file."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidInput, match=r"1 problem") as caught:
        load_text(tmp_path / "file" / "a.json", "a.json")
    assert caught.value.evidence == ("a.json: cannot be read: Not a directory",)
    with pytest.raises(InvalidInput) as caught:
        load_text(tmp_path / "nowhere" / "a.json", "a.json")
    assert caught.value.evidence == ("a.json: there is no such file",)
