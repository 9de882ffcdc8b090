"""Test questions that training answers are left out of the judging, by name, in every door."""

import json

import pytest

from builder.curation.audit.leaks import fair_questions
from builder.pipeline import stages
from builder.workspace.folder import Workspace
from knowledge.errors import UserError


def ask(folder, *questions):
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions), encoding="utf-8")
    return Workspace(folder)


TRAINED = {"question": "How wide can a linen shade be?", "facts": [["60 centimetres"]]}
FAIR = {"question": "When do parcels leave?", "facts": ["Tuesdays", "Fridays"]}


def test_a_question_that_training_answers_does_not_count_and_others_do(written):
    fair, left_out = fair_questions(ask(written, FAIR, TRAINED))
    assert [question.question for question in fair] == [FAIR["question"]]
    assert [(left.line, left.question) for left in left_out] == [(2, TRAINED["question"])]
    assert "trains on" in left_out[0].reason and "examples.jsonl:1" in left_out[0].reason


def test_without_examples_every_question_counts(written):
    (written / "examples.jsonl").unlink()
    assert fair_questions(ask(written, FAIR, TRAINED))[1] == []


def test_an_evaluation_names_what_it_left_out_and_never_asks_it(copied):
    report = stages.evaluate(ask(copied.folder, FAIR, TRAINED), lambda name: lambda *_: None)
    assert [row.question for row in report.rows] == [FAIR["question"]] and report.questions == 1
    assert "1 test question did not count, because training answers it (line 2 of questions.jsonl)" in report.verdict
    folder = Workspace(copied.folder).current().evaluation
    page, text = ((folder / f"report.{ending}").read_text(encoding="utf-8") for ending in ("html", "md"))
    assert "1 test question did not count" in page and f"Line 2: {TRAINED['question']}" in page
    assert f"line 2: {TRAINED['question']}" in text.replace("\\", "")


def test_where_every_question_is_answered_by_training_there_is_no_evaluation(copied):
    with pytest.raises(UserError, match="every test question is answered by an example"):
        stages.evaluate(ask(copied.folder, TRAINED), lambda name: lambda *_: None)
