"""The words of a stop condition: METRIC OP NUMBER UNIT for SECONDS s, for example `join.success < 50% for 10 s`.

It is a threshold turned round, with a length of time: what would be fine (`join.success > 50%`) is refused, because
it is always a slip.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, cast

from chaos.experiment.suggest import did_you_mean
from chaos.experiment.thresholds import (
    FLOWS,
    METRICS,
    QUANTILES,
    BadThreshold,
    Dimension,
    metric_hint,
    number_at,
    value_of,
)
from chaos.model.experiment import StopRule

if TYPE_CHECKING:
    from chaos.model.verdict import Place

LONGEST_S = 600.0
OPERATORS = ("<", "<=", ">=", ">")
PATTERN = (
    r"^\s*(?:"
    rf"(?:{'|'.join(FLOWS)})\.success\s*(?:<=|<)\s*(?:(?:100(?:\.0+)?|\d{{1,2}}(?:\.\d+)?)\s*%|0?\.\d+|0|1(?:\.0+)?)"
    rf"|(?:{'|'.join(FLOWS)})\.(?:{'|'.join(QUANTILES)})\s*(?:>=|>)\s*\d+(?:\.\d+)?\s*(?:ms|s)"
    r")\s+for\s+\d+(?:\.\d+)?\s*s\s*$"
)
"""The same rules as one regular expression, for the JSON Schema."""
_PARTS = re.compile(
    r"\s*(?P<metric>[^\s<>=!]*)\s*(?P<op>[<>=!]*)\s*(?P<number>[^\s%a-zA-Z]*)\s*(?P<unit>%|(?!for\b)[a-zA-Z]+|)"
    r"\s*(?P<word>for\b)?\s*(?P<seconds>[0-9.]*)\s*(?P<s>.*?)\s*\Z",
    re.DOTALL,
)


def parse_stop(text: str, place: Place | None = None) -> StopRule:
    """Read one condition; raises `BadThreshold`."""
    found = cast("re.Match[str]", _PARTS.match(text))  # every part may be empty, so it always matches
    metric, at = found["metric"], found.start("metric")
    if not metric:
        raise BadThreshold("a stop condition begins with a metric", at, "for example join.success < 50% for 10 s")
    dimension = METRICS.get(metric)
    if dimension is None:
        raise BadThreshold(f"there is no metric {metric!r}", at, metric_hint(metric))
    if dimension not in {Dimension.SHARE, Dimension.LATENCY}:
        known = [name for name, kind in METRICS.items() if kind is Dimension.SHARE]
        raise BadThreshold(f"{metric} is known only after the run", at, did_you_mean("", known))
    _check_operator(dimension, found["op"], found.start("op"))
    value = value_of(dimension, found)
    return StopRule(
        text=" ".join(text.split()),
        metric=metric,
        op=cast("Literal['<', '<=', '>=', '>']", found["op"]),
        value=value,
        for_s=_length(found),
        place=place,
    )


def _check_operator(dimension: Dimension, op: str, at: int) -> None:
    if op not in OPERATORS:
        wrong = f"{op!r} is no comparison here" if op else "a comparison is missing here"
        raise BadThreshold(wrong, at, f"one of {' '.join(OPERATORS)}")
    well = {">", ">="} if dimension is Dimension.SHARE else {"<", "<="}
    if op in well:
        turned = op.translate(str.maketrans("<>", "><"))
        raise BadThreshold(f"{op} would stop a run that goes well", at, f"did you mean {turned}?")


def _length(found: re.Match[str]) -> float:
    if found["word"] is None:
        raise BadThreshold("for how long is missing", found.end("unit"), "for example: for 10 s")
    seconds = number_at(found["seconds"], found.start("seconds"), "a time takes s, for example: for 10 s")
    if found["s"] != "s":
        raise BadThreshold(f"{found['s']!r} is no unit here", found.start("s"), "for example: for 10 s")
    if not 1 <= seconds <= LONGEST_S:
        raise BadThreshold("a length lies between 1 s and 600 s", found.start("seconds"))
    return seconds
