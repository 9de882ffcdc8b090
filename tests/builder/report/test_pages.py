import csv
import io
import random
import re
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from builder.evaluation.failures import CAUSES
from builder.evaluation.report import Report
from builder.report import files, pages, pictures, sections
from builder.report.pages import number
from builder.report.pictures import Scale
from tests.reports import report as complete

ALL = ("prompt-only", "rag-only", "fine-tune-only", "hybrid")
NASTY = '<script>alert("x")</script> a|b \'q\' "q" & {{ 7*7 }} `tick` *star* [a](http://example.com/x) '
NASTY += "Ünïcode 漢字 🦊 \u202eabc"
UNITS = {"facts": "share", "tone": "share", "voice": "share", "abstains_answerable": "share",
         "abstains_unanswerable": "share", "grounded": "share", "repeats": "share", "words": "words",
         "tokens": "tokens", "seconds": "seconds"}
LOWER = ("abstains_answerable", "repeats", "tokens", "seconds")


def made_report(systems=ALL, nasty=True, questions=12, seed=0):
    """A report of the layout that evaluation.py writes, with made-up figures and unpleasant texts."""
    draw = random.Random(seed)
    odd = NASTY if nasty else "When does the shop open on Sundays?"
    facts = dict(zip(ALL, (.21, .56, .33, .71), strict=True))
    tone = dict(zip(ALL, (.28, .24, .88, .84), strict=True))

    def summary(system):
        values = {score: {"value": .5, "low": .4, "high": .6, "n": 84} for score in UNITS}
        values["facts"] = {"value": facts[system], "low": facts[system] - .09, "high": facts[system] + .08, "n": 84}
        values["tone"] = {"value": tone[system], "low": tone[system] - .07, "high": tone[system] + .06, "n": 84}
        values["abstains_unanswerable"] = {"value": 1.0, "low": .84, "high": 1.0, "n": 20}
        values["grounded"] = {"value": None, "low": None, "high": None, "n": 0}
        values["words"] = {"value": 43.4, "low": 40.2, "high": 46.9, "n": 71}
        values["tokens"] = {"value": 71.0, "low": None, "high": None, "n": 84}
        values["seconds"] = {"value": 2.345, "low": 2.1, "high": 2.61, "n": 84}
        return values

    def difference(score, left, right, value, p):
        shown = p < .05
        return {"score": score, "left": left, "right": right, "value": value, "low": value - .11, "high": value + .1,
                "p": p, "adjusted": p, "detectable": .15, "primary": score in ("facts", "tone"), "n": 84, "groups": 40,
                "verdict": "no difference shown" if not shown else "better" if value > 0 else "worse"}

    pairs = [("rag-only", "prompt-only"), ("fine-tune-only", "prompt-only"), ("hybrid", "rag-only"),
             ("hybrid", "fine-tune-only")]
    pairs = [pair for pair in pairs if set(pair) <= set(systems)]
    differences = [difference(score, left, right, values[left] - values[right],
                              .0004 if values[left] - values[right] > .14 else .21)
                   for score, values in (("facts", facts), ("tone", tone)) for left, right in pairs]
    if len(systems) == 4:
        differences.insert(4, difference("facts", "interaction", "", .03, 1.0))
    differences += [difference("voice", left, right, -.2, .013) for left, right in pairs]

    def reply(system, place):
        scores = {score: round(draw.random(), 2) for score in UNITS} | {"grounded": None, "words": 40.0}
        text = (odd + " ") * 30 if place == 1 else "x" * 5000 if place == 2 and nasty else f"{odd} ({system})"
        scores |= {"crag": None, "unwanted": 0.0}
        return {"text": text, "cause": "" if place % 3 else "invented", "found_right": None, "abstained": place == 3,
                "probability": None if place % 2 else .7, "finish": "stop",
                "seconds": 1.25, "tokens": 40, "scores": scores,
                "evidence": {score: f"found 2 of 3: {odd}" for score in UNITS},
                "sources": [{"document": "hours & places.md", "heading": f"A > {odd}", "start": 3, "end": 90,
                             "text": f"We open. {odd}", "score": .5}] if system in ("rag-only", "hybrid") else []}

    return {"name": f"Brand {odd}" if nasty else "Bluebird Bakery", "made": "2026-01-02T03:04:05+00:00",
            "questions": questions, "answerable": questions - 2, "unanswerable": 2, "groups": 7,
            "systems": {system: summary(system) for system in systems},
            "scores": {score: {"title": score.replace("_", " ").capitalize(), "unit": unit,
                               "better": "lower" if score in LOWER else "neither" if score == "words" else "higher",
                               "explanation": f"What {score} means, in a sentence: {odd}."}
                       for score, unit in UNITS.items()},
            "differences": differences, "verdict": f"Retrieval earned its place on facts: hybrid against "
            f"fine-tune-only +0.38 (95 % interval +0.27 to +0.48). Whether fine-tuning earned anything is open. {odd}",
            "halves": {"retrieval": "earned", "fine-tuning": "cannot tell"},
            "failures": {system: {"invented": 4} for system in systems}, "arms": {},
            "told_apart": {"systems": {system: {"value": .9, "low": .8, "high": .95, "n": 60} for system in systems},
                           "own": 40, "of": "reference answers"},
            "rows": [{"line": place + 1, "question": f"{place}: {odd}", "answer": odd, "answerable": place % 5 > 0,
                      "group": str(place), "by": "keyed facts" if place % 2 else "answer overlap",
                      "replies": {system: reply(system, place) for system in systems}} for place in range(questions)],
            "seconds": 512.0}


def to_html(content):
    return pages.to_html(Report.model_validate(content))


def to_markdown(content):
    return pages.to_markdown(Report.model_validate(content))


def charts(page):
    found = re.findall(r"<svg viewBox.*?</svg>", page, re.DOTALL)
    return [ElementTree.fromstring(chart.replace("var(--card)", "none")) for chart in found]


def points(chart):
    for part in chart.iter():
        for across in ("x", "x1", "x2", "cx"):
            if across in part.attrib:
                yield float(part.attrib[across]), 0.0
                yield float(part.attrib[across]) + float(part.attrib.get("width", 0)), 0.0
        for down in ("y", "y1", "y2", "cy"):
            if down in part.attrib:
                yield 0.0, float(part.attrib[down]) + float(part.attrib.get("height", 0))
        for point in part.attrib.get("points", "").split():
            yield tuple(map(float, point.split(",")))


@pytest.mark.parametrize("systems", [ALL, ("prompt-only", "rag-only"), ("prompt-only",), ()])
def test_the_page_shows_every_system_runs_nothing_and_fetches_nothing(systems):
    page = to_html(made_report(systems))
    soup = BeautifulSoup(page, "html.parser")
    fetching = ["script", "link", "img", "iframe", "object", "embed", "base", "form", "a", "image", "use"]
    assert not soup.find_all(fetching)
    assert not soup.find_all(lambda part: any(name in part.attrs for name in ("src", "href", "srcset", "xlink:href")))
    assert not soup.find_all(lambda part: any(name.startswith("on") for name in part.attrs))
    style = "".join(part.text for part in soup.find_all("style"))
    assert "url(" not in style and "@import" not in style
    heads = [row.th.get_text(strip=True) for row in soup.select(".systems tbody tr")]
    assert [re.search(r"\((.+)\)", head)[1] for head in heads] == list(systems)
    assert all(len(question.select(".reply")) == len(systems) for question in soup.select(".question"))
    assert len(soup.select(".question")) == 12


def test_texts_come_through_as_they_are_and_only_as_text():
    soup = BeautifulSoup(to_html(made_report()), "html.parser")
    assert NASTY in soup.select_one(".verdict").text and NASTY in soup.title.text
    assert any(part.text == "x" * 5000 for part in soup.select(".text"))
    assert "{{ 7*7 }}" in soup.select_one(".question bdi").text


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), min_size=1, max_size=60))
def test_no_text_changes_the_tags_of_the_page(text):
    plain, filled = (made_report(("hybrid",), nasty=False, questions=1) for _ in range(2))
    filled["name"] = filled["verdict"] = filled["rows"][0]["question"] = text
    filled["rows"][0]["replies"]["hybrid"]["text"] = text

    def tags(report):
        return [part.name for part in BeautifulSoup(to_html(report), "html.parser").find_all()]

    assert tags(filled) == tags(plain)


@pytest.mark.parametrize("systems", [ALL, ("prompt-only", "rag-only")])
def test_every_chart_is_well_formed_labelled_and_inside_its_view_box(systems):
    found = charts(to_html(made_report(systems)))
    assert len(found) == 6
    for chart in found:
        _, _, width, height = map(float, chart.attrib["viewBox"].split())
        places = list(points(chart))
        assert len(places) > 20
        assert all(0 <= x <= width and 0 <= y <= height for x, y in places)
        assert chart.attrib["role"] == "img" and chart.attrib["aria-label"]
    assert all(system in found[0].attrib["aria-label"] for system in systems)


def test_marks_and_whiskers_stand_where_the_figures_say():
    report = made_report()
    report["systems"]["hybrid"]["facts"] = {"value": .5, "low": 0.0, "high": 1.0, "n": 3}
    chart = charts(to_html(report))[0]
    left, right = (float(chart.findall("line")[place].attrib["x1"]) for place in (0, -1))
    group = next(part for part in chart.findall("g") if part.attrib["class"] == "hybrid")
    whisker = group.find("line").attrib
    assert (float(whisker["x1"]), float(whisker["x2"])) == (left, right)
    across = [float(point.split(",")[0]) for point in group.find("g/polygon").attrib["points"].split()]
    assert (min(across) + max(across)) / 2 == pytest.approx((left + right) / 2)
    assert [part.text for part in chart.findall("text") if part.attrib["class"] == "tick"][::4] == [".00", "1.00"]


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 1))
def test_the_scale_is_linear_and_keeps_its_ends(first, second, share):
    scale = Scale(-1.0, 1.0, 14.0, 326.0)
    assert (scale.place(-1.0), scale.place(0.0), scale.place(1.0)) == (14.0, 170.0, 326.0)
    between = first + share * (second - first)
    straight = scale.place(first) + share * (scale.place(second) - scale.place(first))
    assert scale.place(between) == pytest.approx(straight, abs=.02)


def test_the_scale_holds_what_lies_outside_at_the_edge():
    assert Scale(0.0, 1.0, 10.0, 20.0).place(7.0) == 20.0
    assert Scale(0.0, 1.0, 10.0, 20.0).place(-7.0) == 10.0


def test_each_system_has_its_own_shape():
    chart = charts(to_html(made_report()))[0]
    marks = {part.attrib["class"]: next(iter(part.find("g"))) for part in chart.findall("g")}
    shapes = {name: (mark.tag, len(mark.attrib.get("points", "").split())) for name, mark in marks.items()}
    assert shapes == {"prompt-only": ("circle", 0), "rag-only": ("rect", 0), "fine-tune-only": ("polygon", 3),
                      "hybrid": ("polygon", 4)}


def test_rows_come_first_where_the_systems_differ_most():
    report = made_report(questions=3)
    for row, top in zip(report["rows"], (.1, .9, None), strict=True):
        for system in ALL:
            row["replies"][system]["scores"].update(facts=None if top is None else 0.0, tone=None)
        row["replies"]["hybrid"]["scores"]["facts"] = top
    soup = BeautifulSoup(to_html(report), "html.parser")
    assert [part.text[:2] for part in soup.select(".question summary > bdi")] == ["1:", "0:", "2:"]


def test_missing_scores_and_replies_are_dashes_not_zeros():
    report = made_report()
    del report["systems"]["rag-only"]["tone"], report["rows"][0]["replies"]["rag-only"]
    report["systems"]["hybrid"]["facts"] = {"value": None, "low": None, "high": None, "n": 0}
    soup = BeautifulSoup(to_html(report), "html.parser")
    shown = {re.search(r"\((.+)\)", row.th.text)[1]: {part["data-name"]: part.b.text for part in row.select("td")}
             for row in soup.select(".systems tbody tr")}
    assert shown["rag-only"]["Tone"] == shown["hybrid"]["Facts"] == shown["hybrid"]["Grounded"] == "–"
    assert pages.cell(Report.model_validate(report), "hybrid", "facts") == ("–", "", 0)


@pytest.mark.parametrize("systems", [ALL, ("prompt-only", "rag-only"), ()])
def test_markdown_tables_have_the_same_columns_in_each_row(systems):
    report = made_report(systems)
    for one in report["differences"]:
        one["left"] = NASTY
    lines = to_markdown(report).splitlines()
    tables = "\n".join(line if line.startswith("|") else "" for line in lines)
    found = [block.splitlines() for block in re.split(r"\n\n+", tables.strip())]
    assert len(found) == 2 and len(found[0]) == 2 + len(systems)
    for table in found:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
    assert not re.search(r"(?<!\\)<script", "\n".join(lines))


def test_the_terminal_table_holds_figures_with_intervals():
    headers, rows = pages.rows_for_terminal(Report.model_validate(made_report(("prompt-only", "rag-only"))))
    assert [row[0] for row in rows] == ["prompt-only", "rag-only"]
    assert {len(row) for row in rows} == {len(headers)} == {8}
    assert rows[1][1] == ".56 [.47, .64]"
    assert rows[1][3:] == ["1.00 [.84, 1.00] (20)", ".50 [.40, .60] (84)", "–", "43 [40, 47]", "2.3 [2.1, 2.6]"]


@pytest.mark.parametrize(("value", "unit", "said"), [
    (0.0, "share", ".00"), (-.25, "share", "-.25"), (1.0, "share", "1.00"), (.999, "share", "1.00"),
    (10.04, "seconds", "10.0"), (43.6, "words", "44"), (None, "share", "–"), (float("nan"), "share", "–")])
def test_figures_are_written_as_people_read_them(value, unit, said):
    assert number(value, unit) == said


def test_the_charts_of_two_scores_share_one_axis_of_differences():
    report = made_report()
    report["differences"][0]["high"] = 1.15
    facts, tone = charts(to_html(report))[2:4]
    ticks = [[part.text for part in chart.findall("text")][:5] for chart in (facts, tone)]
    assert ticks[0] == ticks[1] == ["−1.20", "−.60", ".00", "+.60", "+1.20"]


def test_nothing_python_leaks_into_the_page():
    text = BeautifulSoup(to_html(made_report(nasty=False)), "html.parser").get_text()
    assert not re.search(r"\b(None|nan|True|False|Undefined)\b", text)


def test_systems_stand_on_the_plane_where_their_figures_say():
    found = {point.name: point for point in pictures.facts_against_tone(Report.model_validate(made_report()))}
    hybrid = found["hybrid"]
    assert (hybrid.x, hybrid.y) == (40 + .71 * 300, 308 - .84 * 300)
    assert hybrid.left < hybrid.x < hybrid.right and hybrid.above < hybrid.y < hybrid.below
    lacking = made_report()
    lacking["systems"]["hybrid"]["tone"] = {"value": None, "low": None, "high": None, "n": 0}
    assert "hybrid" not in {point.name for point in pictures.facts_against_tone(Report.model_validate(lacking))}


def risk_against_coverage(*replies):
    """Of one system: whether the documents answer, how sure it was, and its facts; None where it abstained."""
    return pictures.risk_against_coverage(complete([
        {"answerable": answerable, "by": "keyed facts", "replies": {"rag-only": {
            "probability": sure, "abstained": facts is None, "scores": {"facts": facts}}}}
        for answerable, sure, facts in replies], ("rag-only",)))


def test_risk_against_coverage_is_worked_out_by_hand():
    (curve,) = risk_against_coverage((True, .9, 1.0), (True, .8, 0.0), (True, .7, 1.0), (True, .1, None))
    assert (curve.coverage, curve.risk) == (.75, pytest.approx(1 / 3))
    assert curve.area == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)
    assert curve.points.split()[0] == f"{40 + .25 * 300},308.0"
    assert risk_against_coverage((True, .9, 1.0), (False, .95, 1.0))[0].risk == .5
    assert risk_against_coverage((True, .9, 1.0), (True, .1, None)) == []
    assert risk_against_coverage((True, None, 1.0), (True, None, 0.0)) == []


def test_failures_and_worst_replies_are_those_that_were_counted():
    report = made_report()
    typed = Report.model_validate(report)
    (row,) = sections.failures(typed)
    assert row.cause == "invented" and row.meaning == CAUSES["invented"] and row.counts == [4] * 4
    assert list(sections.worst_replies(typed)) == list(ALL)
    assert all(len(rows) == 4 for rows in sections.worst_replies(typed).values())
    page, text = BeautifulSoup(to_html(report), "html.parser"), to_markdown(report)
    assert "Why replies fell short" in page.get_text() and "## Why replies fell short" in text
    assert "tells the replies from 40 reference answers of the brand" in page.get_text()
    assert "hybrid .90 [.80, .95]" in text


def test_a_report_of_an_earlier_version_is_still_drawn():
    report = made_report()
    for key in ("failures", "told_apart", "arms"):
        del report[key]
    assert "Why replies fell short" not in to_html(report) + to_markdown(report)


def test_the_csv_holds_every_reply_and_no_formula():
    report = made_report()
    report["rows"][0]["question"] = "=1+1"
    rows = list(csv.DictReader(io.StringIO(files.to_csv(Report.model_validate(report)))))
    assert len(rows) == 12 * 4 and rows[0]["question"] == "'=1+1" and rows[0]["grounded"] == ""
    for line, row in zip(rows, (row for row in report["rows"] for _ in ALL), strict=True):
        assert line["reply"] == row["replies"][line["system"]]["text"]
        assert float(line["facts"]) == row["replies"][line["system"]]["scores"]["facts"]


@given(st.text(max_size=60))
def test_junit_xml_is_well_formed_whatever_was_said_and_fails_where_replies_fell_short(text):
    report = made_report(questions=4)
    report["rows"][0]["replies"]["hybrid"]["text"] = report["rows"][0]["question"] = text
    report["build"] = {"gates": [{"name": "g", "met": False, "said": text}]}
    whole = ElementTree.fromstring(files.to_junit(Report.model_validate(report)).encode())
    assert {suite.get("name"): (suite.get("tests"), suite.get("failures")) for suite in whole} == {
        "gates": ("1", "1"), **dict.fromkeys(ALL, ("4", "2"))}
    assert len(whole.findall(".//failure")) == 1 + 4 * 2
