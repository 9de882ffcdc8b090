"""Drafts of questions: answered where they came from, none that training saw, none that counts unaccepted."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.curation.drafts import Draft, accept, append_question, draft, import_questions, refuse
from builder.scoring.text import places
from builder.workspace.examples import read_questions
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from tests.conftest import write_workspace

TEXT = """# Lamps

## Prices

A new shade costs £14.60 with its fitting. Mending takes five days and a bit of luck. We are open.

It holds for nine months. Lamps of 3 kg or 5 kg are heavy. Nothing is said here about any number at all.

## Hours

The shop closes early on Thursdays in the winter.
"""


@pytest.fixture
def lamps(tmp_path):
    write_workspace(tmp_path)
    for file in (tmp_path / "documents").rglob("*"):
        file.unlink()
    (tmp_path / "documents" / "lamps.md").write_text(TEXT)
    for name in ("examples.jsonl", "questions.jsonl"):
        (tmp_path / name).unlink(missing_ok=True)
    return tmp_path


def test_each_sentence_with_one_quantity_becomes_a_question_about_it(lamps):
    made = {one.question: one for one in draft(Workspace(lamps), 20)}
    assert set(made) == {
        "A new shade costs how much with its fitting?", "Prices: Mending takes how long?",
        "Prices: It holds for how long?", "The shop closes early on which day in the winter?"}
    assert made["A new shade costs how much with its fitting?"].facts == (("£14.60",),)
    assert made["Prices: Mending takes how long?"].facts == (("five days", "5 days"),)
    for one in made.values():
        assert one.source == "documents/lamps.md" and TEXT[one.offset:].startswith(one.answer)
        assert any(places(spelling, one.answer) for spelling in one.facts[0])
        assert not any(places(spelling, one.question) for spelling in one.facts[0])


def test_drafts_are_spread_over_headings_and_the_same_again(lamps):
    two = draft(Workspace(lamps), 2)
    assert {one.group.split(" > ")[-1] for one in two} == {"Prices", "Hours"} and two == draft(Workspace(lamps), 2)


def test_what_is_asked_already_or_trained_on_or_was_refused_is_not_drafted(lamps):
    every = draft(Workspace(lamps), 20)
    asked = {"question": "What does a new shade with its fitting cost?"}
    (lamps / "questions.jsonl").write_text(json.dumps(asked) + "\n")
    (lamps / "examples.jsonl").write_text(json.dumps({"prompt": "How long does mending take at your prices?",
                                                      "reply": "Not long!"}) + "\n")
    left = draft(Workspace(lamps), 20)
    assert [one for one in every if one not in left] == [one for one in every if "shade" in one.question
                                                        or "Mending" in one.question]
    refuse(Workspace(lamps), left[0])
    assert draft(Workspace(lamps), 20) == left[1:]


def test_an_accepted_draft_is_a_question_and_leaves_the_others_as_they_are(lamps):
    before = '{"question": "Why?",  "answerable": true}'  # no line break at its end
    (lamps / "questions.jsonl").write_text(before)
    one = draft(Workspace(lamps), 1)[0]
    accept(Workspace(lamps), one)
    assert (lamps / "questions.jsonl").read_text().startswith(before + "\n")
    _, made = read_questions(lamps / "questions.jsonl")
    assert (made.question, made.facts, made.source, made.offset, made.answerable) == (
        one.question, one.facts, one.source, one.offset, True)
    assert one not in draft(Workspace(lamps), 20)
    (lamps / "questions.jsonl").write_text(json.dumps({"question": "How?", "source": one.source, "offset": one.offset}))
    assert one not in draft(Workspace(lamps), 20)


def test_a_question_like_a_training_example_is_never_accepted(lamps):
    (lamps / "examples.jsonl").write_text(json.dumps({"prompt": "What do shades cost?", "reply": "Ask us!"}) + "\n")
    with pytest.raises(UserError, match="like the example on line 1") as caught:
        accept(Workspace(lamps), Draft("What does a shade cost?", "", (("£1",),), "documents/lamps.md", 3, "g"))
    assert "\n" not in str(caught.value) and not (lamps / "questions.jsonl").exists()


def test_a_question_whose_answer_training_sees_is_neither_drafted_nor_accepted(lamps):
    every = draft(Workspace(lamps), 20)
    (one,) = [one for one in every if "shade" in one.question]
    rows = [{"prompt": "What would the fitting of something new come to?", "reply": "Bright! £14.60, shade and all."},
            {"prompt": "Will that hold?", "reply": "At our prices it holds for five days."}]
    (lamps / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert draft(Workspace(lamps), 20) == [other for other in every if other != one]
    with pytest.raises(UserError, match="asks for “£14.60”, which the example on line 1 teaches") as caught:
        accept(Workspace(lamps), one)
    assert "\n" not in str(caught.value) and not (lamps / "questions.jsonl").exists()
    accept(Workspace(lamps), one.edited("", "£14.61"))  # another fact is no leak
    with pytest.raises(UserError, match="is already there"):
        accept(Workspace(lamps), one.edited(one.question.upper(), "£14.61"))


def test_a_lists_markers_are_no_part_of_its_sentences(lamps):
    text = ("- A jar of lime honey weighs 500 g in all.\n* The beeswax candle burns\n  for nine hours.\n"
            "1. A guided tour takes two hours each.\n\n12) + A comb costs £3 in the shop.\n")
    (lamps / "documents" / "lamps.md").write_text(text)
    made = draft(Workspace(lamps), 20)
    assert {one.question for one in made} == {
        "A jar of lime honey weighs what weight in all?", "The beeswax candle burns for how long?",
        "A guided tour takes how long each?", "A comb costs how much in the shop?"}
    for one in made:
        assert " ".join(text[one.offset:].split()).startswith(one.answer)


def test_a_question_of_ones_own_can_be_judged_or_is_refused(lamps):
    append_question(Workspace(lamps), " Who mends? ", "Ann | Ann Lee", True)
    append_question(Workspace(lamps), "Who won the chess match?", " ", False)
    kept = (lamps / "questions.jsonl").read_text()
    one, other = read_questions(lamps / "questions.jsonl")
    assert (one.question, one.facts, one.answerable) == ("Who mends?", (("Ann", "Ann Lee"),), True)
    assert (other.facts, other.answerable) == ((), False)
    for question, fact, answerable, why in [
            ("", "Ann", True, "is empty"), ("Who is he?", " | ", True, "a fact that a correct answer must contain"),
            ("Who is he?", "Ann", False, "has no facts"), ("who mends?", "Bea", True, "is already there"),
            ("Who is \ud83d?", "Ann", True, "half a character")]:
        with pytest.raises(UserError, match=why) as caught:
            append_question(Workspace(lamps), question, fact, answerable)
        assert "\n" not in str(caught.value) and (lamps / "questions.jsonl").read_text() == kept


@pytest.mark.parametrize(("name", "data", "asked"), [
    ("more.jsonl", b'\xef\xbb\xbf{"question": "One?"}\r\n\n{"question": "Two?", "group": "g", "offset": 0}\n', "Two?"),
    ("samples.JSONL", b'{"input": "One?", "target": "1"}\n{"input": "Two?", "target": ["2", "two"]}', "Two?"),
    ("config.yaml", b"tests:\n- vars: {question: One?}\n- vars: {question: Two?}\n", "Two?")])
def test_a_files_questions_are_imported(lamps, name, data, asked):
    assert import_questions(Workspace(lamps), name, data) == (2, [])
    made = read_questions(lamps / "questions.jsonl")
    assert [one.question for one in made] == ["One?", asked] and made[0].group == "line 1"
    added, left = import_questions(Workspace(lamps), name, data)
    assert added == 0 and left == ["One?: is already there", "Two?: is already there"]


@pytest.mark.parametrize(("name", "data", "why"), [
    ("a.jsonl", b'{"question": "One?"}\n{"question": ""}', "a.jsonl:2: question is missing"),
    ("a.jsonl", b"\xff\xfe", "a.jsonl: not UTF-8"), ("a.json", b"[]", "a.json: contains no questions"),
    ("a.yaml", b"tests: [{vars: {question: One?}, metadata: {answer: 2024-01-01}}]", "a.yaml, question 1: contains"),
    ("a.yml", b"a: [", "a.yml:1: can't be understood")])
def test_a_broken_file_adds_nothing_and_is_named_as_the_person_knows_it(lamps, name, data, why):
    with pytest.raises(UserError) as caught:
        import_questions(Workspace(lamps), name, data)
    assert str(caught.value).startswith(why) and "\n" not in str(caught.value)
    assert not (lamps / "questions.jsonl").exists()


@pytest.mark.parametrize(("reply", "kept"), [
    ("How much does a new shade cost with its fitting?", True),
    ('"What is the cost of a new shade, fitting and all?"\nSure', True),
    ("A new shade costs how much with its fitting?", False), ("It costs a lot.", False),
    ("Is it £14.60 for a new shade?", False), ("Who are you?", False), ("", False),
    ("New shade cost? Fitting cost?", False)])
def test_other_wordings_ask_for_as_much_and_give_nothing_away(lamps, reply, kept):
    (one,) = [one for one in draft(Workspace(lamps), 20, lambda asked: [reply] * len(asked)) if "shade" in one.question]
    assert bool(one.paraphrases) == kept


def test_without_documents_there_is_nothing_to_ask_about(lamps):
    (lamps / "documents" / "lamps.md").unlink()
    with pytest.raises(UserError, match="documents: has nothing to ask about"):
        draft(Workspace(lamps), 5)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["It", "costs", "£5", "five", "days", "on", "Monday", "at", "9:30", "and", ",", ".",
                                 "\n\n", "# A", "|", "1.5 km", "Éa", "twenty-five", "%", "10 %"]), max_size=40))
def test_any_text_is_drafted_without_an_error_and_every_fact_stands_where_it_is_said_to(lamps, words):
    (lamps / "documents" / "lamps.md").write_text(" ".join(words) + "\nThe end.")
    workspace = Workspace(lamps)
    for one in draft(workspace, 50):
        assert one.question.endswith("?") and one.facts[0][0] and one.facts[0][0] in one.answer
