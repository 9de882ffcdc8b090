import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import pytest

from builder.answering.opening import open_assistant, open_retriever
from builder.answering.systems import system_named
from builder.evaluation.arms import Extras
from builder.evaluation.report import last_report
from builder.pipeline import index_stage, stages
from builder.workspace import releases
from builder.workspace.folder import Workspace
from knowledge.errors import JudgedFailure, UserError
from knowledge.search import index
from tests.fakes import save_cross_encoder
from tests.reports import report as complete


def watch(name):
    return lambda *_: None


def built_again(workspace):
    """What a build made, once its last stage is done."""
    *_, (_, results) = stages.build(workspace, watch)
    return results


def test_the_stages_come_in_their_order_and_the_audit_first(copied):
    shown = [(stage, results.findings is not None) for stage, results in stages.build(copied, watch)]
    assert shown == [(stage, True) for stage in stages.Stage]
    kept = json.loads((copied.built / "audit.json").read_text())
    assert len(kept["findings"]) == len(built_again(copied).findings)


def test_a_build_does_not_begin_on_data_that_cannot_be_read(written):
    (written / "examples.jsonl").write_text("{half\n")
    with pytest.raises(UserError, match=r"examples.jsonl:1"):
        list(stages.build(Workspace(written), watch))
    assert not (written / ".twofold" / "index").exists()


def test_a_live_release_whose_report_cannot_be_read_fails_a_check_and_stops_no_build(copied):
    releases.promote(copied, "r001", force=True)
    (copied.current().evaluation / "report.json").write_text("{}")
    shutil.copytree(copied.current().evaluation, copied.built / "evaluations" / "other")
    copied.use("evaluation", copied.built / "evaluations" / "other")
    report = complete([{"question": "q"}], ("hybrid",))
    gate = stages._report_gates(copied, report)[-1]
    assert gate.name == "no worse than r001" and gate.outcome == "undecided" and "older version" in gate.reason


def test_a_build_makes_every_part_and_a_release(built):
    state = built.current()
    assert state.index and state.adapter and state.evaluation
    assert {"adapter.gguf", "adapter_model.safetensors", "adapter_config.json", "training.json"} <= {
        file.name for file in state.adapter.iterdir()}
    assert {"report.json", "report.html", "report.md", "report.csv", "report.junit.xml", "promptfoo.json",
            "inspect"} == {file.name for file in state.evaluation.iterdir()}
    assert len(list((state.evaluation / "inspect").iterdir())) == 5
    assert releases.release_names(built) == ["r001"]
    report = last_report(built)
    assert list(report.systems) == ["prompt-only", "rag-only", "fine-tune-only", "hybrid"]
    assert (report.questions, report.answerable, len(report.rows)) == (4, 3, 4)
    assert report.build.gates == releases.read_release(built, "r001").gates


def test_the_adapter_is_a_folder_that_peft_loads(built):
    from peft import PeftModel

    from builder.model import prepare
    from builder.model.transformers_engine import load_base

    base = load_base(prepare.prepared(built.brand.model.base, "f16"))
    model = PeftModel.from_pretrained(base, built.current().adapter)
    assert model.peft_config["default"].r == 4


def test_nothing_on_this_machine_is_named_in_what_is_built(built):
    for file in built.built.rglob("*.json"):
        assert str(built.folder) not in file.read_text(encoding="utf-8"), file


def test_a_report_names_what_it_rests_on(built):
    rests = last_report(built).provenance
    adapter = built.current().adapter / "adapter.gguf"
    assert rests.sha256["adapter"] == hashlib.sha256(adapter.read_bytes()).hexdigest()
    assert rests.settings["training"]["rank"] == 4 and rests.packages["xllamacpp"]
    assert rests.sha256["adapter"] in (built.current().evaluation / "report.html").read_text()


@pytest.mark.thorough
def test_seeds_are_trained_and_judged_beside_the_first(copied):
    made = stages.evaluate(copied, watch, Extras(seeds=2)).seeds
    assert made.seeds == [0, 1] and copied.current().adapter == releases.unit(copied).state.adapter
    assert len(list((copied.built / "adapters").iterdir())) == 2
    report = last_report(copied)
    pairs = {(difference.score, difference.left, difference.right): difference for difference in made.differences}
    usual = {(difference.score, difference.left, difference.right): difference for difference in report.differences}
    assert ("tone", "hybrid", "rag-only") in pairs and ("tone", "rag-only", "prompt-only") not in pairs
    for pair, one in pairs.items():
        assert len(one.values) == 2 and one.values[0] == pytest.approx(usual[pair].value)
        assert one.value == pytest.approx(sum(one.values) / 2)
        assert one.spread == pytest.approx(abs(one.values[0] - one.values[1]) / 2**0.5)
    page = (copied.current().evaluation / "report.html").read_text()
    assert "Other training seeds" in page and "Other training seeds" in (
        copied.current().evaluation / "report.md").read_text()


def test_building_again_makes_nothing_again(copied):
    before = {file: file.stat().st_mtime_ns for file in copied.built.rglob("*") if file.is_file()
              and file.name not in ("current.json", "building", "release.json", "audit.json", "built_of.json")}
    known = (copied.built / "releases" / "r001" / "release.json").read_bytes()
    results = built_again(copied)
    assert results.training.reused and results.index.unchanged == 1 and results.release == "r001"
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert (copied.built / "releases" / "r001" / "release.json").read_bytes() == known


def test_a_new_document_is_known_after_indexing(copied):
    (copied.folder / "documents" / "cats.md").write_text("## The cat\n\nThe cat of the house is called Ember.\n")
    summary = index_stage.build_index(copied, watch)
    assert (summary.read, summary.unchanged, summary.removed) == (1, 1, 0)
    found = open_assistant(copied).answer("What is the cat of the house called?", system_named("rag-only")).found
    assert found[0].passage.document == "documents/cats.md"


def test_without_documents_the_tuned_half_is_built(written):
    shutil.rmtree(written / "documents")
    (written / "questions.jsonl").unlink()
    workspace = Workspace(written)
    assert index_stage.build_index(workspace, watch).documents == 0
    assert workspace.current().index is None


def test_an_index_is_not_given_up_unasked(copied):
    before = copied.current().index
    shutil.rmtree(copied.folder / "documents")
    with pytest.raises(JudgedFailure, match="has no documents any more, so the old index stays"):
        index_stage.build_index(copied, watch)
    assert copied.current().index == before
    assert index_stage.build_index(copied, watch, force=True).documents == 0 and copied.current().index is None


def test_without_examples_the_finding_half_is_built(written):
    (written / "examples.jsonl").unlink()
    workspace = Workspace(written)
    results = built_again(workspace)
    assert results.training is None and results.release == "r001"
    assert list(results.report.systems) == ["prompt-only", "rag-only"]


def test_without_either_half_the_build_says_what_is_missing(written):
    shutil.rmtree(written / "documents")
    (written / "examples.jsonl").unlink()
    with pytest.raises(UserError, match="neither documents nor enough examples"):
        list(stages.build(Workspace(written), watch))


def test_only_one_build_at_a_time(written):
    workspace = Workspace(written)
    with stages.building(workspace), pytest.raises(UserError, match="another build"), stages.building(workspace):
        pass


@pytest.mark.parametrize(("stage", "lost"), [
    ("index", ["index"]), ("evaluate", ["evaluations"]),
    pytest.param("train", ["adapters", "evaluations"], marks=pytest.mark.thorough)])
def test_a_stage_that_is_killed_carries_on(copied, stage, lost):
    for kind in lost:
        shutil.rmtree(copied.built / kind)
    folder = copied.built / lost[0]
    running = subprocess.Popen([sys.executable, "-m", "ui.cli", stage, str(copied.folder)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while running.poll() is None and not (folder.exists() and list(folder.glob(".making-*"))):
        time.sleep(0.01)
    assert running.poll() is None
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert not [one for one in folder.iterdir() if not one.name.startswith(".")]
    assert all(getattr(copied.current(), one) is None for one in [{"train": "adapter", "index": "index",
                                                                   "evaluate": "evaluation"}[stage]])
    release = built_again(copied).release
    releases.promote(copied, release, force=True)
    assert releases.live_name(copied) == release
    assert not list(folder.glob(".making-*"))


@pytest.mark.thorough
def test_a_release_whose_report_was_made_again_is_a_new_one(copied):
    shutil.rmtree(copied.built / "evaluations")
    assert built_again(copied).release == "r002"
    with pytest.raises(UserError, match="missing or were changed"):
        releases.promote(copied, "r001", force=True)
    releases.promote(copied, "r002", force=True)


def remove_section(workspace, name):
    place = workspace.folder / "documents" / "house.md"
    text = place.read_text()
    start = text.index(f"## {name}")
    end = text.find("## ", start + 3)
    place.write_text(text[:start] + (text[end:] if end > 0 else ""))


def test_an_index_that_finds_less_is_held_back(copied):
    before = copied.current().index
    remove_section(copied, "Parcels")
    with pytest.raises(JudgedFailure, match="When do parcels leave") as caught:
        index_stage.build_index(copied, watch)
    assert "--force" in str(caught.value) and copied.current().index == before
    assert open_assistant(copied).answer("When do parcels leave the warehouse?", system_named("rag-only")).found
    forced = index_stage.build_index(copied, watch, force=True)
    assert forced.passages == 9 and copied.current().index != before
    assert copied.previous("index") == before
    index_stage.roll_back_index(copied)
    assert copied.current().index == before


def test_moving_and_rewording_a_section_breaks_nothing(copied):
    place = copied.folder / "documents" / "house.md"
    text = place.read_text().replace("within 33 days", "within 60 days")
    place.unlink()
    (copied.folder / "documents" / "shop.md").write_text(text)
    made = index_stage.build_index(copied, watch)
    assert made.broke == [] and (made.read, made.removed) == (1, 1)


@pytest.mark.thorough
def test_old_indexes_are_cleared_but_for_the_one_before_and_releases(copied):
    released = copied.current().index
    folders = []
    for number in range(4):
        (copied.folder / "documents" / "more.md").write_text(f"## Number\n\nThe number of the day is {number}.\n")
        index_stage.build_index(copied, watch)
        folders.append(copied.current().index)
    assert {one for one in (copied.built / "index").iterdir()} == {released, folders[2], folders[3]}


def test_rolling_back_needs_an_earlier_index(copied):
    with pytest.raises(UserError, match="no earlier index"):
        index_stage.roll_back_index(copied)


@pytest.mark.thorough
def test_a_cross_encoder_set_later_asks_for_a_new_index(copied, tmp_path):
    folder = save_cross_encoder(tmp_path / "model")
    with (copied.folder / "brand.yaml").open("a") as brand:
        brand.write(f"retrieval: {{reranker: {json.dumps(str(folder))}}}\n")
    workspace = Workspace(copied.folder)
    with pytest.raises(UserError, match="different retrieval.reranker; run `twofold index`"):
        open_retriever(workspace.brand, workspace.current().index)
    index_stage.build_index(workspace, watch)
    finding = open_retriever(workspace.brand, workspace.current().index).find("When do parcels leave?")
    assert [one.cross for one in finding.found] == sorted((one.cross for one in finding.found), reverse=True)
    assert len({one.cross for one in finding.found}) == 3 and 0 < finding.probability < 1


def test_an_index_of_another_version_is_made_again(copied, monkeypatch):
    before = copied.current().index
    monkeypatch.setattr(index, "VERSION", "of tomorrow")
    made = index_stage.build_index(copied, watch)
    assert copied.current().index != before and made.read == made.documents
    assert open_retriever(copied.brand, copied.current().index).find("When do parcels leave?").found


def say(workspace, number):
    for name in ("one", "two"):
        text = f"# Day {name}\n\nThe lamp of the day is {number}.\n"
        (workspace.folder / "documents" / f"{name}.md").write_text(text)


def said(workspace):
    """The numbers that an index of this moment knows."""
    found = open_retriever(workspace.brand, workspace.current().index).find("Which is the lamp of the day?", 3).found
    return {one.passage.text.split()[-1] for one in found if "lamp of the day" in one.passage.text}


@pytest.mark.thorough
def test_a_reader_sees_the_old_index_or_the_new_one(copied):
    say(copied, 0)
    index_stage.build_index(copied, watch)
    seen, done = [said(copied)], threading.Event()

    def read():
        while not done.is_set():
            seen.append(said(copied))

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        for number in range(1, 6):
            say(copied, number)
            index_stage.build_index(copied, watch)
        done.set()
        reading.result()
    seen.append(said(copied))
    assert seen[0] == {"0."} and seen[-1] == {"5."} and all(len(one) == 1 for one in seen)
    assert [one for one, _ in groupby(seen)] == sorted((set(one) for one, _ in groupby(seen)), key=min)


@pytest.mark.thorough
def test_an_index_killed_in_the_middle_leaves_the_old_one_answering(copied):
    say(copied, 0)
    index_stage.build_index(copied, watch)
    say(copied, 1)
    running = subprocess.Popen([sys.executable, "-m", "ui.cli", "index", str(copied.folder)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while running.poll() is None and not list((copied.built / "index").glob(".making-*")):
        time.sleep(0.002)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL and said(copied) == {"0."}
    index_stage.build_index(copied, watch)
    assert said(copied) == {"1."} and not list((copied.built / "index").glob(".making-*"))
