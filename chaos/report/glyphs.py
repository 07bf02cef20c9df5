"""The signs a terminal can carry: Unicode where its encoding allows, plain ASCII elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaos.model.verdict import Outcome

if TYPE_CHECKING:
    from rich.console import Console

PLAIN = {
    "≥": ">=",
    "≤": "<=",
    "→": "->",
    "±": "+-",
    "·": "-",
    "–": "-",
    "—": "-",
    "−": "-",
    "×": "x",
    "…": "...",
    "’": "'",
    "“": '"',
    "”": '"',
    "≈": "~",
    "µ": "u",
    "\N{NO-BREAK SPACE}": " ",
    "\N{NARROW NO-BREAK SPACE}": " ",
}
"""What stands in for typographic signs that an encoding lacks."""


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of signs."""

    ok: str = "✓"
    bad: str = "✗"
    unknown: str = "?"
    full: str = "█"
    light: str = "░"
    dot: str = "·"
    sparks: str = "▁▂▃▄▅▆▇█"
    failing: str = "×"
    rule: str = "─"
    encoding: str = "utf-8"

    def mark(self, outcome: Outcome) -> str:
        """The mark of a check; what is not known is `?`, never a tick."""
        return {Outcome.PASS: self.ok, Outcome.FAIL: self.bad}.get(outcome, self.unknown)

    def text(self, text: str) -> str:
        """The text as this encoding can carry it: without control characters, foreign signs replaced."""
        text = "".join(char if char.isprintable() or char == "\N{NO-BREAK SPACE}" else " " for char in text)
        if carries(self.encoding, text):
            return text
        for sign, plain in PLAIN.items():
            text = text.replace(sign, plain)
        return text.encode(self.encoding, "replace").decode(self.encoding)


UNICODE = Glyphs()


def carries(encoding: str, text: str) -> bool:
    """Whether the encoding has every sign of the text."""
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def glyphs_for(console: Console) -> Glyphs:
    """The best set that the console's encoding carries."""
    encoding = console.encoding or "ascii"
    signs = UNICODE
    needed = signs.ok + signs.bad + signs.full + signs.light + signs.dot + signs.sparks + signs.failing + signs.rule
    if carries(encoding, needed):
        return Glyphs(encoding=encoding)
    if not carries(encoding, ""):
        encoding = "ascii"
    return Glyphs(
        ok="+", bad="x", full="#", light=".", dot="-", sparks="_.-=+*#@", failing="!", rule="-", encoding=encoding
    )
