"""The report page: the verdict, single replies by filters and charts, two releases, and reports it can't draw."""

import pytest
from markdown_it import MarkdownIt

from builder.report.single_replies import NO_FAULT
from builder.workspace.folder import Workspace
from builder.workspace.releases import freeze
from tests.ui.browser import NARROW, WIDE, serving, tab
from tests.ui.fake_assistant import HOSTILE
from tests.ui.reports import QUESTIONS, evaluate, made_report
from ui.parts.report_replies import EVERY
from ui.parts.show import plain

REPLIES = 2 * QUESTIONS


def opened(app, part):
    test = app("views/report.py")
    test = test.pills(key="part").set_value(part).run()
    assert not test.exception
    return test


def texts(test):
    return [element.value for element in test.text]


def said(test):
    """How many replies are left."""
    return next(one.value for one in test.markdown if "replies**" in one.value)


def left(test):
    """The systems and questions that the table lists."""
    table = test.dataframe[0].value
    return list(zip(table["system"], table["question"], strict=True))


def question(number):
    return f"Question {number} {HOSTILE}"


def test_a_missing_report_leads_to_the_pages_that_make_one(app):
    test = app("views/report.py")
    assert not test.exception
    assert "There is no test report yet" in texts(test)[0]
    assert [link.proto.label for link in test.get("page_link")] == ["Write test questions", "Build"] and not test.code


def test_the_summary_shows_the_verdict_and_figures_rounded_as_its_texts_are(app, folder):
    evaluate(folder, made_report())
    test = app("views/report.py")
    assert not test.exception
    heads = [head.value for head in test.header]
    assert plain("Retrieval clearly helps.") in heads
    assert any("clearly helps" in head for head in heads) and any("not clear yet" in head for head in heads)
    figures = test.dataframe[0].value
    assert list(figures["hybrid"]) == ["70%  (60% to 80%)", "–"]
    assert list(figures["prompt-only"]) == ["33%  (23% to 43%)", "–"]  # .325 is .33 in the texts


def test_every_filter_narrows_the_replies_and_all_are_let_go_at_once(app, folder):
    evaluate(folder, made_report())
    test = opened(app, "Single replies")
    assert said(test) == f"**{REPLIES} of {REPLIES} replies**"
    test = test.multiselect(key="systems").set_value(["hybrid"]).run()
    assert said(test).startswith(f"**{QUESTIONS} of {REPLIES}") and {system for system, _ in left(test)} == {"hybrid"}
    test = test.multiselect(key="causes").set_value([NO_FAULT]).run()
    assert left(test) == [("hybrid", question(number)) for number in range(2, QUESTIONS + 1)]
    test = test.pills(key="answering").set_value("answerable").run()
    assert left(test) == [("hybrid", question(number)) for number in range(2, QUESTIONS)]
    test = test.multiselect(key="groups").set_value([f"Topic 3 {HOSTILE}", f"Topic 4 {HOSTILE}"]).run()
    assert left(test) == [("hybrid", question(3)), ("hybrid", question(4))]
    test = test.text_input(key="words").set_value("QUESTION 4").run()
    assert left(test) == [("hybrid", question(4))] and said(test).endswith("filters in use: 5")
    test = next(one for one in test.button if one.label == "Clear all filters").click().run()
    assert said(test) == f"**{REPLIES} of {REPLIES} replies**"
    assert {name: test.session_state[name] for name in EVERY} == EVERY


def test_a_score_is_asked_for_from_and_to(app, folder):
    evaluate(folder, made_report())
    test = opened(app, "Single replies")
    test = test.selectbox(key="by").set_value("facts").run()
    test = test.slider(key="range_facts").set_value((0.3, 0.4)).run()
    assert left(test) == [("hybrid", question(1))]
    assert list(test.dataframe[0].value["Facts"]) == [33]
    test = test.selectbox(key="by").set_value("tone").run()  # nobody is scored on it
    assert said(test).startswith("**0 of") and any("No reply matches all filters" in one.value for one in test.caption)


def test_a_reply_is_opened_with_its_scores_evidence_and_sources(app, folder):
    evaluate(folder, made_report())
    test = opened(app, "Single replies")
    assert f"hybrid {HOSTILE}" not in texts(test)
    test = test.selectbox(key="reply").set_value("2 hybrid").run()
    assert not test.exception
    for text in (question(2), f"hybrid {HOSTILE}", f"Facts 100% · 30 days {HOSTILE}", f"Words {HOSTILE}",
                 f"prompt-only {HOSTILE}"):
        assert text in texts(test)
    test = test.multiselect(key="systems").set_value(["prompt-only"]).run()  # the open one is among them no more
    assert f"hybrid {HOSTILE}" not in texts(test)


def test_the_only_reply_that_is_left_is_open_already(app, folder):
    evaluate(folder, made_report())
    test = opened(app, "Single replies")
    test = test.multiselect(key="causes").set_value(["not retrieved"]).run()
    assert question(1) in texts(test) and f"Facts 33% · 30 days {HOSTILE}" in texts(test)


def test_a_view_is_shared_by_its_address(app, folder):
    for key, facts in (("e1", 1.0), ("e2", 0.5)):
        evaluate(folder, made_report(facts), key, release=True)
    test = app("views/home.py")
    test.query_params["part"] = "Single replies"
    test.query_params["of"] = "r001"
    test.query_params["systems"] = ["hybrid", "nonsense", "<img>"]
    test.query_params["answering"] = "nonsense"
    test = test.switch_page("views/report.py").run()
    assert not test.exception
    assert test.selectbox(key="of").value == "r001" and test.multiselect(key="systems").value == ["hybrid"]
    assert said(test) == f"**{QUESTIONS} of {REPLIES} replies** · filters in use: 1"
    assert set(test.dataframe[0].value["Facts"]) == {33, 100}


def test_two_releases_are_held_against_each_other(app, folder):
    evaluate(folder, made_report(1.0), "e1", release=True)
    evaluate(folder, made_report(0.0), "e2", release=True)
    test = opened(app, "Two releases")
    assert (test.selectbox(key="before").value, test.selectbox(key="after").value) == ("r001", "r002")
    table = test.dataframe[0].value
    assert list(table["system"]) == ["prompt-only", "hybrid"]
    assert list(table["verdict"]) == ["no worse", "worse"] and list(table["questions"]) == [QUESTIONS] * 2
    assert list(table["before"]) == ["0%", "94%"] and list(table["after"]) == ["0%", "3%"]
    assert len(test.dataframe[1].value) == QUESTIONS - 1 and set(test.dataframe[1].value["change"]) == {-100}
    test = test.selectbox(key="changed_reply").set_value("3 hybrid").run()
    assert texts(test).count(f"hybrid {HOSTILE}") == 2 and question(3) in texts(test)
    test = test.pills(key="kind").set_value("gained").run()
    assert not test.exception and len(test.dataframe) == 1
    test = test.selectbox(key="before").set_value("r002").run()
    assert test.selectbox(key="after").value == "r001"
    assert list(test.dataframe[0].value["verdict"]) == ["no worse", "better"]
    assert set(test.dataframe[1].value["change"]) == {100}
    with (folder / "brand.yaml").open("a") as brand:
        brand.write("# in other words\n")
    freeze(Workspace(folder))
    test = test.run().selectbox(key="after").set_value("r003").run()
    assert any("Both releases have the same test report" in one.value for one in test.caption) and not test.exception


def test_with_too_few_groups_there_are_means_and_no_verdict(app, folder):
    evaluate(folder, made_report(1.0, questions=9), "e1", release=True)
    evaluate(folder, made_report(0.0, questions=9), "e2", release=True)
    test = opened(app, "Two releases")
    assert any("Fewer than 10 groups" in one.value for one in test.caption)
    table = test.dataframe[0].value
    assert list(table["verdict"]) == ["not judged"] * 2 and list(table["difference"]) == ["–"] * 2
    assert list(table["after"]) == ["0%", "4%"]


def test_one_evaluation_alone_is_not_compared(app, folder):
    evaluate(folder, made_report())
    test = opened(app, "Two releases")
    assert "There is only one test report so far" in texts(test)[0]


@pytest.mark.parametrize("part", ["Summary", "Single replies", "Retrieval", "Two releases"])
def test_a_report_of_an_older_version_is_one_line(app, folder, part):
    old = made_report()
    for row in old["rows"]:
        del row["group"]
    evaluate(folder, made_report(), "e1", release=True)
    evaluate(folder, old, "e2")
    test = opened(app, part)
    (error,) = test.error
    assert "last build: its report is of an older version" in error.value.replace("\\", "")
    assert "\n" not in error.value
    if part != "Two releases":  # the other one can still be chosen
        assert not test.selectbox(key="of").set_value("r001").run().error


@pytest.mark.parametrize("part", ["Summary", "Single replies", "Retrieval", "Two releases"])
def test_text_of_others_is_never_read_as_markdown(app, folder, part):
    evaluate(folder, made_report(1.0), "e1", release=True)
    evaluate(folder, made_report(0.0), "e2")
    test = opened(app, part)
    for name, key in (("reply", "2 hybrid"), ("changed_reply", "2 hybrid")):
        if any(one.key == name for one in test.selectbox):
            test = test.selectbox(key=name).set_value(key).run()
            assert f"hybrid {HOSTILE}" in texts(test)
    kinds = (test.markdown, test.caption, test.title, test.header, test.error, test.info)
    pieces = [element.value for kind in kinds for element in kind] + [
        element.label for element in (*test.expander, *test.button, *test.pills, *test.selectbox, *test.multiselect)]
    assert pieces
    for piece in pieces:
        html = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(piece)
        assert "<img" not in html and "<a " not in html and "evil.example/" not in piece


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_click_or_a_box_in_a_chart_leaves_exactly_its_replies_and_a_row_opens_one(browser, folder, size):
    evaluate(folder, made_report())
    with serving(folder) as served, tab(browser, served, size=size) as seen:
        page = seen.page
        seen.open("report?part=Single+replies")
        cells, points = (page.get_by_test_id("stVegaLiteChart").nth(number) for number in (0, 1))

        def left(count):
            page.get_by_text(f"{count} of {REPLIES} replies", exact=True).wait_for()
            seen.settle()

        cells.locator(".mark-text text").filter(has_text=str(QUESTIONS - 1)).click()
        left(QUESTIONS - 1)
        page.get_by_role("button", name="Clear all filters").click()
        left(REPLIES)
        points.scroll_into_view_if_needed()
        box = points.bounding_box()
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.3 * box["height"])  # between no facts and all
        page.mouse.down()
        page.mouse.move(box["x"] + 0.65 * box["width"], box["y"] + 0.95 * box["height"], steps=5)
        page.mouse.up()
        left(1)
        page.get_by_text("Scores and reasons").wait_for()
        page.get_by_role("button", name="Clear all filters").click()
        left(REPLIES)
        table = page.get_by_test_id("stDataFrame").first
        table.scroll_into_view_if_needed()
        table.click(position={"x": 18, "y": 35 * 2 + 17})  # the box before the second row
        page.get_by_text("Scores and reasons").wait_for()
        assert page.get_by_label("Open a reply").input_value() == f"1 · hybrid · {question(1)}"
        seen.settle()
