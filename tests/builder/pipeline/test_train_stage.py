"""Which examples an adapter has seen: its own record decides, whatever became of the file since."""

import json

import pytest

from builder.pipeline.index_stage import build_index
from builder.pipeline.train_stage import documents_changed, examples_of, fine_tuned, train
from builder.workspace.examples import Example, hold_out
from builder.workspace.folder import Workspace
from builder.workspace.releases import freeze
from knowledge.files import read_json, write_json


def examples(count):
    return [Example(f"Question {number}?", f"Answer {number}.", (), number + 1) for number in range(count)]


def adapter_of(folder, rows, seed=0, learnt=()):
    trained, apart = hold_out(rows, seed, learnt)
    folder.mkdir()
    write_json(folder / "adapter.json", {"trained": [row.sha256 for row in trained] + list(learnt),
                                         "held_out": [row.sha256 for row in apart]})
    return folder


@pytest.mark.parametrize("gone", [0, 1, 60, 119])
def test_no_example_that_was_learnt_judges_when_a_line_goes(tmp_path, gone):
    rows = examples(120)
    adapter = adapter_of(tmp_path / "adapter", rows)
    trained = {row.sha256 for row in hold_out(rows, 0)[0]}
    learnt, apart = examples_of(adapter, rows[:gone] + rows[gone + 1:], 0)
    assert 17 <= len(apart) <= 18 and not trained & {row.sha256 for row in apart}
    assert {row.sha256 for row in learnt} <= trained


def test_what_came_or_changed_since_is_neither_learnt_nor_held_out(tmp_path):
    rows = examples(50)
    adapter = adapter_of(tmp_path / "adapter", rows)
    changed = [Example(row.question, row.reply + " Bye.", row.history, row.line) for row in rows[:25]] + rows[25:]
    learnt, apart = examples_of(adapter, changed, 0)
    assert len(learnt) + len(apart) == 25 and not {row.line for row in (*learnt, *apart)} & set(range(1, 26))


def test_without_an_adapter_what_it_would_hold_out_judges(tmp_path):
    rows = examples(50)
    assert examples_of(None, rows, 3) == hold_out(rows, 3)


def test_an_adapter_of_an_older_version_holds_nothing_out(tmp_path):
    (tmp_path / "adapter.json").write_text('{"held_out_lines": [3, 4]}')
    assert examples_of(tmp_path, examples(50), 0) == ([], [])


@pytest.mark.thorough
def test_what_is_learnt_is_recorded_blank_lines_change_nothing_and_training_further_holds_nothing_learnt_out(written):
    workspace = Workspace(written)
    lines = [json.dumps({"messages": [{"role": "user", "content": row.question},
                                      {"role": "assistant", "content": row.reply}]}) for row in examples(45)]
    (written / "examples.jsonl").write_text("\n".join(lines), encoding="utf-8")
    first, _ = fine_tuned(workspace, workspace.brand, lambda name: lambda *_: None)
    record = read_json(first / "adapter.json")
    assert len(record["trained"]) == 37 and len(record["held_out"]) == 8
    blank = Workspace(written)
    (written / "examples.jsonl").write_text("\n\n".join(lines), encoding="utf-8")
    assert fine_tuned(blank, blank.brand, lambda name: lambda *_: None) == (first, False)  # blank lines teach nothing
    workspace.use("adapter", first)
    assert freeze(workspace) == "r001"
    further = workspace.brand.model_copy(update={"training": workspace.brand.training.model_copy(
        update={"start_from": "r001", "seed": 5})})
    again = read_json(fine_tuned(workspace, further, lambda name: lambda *_: None)[0] / "adapter.json")
    assert set(record["trained"]) <= set(again["trained"])
    assert again["held_out"] and not set(again["held_out"]) & set(record["trained"])


def test_a_changed_document_keeps_the_adapter_until_it_is_trained_again_and_an_example_trains(copied):
    def quiet(name):
        return lambda *_: None

    def now():
        return Workspace(copied.folder)

    before = now().current()
    assert not documents_changed(now()) and train(now(), quiet).outdated is False
    house = copied.folder / "documents" / "house.md"
    house.write_text(house.read_text().replace("33 days", "44 days"))
    assert documents_changed(now())
    build_index(now(), quiet, force=True)
    assert documents_changed(now()) and now().current().index != before.index
    kept = train(now(), quiet)
    assert kept.outdated and kept.reused and now().current().adapter == before.adapter
    assert before.index.is_dir()  # by which what it memorised is told apart from what it was shown
    again = train(now(), quiet, again=True)
    assert not again.outdated and not again.reused and now().current().adapter != before.adapter
    assert not documents_changed(now())
    with (copied.folder / "examples.jsonl").open("a") as file:
        file.write(json.dumps({"messages": [{"role": "user", "content": "Are you open now?"},
                                            {"role": "assistant", "content": "Hello! Do come. Shine on!"}]}) + "\n")
    assert not documents_changed(now())  # another voice is to be learnt
