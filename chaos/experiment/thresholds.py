"""The words of a threshold: METRIC OP NUMBER [%|ms|s|x|points], for example `join.success >= 99%`.

Values are normalised: shares and points to 0..1, durations to seconds, counts and ratios stay. A rule that would pass
when users suffer (`join.success <= 99%`) is refused, because it is always a slip.
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Literal, cast

from chaos.experiment.suggest import did_you_mean
from chaos.model.experiment import Threshold

if TYPE_CHECKING:
    from chaos.model.verdict import Place

FLOWS = ("join", "rejoin", "resume", "leave", "say", "edit_ack")
QUANTILES = ("p50", "p90", "p95", "p99")
COUNTS = (
    "edits.lost",
    "edits.duplicated",
    "edits.forgotten",
    "edits.phantom",
    "edits.resurrected",
    "offline.lost",
    "documents.diverged",
    "documents.reordered",
    "documents.stalled",
    "documents.forked",
    "sessions.broken",
    "presence.ghosts",
    "ghosts",
    "joins.stuck",
    "leaves.stuck",
    "reentry.refused",
    "presence.missing",
    "presence.doubled",
    "rooms.split",
    "rooms.dropped",
    "resumes.broken",
    "messages.wrong",
    "limits.broken",
    "unreached.hurt",
)
DURATIONS = ("recovery", "convergence")
PHASES = ("baseline", "fault", "recovery", "run")
OPERATORS = ("<", "<=", "==", ">=", ">")


class Dimension(enum.StrEnum):
    """What a metric is measured in."""

    SHARE = "share"
    LATENCY = "latency"
    COUNT = "count"
    DURATION = "duration"
    RATIO = "ratio"
    """How many times as long, with a fault as without it."""
    POINTS = "difference"
    """Of two shares."""


EFFECTS = frozenset({Dimension.RATIO, Dimension.POINTS})
"""Of an interleaved fault, on those whom it reaches."""

METRICS: dict[str, Dimension] = (
    {f"{flow}.success": Dimension.SHARE for flow in FLOWS}
    | {f"{flow}.{quantile}": Dimension.LATENCY for flow in FLOWS for quantile in QUANTILES}
    | {f"{flow}.p95.effect": Dimension.RATIO for flow in FLOWS}
    | {f"{flow}.success.effect": Dimension.POINTS for flow in FLOWS}
    | dict.fromkeys(COUNTS, Dimension.COUNT)
    | dict.fromkeys(DURATIONS, Dimension.DURATION)
)
"""Every metric that a threshold may name."""

PATTERN = (
    r"^\s*(?:"
    r"(?:join|rejoin|resume|leave|say|edit_ack)\.success\s*(?:>=|>|==)\s*(?:(?:100(?:\.0+)?|\d{1,2}(?:\.\d+)?)\s*%|0?\.\d+|0|1(?:\.0+)?)"
    r"|(?:join|rejoin|resume|leave|say|edit_ack)\.p(?:50|90|95|99)\s*(?:<=|<|==)\s*\d+(?:\.\d+)?\s*(?:ms|s)"
    r"|(?:join|rejoin|resume|leave|say|edit_ack)\.p95\.effect\s*(?:<=|<)\s*[1-9]\d*(?:\.\d+)?\s*(?:x|×)"
    r"|(?:join|rejoin|resume|leave|say|edit_ack)\.success\.effect\s*(?:<=|<)\s*\d+(?:\.\d+)?\s*points?"
    r"|(?:" + "|".join(re.escape(name) for name in COUNTS) + r")\s*(?:<=|<|==)\s*\d+"
    r"|(?:recovery|convergence)\s*(?:<=|<|==)\s*\d+(?:\.\d+)?\s*(?:ms|s)"
    r")\s*$"
)
"""The same rules as one regular expression, for the JSON Schema."""

_MISTAKEN = {"=": "==", "=>": ">=", "=<": "<=", "≥": ">=", "≤": "<=", "===": "=="}
_PARTS = re.compile(
    r"\s*(?P<metric>[^\s<>=!≤≥]*)\s*(?P<op>[<>=!≤≥]*)\s*(?P<number>[^\s%a-zA-Z×]*)\s*(?P<unit>.*?)\s*\Z", re.DOTALL
)
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?|\.[0-9]+")
_UNITS = {
    Dimension.SHARE: {"%": 0.01, "": 1.0},
    Dimension.LATENCY: {"ms": 0.001, "s": 1.0},
    Dimension.DURATION: {"ms": 0.001, "s": 1.0},
    Dimension.COUNT: {"": 1.0},
    Dimension.RATIO: {"x": 1.0, "×": 1.0},
    Dimension.POINTS: {"point": 0.01, "points": 0.01},
}
_SAY_UNIT = {
    Dimension.SHARE: "a share is written as 99% or 0.99",
    Dimension.LATENCY: "a time takes ms or s",
    Dimension.DURATION: "a time takes ms or s",
    Dimension.COUNT: "a count takes no unit",
    Dimension.RATIO: "how many times as long is written as 1.5x",
    Dimension.POINTS: "a difference of shares is written as 1 point",
}


class BadThreshold(ValueError):
    """A text that is no threshold: what is wrong, at which character, and a hint."""

    def __init__(self, message: str, offset: int, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint


def parse_threshold(text: str, phase: str, place: Place | None = None) -> Threshold:
    """Read one rule; raises `BadThreshold`. `phase` must be one of `PHASES`."""
    found = cast("re.Match[str]", _PARTS.match(text))  # every part may be empty, so it always matches
    metric, at = found["metric"], found.start("metric")
    if not metric:
        raise BadThreshold("a threshold begins with a metric", at, "for example join.success >= 99%")
    dimension = METRICS.get(metric)
    if dimension is None:
        raise BadThreshold(f"there is no metric {metric!r}", at, metric_hint(metric))
    _check_operator(dimension, found["op"], found.start("op"))
    value = value_of(dimension, found)
    if dimension is Dimension.DURATION and phase not in {"recovery", "run"}:
        raise BadThreshold(f"{metric} is known only after the heal", at, "put it under recovery or run")
    if dimension in EFFECTS and phase not in {"fault", "run"}:
        raise BadThreshold(f"{metric} is that of a fault", at, "put it under fault or run")
    named = cast("Literal['baseline', 'fault', 'recovery', 'run']", phase)
    op = cast("Literal['<', '<=', '==', '>=', '>']", found["op"])
    return Threshold(text=text.strip(), phase=named, metric=metric, op=op, value=value, place=place)


def metric_hint(metric: str) -> str:
    """What may have been meant by a metric that there is none of."""
    flow, dot, part = metric.partition(".")
    if flow in FLOWS:
        return did_you_mean(
            f"{flow}.{part}" if dot else f"{flow}.success", [m for m in METRICS if m.startswith(f"{flow}.")]
        )
    return did_you_mean(metric, METRICS) or "chaos list checks names them all"


def _check_operator(dimension: Dimension, op: str, at: int) -> None:
    if op not in OPERATORS:
        wrong = f"{op!r} is no comparison" if op else "a comparison is missing here"
        raise BadThreshold(
            wrong, at, f"did you mean {_MISTAKEN[op]}?" if op in _MISTAKEN else f"one of {' '.join(OPERATORS)}"
        )
    worse = {"<", "<="} if dimension is Dimension.SHARE else {">", ">="}
    if op in worse:
        turned = op.translate(str.maketrans("<>", "><"))
        raise BadThreshold(f"{op} would pass when users suffer", at, f"did you mean {turned}?")
    if op == "==" and dimension in EFFECTS:
        raise BadThreshold("an effect is known within an interval only", at, "did you mean <=?")


def value_of(dimension: Dimension, found: re.Match[str]) -> float:
    """The number of a match with `number` and `unit`, in the unit of `Threshold.value`; raises `BadThreshold`."""
    number, unit, at = found["number"], found["unit"], found.start("number")
    plain = number_at(number, at, _SAY_UNIT[dimension], unit)
    factor = _UNITS[dimension].get(unit)
    if factor is None:
        said = f"{unit!r} is no unit of a {dimension}" if unit else f"a {dimension} needs a unit"
        raise BadThreshold(said, found.start("unit"), _SAY_UNIT[dimension])
    value = round(plain * factor, 12)
    if dimension is Dimension.SHARE and value > 1:
        raise BadThreshold(f"{number}{unit} is more than everybody", at, "" if unit else f"did you mean {number}%?")
    if dimension is Dimension.RATIO and value < 1:
        raise BadThreshold(f"{number}{unit} would ask a fault to do good", at, "1x is: not slower at all")
    if dimension is Dimension.COUNT and not value.is_integer():
        raise BadThreshold("a count is a whole number", at)
    return value


def number_at(number: str, at: int, hint: str, instead: str = "") -> float:
    """A written number; `instead` is what stands there if it is empty. Raises `BadThreshold`."""
    if not _NUMBER.fullmatch(number):
        said = f"{number or instead!r} is no number" if number or instead else "a number is missing here"
        raise BadThreshold(said, at, hint)
    return float(number)
