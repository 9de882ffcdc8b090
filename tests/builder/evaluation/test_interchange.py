"""Questions and replies to promptfoo and inspect and back, nothing lost; with the tools themselves where they are."""

import json
import os
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.evaluation.interchange import inspect, promptfoo
from builder.evaluation.interchange.imports import answered, questions_from, replies_from
from builder.evaluation.report import Report
from builder.workspace.examples import Question, as_question, read_questions
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from tests.builder.evaluation.test_evaluate import QUESTIONS, STRANGERS, report
from tests.conftest import write_lines
from tests.reports import report as complete

NASTY = ["{{ 7*7 }} and {% raw %} or {# none #}", "file:///etc/passwd",
         "Hello! 🦊 “quoted”\n\n<script>alert(1)</script>", "{{question}}", "{% endraw %}{{ 7*7 }}",
         "https://example.com/{{ x }}", "exec:ls", "   spaces   ", '["a", "b"]']
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40).map(str.strip).filter(bool)
ASKED = st.builds(
    Question, TEXT, st.one_of(st.just(""), TEXT), st.lists(st.lists(TEXT, min_size=1, max_size=3).map(tuple),
                                                           max_size=3).map(tuple),
    st.lists(TEXT, max_size=2).map(tuple), st.sampled_from(["", "documents/a.md"]),
    st.one_of(st.none(), st.integers(0)),
    st.booleans(), st.lists(TEXT, max_size=2).map(tuple), TEXT, st.just(1))


@pytest.fixture(scope="module")
def made():
    """A report whose replies are the worst that a template could meet."""
    found = report()
    for row, text in zip(found["rows"], NASTY, strict=False):
        row["replies"]["hybrid"]["text"] = text
    return Report.model_validate(found)


def kept(question):
    return {key: value for key, value in asdict(question).items() if key != "line"}


def report_of(questions):
    row = {"text": "Yes.", "finish": "stop", "seconds": 1.0, "abstained": False, "cause": "", "scores": {"facts": 1.0},
           "evidence": {"facts": "holds it"}}
    return complete([{"line": question.line, "question": question.question, "replies": {"hybrid": row}}
                     for question in questions],
                    {"hybrid": {"facts": {"value": 1.0, "n": 1}}}, name="Acme")


@given(ASKED)
def test_a_question_comes_back_from_both_as_it_went(question):
    for held in (json.loads(promptfoo.config(report_of([question]), [question], "No.")),
                 [json.loads(line) for line in inspect.samples([question]).splitlines()]):
        rows = (promptfoo if isinstance(held, dict) else inspect).questions(held, "here")
        assert [kept(as_question(row, "here", 1)) for row in rows] == [kept(question)]


def test_a_foreign_promptfoo_configuration_gives_facts_answers_and_what_is_forbidden(tmp_path):
    (tmp_path / "config.yaml").write_text("""
prompts: ["Answer: {{question}}"]
providers: [openai:gpt-5]
tests:
  - vars: {question: How long may I return it?}
    assert:
      - {type: icontains-any, value: [33 days, thirty-three days]}
      - {type: contains-all, value: [unused, box]}
      - {type: not-icontains, value: refund}
      - {type: factuality, value: Within 33 days.}
      - {type: latency, threshold: 5000}
  - vars: {topic: lamps, style: short}
  - vars: {query: When do parcels leave?}
""")
    assert questions_from(tmp_path / "config.yaml") == [
        {"question": "How long may I return it?", "answer": "Within 33 days.", "forbidden": ["refund"],
         "facts": [["33 days", "thirty-three days"], ["unused"], ["box"]]},
        {"question": "When do parcels leave?", "answer": "", "facts": [], "forbidden": []}]


def test_foreign_inspect_samples_are_questions_with_targets(tmp_path):
    chat = [{"role": "system", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "And now?"}]}]
    write_lines(tmp_path / "samples.jsonl", [{"input": "What is 2 + 2?", "target": "4"},
                                             {"input": chat, "target": ["a", "b"]}, {"target": "nothing asked"}])
    assert questions_from(tmp_path / "samples.jsonl") == [
        {"question": "What is 2 + 2?", "answer": "4", "facts": []},
        {"question": "And now?", "answer": "", "facts": [["a", "b"]]}]


def test_replies_come_back_from_our_own_inspect_logs(made, tmp_path):
    questions = [*QUESTIONS, *STRANGERS]
    for system in made.systems:
        (tmp_path / "log.json").write_text(inspect.log(made, questions, system))
        found = answered(tmp_path / "log.json", questions)
        assert found == {f"outside {system}": {row.question: row.replies[system].text for row in made.rows}}


def test_promptfoo_results_are_a_system_for_each_provider_and_prompt(tmp_path):
    def row(provider, label, question, output):
        return {"provider": provider, "prompt": {"raw": "…", "label": label}, "vars": {"question": question},
                "response": {"output": output}}

    def wrote(*rows):
        (tmp_path / "out.json").write_text(json.dumps({"evalId": "e", "results": {"version": 3, "results": rows}}))
        return replies_from(tmp_path / "out.json")

    gpt, other = {"id": "openai:gpt-5", "label": ""}, {"id": "openai:gpt-5", "label": "with tools"}
    assert wrote(row(gpt, "p", "a?", "A."), row(other, "p", "a?", "B."), row(gpt, "p", "b?", "C.")) == {
        "openai:gpt-5": {"a?": "A.", "b?": "C."}, "with tools": {"a?": "B."}}
    assert wrote(row(gpt, "p", "a?", "A."), row(gpt, "q", "a?", "B.")) == {
        "openai:gpt-5, p": {"a?": "A."}, "openai:gpt-5, q": {"a?": "B."}}
    failed = row(gpt, "p", "b?", "") | {"response": None}
    assert wrote(row(gpt, "p", "a?", "A."), failed) == {"openai:gpt-5": {"a?": "A."}}


def test_all_are_judged_on_the_same_questions_or_not_at_all(made, tmp_path):
    (tmp_path / "log.json").write_text(inspect.log(made, [*QUESTIONS, *STRANGERS], "hybrid"))
    more = [*QUESTIONS, Question("And who are you?", "", (), (), "", None, True, (), "g", 77)]
    with pytest.raises(UserError, match="hybrid has no reply to 1 of 25 questions, the first on line 77") as told:
        answered(tmp_path / "log.json", more)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(("name", "held"), [
    ("a.json", "{"), ("a.yaml", "a: [b"), ("a.json", "[]"), ("a.json", "7"), ("a.json", '{"tests": "file://t.csv"}'),
    ("a.json", '{"tests": [3, {"vars": 4}, {"assert": [1]}]}'), ("a.jsonl", '{"question": "Is it?"}'),
    ("a.jsonl", "{\n"),
    ("a.yaml", "!!python/object/apply:os.system [ls]"), ("none.json", None), ("a.json", b"\xff\xfe\x00"),
    ("a.json", '{"results": {"results": [{"vars": null, "response": 3}]}}'), ("a.json", '{"samples": [{}]}'),
    ("a.eval", b"PK\x05\x06" + b"\x00" * 18), ("deep.json", "[" * 100_000)])
def test_files_that_are_neither_are_one_line(tmp_path, name, held):
    file = tmp_path / name
    if held is not None:
        file.write_bytes(held if isinstance(held, bytes) else held.encode())
    for read in (questions_from, replies_from):
        with pytest.raises(UserError) as told:
            read(file)
        assert "\n" not in str(told.value) and str(file) in str(told.value)


def test_replies_from_elsewhere_are_rows_that_cost_nothing_known_and_win_nothing():
    questions = [*QUESTIONS, *STRANGERS]
    said = {question.question: (f"It does {question.line + 100} knots." if question.answerable else "I don't know.")
            for question in questions}
    found, plain = report(outside={"gpt": said}), report()
    assert found["systems"]["gpt"]["facts"]["value"] == 1 and found["systems"]["gpt"]["tone"]["value"] == 0
    assert found["systems"]["gpt"]["abstains_unanswerable"]["value"] == 1
    assert found["systems"]["gpt"]["seconds"]["n"] == found["systems"]["gpt"]["tokens"]["n"] == 0
    assert "gpt" not in found["costs"] and set(found["costs"]) == set(plain["systems"])
    assert [one for one in found["differences"] if one["primary"]] == [
        one for one in plain["differences"] if one["primary"]]
    beside = {one["score"]: one for one in found["differences"] if (one["left"], one["right"]) == ("hybrid", "gpt")}
    assert beside["facts"]["value"] == 0 and beside["tone"]["value"] == 1 and "seconds" not in beside


PROMPTFOO, INSPECT = shutil.which("promptfoo"), shutil.which("inspect")


@pytest.mark.skipif(not PROMPTFOO, reason="promptfoo isn't on the path (npm install promptfoo)")
def test_promptfoo_runs_the_configuration_and_says_every_reply_to_the_letter(made, tmp_path):
    questions = [*QUESTIONS, *STRANGERS]
    (tmp_path / "promptfoo.json").write_text(promptfoo.config(made, questions, "I don't know."))
    subprocess.run([PROMPTFOO, "eval", "-c", "promptfoo.json", "-o", "out.json", "--no-cache", "--no-progress-bar",
                    "--no-table"], cwd=tmp_path, capture_output=True, check=False, timeout=300,
                   env=os.environ | {"PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1",
                                     "PROMPTFOO_CONFIG_DIR": str(tmp_path / "home")})
    found = answered(tmp_path / "out.json", questions)
    assert found == {f"outside {system}": {row.question: row.replies[system].text for row in made.rows}
                     for system in made.systems}
    judged = json.loads((tmp_path / "out.json").read_text())["results"]["results"]
    untouched = {row["line"] for row in made.rows[len(NASTY):]}
    for one in judged:
        line = int(one["testCase"]["description"].split()[1])
        if line in untouched:
            assert one["success"] == (one["prompt"]["label"] in ("rag-only", "hybrid"))


@pytest.mark.skipif(not INSPECT, reason="inspect isn't on the path (pip install inspect-ai pandas)")
def test_inspect_reads_logs_and_samples(made, tmp_path):
    questions = [*QUESTIONS, *STRANGERS]
    (tmp_path / "questions.jsonl").write_text(inspect.samples(questions))
    for system in made.systems:
        (tmp_path / f"2026-11-25T08-00-00_{system}.json").write_text(inspect.log(made, questions, system))
    code = """
import json, sys
from pathlib import Path
from inspect_ai.analysis import samples_df
from inspect_ai.dataset import json_dataset
from inspect_ai.log import list_eval_logs, read_eval_log
samples = json_dataset(sys.argv[1] + "/questions.jsonl")
logs = {log.eval.model: log for log in map(read_eval_log, list_eval_logs(sys.argv[1], formats=["json"]))}
print(json.dumps({"samples": [[one.input, one.target, one.metadata["answerable"]] for one in samples],
                  "means": {name: {score.name: score.metrics["mean"].value for score in log.results.scores}
                            for name, log in logs.items()},
                  "said": {name: [one.output.completion for one in log.samples] for name, log in logs.items()},
                  "facts": {name: [one.scores["facts"].value for one in log.samples if "facts" in one.scores]
                            for name, log in logs.items()},
                  "frame": len(samples_df(sys.argv[1], quiet=True))}))
"""
    python = Path(INSPECT).resolve().parent / "python"
    done = subprocess.run([python, "-c", code, tmp_path], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    assert [one[0] for one in read["samples"]] == [question.question for question in questions]
    assert read["samples"][0][1] == ["100 knots"] and read["samples"][-1][2] is False
    for system in made.systems:
        model = f"twofold/{system}"
        assert read["means"][model]["facts"] == made.systems[system]["facts"]["value"]
        assert read["said"][model] == [row.replies[system].text for row in made.rows]
        assert len(read["facts"][model]) == made.systems[system]["facts"]["n"]
    assert read["frame"] == len(questions) * len(made.systems)


def test_questions_are_added_once_and_none_that_training_sees(written):
    from builder.curation.drafts import add

    workspace = Workspace(written)
    rows = [{"question": "What does a shade cost?", "facts": [["£3"]], "metadata": 1, "line": 5},
            {"question": "When do parcels leave?"}, {"question": "How wide can a linen shade be?"},
            {"question": "What does a shade cost?"}]
    before = (written / "questions.jsonl").read_text()
    added, left = add(workspace, rows, "here")
    assert added == 1 and [why.split(": ")[1] for why in left] == [
        "is already there", "is like the example on line 1, which is used for training", "is already there"]
    assert (written / "questions.jsonl").read_text().startswith(before)
    assert kept(read_questions(written / "questions.jsonl")[-1])["facts"] == (("£3",),)
    with pytest.raises(UserError, match="here, question 2: answerable must be true or false"):
        add(Workspace(written), [{"question": "Is it new?"}, {"question": "Is it?", "answerable": "yes"}], "here")
    assert len(read_questions(written / "questions.jsonl")) == 5
