import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

import pytest

from builder.curation.feedback import Item, record
from builder.workspace import releases
from builder.workspace.folder import PLANNING, Workspace
from knowledge.files import held
from ui.cli.main import main

HEEDS_CTRL_C = "import signal; signal.signal(2, signal.default_int_handler); from ui.cli.main import main; main()"
"""Runs the command even where what started the tests ignores Ctrl-C, as shells in the background do."""


@dataclass
class Run:
    """What became of a command."""

    returncode: int
    stdout: str
    stderr: str


def twofold(*words):
    """Run a command in this process, as its entry point does."""
    with (patch.object(sys, "argv", ["twofold", *map(str, words)]), redirect_stdout(io.StringIO()) as out,
          redirect_stderr(io.StringIO()) as errors):
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
    return Run(code, out.getvalue(), errors.getvalue())


def failed(run):
    assert run.returncode == 2, run
    assert run.stderr.startswith("twofold: ") and run.stderr.count("\n") == 1 and "Traceback" not in run.stderr
    return run.stderr


def test_ask_streams_a_reply_with_its_sources(built):
    run = twofold("ask", built.folder, "When do parcels leave the warehouse?")
    assert run.returncode == 0 and "documents/house.md · Lamp house > Parcels" in run.stdout


def test_ask_prints_json(built):
    run = twofold("ask", built.folder, "When do parcels leave the warehouse?", "--json", "--system", "rag-only")
    reply = json.loads(run.stdout)
    assert {"reply", "system", "abstained", "answerable", "sources", "seconds", "tokens"} <= reply.keys()
    best = reply["sources"][0]
    text = (built.folder / best["document"]).read_text(encoding="utf-8")
    assert text[best["start"]:best["end"]] == best["text"]


def test_ask_abstains_where_the_documents_do_not_say(built):
    reply = json.loads(twofold("ask", built.folder, "Who won the chess match?", "--json").stdout)
    assert reply["abstained"] and reply["reply"] == built.brand.abstain and reply["system"] == "hybrid"


def test_answering_imports_neither_torch_nor_transformers(built):
    script = ("import sys; sys.argv[1:] = ['ask', sys.argv[1], 'When do parcels leave?', '--json']\n"
              "from ui.cli.main import main\n"
              "try: main()\n"
              "except SystemExit: pass\n"
              "print([name for name in ('torch', 'transformers', 'sentence_transformers', 'sklearn', "
              "'streamlit') if name in sys.modules], file=sys.stderr)")
    run = subprocess.run([sys.executable, "-c", script, str(built.folder)], capture_output=True, text=True, timeout=60)
    assert json.loads(run.stdout)["reply"] and run.stderr.strip().splitlines()[-1] == "[]"


def test_compare_shows_all_four(built):
    replies = json.loads(twofold("compare", built.folder, "When do parcels leave?", "--json").stdout)["replies"]
    assert [reply["system"] for reply in replies] == ["prompt-only", "rag-only", "fine-tune-only", "hybrid"]


def test_evaluate_prints_the_table_and_the_verdict(built):
    report = json.loads(twofold("evaluate", built.folder, "--json").stdout)
    assert {"value", "low", "high", "n"} <= report["systems"]["hybrid"]["facts"].keys()
    assert {"score", "left", "right", "value", "low", "high", "p", "detectable", "verdict"} <= (
        report["differences"][0].keys())
    shown = twofold("evaluate", built.folder).stdout
    assert "hybrid" in shown and report["verdict"][:30] in " ".join(shown.split())


def test_evaluate_retrieval_alone(built):
    made = json.loads(twofold("evaluate", built.folder, "--retrieval", "--json").stdout)
    assert made["hit@3"]["value"] == 1.0 and made["right_by"] == {"offset": 1, "fact": 1, "source": 1}


def test_of_two_plans_at_once_the_second_is_told_to_wait(written):
    with held(written / ".twofold" / PLANNING):
        run = twofold("plan", written, "--json")
    assert "another plan is running here; wait for it" in failed(run) and not run.stdout


@pytest.mark.thorough
def test_plan_names_each_stage(built):
    made = json.loads(twofold("plan", built.folder, "--json").stdout)
    assert [stage["name"] for stage in made["stages"]] == ["index", "train", "check",
                                                           "evaluate"]
    assert made["seconds"] == pytest.approx(sum(stage["seconds"] for stage in made["stages"]))
    assert all(stage["seconds"] > 0 and stage["memory_bytes"] > 0 for stage in made["stages"])


def test_a_release_is_promoted_and_rolled_back(copied):
    assert "r001" in twofold("releases", copied.folder).stdout
    assert twofold("promote", copied.folder, "r001", "--force").returncode == 0
    listed = json.loads(twofold("releases", copied.folder, "--json").stdout)
    assert (listed["live"], listed["releases"]) == ("r001", ["r001"]) and listed["missed"].keys() == {"r001"}
    assert "no earlier release" in failed(twofold("rollback", copied.folder))
    assert releases.live_name(copied) == "r001"


def test_new_makes_a_workspace_and_overwrites_nothing(tmp_path):
    assert twofold("new", tmp_path / "shop").returncode == 0
    assert (tmp_path / "shop" / "brand.yaml").exists()
    assert "choose another name" in failed(twofold("new", tmp_path / "shop"))
    assert "there are: blank, support" in failed(twofold("new", tmp_path / "other", "--template", "nobody"))


def test_audit_exits_1_when_something_spoils_the_result(written):
    assert twofold("audit", written).returncode == 0
    with (written / "questions.jsonl").open("a") as file:
        file.write('{"question": "How wide can linen shades be?"}\n')
    run = twofold("audit", written, "--json")
    assert run.returncode == 1
    assert {"kind", "file", "line", "severity", "message", "next"} <= json.loads(run.stdout)["findings"][0].keys()


@pytest.mark.parametrize("words", [("export",), ("serve",)])
def test_what_is_not_built_yet_says_so(built, words):
    assert "not available yet" in failed(twofold(*words, built.folder))


@pytest.mark.parametrize(("name", "content", "said"), [
    ("brand.yaml", "name: x\npersona: y\nabstain: z\nvoise: {}\n", "brand.yaml:4: unknown setting voise"),
    ("examples.jsonl", '{"messages": [\n', "examples.jsonl:1: broken JSON"),
    ("questions.jsonl", '{"question": "a"}\n{"question": ""}\n', "questions.jsonl:2: question is missing")])
def test_a_broken_file_is_one_line_that_names_it(written, name, content, said):
    (written / name).write_text(content)
    run = twofold("audit", written)
    if name == "examples.jsonl":  # an audit goes on: it lists every such line
        assert said in failed(twofold("train", written))
        assert run.returncode == 1 and "examples.jsonl:1: no example: broken JSON" in run.stdout
    else:
        assert said in failed(run)


@pytest.mark.parametrize(("words", "said"), [
    (("ask", "/nowhere", "Why?"), "has no brand.yaml"), (("ask",), "Missing argument"),
    (("nonsense",), "No such command"), (("app", "/nowhere"), "is not a folder")])
def test_a_wrong_command_is_one_line(words, said):
    assert said in failed(twofold(*words))


def test_a_question_of_50000_characters_is_one_line(built):
    assert "shorten it" in failed(twofold("ask", built.folder, "why " * 12_500))


def test_a_full_disk_is_one_line(written):
    limited = ["bash", "-c", 'ulimit -f 8; exec "$@"', "-", sys.executable, "-c",
               "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nfrom ui.cli.main import main; main()",
               "index", str(written)]
    run = subprocess.run(limited, capture_output=True, text=True, timeout=120)
    assert run.returncode == 2 and "Traceback" not in run.stderr, run.stderr
    assert "can't be written" in run.stderr.splitlines()[-1]
    assert twofold("index", written).returncode == 0


def test_control_characters_of_a_document_do_not_reach_the_terminal(copied):
    odd = "## The \x1b[31mred\x1b[0m door\n\nThe odd door is \x1b[2J red.\n"
    (copied.folder / "documents" / "odd.md").write_text(odd)
    assert twofold("index", copied.folder).returncode == 0
    assert "\x1b" not in twofold("ask", copied.folder, "What colour is the odd door?", "--system", "rag-only").stdout


def test_ctrl_c_stops_with_130_and_one_line(written):
    running = subprocess.Popen([sys.executable, "-c", HEEDS_CTRL_C, "train", str(written)], stderr=subprocess.PIPE,
                               text=True)
    for line in running.stderr:
        if line.startswith("prepare rows …"):
            break
    time.sleep(0.5)
    os.kill(running.pid, signal.SIGINT)
    errors = running.communicate(timeout=60)[1]
    assert running.returncode == 130 and "Traceback" not in errors
    assert errors.splitlines()[-1] == "twofold: Stopped. Run the same command to resume."


def test_ctrl_c_within_a_reply_stops_it(built):
    asked = "Tell me all about parcels, opening hours, mending, vouchers, bulbs and visits, please?"
    for wait in (0.0, 0.1, 0.3):
        running = subprocess.Popen([sys.executable, "-c", HEEDS_CTRL_C, "ask", str(built.folder), asked, "--system",
                                    "prompt-only"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.stdout.read(1)  # the reply has begun
        time.sleep(wait)
        os.kill(running.pid, signal.SIGINT)
        errors = running.communicate(timeout=20)[1]
        # where it was done before, it ends as it would have, or by the signal while Python itself ends
        assert "Traceback" not in errors and running.returncode in (130, 0, -signal.SIGINT)
        assert running.returncode != 130 or "Stopped" in errors


def test_each_sentence_of_a_reply_is_cited_or_marked(built):
    reply = json.loads(twofold("ask", built.folder, "When do parcels leave the warehouse?", "--json").stdout)
    assert reply["citations"] and "".join(one["sentence"] for one in reply["citations"]).replace(" ", "") == "".join(
        reply["reply"].split())
    text = (built.folder / "documents" / "house.md").read_text(encoding="utf-8")
    for one in reply["citations"]:
        assert not one["supported"] or text[one["span_start"]:one["span_end"]] == one["span"]


def test_only_the_documents_asked_for_are_searched(built):
    said = failed(twofold("ask", built.folder, "When do parcels leave?", "--folder", "other"))
    assert "no document fits the filter; there are folders none; languages en" in said
    found = json.loads(twofold("ask", built.folder, "When do parcels leave?", "--json", "--language", "en").stdout)
    assert found["sources"]
    assert "is not a date" in failed(twofold("ask", built.folder, "When?", "--since", "tomorrow"))


def test_a_question_that_leans_on_the_one_before(built):
    after = json.loads(twofold("ask", built.folder, "And on Sundays?", "--after", "When is the shop door open?",
                               "--json").stdout)
    assert after["sources"][0]["heading"] == "Lamp house > Opening hours"


def test_an_index_that_finds_less_exits_with_1(copied):
    text = (copied.folder / "documents" / "house.md").read_text()
    (copied.folder / "documents" / "house.md").write_text(text[: text.index("## Parcels")])
    run = twofold("index", copied.folder)
    assert run.returncode == 1 and "When do parcels leave?" in run.stderr and "Traceback" not in run.stderr
    assert twofold("index", copied.folder, "--force").returncode == 0
    assert "in use again" in twofold("index", copied.folder, "--rollback").stderr


def test_feedback_is_listed_with_the_blind_choices(written):
    others = {"prompt-only": "a", "rag-only": "b", "fine-tune-only": "c", "hybrid": "d"}
    for number in range(3):
        record(Workspace(written), Item(str(number), "choice", f"Which {number}?", "d", system="hybrid", others=others))
    run = twofold("feedback", written)
    assert run.returncode == 0 and "choice: Which 2?" in run.stdout and "3 blind choices on 3 questions" in run.stdout
    assert "3 to decide about" in run.stderr
    told = json.loads(twofold("feedback", written, "--json").stdout)
    assert [one["system"] for one in told["waiting"]] == ["hybrid"] * 3
    assert told["choices"]["wins"]["hybrid"]["value"] == 1 and told["lacks"] == []


def test_what_was_said_of_a_reply_is_printed_by_whose_it_is(written):
    here = Workspace(written)
    record(here, Item("1", "down", "When?", "At nine.\nBless you!", "At ten.", "rag-only"))
    record(here, Item("2", "choice", "Where?", others={"rag-only": "Here.", "hybrid": "There."}))
    run = twofold("feedback", written)
    assert run.returncode == 0 and run.stdout.startswith(
        "choice: Where?\n  no reply was chosen\n"
        "down: When?\n  rag-only replied: At nine.\n    Bless you!\n  a person's better reply: At ten.\n")
    assert "1 blind choice on 1 question" in [line.strip() for line in run.stdout.splitlines()]


@pytest.mark.thorough
def test_a_watched_folder_is_indexed_after_a_change(written):
    running = subprocess.Popen([sys.executable, "-c", HEEDS_CTRL_C, "index", str(written), "--watch"],
                               stderr=subprocess.PIPE, text=True)

    def until(words):
        for line in running.stderr:
            if words in line:
                return line
        raise AssertionError(words)

    try:
        assert "1 documents" in until("documents,")
        until("watching for changes")
        (written / "documents" / "cats.md").write_text("## The cat\n\nThe cat of the house is called Ember.\n")
        assert "2 documents" in until("documents,")
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
    assert running.returncode == 130
