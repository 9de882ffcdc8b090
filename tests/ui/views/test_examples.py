"""The examples page: what is typed is what is saved, findings are decided on, and nobody's change is lost."""

import json
import sys
from pathlib import Path

import pytest
import streamlit as st
from markdown_it import MarkdownIt
from streamlit.testing.v1 import AppTest

from builder.curation.audit.audit import as_json
from builder.curation.audit.decisions import refused
from builder.curation.audit.finding import LEAKS, PROOF, RUN, VOICE, Finding
from builder.curation.editing import append_example
from builder.workspace.examples import read_examples
from builder.workspace.folder import Workspace
from tests.conftest import write_lines

APP = Path(__file__).parents[3] / "ui" / "app.py"
HOSTILE = "![x](https://evil.example/p.png) <img src=x> **bold**"
ROWS = [{"prompt": "Why?", "reply": "Because."}, {"prompt": "Why?", "reply": "Because."},
        {"prompt": "Ring me on 020 7946 0958", "reply": "We will."},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
                      {"role": "user", "content": "Where to?"}, {"role": "assistant", "content": "Here."}]}]
FOUND = [Finding("personal data", "examples.jsonl", 3, "warning", "the question holds a telephone number (02…)",
                 "remove it", LEAKS),
         Finding("leak", "questions.jsonl", 1, "error", "asks what examples.jsonl:4 trains on", "remove one", PROOF, 4),
         Finding("duplicate example", "examples.jsonl", 2, "warning", "says the same as line 1", "remove one", RUN),
         Finding("off-brand reply", "examples.jsonl", 4, "note", HOSTILE, "word it anew", VOICE),
         Finding("few questions", "questions.jsonl", None, "warning", "1 questions", "add some", PROOF)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "brand.yaml").write_text("name: Lumen\npersona: Helps.\nabstain: Not in my notes.\n")
    write_lines(tmp_path / "examples.jsonl", ROWS)
    write_lines(tmp_path / "questions.jsonl", [{"question": "How long may I keep a lamp?"}])
    return tmp_path


@pytest.fixture
def page(folder, monkeypatch):
    st.cache_resource.clear()
    st.cache_data.clear()
    monkeypatch.setattr(sys, "argv", ["app.py", str(folder)])

    def opened():
        test = AppTest.from_file(str(APP), default_timeout=120).run().switch_page("views/examples.py").run()
        assert not test.exception
        return test

    return opened


@pytest.fixture
def audit(tmp_path_factory, monkeypatch):
    """A stand-in for the audit's process, which prints FOUND; the real one is in the last test."""
    place = tmp_path_factory.mktemp("audit") / "python"
    place.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(as_json(FOUND))}\nEND\n")
    place.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(place))


def table(test):
    return test.data_editor[0].value


def typed(test, edited=None, added=(), deleted=()):
    """As a browser would say what was typed into the table."""
    test.session_state[test.data_editor[0].key] = {
        "edited_rows": edited or {}, "added_rows": list(added), "deleted_rows": list(deleted)}
    test = test.run()
    assert not test.exception
    return test


def button(test, label, place=0):
    return [one for one in test.button if one.label == label][place:place + 1]


def press(test, label, place=0):
    test = button(test, label, place)[0].click().run()
    assert not test.exception
    return test


def said(test):
    return "\n".join(one.value for kind in (test.caption, test.text, test.error, test.warning, test.success)
                     for one in kind).replace("\\", "").replace("\u200b", "")


def kept(folder):
    return [(example.question, example.reply) for example in read_examples(folder / "examples.jsonl")]


def lines(folder):
    return (folder / "examples.jsonl").read_text().splitlines()


def test_the_table_shows_the_rows_and_changes_nothing_by_itself(page, folder):
    before = lines(folder)
    test = page()
    assert list(table(test)["question"]) == ["Why?", "Why?", "Ring me on 020 7946 0958", "Where to?"]
    assert table(test)["before"][3] == "Hi\nHello" and "4 of 4 rows" in said(test)
    assert button(test, "Save")[0].disabled and not button(test, "Discard my changes") and lines(folder) == before


def test_what_was_typed_is_saved_and_other_lines_stay(page, folder):
    before = lines(folder)
    test = typed(page(), {0: {"reply": "So."}}, [{"question": "New?", "reply": "Yes."}], [1])
    assert "not saved yet" in said(test) and lines(folder) == before
    test = press(test, "Save")
    assert "Saved" in said(test) and lines(folder)[1:3] == before[2:]
    assert kept(folder) == [("Why?", "So."), ("Ring me on 020 7946 0958", "We will."), ("Where to?", "Here."),
                            ("New?", "Yes.")]
    assert list(table(test)["reply"]) == ["So.", "We will.", "Here.", "Yes."] and button(test, "Save")[0].disabled


@pytest.mark.parametrize(("row", "told"), [
    ({"question": "New?"}, "row 4: the reply is empty"), ({}, "row 4: the question is empty"),
    ({"question": "how long may I keep a lamp", "reply": "Long."},
     "is like the test question on line 1 of questions.jsonl")])
def test_what_can_not_be_saved_is_told_and_stays_to_be_mended(page, folder, row, told):
    before = lines(folder)
    test = press(typed(page(), {2: {"reply": "Gladly."}}, [row], [0]), "Save")
    assert told in said(test) and lines(folder) == before
    assert list(table(test)["reply"])[1:] == ["Gladly.", "Here.", row.get("reply", "")]
    assert list(table(test)["row"]) == [1, 2, 3, 4]
    test = press(typed(test, {3: {"question": "Better?", "reply": "Yes."}}), "Save")
    assert "Saved" in said(test) and kept(folder)[1:] == [("Ring me on 020 7946 0958", "Gladly."),
                                                          ("Where to?", "Here."), ("Better?", "Yes.")]


def test_changes_are_kept_while_something_is_sought_and_on_another_page(page, folder):
    test = typed(page(), {3: {"reply": "There."}}, [{"question": "New?", "reply": "Yes."}])
    test = test.text_input(key="rows_sought").set_value("RING").run()
    assert list(table(test)["row"]) == [3]
    test = typed(test, {0: {"reply": "Gladly."}})
    test = test.switch_page("views/questions.py").run().switch_page("views/examples.py").run()
    assert list(table(test)["reply"]) == ["Because.", "Because.", "Gladly.", "There.", "Yes."]
    press(test, "Save")
    assert [reply for _, reply in kept(folder)] == ["Because.", "Because.", "Gladly.", "There.", "Yes."]


def test_changes_can_be_dropped(page, folder):
    before = lines(folder)
    test = press(typed(page(), deleted=[0, 1, 2, 3]), "Discard my changes")
    assert len(table(test)) == 4 and button(test, "Save")[0].disabled and lines(folder) == before


def test_many_rows_are_drawn_in_parts_and_all_of_them_can_be_changed(page, folder):
    write_lines(folder / "examples.jsonl", [{"prompt": f"Number {number}?", "reply": "Yes."} for number in range(450)])
    test = typed(page(), {0: {"reply": "First."}})
    assert len(table(test)) == 200
    test = typed(test.number_input(key="rows_page").set_value(3).run(), {49: {"reply": "Last."}})
    assert len(table(test)) == 50 and table(test)["row"][49] == 450
    press(test, "Save")
    assert kept(folder)[0] == ("Number 0?", "First.") and kept(folder)[-1] == ("Number 449?", "Last.")
    assert len(kept(folder)) == 450


def test_no_examples_are_an_empty_table_to_fill(page, folder):
    (folder / "examples.jsonl").unlink()
    test = press(typed(page(), added=[{"question": "First?", "reply": "Yes."}]), "Save")
    assert kept(folder) == [("First?", "Yes.")] and len(table(test)) == 1


@pytest.mark.parametrize("choice", ["Use their version", "Reapply mine"])
def test_of_two_who_edit_nobody_loses_anything_unasked(page, folder, choice):
    test = typed(page(), {0: {"reply": "Mine."}})
    append_example(Workspace(folder), "Theirs?", "Yes.")
    theirs = lines(folder)
    test = press(test, "Save")
    assert "Someone else changed" in said(test) and "1 rows added or changed" in said(test) and lines(folder) == theirs
    assert table(test)["reply"][0] == "Mine."
    test = press(test, choice)
    assert not test.warning
    if choice == "Use their version":
        assert list(table(test)["reply"]) == ["Because.", "Because.", "We will.", "Here.", "Yes."]
        return
    press(test, "Save")
    assert [reply for _, reply in kept(folder)] == ["Mine.", "Because.", "We will.", "Here.", "Yes."]


def test_somebody_elses_rows_are_shown_where_nothing_was_changed_here(page, folder):
    test = page()
    append_example(Workspace(folder), "Theirs?", "Yes.")
    test = test.run()
    assert len(table(test)) == 5 and not test.warning


def test_a_file_is_imported_and_what_was_left_out_is_said(page, folder):
    test = typed(page(), {3: {"reply": "Mine."}})
    data = b"prompt,reply\nWhy?,Because.\nNew?,Yes.\nHow long may I keep a lamp?,Long.\n"
    test.file_uploader[0].set_value(("more.csv", data, "text/csv"))
    test = press(test, "Import")
    assert "1 rows added at the end, 2 left out" in said(test)
    assert "more.csv:2: “Why?” is already there" in said(test) and "is like the test question" in said(test)
    assert list(table(test)["reply"]) == ["Because.", "Because.", "We will.", "Mine.", "Yes."]
    assert kept(folder)[3:] == [("Where to?", "Here."), ("New?", "Yes.")]  # mine still waits to be saved


def test_a_second_click_changes_nothing_and_what_came_of_the_first_stays_told(page, folder):
    test = page()
    test.file_uploader[0].set_value(("more.csv", b"question,reply\nNew?,Yes.\n", "text/csv"))
    test = press(press(test, "Import"), "Import")  # the second finds the field empty
    assert "1 rows added at the end, 0 left out" in said(test.run())
    assert kept(folder)[4:] == [("New?", "Yes.")] and list(table(test)["reply"])[4:] == ["Yes."]
    test.file_uploader[0].set_value(("worse.csv", b"who,what\n1,2\n", "text/csv"))
    test = press(test, "Import")
    assert "keys who, what fit no known format" in said(test.run()) and "were added" not in said(test)


def test_a_broken_file_adds_nothing(page, folder):
    before = lines(folder)
    test = page()
    test.file_uploader[0].set_value(("more.jsonl", b'{"prompt": "One?", "reply": "1"}\n{"prompt"', "text/plain"))
    test = press(test, "Import")
    assert "more.jsonl:2: broken JSON" in said(test) and lines(folder) == before


def test_findings_stand_beside_their_rows_and_are_accepted(page, folder, audit):
    before = lines(folder)
    test = press(typed(page(), {0: {"reply": "Typed before."}}), "Check the data")
    assert list(table(test)["findings"]) == ["", "duplicate example", "personal data", "leak; off-brand reply"]
    assert table(test)["reply"][0] == "Typed before."
    assert len([one for one in test.button if one.label == "Delete the example"]) == 2
    test = press(test, "Delete the example", 1)  # of the copy; the dearest comes first
    assert "row 3: Where to? · questions.jsonl:1" in said(test) and "asks what row 3 trains on" in said(test)
    assert "examples.jsonl:4" not in said(test)
    test = press(press(test, "Mask the private part"), "Delete the example")
    assert not button(test, "Delete the example") and not button(test, "Mask the private part")
    assert lines(folder) == before
    assert "row 2" not in said(test) and "few questions" in "\n".join(one.value for one in test.markdown)
    press(test, "Save")
    assert kept(folder) == [("Why?", "Typed before."), ("Ring me on [telephone number]", "We will.")]
    assert "The files have changed since the last check" in said(test.run())


def test_only_rows_with_findings_are_shown_on_demand(page, audit):
    test = press(page(), "Check the data")
    test = test.toggle(key="rows_only").set_value(True).run()
    assert list(table(test)["row"]) == [2, 3, 4]


def test_a_refused_finding_is_remembered_and_can_be_shown_again(page, folder, audit):
    test = press(press(page(), "Check the data"), "Ignore", 2)
    assert "says the same as row 1" not in said(test) and len(refused(Workspace(folder))) == 1
    assert table(test)["findings"][1] == ""
    test = press(page(), "Check the data")
    assert "says the same as row 1" not in said(test)
    test = test.toggle(key="refused").set_value(True).run()
    assert test.toggle(key="refused").label == "Show ignored findings (1)" and "says the same as row 1" in said(test)
    test = press(test, "Show again")
    assert refused(Workspace(folder)) == set() and len([one for one in test.button if one.label == "Ignore"]) == 5


def test_text_of_rows_and_findings_is_shown_as_text(page, folder, audit):
    write_lines(folder / "examples.jsonl", [*ROWS[:3], {"prompt": HOSTILE, "reply": HOSTILE}])
    test = press(page(), "Check the data")
    marked = "\n".join(one.value for kind in (test.caption, test.markdown, test.error) for one in kind)
    html = MarkdownIt("commonmark", {"html": True}).render(marked)
    assert "<img" not in html and "<strong>" not in html and HOSTILE in said(test)


def test_an_audit_that_can_not_be_done_is_told_in_one_line(page, folder):
    (folder / "questions.jsonl").write_text("{broken")
    test = press(page(), "Check the data")
    assert "questions.jsonl:1: broken JSON" in said(test) and button(test, "Check the data")


@pytest.mark.thorough
def test_the_audit_in_earnest_finds_the_copy(page):
    test = press(page(), "Check the data")
    assert "duplicate example" in table(test)["findings"][1] and "personal data" in table(test)["findings"][2]
