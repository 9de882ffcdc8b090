"""Drafts of questions: answered where they came from, none that training saw, none that counts unaccepted."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.drafts import Draft, accept, draft, refuse
from builder.examples import read_questions
from builder.scoring import places
from builder.workspace import Workspace
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
    with pytest.raises(UserError, match="documents: holds nothing to ask about"):
        draft(Workspace(lamps), 5)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["It", "costs", "£5", "five", "days", "on", "Monday", "at", "9:30", "and", ",", ".",
                                 "\n\n", "# A", "|", "1.5 km", "Éa", "twenty-five", "%", "10 %"]), max_size=40))
def test_any_text_is_drafted_without_an_error_and_every_fact_stands_where_it_is_said_to(lamps, words):
    (lamps / "documents" / "lamps.md").write_text(" ".join(words) + "\nThe end.")
    workspace = Workspace(lamps)
    for one in draft(workspace, 50):
        assert one.question.endswith("?") and one.facts[0][0] and one.facts[0][0] in one.answer
