"""The report's charts: a system's score with its interval, and differences around zero."""

from collections.abc import Mapping
from typing import Any

import altair as alt

from ui.theme import OTHER_COLOUR, SYSTEM_COLOURS, VERDICT_COLOURS

Chart = alt.LayerChart | alt.FacetChart
ROW = 46
"""Pixels; room for a dot and its figure."""


def written(value: float | None, unit: str) -> str:
    """A score in its unit; a dash where there is none."""
    if value is None:
        return "–"
    if unit == "share":
        return f"{value:.0%}"
    if unit == "points":
        return f"{value:+.2f}"
    return f"{value:.1f} s" if unit == "seconds" else f"{value:.1f}" if unit == "grade" else f"{value:.0f}"


def change(value: float | None, unit: str) -> str:
    """A difference with its sign; one of shares is in percentage points, and a dash stands for none."""
    if value is None:
        return "–"
    return f"{100 * value:+.0f}" if unit == "share" else f"{value:+.2f}" if unit == "points" else f"{value:+.1f}"


def label(difference: dict[str, Any]) -> str:
    """What is compared with what."""
    if difference["left"] == "interaction":
        return "interaction of the halves"
    return f"{difference['left']} − {difference['right']}"


def systems_chart(report: dict[str, Any], score: str) -> Chart | None:
    """A dot and a 95 % interval for each system, or None where none could be scored."""
    unit = report["scores"][score]["unit"]
    rows = [{"name": system, **values[score], "kind": system, "figure": written(values[score]["value"], unit)}
            for system, values in report["systems"].items()
            if score in values and values[score]["value"] is not None]
    if not rows:
        return None
    scale = alt.Scale(domain=[0, 1]) if unit == "share" else alt.Scale(zero=True)
    across = alt.X("low:Q", title=None, scale=scale,
                   axis=alt.Axis(format="%", tickCount=5) if unit == "share" else alt.Axis(tickCount=5))
    tips = [alt.Tooltip("name:N", title="system"), alt.Tooltip("figure:N", title="value"),
            alt.Tooltip("n:Q", title="questions")]
    colours = {row["kind"]: SYSTEM_COLOURS.get(row["kind"], OTHER_COLOUR) for row in rows}
    return alt.layer(*_dots(rows, across, colours, tips))


def differences_chart(differences: list[dict[str, Any]], unit: str) -> Chart:
    """A dot and a 95 % interval for each difference, with a line at zero."""
    rows = [{"name": label(one), "low": one["low"], "high": one["high"], "value": one["value"],
             "kind": one["verdict"], "figure": change(one["value"], unit)}
            for one in differences if one["value"] is not None]
    shown = "round(datum.value * 100)" if unit == "share" else "datum.label"
    across = alt.X("low:Q", title="percentage points" if unit == "share" else unit,
                   axis=alt.Axis(tickCount=6, labelExpr=shown))
    tips = [alt.Tooltip("name:N", title="difference"), alt.Tooltip("figure:N", title="value"),
            alt.Tooltip("kind:N", title="verdict")]
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(strokeDash=[4, 4], color="#8a8f98").encode(x="zero:Q")
    return alt.layer(zero, *_dots(rows, across, VERDICT_COLOURS, tips))


def reliability_chart(bins: list[dict[str, Any]]) -> Chart:
    """What the probability says against how often the passage was found; on the dashed line both are the same."""
    across = alt.X("predicted:Q", title="what it says", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"))
    up = alt.Y("observed:Q", title="found its passage", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"))
    same = alt.Chart(alt.Data(values=[{"predicted": 0, "observed": 0}, {"predicted": 1, "observed": 1}])).mark_line(
        strokeDash=[4, 4], color="#8a8f98").encode(x=across, y=up)
    tips = [alt.Tooltip("predicted:Q", format=".0%", title="says"),
            alt.Tooltip("observed:Q", format=".0%", title="found"), alt.Tooltip("n:Q", title="questions")]
    return alt.layer(same, alt.Chart(alt.Data(values=bins)).mark_point(filled=True, size=130, opacity=1).encode(
        x=across, y=up, tooltip=tips))


def coverage_chart(curve: list[dict[str, Any]]) -> Chart:
    """How many of the answered questions find their passage, the more are answered."""
    across = alt.X("covered:Q", title="share of questions answered", scale=alt.Scale(domain=[0, 1]),
                   axis=alt.Axis(format="%"))
    up = alt.Y("right:Q", title="of those, found its passage", scale=alt.Scale(domain=[0, 1]),
               axis=alt.Axis(format="%"))
    tips = [alt.Tooltip("covered:Q", format=".0%", title="answered"),
            alt.Tooltip("right:Q", format=".0%", title="found"),
            alt.Tooltip("probability:Q", format=".2f", title="from probability")]
    return alt.layer(alt.Chart(alt.Data(values=curve)).mark_line(point=True).encode(x=across, y=up, tooltip=tips))


def _dots(rows: list[dict[str, Any]], across: alt.X, colours: Mapping[str, str],
          tips: list[alt.Tooltip]) -> list[alt.Chart]:
    """A dot, its interval and its figure for each row: name, low, value, high, kind (the colour) and figure."""
    base = alt.Chart(alt.Data(values=rows), height=alt.Step(ROW)).encode(
        y=alt.Y("name:N", sort=[row["name"] for row in rows], title=None, axis=alt.Axis(labelLimit=190)),
        color=alt.Color("kind:N", legend=None, scale=alt.Scale(domain=list(colours), range=list(colours.values()))),
        tooltip=tips)
    return [base.mark_rule(strokeWidth=3, opacity=0.55).encode(x=across, x2="high"),
            base.mark_point(filled=True, size=130, opacity=1).encode(x="value:Q"),
            base.mark_text(dy=-14, fontSize=12, fontWeight=600).encode(x="value:Q", text="figure:N")]
