"""What people really have: many formats of examples, each read as it means, and the rest refused with every line."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.curation.audit.audit import audit
from builder.curation.audit.clean import fix
from builder.workspace.examples import as_line, is_by_line, parse_examples, sorted_examples
from builder.workspace.folder import Workspace
from knowledge.errors import UserError

HARD = Path(__file__).parents[4] / "shared" / "data" / "hard-inputs"


def said(*turns, **more):
    return {"messages": [{"role": role, "content": content} for role, content in turns]} | more


def only(row):
    [example] = parse_examples(json.dumps(row).encode(), "e.jsonl")
    return example.question, example.reply, example.history


@pytest.mark.parametrize("row", [
    said(("developer", "Be kind."), ("user", "Hi?"), ("assistant", "Yo!")),
    said(("user", [{"type": "text", "text": "Hi?"}]), ("assistant", [{"type": "output_text", "text": "Yo!"}])),
    said(("assistant", "Welcome!"), ("user", "Hi?"), ("assistant", "Yo!"), ("user", "Thanks!")),
    said(("user", "Hi?"), ("assistant", "<think>\nWell.\n</think>\n\nYo!")),
    {"prompt": [{"role": "user", "content": "Hi?"}], "completion": [{"role": "assistant", "content": "Yo!"}]},
    {"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "Hi?"}], "completion": "Yo!"},
    {"conversations": [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Yo!"}]},
    {"instruction": "Hi?", "input": "", "output": "Yo!", "history": []}])
def test_each_format_is_read_as_it_means(row):
    assert only(row) == ("Hi?", "Yo!", ())


def test_earlier_turns_are_kept_and_questions_that_follow_each_other_are_one():
    row = {"instruction": "And now?", "output": "Yo!", "history": [["Hi?", "Hello."]]}
    assert only(row) == ("And now?", "Yo!", (("user", "Hi?"), ("assistant", "Hello.")))
    assert only(said(("user", "Hello"), ("user", "Hi?"), ("assistant", "Yo!"))) == ("Hello\n\nHi?", "Yo!", ())


def test_a_reply_of_weight_0_is_not_learnt():
    rows = [{"messages": [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Rude", "weight": 0}]},
            {"messages": [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Bad", "weight": 0},
                          {"role": "user", "content": "Again?"}, {"role": "assistant", "content": "Yo!", "weight": 1}]}]
    examples, faults = sorted_examples("\n".join(map(json.dumps, rows)).encode(), "e.jsonl")
    assert [(example.line, example.reply) for example in examples] == [(2, "Yo!")] and faults == []


BROKEN = [
    (said(("user", "Hi?"), ("assistant", {"text": "Yo!"})), "content is an object, not text"),
    (said(("user", "Hi?"), ("assistant", 5)), "content is a number, not text"),
    (said(("user", [{"type": "image_url", "image_url": {}}]), ("assistant", "Yo!")), "a part of type image_url"),
    (said(("user", "Hi?"), ("assistant", "Yo!"), ("assistant", "Yo again!")), "two replies follow each other"),
    (said(("wizard", "Hi?"), ("assistant", "Yo!")), "role 'wizard' is unknown"),
    (said(("user", "Hi?"), ("tool", "shipped"), ("assistant", "Yo!")), "calls a tool"),
    ({"messages": [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": None, "tool_calls": [{}]}]},
     "calls a tool"),
    ({"messages": [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Yo!", "weight": "no"}]},
     "weight 'no'"),
    ({"question": 5, "reply": "Yo!"}, "question is a number"), ({"question": "Hi?", "reply": None}, "reply is nothing"),
    ({"instruction": "Hi?", "output": "Yo!", "history": [["Hi?"]]}, "pairs of question and reply"),
    (said(("user", "Hi?"), ("assistant", "<think>\nWell.")), "a thought that does not end"),
    (said(("user", "Hi?")), "no question that is replied to"), ({"text": "Yo!"}, "fit no known format")]


@pytest.mark.parametrize("row, reason", BROKEN)
def test_what_is_no_example_is_refused_with_its_reason(row, reason):
    with pytest.raises(UserError) as error:
        parse_examples(json.dumps(row).encode(), "e.jsonl")
    assert str(error.value).startswith("e.jsonl:1: ") and reason in str(error.value) and "; " in str(error.value)


def test_all_offending_lines_are_named_at_once():
    lines = [json.dumps(row) for row, _ in BROKEN] + ['{"broken', json.dumps({"question": "Hi?", "reply": "Yo!"})]
    with pytest.raises(UserError) as error:
        parse_examples("\n".join(lines).encode(), "e.jsonl")
    told = str(error.value).split("\n")
    assert told[0].startswith(f"e.jsonl: {len(BROKEN) + 1} lines can't be read")
    assert [int(line.split()[1].rstrip(":")) for line in told[1:]] == list(range(1, len(BROKEN) + 2))


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "brand.yaml").write_text("name: N\npersona: P\nabstain: A\n")
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.md").write_text("# Hours\n\nWe open at nine.\n")
    return tmp_path


def test_an_audit_names_broken_lines_and_its_fix_leaves_them_out(workspace):
    good = json.dumps({"question": "When do you open?", "reply": "At nine, friend!"}) + "\n"
    (workspace / "examples.jsonl").write_text(good + '{"question": 5, "reply": "x"}\n{"broken\n')
    findings = audit(Workspace(workspace))
    assert [(finding.place, finding.severity) for finding in findings if finding.kind == "no example"] == [
        ("examples.jsonl:2", "error"), ("examples.jsonl:3", "error")]
    [copy], changes = fix(Workspace(workspace), findings)
    assert copy.read_text() == good and [change.line for change in changes] == [2, 3]


@pytest.mark.parametrize("name, text", [
    ("e.jsonl", '[\n {"question": "Hi?", "reply": "Yo!"},\n {"question": "Ho?", "reply": "Ya!"}\n]\n'),
    ("e.json", '[{"question": "Hi?", "reply": "Yo!"}, {"question": "Ho?", "reply": "Ya!"}]'),
    ("e.jsonl", '{\n "question": "Hi?",\n "reply": "Yo!"\n}\n{\n "question": "Ho?",\n "reply": "Ya!"\n}\n')])
def test_lists_and_objects_over_several_lines_are_read(name, text):
    examples = parse_examples(text.encode(), name)
    assert [(example.question, example.reply) for example in examples] == [("Hi?", "Yo!"), ("Ho?", "Ya!")]
    assert not is_by_line(text.encode(), name)


def test_examples_json_is_found(workspace):
    (workspace / "examples.json").write_text('[{"question": "Hi?", "reply": "Yo!"}]')
    assert [example.reply for example in Workspace(workspace).examples] == ["Yo!"]


@pytest.mark.parametrize("text, encoding", [
    ("question;reply\nGrüßen Sie?;Schöne Grüße, gern!\n", "utf-8"), ("question\treply\nA?\tB, c!\n", "utf-8"),
    ("question,reply\nGrüßen Sie?,\"Schöne Grüße, gern!\"\n", "cp1252"), ("question,reply\nA?,B, c!\n", "utf-8"),
    ("\ufeffQuestion,Reply\nA?,\"B,\nc!\"\n", "utf-8")])
def test_tables_as_programs_write_them(text, encoding):
    [example] = parse_examples(text.encode(encoding), "e.csv")
    assert example.reply in ("Schöne Grüße, gern!", "B, c!", "B,\nc!") and example.line == 2


def test_a_table_whose_comma_can_not_be_placed_names_its_lines():
    with pytest.raises(UserError) as error:
        parse_examples(b"question,reply\nWell, do you?,Yes!\nHi?,Yo!\nSo, so?,No!\n", "e.csv")
    assert [line.split(":")[0] for line in str(error.value).split("\n")[1:]] == ["  line 2", "  line 4"]


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8),
                      lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                          st.sampled_from(["type", "text", "role", "content", "weight"]), inner, max_size=3),
                      max_leaves=6)
ROLES = st.sampled_from(["user", "assistant", "system", "developer", "tool", "human", "x"])
TURN = st.fixed_dictionaries({"role": ROLES, "content": VALUES | st.text(min_size=1, max_size=8)}, optional={
    "weight": st.sampled_from([0, 1]), "tool_calls": st.just([{}])})
ROW = st.dictionaries(st.sampled_from(["question", "reply", "prompt", "completion", "instruction", "output", "history",
                                       "input"]), VALUES, max_size=4) | st.fixed_dictionaries(
                                           {"messages": st.lists(TURN, max_size=5)})


def texts(value):
    """Every text that stands in a JSON value."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(inner)


@given(st.lists(ROW, max_size=4))
def test_no_reply_is_learnt_that_is_not_a_text_of_the_file(rows):
    examples, faults = sorted_examples("\n".join(map(json.dumps, rows)).encode(), "e.jsonl")
    for example in examples:
        said_there = list(texts(rows[example.line - 1]))
        parts = example.reply.split("\n")
        assert any(example.reply in text for text in said_there) or all(
            any(part.strip() in text for text in said_there) for part in parts)
        assert example.question.strip() and example.reply.strip()
        [again] = parse_examples(as_line(example).encode(), "e.jsonl")
        assert (again.question, again.reply, again.history) == (example.question, example.reply, example.history)
    assert not {example.line for example in examples} & {fault.line for fault in faults}


@pytest.mark.skipif(not HARD.is_dir(), reason="shared/data/hard-inputs is not there")
@pytest.mark.parametrize("path", sorted(HARD.glob("ex-*/*.[jc]s*")), ids=lambda path: path.name)
def test_files_that_are_known_to_be_hard(path):
    examples, faults = sorted_examples(path.read_bytes(), path.name)
    assert len(examples) >= 12
    assert all("{'" not in example.reply and "Rude" not in example.reply for example in examples)
    assert [fault.reason.split(",")[0] for fault in faults] == (["calls a tool"] if "tool-calls" in path.name else [])
