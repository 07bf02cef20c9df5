"""JSON with places: `json` decides what is valid, a scan of the valid text's tokens finds where everything stands.

A scan of tokens, and not a YAML reader, because it sees tabs, long keys, escapes and doubled keys exactly as JSON does.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from chaos.errors import InvalidInput, Problem
from chaos.experiment.positions import KeyPath, Marks, position

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
_WORDS = {"True": "true", "False": "false", "None": "null"}
_HINTS = {
    "Expecting ',' delimiter": "a comma is missing before this place, or a bracket is not closed",
    "Expecting ':' delimiter": "a colon is missing between key and value",
    "Expecting property name": "keys take double quotes",
    "Invalid control character": r"within a string write \n for a new line and \t for a tab",
    "Extra data": "a file holds one experiment",
    "Invalid \\escape": r"write a backslash as \\",
    "Unterminated string": "the closing quote is missing",
}
_STARTS = {
    "'": "strings take double quotes",
    "//": "JSON has no comments; YAML has",
    "/*": "JSON has no comments; YAML has",
    "#": "JSON has no comments; YAML has",
    "\ufeff": "save the file without a byte order mark",
}


def read(text: str, file: str, marks: Marks) -> Any:
    """The data of a JSON text; fills `marks`. Raises `InvalidInput` with the place of the first error and a hint."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        offset, message, hint = _explain(text, error)
        raise InvalidInput((Problem(file, *position(text, offset), f"JSON: {message}", hint),)) from None
    except RecursionError:
        raise InvalidInput((Problem(file, 0, 0, "JSON: nested too deeply"),)) from None
    except ValueError as error:  # a number with thousands of digits
        raise InvalidInput((Problem(file, 0, 0, f"JSON: {error}"),)) from None
    tokens = ((found.start(), found.group()) for found in _TOKEN.finditer(text))
    _walk((), next(tokens), tokens, marks)
    return data


def _explain(text: str, error: json.JSONDecodeError) -> tuple[int, str, str]:
    """Where to point, what to say and what to do about a syntax error.

    Python 3.13 points at a trailing comma itself, earlier versions at the bracket after it; both come out alike here.
    """
    at, rest = error.pos, text[error.pos :]
    comma = len(text[:at].rstrip()) - 1
    if rest.startswith(",") and error.msg.startswith("Illegal trailing comma"):
        comma, rest = at, rest[1:].lstrip()
    if text[comma : comma + 1] == "," and rest[:1] in {"}", "]"}:
        return comma, f"a comma with only {rest[0]} after it", "take the comma away"
    message = error.msg[:1].lower() + error.msg[1:]
    if not rest.strip():
        return len(text.rstrip()), "the file ends too early", "a bracket or a quote is not closed"
    return at, message.removesuffix(" at").removesuffix(" starting"), _hint(rest, error.msg)


def _hint(rest: str, message: str) -> str:
    word = re.match(r"\w*", rest)
    if word and word.group() in _WORDS:
        return f"write {_WORDS[word.group()]}"
    by_text = (hint for start, hint in _STARTS.items() if rest.startswith(start))
    by_message = (hint for start, hint in _HINTS.items() if message.startswith(start))
    return next(by_text, "") or next(by_message, "")


def _walk(path: KeyPath, token: tuple[int, str], tokens: Iterator[tuple[int, str]], marks: Marks) -> None:
    """Mark a value and what it holds. The text is known to be valid, so every bracket has its partner."""
    at, word = token
    marks.values[path] = at
    if word not in {"{", "["}:
        return
    index = 0
    for here, part in tokens:
        if part in {"}", "]"}:
            return
        if part == ",":
            continue
        if word == "[":
            _walk((*path, index), (here, part), tokens, marks)
            index += 1
            continue
        child = (*path, json.loads(part))
        marks.key(child, here)
        next(tokens)  # the colon
        _walk(child, next(tokens), tokens, marks)
