"""Editing: what a person changes is what changes, nothing of another's is lost, and what judges never trains."""

import json
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.curation.audit.decisions import concerns, refuse, refused, take_back
from builder.curation.audit.finding import LEAKS, RUN, Finding
from builder.curation.drafts import judging
from builder.curation.editing import (
    LARGEST,
    append_example,
    append_preference,
    change_brand,
    changes,
    edited,
    import_examples,
    onto,
    open_brand,
    open_examples,
    save_brand,
    save_examples,
    seen_examples,
)
from builder.workspace.brand import Brand, read_brand
from builder.workspace.examples import Example, parse_examples, read_examples, read_preferences
from builder.workspace.folder import TEMPLATES, Workspace
from builder.workspace.yaml_edit import differences, put
from knowledge.errors import UserError
from tests.conftest import write_lines

BRAND = '''# Who speaks.
name: "Lumen"   # the shop
persona: A shop for lamps.

# When the documents don't say.
abstain: >-
  Not in my
  notes.

voice:
  do:
    - be kind  # always
    # as the founder wrote it
    - "say we"
  # Word for word.
  required: [Hello!, "Shine on!"]
  words: 70  # short
links:
  Site: https://lumen.example
colours: {primary: "#1f4e46"}
# the end'''
LINES = [
    '{"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why?"}, '
    '{"role": "assistant", "content": "Because."}], "id": 7}',
    '{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}, '
    '{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Us."}]}',
    "",
    '{"instruction":"Say it","input":"twice","output":"It it","tag":"x"}',
    '{"prompt": "Where \\u00e9?",   "reply": "Here."}']
NAMES = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
SAID = NAMES.filter(str.strip)


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "brand.yaml").write_text(BRAND)
    (tmp_path / "examples.jsonl").write_text("\n".join(LINES))
    write_lines(tmp_path / "questions.jsonl", [
        {"question": "How long may I keep a lamp before I return it?",
         "paraphrases": ["What is the lamp return limit?"]},
        {"question": "Who?", "answerable": False}])
    return Workspace(tmp_path)


def text_of(workspace, name="brand.yaml"):
    return (workspace.folder / name).read_bytes().decode()


def lines_of(workspace):
    return text_of(workspace, "examples.jsonl").splitlines()


def save(workspace, wanted):
    brand, seen = open_brand(workspace)
    save_brand(workspace, seen, edited(brand, wanted))
    return text_of(workspace)


@pytest.mark.parametrize(("wanted", "old", "new"), [
    ({("name",): "Lux: a #1 shop"}, 'name: "Lumen"   #', 'name: "Lux: a #1 shop"   #'),
    ({("abstain",): "Ask us."}, ">-\n  Not in my\n  notes.\n", ">-\n  Ask us.\n"),
    ({("persona",): "Two\nlines"}, "A shop for lamps.", '"Two\\nlines"'),
    ({("voice", "do"): ["say we", "be brief"]}, "    - be kind  # always\n    # as the founder wrote it\n"
     '    - "say we"\n', '    # as the founder wrote it\n    - "say we"\n    - be brief\n'),
    ({("voice", "do"): []}, "do:\n    - be kind  # always\n    # as the founder wrote it\n    - \"say we\"\n",
     "do: []\n"),
    ({("voice", "required"): ["Hi, you"]}, '[Hello!, "Shine on!"]', '["Hi, you"]'),
    ({("voice", "words"): None}, "  words: 70  # short\n", ""),
    ({("voice", "grade"): 8}, "# short\n", "# short\n  grade: 8\n"),
    ({("voice", "banned"): ["as an AI"]}, "# short\n", "# short\n  banned:\n    - as an AI\n"),
    ({("links", "Site"): None}, "links:\n  Site: https://lumen.example\n", "links: {}\n"),
    ({("links", "Mail"): "mailto:a@b.example"}, "lumen.example\n", "lumen.example\n  Mail: mailto:a@b.example\n"),
    ({("colours", "accent"): "#7a1f2b"}, '{primary: "#1f4e46"}', '{primary: "#1f4e46", accent: "#7a1f2b"}'),
    ({("gates", "facts"): 0.5}, "# the end", "gates:\n  facts: 0.5\n# the end")])
def test_only_what_was_changed_is_other_in_brand_yaml(workspace, wanted, old, new):
    assert BRAND.count(old) == 1 and save(workspace, wanted) == BRAND.replace(old, new)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("template", sorted(one.name for one in TEMPLATES.iterdir() if (one / "brand.yaml").is_file()))
def test_a_templates_every_field_can_be_changed_and_its_comments_stay(tmp_path, template, newline):
    before = (TEMPLATES / template / "brand.yaml").read_text()
    (tmp_path / "brand.yaml").write_text(before.replace("\n", newline), newline="")
    workspace = Workspace(tmp_path)
    save(workspace, {("name",): "N", ("persona",): "P", ("abstain",): "A", ("voice", "do"): ["d"],
                     ("voice", "dont"): [], ("voice", "required"): ["r"], ("voice", "banned"): ["b"],
                     ("voice", "words"): 9, ("voice", "grade"): 7.5, ("links",): {"L": "l"},
                     ("colours", "text"): "#000000"})
    after = text_of(workspace)
    assert [line for line in before.splitlines() if line.startswith("#")] == [
        line for line in after.splitlines() if line.startswith("#")]
    assert after.count("\n") == after.count(newline)
    brand = read_brand(tmp_path / "brand.yaml")
    assert (brand.voice.do, brand.voice.dont, brand.voice.grade, brand.links) == (("d",), (), 7.5, {"L": "l"})


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=SAID, said=st.lists(NAMES, max_size=3), links=st.dictionaries(SAID, NAMES, max_size=2),
       words=st.none() | st.integers(5, 2000))
def test_whatever_is_written_is_read_back_and_the_rest_stays(workspace, name, said, links, words):
    (workspace.folder / "brand.yaml").write_text(BRAND)
    before, seen = open_brand(workspace)
    wanted = edited(before, {("name",): name, ("voice", "do"): said, ("voice", "required"): said, ("links",): links,
                             ("voice", "words"): words})
    save_brand(workspace, seen, wanted)
    assert open_brand(workspace)[0] == wanted
    assert "# When the documents don't say." in text_of(workspace) and text_of(workspace).endswith("# the end")


@given(st.data())
def test_differences_put_onto_the_old_make_the_new(data):
    values = st.dictionaries(st.sampled_from("abc"), st.integers(), max_size=3)
    nested = st.fixed_dictionaries({"x": values, "y": st.integers(), "z": values})
    old, new = data.draw(nested), data.draw(nested)
    assert put(old, differences(old, new)) == new


def test_an_escaped_value_reads_alike_in_a_list_and_alone(workspace):
    said = ["yes", "~", "- x", "? y", "a: b", "a #b", "*x", "&y", "!z", "%w", "`", "@m", "{}", "[]", " ", "", "12", "'",
            '"', "\\", "\u2028", "\x07", "\ufeff", "😀", "a\tb", "<<", "=", "1_0", "0x1f", "2026-01-01"]
    for way in ("do", "required"):
        save(workspace, {("voice", way): said})
    assert open_brand(workspace)[0].voice.do == open_brand(workspace)[0].voice.required == tuple(said)


def test_brand_yaml_written_as_json_stays_json(workspace):
    (workspace.folder / "brand.yaml").write_text('{"name": "L", "persona": "p", "abstain": "a"}')
    after = save(workspace, {("voice", "do"): ["x"], ("name",): "M"})
    assert after.startswith("{") and open_brand(workspace)[0].voice.do == ("x",)


@pytest.mark.parametrize(("wanted", "told"), [
    ({("name",): ""}, "name: string should have at least 1 character; correct"),
    ({("voice", "words"): 3}, "voice.words: input should be greater than or equal to 5; correct"),
    ({("voice", "grade"): "high"}, "voice.grade: input should be a valid number"),
    ({("name",): "\ud83d"}, "name: .* as a unicode string"),
    ({("colour",): {}}, "colour: extra inputs are not permitted")])
def test_a_bad_value_is_one_line_and_changes_nothing(workspace, wanted, told):
    with pytest.raises(UserError, match=told) as raised:
        save(workspace, wanted)
    assert "\n" not in str(raised.value) and text_of(workspace) == BRAND


def test_what_yaml_shares_between_two_places_is_not_changed_behind_ones_back(workspace):
    shared = BRAND + "\ntraining:\n  seed: &n 3\n  rank: *n\n"
    (workspace.folder / "brand.yaml").write_text(shared)
    brand, seen = open_brand(workspace)
    with pytest.raises(UserError, match="can't be changed from here"):
        save_brand(workspace, seen, edited(brand, {("training", "seed"): 4}))
    assert text_of(workspace) == shared


def test_somebody_elses_brand_is_not_written_over(workspace):
    brand, seen = open_brand(workspace)
    change_brand(workspace, {"persona": "Theirs."})
    theirs = text_of(workspace)
    with pytest.raises(UserError, match=r"brand\.yaml: someone else changed it") as raised:
        save_brand(workspace, seen, edited(brand, {("name",): "Mine"}))
    assert "\n" not in str(raised.value) and text_of(workspace) == theirs
    mine = changes(brand, edited(brand, {("name",): "Mine"}))
    now, seen = open_brand(workspace)
    save_brand(workspace, seen, edited(now, mine))
    assert (open_brand(workspace)[0].name, open_brand(workspace)[0].persona) == ("Mine", "Theirs.")


def test_of_two_savers_at_the_same_moment_one_is_told(workspace):
    brand, seen = open_brand(workspace)
    start, told = threading.Barrier(6), []

    def saver(number):
        start.wait()
        try:
            save_brand(workspace, seen, edited(brand, {("name",): f"N{number}"}))
            told.append(None)
        except UserError as error:
            told.append(str(error))

    threads = [threading.Thread(target=saver, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.count(None) == 1 and len(told) == 6


def test_unchanged_lines_stay_byte_for_byte_and_changed_ones_keep_their_turns(workspace):
    rows, seen = open_examples(workspace)
    assert [row.line for row in rows] == [1, 2, 4, 5]
    rows[1] = Example("And who?", rows[1].reply, rows[1].history, rows[1].line)
    rows[2] = Example(rows[2].question, "It, it.", (), 4)
    save_examples(workspace, seen, [*rows, Example("New?", "Yes.", (), 0)])
    after = lines_of(workspace)
    assert after[0] == LINES[0] and after[2] == "" and after[4] == LINES[4] and len(after) == 6
    assert [turn["content"] for turn in json.loads(after[1])["messages"]] == ["Hi", "Hello", "And who?", "Us."]
    assert json.loads(after[3]) == {"messages": [{"role": "user", "content": "Say it\n\ntwice"},
                                                 {"role": "assistant", "content": "It, it."}], "tag": "x"}
    assert json.loads(after[5])["messages"][0]["content"] == "New?"


def test_a_changed_line_keeps_its_system_message_and_further_keys(workspace):
    rows, seen = open_examples(workspace)
    save_examples(workspace, seen, [Example("Why not?", "So.", (), 1), *rows[1:]])
    row = json.loads(lines_of(workspace)[0])
    assert row["id"] == 7 and [turn["role"] for turn in row["messages"]] == ["system", "user", "assistant"]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_edit_gives_the_rows_that_were_asked_for_and_touches_no_other_line(workspace, data):
    end = data.draw(st.sampled_from(["", "\n", "\r\n"]))
    mark = data.draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    (workspace.folder / "examples.jsonl").write_bytes(mark + "\n".join(LINES).encode() + end.encode())
    rows, seen = open_examples(workspace)
    kept = sorted(data.draw(st.lists(st.sampled_from(rows), unique=True)), key=lambda row: row.line)
    wanted = [Example("zq " + data.draw(SAID), "r " + data.draw(SAID), row.history, row.line)
              if data.draw(st.booleans()) else row for row in kept]
    wanted = [Example(row.question.strip(), row.reply.strip(), row.history, row.line) for row in wanted]
    new = [Example(f"zz{number}", "new", (), 0) for number in range(data.draw(st.integers(0, 2)))]
    assert save_examples(workspace, seen, wanted + new) == seen_examples(workspace)
    now = read_examples(workspace.folder / "examples.jsonl")
    assert [(one.question, one.reply, one.history) for one in now] == [
        (one.question, one.reply, one.history) for one in wanted + new]
    assert [LINES[row.line - 1] for row in wanted if row in rows] == [
        line for line in lines_of(workspace) if line and line in LINES]


def test_a_csv_becomes_lines_that_hide_nothing(workspace):
    (workspace.folder / "examples.jsonl").unlink()
    (workspace.folder / "examples.csv").write_text('prompt,reply\n"Two\nlines",A\nB?,C\n')
    rows, seen = open_examples(workspace)
    save_examples(workspace, seen, [*rows, Example("New?", "Yes.", (), 0)])
    assert [(example.question, example.reply) for example in Workspace(workspace.folder).examples] == [
        ("Two\nlines", "A"), ("B?", "C"), ("New?", "Yes.")]
    assert (workspace.folder / "examples.csv").exists()


def test_somebody_elses_examples_are_not_written_over_and_both_can_be_kept(workspace):
    before, seen = open_examples(workspace)
    theirs = [Example(before[0].question, "Theirs.", (), 1), *before[2:]]
    save_examples(workspace, seen, theirs)
    mine = [Example("Why?", "Mine.", (), 1), before[1], Example("Say it\n\ntwice", "Mine too.", (), 4),
            Example("New?", "Mine.", (), 0)]  # the last one is deleted
    with pytest.raises(UserError, match=r"examples\.jsonl: someone else changed it"):
        save_examples(workspace, seen, mine)
    now, seen = open_examples(workspace)
    save_examples(workspace, seen, onto(now, before, mine))
    assert [example.reply for example in open_examples(workspace)[0]] == ["Theirs.", "Mine too.", "Mine.", "Mine."]


def test_no_change_of_mine_leaves_theirs_as_it_is():
    rows = [Example("a", "b", (), 1), Example("a", "b", (), 2)]
    theirs = [Example("c", "d", (), 1)]
    assert onto(theirs, rows, rows) == theirs
    assert [(one.question, one.reply) for one in onto(rows, rows, rows[:1])] == [("a", "b")]


@pytest.mark.parametrize(("row", "told"), [
    (Example("", "x", (), 0), r"row 5: the question is empty"),
    (Example("x", " ", (), 0), r"row 5: the reply is empty"),
    (Example("How long may I keep a lamp before I return it", "x", (), 0),
     r"row 5: .*like the test question on line 1 of questions\.jsonl"),
    (Example("what is the return limit of a lamp?", "x", (), 0),
     r"like the test question on line 1 of questions\.jsonl"),
    (Example("\ud83d", "x", (), 0), r"row 5: contains half a character"),
    (Example("x" * 1_000_001, "x", (), 0), r"longer than 1,000,000 characters")])
def test_what_may_be_no_example_is_one_line_and_writes_nothing(workspace, row, told):
    rows, seen = open_examples(workspace)
    before = text_of(workspace, "examples.jsonl")
    with pytest.raises(UserError, match=told) as raised:
        save_examples(workspace, seen, [*rows, row])
    assert "\n" not in str(raised.value) and text_of(workspace, "examples.jsonl") == before


def test_a_question_without_content_words_judges_by_its_very_words(workspace):
    assert judging(workspace)("who?") == 2 and judging(workspace)("Where?") is None


FORMATS = {"a.jsonl": '{"prompt": "One?", "completion": "1"}\n{"instruction": "Two?", "input": "", "output": "2"}\n',
           "a.JSON": '[{"prompt": "One?", "completion": "1"}, {"conversations": [{"from": "human", "value": "Two?"}, '
                     '{"from": "gpt", "value": "2"}]}]',
           "lines.json": '{"prompt": "One?", "reply": "1"}\n{"question": "Two?", "answer": "2"}',
           "a.csv": "\ufeffprompt,reply\r\nOne?,1\r\nTwo?,2\r\n",
           "table.csv": "Question,Reply\r\nOne?,1\r\nTwo?,2\r\n"}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_imported_behind_what_is_there(workspace, name):
    _, seen = open_examples(workspace)
    assert import_examples(workspace, seen, name, FORMATS[name].encode()) == (2, [])
    assert lines_of(workspace)[:5] == LINES
    added = open_examples(workspace)[0][4:]
    assert [(example.question, example.reply) for example in added] == [("One?", "1"), ("Two?", "2")]


def test_what_is_there_already_or_judges_is_left_out_and_said(workspace):
    rows = [{"prompt": "Why?", "reply": "Because."}, {"prompt": "A lamp: how long may I keep it before I return it?",
            "reply": "33 days"}, {"prompt": "New?", "reply": "Yes."}, {"prompt": "New?", "reply": "Yes."}]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    added, left = import_examples(workspace, seen_examples(workspace), "more.jsonl", data)
    assert added == 1 and len(left) == 3
    assert left[0] == "more.jsonl:1: “Why?” is already there" and left[2].startswith("more.jsonl:4")
    assert "is like the test question on line 1 of questions.jsonl" in left[1]


@pytest.mark.parametrize(("name", "data", "told"), [
    ("a.jsonl", b'{"prompt": "One?", "reply": "1"}\n{"prompt": 1', r"a\.jsonl:2: broken JSON"),
    ("a.json", b'[{"prompt": "One?", "reply": "1"}, 3]', r"a\.json:1: not a JSON object"),
    ("a.json", b'[{"prompt": "One?",\n "reply": }]', r"a\.json:2: broken JSON"),
    ("a.json", b"[" * 100_000, r"a\.json:1: broken JSON \(nested too deeply\)"),
    ("a.csv", b"prompt,reply\nOne?,1\nTwo?,\n", r"a\.csv:3: a turn is empty"),
    ("a.csv", b"who,what\n1,2\n", r"a\.csv:2: keys who, what fit no known format"),
    ("a.csv", b"\xff\xfe\x00", "not a CSV"), ("a.jsonl", b"\xff\xfe", "not UTF-8 text"),
    ("a.xlsx", b"PK", r"a\.xlsx: is none of"), ("noending", b"", "noending: is none of"),
    ("a.csv", b"x" * (LARGEST + 1), r"a\.csv: is larger than 50 MB; split it")])
def test_a_broken_import_is_one_line_and_adds_nothing(workspace, name, data, told):
    before = text_of(workspace, "examples.jsonl")
    with pytest.raises(UserError, match=told) as raised:
        import_examples(workspace, seen_examples(workspace), name, data)
    assert "\n" not in str(raised.value) and text_of(workspace, "examples.jsonl") == before


def test_an_import_is_not_put_onto_what_nobody_saw(workspace):
    seen = seen_examples(workspace)
    append_example(workspace, "New?", "Yes.")
    with pytest.raises(UserError, match="someone else changed it"):
        import_examples(workspace, seen, "a.jsonl", FORMATS["a.jsonl"].encode())


def test_one_example_is_added_unless_it_is_there_or_judges(workspace):
    append_example(workspace, " New? ", "Yes.", [("user", "Hi"), ("assistant", "Hello")])
    assert lines_of(workspace)[:5] == LINES
    assert open_examples(workspace)[0][-1] == Example("New?", "Yes.", (("user", "Hi"), ("assistant", "Hello")), 6)
    before = text_of(workspace, "examples.jsonl")
    for question, reply, told in (("Why?", "Because.", "is already an example"),
                                  ("Who?", "Us.", "is like the test question"),
                                  ("x", "", "the reply is empty")):
        with pytest.raises(UserError, match=told):
            append_example(workspace, question, reply)
    assert text_of(workspace, "examples.jsonl") == before


def test_one_preference_is_added_unless_it_is_there_or_judges(workspace):
    (workspace.folder / "preferences.jsonl").write_text('{"prompt": "A?", "chosen": "b", "rejected": "c"}')
    append_preference(workspace, "New?", "Yes.", "No.")
    assert [(preference.better.question, preference.better.reply, preference.worse) for preference in read_preferences(
        workspace.folder / "preferences.jsonl")] == [("A?", "b", "c"), ("New?", "Yes.", "No.")]
    for question, chosen, worse, told in (
            ("New?", "Yes.", "No.", "is already a preference"), ("Who?", "Us.", "Them.", "is like the test question"),
            ("x", "a", " ", "is empty"), ("x", "a", "a ", "both replies are the same")):
        with pytest.raises(UserError, match=told):
            append_preference(workspace, question, chosen, worse)
    assert len(read_preferences(workspace.folder / "preferences.jsonl")) == 2


def test_many_who_add_at_once_lose_nothing(workspace):
    threads = [threading.Thread(target=append_example, args=(workspace, f"Number {number} here?", "Yes."))
               for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(open_examples(workspace)[0]) == 12


def test_a_finding_is_mended_as_a_cleaned_copy_would_be_and_stays_refused_wherever_its_row_goes(workspace):
    private = "Ring me on 020 7946 0958"
    append_example(workspace, private, "We will.")
    found = [Finding("duplicate example", "examples.jsonl", 2, "warning", "says the same as line 1", "", RUN),
             Finding("personal data", "examples.jsonl", 6, "warning", "the question holds a number (02…)", "", LEAKS),
             Finding("unusual length", "examples.jsonl", 1, "note", "the reply has 1 words", ""),
             Finding("few questions", "questions.jsonl", None, "warning", "2 questions", "")]
    made = concerns(Workspace(workspace.folder), found)
    assert [one.action for one in made] == ["left out", "changed", "", ""]
    assert made[1].mended.question == "Ring me on [telephone number]" and made[0].mended is None
    refuse(workspace, made[2].key)
    rows, seen = open_examples(workspace)
    save_examples(workspace, seen, [*rows[2:], rows[0]])
    assert {one.key for one in made} & refused(workspace) == {made[2].key}
    moved = Finding("unusual length", "examples.jsonl", 1, "note", "the reply has 3 words", "")
    assert concerns(Workspace(workspace.folder), [moved])[0].key == made[2].key
    take_back(workspace, made[2].key)
    assert refused(workspace) == set()


def test_parsing_bytes_reads_what_reading_a_file_does(workspace):
    path = workspace.folder / "examples.jsonl"
    assert parse_examples(path.read_bytes(), str(path)) == read_examples(path)
    assert isinstance(open_brand(workspace)[0], Brand)
