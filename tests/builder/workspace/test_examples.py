"""Examples and questions: four formats told apart by their keys, and faults with their line."""

import json

import pytest

from builder.workspace.examples import read_examples, read_preferences, read_questions
from knowledge.errors import UserError

TURNS = [{"role": "system", "content": "s"},
         {"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Yo!"}]


@pytest.mark.parametrize("row", [
    {"messages": TURNS},
    {"conversations": [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Yo!"}]},
    {"instruction": "Hi?", "input": "", "output": "Yo!"},
    {"prompt": "Hi?", "completion": "Yo!"},
    {"question": "Hi?", "reply": "Yo!"},
])
def test_each_known_format_gives_the_same_example(tmp_path, row):
    (tmp_path / "e.jsonl").write_text("\n" + json.dumps(row) + "\n")
    [example] = read_examples(tmp_path / "e.jsonl")
    assert (example.question, example.reply, example.history, example.line) == ("Hi?", "Yo!", (), 2)


@pytest.mark.parametrize("head", ["prompt,reply", "question,reply", "Question, Reply"])
def test_a_table_is_read(tmp_path, head):
    (tmp_path / "e.csv").write_text(f'{head}\n"Hi,\nyou?",Yo!\n')
    [example] = read_examples(tmp_path / "e.csv")
    assert (example.question, example.reply) == ("Hi,\nyou?", "Yo!")


@pytest.mark.parametrize("text, expected", [
    ('{"messages": [', ":1: broken JSON"),
    ('{"prompt": "a", "reply": "\\ud83d"}', ":1: broken JSON (holds half a character)"),
    ('\n{"text": "x"}', ":2: keys text fit no known format; call the two question and reply"),
    ("[1]", ":1: not a JSON object"),
    ('{"messages": [{"role": "user", "content": "Hi"}]}', ":1: a conversation is user and assistant in turn"),
    ('{"prompt": "Hi", "reply": " "}', ":1: a turn is empty"),
    ("[" * 100_000, ":1: "),
])
def test_a_fault_names_its_line(tmp_path, text, expected):
    (tmp_path / "e.jsonl").write_text(text)
    with pytest.raises(UserError) as error:
        read_examples(tmp_path / "e.jsonl")
    assert expected in str(error.value) and "\n" not in str(error.value)


def test_bytes_that_are_no_text_are_one_line(tmp_path):
    (tmp_path / "e.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="UTF-8"):
        read_examples(tmp_path / "e.jsonl")


def test_a_question_needs_nothing_else_and_facts_may_have_spellings(tmp_path):
    rows = [{"question": "When?"}, {"question": "Cost?", "facts": [["5 euros", "€5"], "card"], "group": "g"}]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    bare, keyed = read_questions(tmp_path / "q.jsonl")
    assert bare.answerable and bare.group == "line 1" and bare.facts == ()
    assert keyed.facts == (("5 euros", "€5"), ("card",)) and keyed.group == "g"


@pytest.mark.parametrize("row", [{"answer": "x"}, {"question": "x", "facts": "y"}, {"question": "x", "offset": -1},
                                 {"question": "x", "answerable": "no"}])
def test_a_faulty_question_is_refused(tmp_path, row):
    (tmp_path / "q.jsonl").write_text(json.dumps(row))
    with pytest.raises(UserError, match="q.jsonl:1: "):
        read_questions(tmp_path / "q.jsonl")


def test_preferences_are_read_in_the_forms_that_people_have(tmp_path):
    path = tmp_path / "preferences.jsonl"
    rows = [{"messages": [{"role": "system", "content": "Be."}, {"role": "user", "content": "Hi?"}],
             "chosen": "Hello!", "rejected": "What."},
            {"prompt": "Hi?", "chosen": "Hello!", "rejected": "What."},
            {"prompt": [{"role": "user", "content": "Hi?"}], "chosen": [{"role": "assistant", "content": "Hello!"}],
             "rejected": [{"role": "assistant", "content": "What."}]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    read = read_preferences(path)
    assert {(one.better.question, one.better.reply, one.worse) for one in read} == {("Hi?", "Hello!", "What.")}
    assert [one.better.line for one in read] == [1, 2, 3] and read_preferences(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize(("row", "message"), [
    ({"prompt": "Hi?", "chosen": "Hello!"}, "needs a chosen and a rejected reply"),
    ({"prompt": "Hi?", "chosen": "Hello!", "rejected": "Hello! "}, "chosen and rejected are the same"),
    ({"chosen": "Hello!", "rejected": "What."}, "messages are missing"),
    ({"messages": [], "chosen": "Hello!", "rejected": "What."}, "a conversation is user and assistant in turn")])
def test_a_preference_that_says_nothing_is_refused_with_its_line(tmp_path, row, message):
    (tmp_path / "preferences.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(UserError, match=f"preferences.jsonl:1: {message}"):
        read_preferences(tmp_path / "preferences.jsonl")
