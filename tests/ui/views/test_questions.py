"""The questions page: what a person accepts, edits and refuses is what happens, and text of documents stays text."""

import sys
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from builder.curation.audit.coverage import FEW_QUESTIONS
from builder.curation.drafts import draft
from builder.workspace.examples import read_questions
from builder.workspace.folder import Workspace
from tests.conftest import write_lines

APP = Path(__file__).parents[3] / "ui" / "app.py"
HOSTILE = "A <b>new</b> shade costs £14.60"
TEXT = """# Lamps

## Prices ![x](https://evil.example/p.png)

A new shade costs £14.60 with its fitting. Mending takes five days and a bit of luck.

It holds for nine months.
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "brand.yaml").write_text("name: Lumen\npersona: Helps.\nabstain: Not in my notes.\n")
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "lamps.md").write_text(TEXT)
    return tmp_path


@pytest.fixture
def page(folder, monkeypatch):
    st.cache_resource.clear()
    monkeypatch.setattr(sys, "argv", ["app.py", str(folder)])
    return lambda: AppTest.from_file(str(APP), default_timeout=30).run().switch_page("views/questions.py").run()


def fields(test, label):
    return [one for one in test.text_input if one.label.startswith(label)]


def press(test, label, place=0):
    return [one for one in test.button if one.label == label][place].click().run()


def kept(folder):
    return read_questions(folder / "questions.jsonl")


def test_a_draft_counts_once_it_is_accepted_as_a_person_left_it(page, folder):
    test = page()
    asked = [field.value for field in fields(test, "Question")]
    assert len(asked) == 3 and not (folder / "questions.jsonl").exists()
    place = asked.index("A new shade costs how much with its fitting?")
    fields(test, "Question")[place].set_value("What is a shade?")
    fields(test, "Facts a correct")[place + 1].set_value("£14.60 | 14.60 pounds")
    test = press(test, "Accept", place)
    assert not test.exception and [one.question for one in kept(folder)] == ["What is a shade?"]
    assert kept(folder)[0].facts == (("£14.60", "14.60 pounds"),) and kept(folder)[0].source == "documents/lamps.md"
    assert [field.value for field in fields(test, "Question")] == [one for one in asked if "shade" not in one]
    told = "\n".join(one.value for one in test.caption)
    assert "1 test questions" in told and f"With {FEW_QUESTIONS} questions" in told


def test_a_refused_draft_never_comes_back(page, folder):
    test = page()
    gone = fields(test, "Question")[0].value
    test = press(test, "Discard")
    assert gone not in [field.value for field in fields(test, "Question")] and not (folder / "questions.jsonl").exists()
    assert gone not in [field.value for field in fields(press(test, "New drafts"), "Question")]
    assert gone not in [field.value for field in fields(page(), "Question")]


def test_what_training_sees_is_left_out_in_one_line_and_stays_to_be_edited(page, folder):
    test = page()
    write_lines(folder / "examples.jsonl", [{"prompt": "Which lamp shines brightest?", "reply": "Hi!"}])
    fields(test, "Question")[0].set_value("Which lamp shines brightest?")
    test = press(test, "Accept")
    assert "is like the example on line 1" in test.error[0].value.replace("\\", "") and not test.exception
    assert len(fields(test, "Question")) == 3 and not (folder / "questions.jsonl").exists()


def test_nothing_left_and_documents_missing_are_said(page, folder):
    test = page()
    for _ in range(3):
        test = press(test, "Accept")
    assert len(kept(folder)) == 3 and "No more drafts" in test.info[0].value
    (folder / "documents" / "lamps.md").unlink()
    test = page()
    assert "has nothing to ask about" in test.error[0].value.replace("\\", "")
    assert test.file_uploader and fields(test, "Your question")  # neither needs documents


def test_what_was_like_a_refused_draft_is_drafted_before_nothing_is_left(page, folder):
    (folder / "documents" / "more.md").write_text("# List\n\n" + "".join(
        f"- A {wood} frame for a linen shade costs £{price}.50.\n" for price, wood in enumerate(("oak", "ash", "elm"))))
    test, refused = page(), []
    while cards := fields(test, "Question"):
        refused.append(cards[0].value)
        test = press(test, "Discard")
    assert len(refused) == 6 and {"oak", "ash", "elm"} < set(" ".join(refused).split())
    assert "No more drafts" in test.info[0].value and not draft(Workspace(folder), 100)


def test_drafts_that_examples_cover_meanwhile_are_gone(page, folder):
    test = page()
    assert any("shade" in field.value for field in fields(test, "Question"))
    write_lines(folder / "examples.jsonl", [{"prompt": "Is a new shade with fitting dear?", "reply": "No! £14.60."}])
    assert [field.value for field in fields(test.run(), "Question") if "shade" in field.value] == []


def test_a_question_of_ones_own_is_added_or_told_why_not_and_what_was_typed_stays(page, folder):
    write_lines(folder / "examples.jsonl", [{"prompt": "Which lamp shines brightest?", "reply": "The moon."}])
    test = page()
    fields(test, "Your question")[0].set_value("Which lamp shines *brightest*?")
    fields(test, "Facts a correct")[0].set_value("the moon | moon")
    test = press(test, "Add")
    assert "is like the example on line 1" in test.error[0].value.replace("\\", "")
    assert fields(test, "Your question")[0].value == "Which lamp shines *brightest*?"
    assert fields(test, "Facts a correct")[0].value == "the moon | moon" and not (folder / "questions.jsonl").exists()
    fields(test, "Your question")[0].set_value("Who is Lumen's founder?")
    test = press(test, "Add")
    assert not test.error and fields(test, "Your question")[0].value == ""
    test = press(test, "Add")  # the second of two clicks
    assert not test.error and "Added" in test.success[0].value
    fields(test, "Your question")[0].set_value("Who won the chess match?")
    test.checkbox[0].check()
    test = press(test, "Add")
    assert [(one.question, one.facts, one.answerable) for one in kept(folder)] == [
        ("Who is Lumen's founder?", (("the moon", "moon"),), True), ("Who won the chess match?", (), False)]
    assert not test.checkbox[0].value


def test_a_files_questions_are_added_once_and_what_came_of_it_stays_told(page, folder):
    test = page()
    data = b'{"question": "Who is new?", "facts": ["Ann"]}\n{"question": "Who is New?", "facts": ["Ann"]}\n'
    test.file_uploader[0].set_value(("more.jsonl", data, "text/plain"))
    test = press(press(test, "Import"), "Import")  # the second finds no file
    assert "1 test question added, 1 left out" in test.run().success[0].value.replace("\\", "")
    assert [one.question for one in kept(folder)] == ["Who is new?"]
    assert any("Who is New?: is already there" in one.value for one in test.text)
    test.file_uploader[0].set_value(("worse.jsonl", b'{"question": "Who?"}\n{"question', "text/plain"))
    test = press(test, "Import")
    assert "worse.jsonl:2: broken JSON" in test.error[0].value.replace("\\", "").replace("\u200b", "")
    assert len(kept(folder)) == 1 and not test.success


def test_a_documents_text_is_shown_as_text(page, folder):
    (folder / "documents" / "lamps.md").write_text(TEXT.replace("A new shade costs £14.60", HOSTILE))
    test = page()
    marked = [one.value for kind in (test.markdown, test.caption) for one in kind]
    assert not any("![x](https" in one or "<b>" in one for one in marked)
    assert len(fields(test, "Question")) in (2, 3)
