"""The report's charts: figures as its texts write them, and each reply at a place of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from builder.evaluation.compare_releases import Change
from builder.report.pages import number
from builder.scoring.statistics import Outcome
from ui.parts.charts import (
    REACH,
    UNSCORED,
    boxed,
    causes_chart,
    change,
    changes_chart,
    outcome,
    replies_chart,
    scattered,
    written,
)

VALUES = some.none() | some.sampled_from((0.0, 0.325, 0.5, 1.0)) | some.floats(0, 1)
REPLIES = some.lists(some.tuples(VALUES, VALUES), max_size=60)


def placed(values):
    return scattered([(f"{place} hybrid", "hybrid", "Why?", *pair) for place, pair in enumerate(values)])


@pytest.mark.parametrize("count", [*range(1, 81), 200, 400])
def test_a_share_is_rounded_as_the_report_writes_it(count):
    for part in range(count + 1):
        hundredths = round(100 * float(number(part / count, "share")))
        assert written(part / count, "share") == f"{hundredths}%"
        assert change(-part / count, "share") == (f"{-hundredths:+d}" if hundredths else "+0")


@given(REPLIES)
def test_every_reply_has_a_place_of_its_own_near_its_values(values):
    points = placed(values)
    assert [point["key"] for point in points] == [f"{place} hybrid" for place in range(len(values))]
    for (across, up), one in zip(values, points, strict=True):
        away = ((one["x"] - (UNSCORED if across is None else across)) ** 2
                + (one["y"] - (UNSCORED if up is None else up)) ** 2) ** 0.5
        assert away <= REACH + 1e-9
    same = {}
    for pair, one in zip(values, points, strict=True):
        same.setdefault(pair, set()).add((one["x"], one["y"]))
    assert all(len(places) == values.count(pair) for pair, places in same.items())


@given(REPLIES, *[some.floats(-0.5, 1.5)] * 4)
def test_a_box_holds_the_replies_inside_it_whichever_corner_it_began_in(values, left, right, low, high):
    points = placed(values)
    chosen = boxed(points, {"box": {"x": [left, right], "y": [low, high]}})
    assert chosen == {point["key"] for point in points
                      if min(left, right) <= point["x"] <= max(left, right)
                      and min(low, high) <= point["y"] <= max(low, high)}


def test_nothing_chosen_is_no_filter_and_a_click_goes_before_a_box():
    points = placed([(0.0, 0.0), (1.0, 1.0)])
    assert boxed(points, {}) is boxed(points, {"points": [], "box": {}}) is None
    assert boxed(points, {"points": [{"key": "1 hybrid"}], "box": {"x": [-1, 2], "y": [-1, 2]}}) == {"1 hybrid"}


def test_the_charts_offer_what_the_page_reads_of_them():
    cells = causes_chart([("invented", "hybrid", 0)]).to_dict()
    assert [cell["name"] for cell in cells["params"]] == ["cells"]
    points = replies_chart(placed([(0.5, None)]), "facts", "tone", ["hybrid", "few-shot"]).to_dict()
    assert {point["name"] for point in points["params"]} == {"points", "box"}
    shapes = points["layer"][0]["encoding"]["shape"]["scale"]
    assert shapes == {"domain": ["hybrid", "few-shot"], "range": ["diamond", "cross"]}


def test_a_change_that_is_not_known_is_left_out_of_the_chart_and_all_others_say_their_verdict():
    known = Change("hybrid", 12, 0.5, 0.3, -0.2, -0.3, -0.1, Outcome.FORGOT)
    unknown = Change("rag-only", 0, None, None)
    assert changes_chart([unknown], "share") is None and outcome(unknown) == "not judged"
    chart = changes_chart([known, unknown], "share").to_dict()
    rows = [row for layer in chart["layer"] for row in layer["data"].get("values", ()) if "name" in row] or [
        row for rows in chart["datasets"].values() for row in rows if "name" in row]
    assert {(row["name"], row["figure"]) for row in rows} == {("hybrid", "-20 · worse")}
