"""The report's charts: scores with their intervals, differences around zero, and replies to choose by a click."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import streamlit as st

from builder.evaluation.compare_releases import WORDS, Change
from builder.evaluation.report import CoveragePoint, Difference, Estimate, ReliabilityBin
from builder.report.pages import SHAPES
from ui.parts.theme import OTHER_COLOUR, SYSTEM_COLOURS, VERDICT_COLOURS

Chart = alt.LayerChart | alt.FacetChart
ROW = 46
"""Pixels; room for a dot and its figure."""
CELL, PICTURE = 40, 440
"""Pixels: the height of a row of cells, and of the picture of all replies."""
UNSCORED = -0.3
"""Where a reply stands that has no value on an axis."""
APART, REACH = 0.03, 0.11
"""How far replies with the same two values stand apart, and how far from these the last of them, on axes to 1."""
INK = {"light": "#31333f", "dark": "#fafafa"}
"""Of figures, for the colours that tell systems and verdicts apart are too pale for text."""
OUTCOME_COLOURS = {"better": VERDICT_COLOURS["better"], "no worse": SYSTEM_COLOURS["rag-only"],
                   "worse": VERDICT_COLOURS["worse"], "cannot tell": OTHER_COLOUR,
                   "not judged": VERDICT_COLOURS["no difference shown"]}


def written(value: float | None, unit: str) -> str:
    """A score in its unit; a dash where there is none. A share is rounded as the report's texts round it."""
    if value is None:
        return "–"
    if unit == "share":
        return f"{percent(value)}%"
    if unit == "points":
        return f"{value:+.2f}"
    return f"{value:.1f} s" if unit == "seconds" else f"{value:.1f}" if unit == "grade" else f"{value:.0f}"


def change(value: float | None, unit: str) -> str:
    """A difference with its sign; one of shares is in percentage points, and a dash stands for none."""
    if value is None:
        return "–"
    return f"{percent(value):+d}" if unit == "share" else f"{value:+.2f}" if unit == "points" else f"{value:+.1f}"


def percent(share: float) -> int:
    """A share in whole percent, rounded first as the texts round it: .325 is .33 there, so 33 and not 32 here."""
    return round(100 * round(share, 2))


def label(difference: Difference) -> str:
    """What is compared with what."""
    return "interaction of the halves" if difference.left == "interaction" else difference.pair


def systems_chart(estimates: Mapping[str, Estimate], unit: str) -> Chart | None:
    """A dot and a 95 % interval for each system, or None where none could be scored."""
    rows = [{"name": system, **found.model_dump(), "kind": system, "figure": written(found.value, unit)}
            for system, found in estimates.items() if found.value is not None]
    if not rows:
        return None
    scale = alt.Scale(domain=[0, 1]) if unit == "share" else alt.Scale(zero=True)
    across = alt.X("low:Q", title=None, scale=scale,
                   axis=alt.Axis(format="%", tickCount=5) if unit == "share" else alt.Axis(tickCount=5))
    tips = [alt.Tooltip("name:N", title="system"), alt.Tooltip("figure:N", title="value"),
            alt.Tooltip("n:Q", title="questions")]
    colours = {row["kind"]: SYSTEM_COLOURS.get(row["kind"], OTHER_COLOUR) for row in rows}
    return alt.layer(*_dots(rows, across, colours, tips))


def differences_chart(differences: list[Difference], unit: str) -> Chart:
    """A dot and a 95 % interval for each difference, with a line at zero."""
    rows = [{"name": label(pair), "low": pair.low, "high": pair.high, "value": pair.value, "kind": pair.verdict.value,
             "figure": change(pair.value, unit)} for pair in differences]
    return _around_zero(rows, unit, VERDICT_COLOURS)


def changes_chart(changes: list[Change], unit: str) -> Chart | None:
    """How far each system's score went from one release to the next, around zero; None where nothing is known."""
    rows = [{"name": one.system, "low": one.low, "high": one.high, "value": one.difference,
             "kind": outcome(one), "figure": f"{change(one.difference, unit)} · {outcome(one)}"}
            for one in changes if one.difference is not None]
    return _around_zero(rows, unit, OUTCOME_COLOURS) if rows else None


def outcome(change: Change) -> str:
    """What a change of release did to one system's score, in two words."""
    return WORDS[change.outcome] if change.outcome else "not judged"


def causes_chart(counted: Sequence[tuple[str, str, int]]) -> Chart:
    """How many replies there are, given as cause, system and count; cells to choose by a click, more with shift.

    What is chosen comes as `cells`, each a cause and a system.
    """
    systems = list(dict.fromkeys(system for _, system, _ in counted))
    causes = list(dict.fromkeys(cause for cause, _, _ in counted))
    most = max((count for *_, count in counted), default=0) or 1
    rows = [{"cause": cause, "system": system, "count": count} for cause, system, count in counted]
    cells = alt.selection_point(name="cells", fields=["cause", "system"])
    heads = alt.Axis(orient="top", domain=False, ticks=False, labelAngle=-60)
    if len(systems) <= len(SYSTEM_COLOURS):  # there is room for their words below each other
        heads = alt.Axis(orient="top", domain=False, ticks=False, labelAngle=0, labelAlign="center", labelFlush=False,
                         labelPadding=30, labelExpr="split(datum.label, '-')")
    base = alt.Chart(alt.Data(values=rows), height=CELL * max(1, len(causes))).encode(
        x=alt.X("system:N", sort=systems, title=None, axis=heads),
        y=alt.Y("cause:N", sort=causes, title=None, axis=alt.Axis(labelLimit=150, domain=False, ticks=False)),
        tooltip=[alt.Tooltip("system:N"), alt.Tooltip("cause:N"), alt.Tooltip("count:Q", title="replies")])
    tint = base.mark_rect(cornerRadius=6, cursor="pointer").encode(
        color=_colour("system", systems), fillOpacity=alt.FillOpacity(
            "count:Q", legend=None, scale=alt.Scale(domain=[0, most], range=[0.05, 0.5])),
        stroke=alt.condition(cells, alt.value(_ink()), alt.value("transparent"), empty=False),
        strokeWidth=alt.value(2)).add_params(cells)
    figures = base.mark_text(fontSize=13, fontWeight=600, color=_ink(), cursor="pointer").encode(text="count:Q")
    return alt.layer(tint, figures)


def scattered(replies: Sequence[tuple[str, str, str, float | None, float | None]]) -> list[dict[str, Any]]:
    """A place `x`, `y` for each reply, given as key, system, question and its two values; none on another's.

    Replies with the same two values stand around them like the seeds of a sunflower.
    """
    centres = [(UNSCORED if across is None else across, UNSCORED if up is None else up) for *_, across, up in replies]
    most = max(Counter(centres).values(), default=1)
    apart = min(APART, REACH / math.sqrt(most))
    taken: Counter[tuple[float, float]] = Counter()
    points = []
    for (key, system, question, *_), centre in zip(replies, centres, strict=True):
        away, angle = apart * math.sqrt(taken[centre]), taken[centre] * math.pi * (3 - math.sqrt(5))
        taken[centre] += 1
        points.append({"key": key, "system": system, "question": question,
                       "x": centre[0] + away * math.cos(angle), "y": centre[1] + away * math.sin(angle)})
    return points


def replies_chart(points: list[dict[str, Any]], across: str, up: str, systems: Sequence[str]) -> Chart:
    """Every reply as a point; to choose by a click, as `points`, or by drawing a box around several, as `box`."""
    clicked = alt.selection_point(name="points", fields=["key"])
    box = alt.selection_interval(name="box", encodings=["x", "y"])
    axis = alt.Axis(values=[UNSCORED, 0, 0.25, 0.5, 0.75, 1],
                    labelExpr="datum.value < 0 ? 'none' : format(datum.value, '.0%')")
    scale = alt.Scale(domain=[UNSCORED - REACH - 0.03, 1.03 + REACH])
    return alt.layer(alt.Chart(alt.Data(values=points), height=PICTURE).mark_point(
        filled=True, size=38, cursor="pointer").encode(
        x=alt.X("x:Q", title=across, scale=scale, axis=axis),
        y=alt.Y("y:Q", title=up, scale=scale, axis=axis),
        color=_colour("system", systems, alt.Legend(orient="top", title=None, columns=2)),
        shape=alt.Shape("system:N", scale=alt.Scale(domain=list(systems), range=[
            SHAPES.get(name, "cross") for name in systems])),
        opacity=alt.condition(clicked & box, alt.value(0.9), alt.value(0.2)),
        tooltip=[alt.Tooltip("system:N"), alt.Tooltip("question:N")]).add_params(clicked, box)).properties(
        usermeta={"embedOptions": {"renderer": "canvas"}})  # quick, and no nameless shapes for a screen reader


def boxed(points: Sequence[dict[str, Any]], selection: Mapping[str, Any]) -> set[str] | None:
    """The keys of the replies that were chosen in `replies_chart`; None where nothing was."""
    clicked, box = selection.get("points"), selection.get("box")
    if clicked:
        return {point["key"] for point in clicked}
    if not box:
        return None
    (left, right), (low, high) = sorted(box["x"]), sorted(box["y"])
    return {point["key"] for point in points if left <= point["x"] <= right and low <= point["y"] <= high}


def reliability_chart(bins: list[ReliabilityBin]) -> Chart:
    """What the probability says against how often the passage was found; on the dashed line both are the same."""
    across = alt.X("predicted:Q", title="stated probability", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"))
    up = alt.Y("observed:Q", title="passage found", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"))
    same = alt.Chart(alt.Data(values=[{"predicted": 0, "observed": 0}, {"predicted": 1, "observed": 1}])).mark_line(
        strokeDash=[4, 4], color="#8a8f98").encode(x=across, y=up)
    tips = [alt.Tooltip("predicted:Q", format=".0%", title="stated"),
            alt.Tooltip("observed:Q", format=".0%", title="found"), alt.Tooltip("n:Q", title="questions")]
    points = alt.Data(values=[one.model_dump() for one in bins])
    return alt.layer(same, alt.Chart(points).mark_point(filled=True, size=130, opacity=1).encode(
        x=across, y=up, tooltip=tips))


def coverage_chart(curve: list[CoveragePoint]) -> Chart:
    """How many of the answered questions find their passage, the more are answered."""
    across = alt.X("covered:Q", title="share of questions answered", scale=alt.Scale(domain=[0, 1]),
                   axis=alt.Axis(format="%"))
    up = alt.Y("right:Q", title="of those, passage found", scale=alt.Scale(domain=[0, 1]),
               axis=alt.Axis(format="%"))
    tips = [alt.Tooltip("covered:Q", format=".0%", title="answered"),
            alt.Tooltip("right:Q", format=".0%", title="found"),
            alt.Tooltip("probability:Q", format=".2f", title="from probability")]
    points = alt.Data(values=[point.model_dump() for point in curve])
    return alt.layer(alt.Chart(points).mark_line(point=True).encode(x=across, y=up, tooltip=tips))


def _ink() -> str:
    """What figures are written in on the reader's ground."""
    return INK["dark" if st.context.theme.type == "dark" else "light"]


def _colour(field: str, systems: Sequence[str], legend: alt.Legend | None = None) -> alt.Color:
    """Each system in its own colour."""
    return alt.Color(f"{field}:N", legend=legend, scale=alt.Scale(
        domain=list(systems), range=[SYSTEM_COLOURS.get(name, OTHER_COLOUR) for name in systems]))


def _around_zero(rows: list[dict[str, Any]], unit: str, colours: Mapping[str, str]) -> Chart:
    """A dot and its interval for each difference, with a line at zero."""
    shown = "round(datum.value * 100)" if unit == "share" else "datum.label"
    across = alt.X("low:Q", title="percentage points" if unit == "share" else unit,
                   axis=alt.Axis(tickCount=6, labelExpr=shown))
    tips = [alt.Tooltip("name:N", title="difference"), alt.Tooltip("figure:N", title="value"),
            alt.Tooltip("kind:N", title="verdict")]
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(strokeDash=[4, 4], color="#8a8f98").encode(x="zero:Q")
    return alt.layer(zero, *_dots(rows, across, colours, tips))


def _dots(rows: list[dict[str, Any]], across: alt.X, colours: Mapping[str, str],
          tips: list[alt.Tooltip]) -> list[alt.Chart]:
    """A dot, its interval and its figure for each row: name, low, value, high, kind (the colour) and figure."""
    base = alt.Chart(alt.Data(values=rows), height=alt.Step(ROW)).encode(
        y=alt.Y("name:N", sort=[row["name"] for row in rows], title=None, axis=alt.Axis(labelLimit=190)),
        tooltip=tips)
    painted = base.encode(color=alt.Color("kind:N", legend=None, scale=alt.Scale(
        domain=list(colours), range=list(colours.values()))))
    return [painted.mark_rule(strokeWidth=3, opacity=0.55).encode(x=across, x2="high"),
            painted.mark_point(filled=True, size=130, opacity=1).encode(x="value:Q"),
            base.mark_text(dy=-14, fontSize=12, fontWeight=600, color=_ink()).encode(x="value:Q", text="figure:N")]
