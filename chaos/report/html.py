"""`report.html`: one file that a person reads without network or script, and keeps.

The page carries a content policy that allows its own style and script by their hashes and nothing else, so a
text out of a record can never act.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from chaos.model.verdict import CheckResult, Kind, Outcome, Verdict
from chaos.report import charts, glance, proof, svg, words
from chaos.report.glyphs import UNICODE
from chaos.report.story import Figure, Story

_TEMPLATES = resources.files("chaos.report") / "templates"
_PHASES = ("baseline", "fault", "recovery")


def render(story: Story, verdict: Verdict) -> str:
    """The whole page."""
    style, script = _asset("report.css"), _asset("report.js")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (_TEMPLATES / name).read_text("utf-8")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"seconds": words.seconds, "millis": words.millis, "share": words.share}
    environment.filters |= {"pretty": words.pretty, "rule": words.rule, "measured": words.measured}
    environment.filters |= {"colour": svg.colour, "tojson_plain": _plain}
    main, settled = _split(verdict)
    return environment.get_template("report.html.j2").render(
        story=story,
        verdict=verdict,
        word=words.ending(verdict),
        tone=words.tone(verdict),
        headline=words.headline(verdict),
        next_step=words.next_step(verdict, story),
        tiles=tiles(story, verdict),
        glance=glance.glance(story),
        checks=main,
        settled=settled,
        failed=[check for check in main if check.witnesses and check.outcome is Outcome.FAIL],
        mark=UNICODE.mark,
        interval=proof.interval,
        witness_line=proof.witness_line,
        flows=[_flow(story, flow, verdict) for flow in story.flows],
        step=charts.step_of(story),
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def _asset(name: str) -> str:
    return (_TEMPLATES / name).read_text("utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _split(verdict: Verdict) -> tuple[list[CheckResult], list[CheckResult]]:
    """Checks worth a row of their own, and the validity checks that passed."""
    ordered = words.in_order(verdict.checks)
    settled = [check for check in ordered if check.kind is Kind.VALIDITY and check.outcome is Outcome.PASS]
    return [check for check in ordered if check not in settled], settled


def tiles(story: Story, verdict: Verdict) -> list[dict[str, str]]:
    """Up to four figures for the head of the page; a figure that is missing says `?`."""
    out = []
    for flow, title in (("join", "joins that succeeded"), ("edit_ack", "edits, p95"), ("edit", "edits, p95")):
        before, fault = story.figure(flow, "baseline"), story.figure(flow, "fault")
        if before is None and fault is None:
            continue
        out.append(_tile(title, _shown(flow, fault), _shown(flow, before)))
    for check in verdict.checks:
        if check.id == "D1":
            value, _, rest = words.pretty(check.measured).partition(" ")
            out.append(_result_tile("edits lost", value, rest, check))
        elif check.id == "recovery":
            value, _, rest = words.pretty(check.measured).partition(",")
            at_once = check.figures.get("recovery_s") == 0
            out.append(_result_tile("back after the heal", "at once" if at_once else value, rest, check))
    return out[:4]


def _shown(flow: str, figure: Figure | None) -> str:
    if figure is None:
        return "?"
    return words.share(figure.share) if flow == "join" else words.millis(figure.p95_ms)


def _tile(title: str, value: str, before: str) -> dict[str, str]:
    return {"title": title, "value": value, "note": f"during the fault; {before} before", "tone": ""}


def _result_tile(title: str, value: str, note: str, check: CheckResult) -> dict[str, str]:
    if check.outcome is Outcome.INCONCLUSIVE or not value:
        value, note = "?", words.measured(check)
    return {"title": title, "value": value, "note": note.strip(), "tone": check.outcome.value}


def _flow(story: Story, flow: str, verdict: Verdict) -> dict[str, Any]:
    apart = charts.splits(story, flow)
    rows: list[tuple[str, str, Figure]] = []
    for phase in _PHASES:
        for region in ("", *(story.regions if apart and phase == "fault" else ())):
            figure = story.figure(flow, phase, region)
            if figure is not None:
                rows.append((phase, region, figure))
    return {
        "id": re.sub(r"\W+", "-", flow),
        "name": words.FLOW_NAMES.get(flow, flow),
        "flow": flow,
        "chart": charts.flow_chart(story, flow, verdict.checks),
        "rows": rows,
        "limits": charts.limits_of(story, flow, verdict.checks),
        "data": _data(story, flow),
    }


def _data(story: Story, flow: str) -> Markup:
    """The chart's points for its tooltip, as JSON that cannot end the element it stands in."""
    step = charts.step_of(story)
    axis = charts.time_axis(story, 52, charts.WIDTH - 84)
    points = [
        [p.t_s, p.ok, p.bad, _round(p.p50_ms), _round(p.p95_ms)] for p in charts.binned(story.of_flow(flow), step)
    ]
    frame = {"from": axis.low, "to": axis.high, "left": axis.start, "right": axis.end, "width": charts.WIDTH}
    document = json.dumps(frame | {"step": step, "points": points}, separators=(",", ":"))
    return Markup(document.replace("<", "\\u003c"))  # noqa: S704 - numbers only, and no "<" is left


def _plain(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str)


def _round(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")
