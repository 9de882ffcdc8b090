import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import streamlit as st
from markdown_it import MarkdownIt
from streamlit.testing.v1 import AppTest

from builder.curation.audit.audit import COSTS, Finding, as_json
from builder.pipeline import train_stage
from builder.workspace import progress
from builder.workspace.folder import PLANNING, Workspace
from builder.workspace.progress import recorded
from knowledge.errors import UserError
from knowledge.files import held, silent, write_json
from ui.parts import jobs
from ui.parts.show import plain

APP = Path(__file__).parents[3] / "ui" / "app.py"
HOSTILE = "![x](https://evil.example/p.png) <img src=x> **bold**"
LOSSES = [3.0, 2.8, 2.6, 2.0]
OLD = {"settings": {"epochs": 2, "learning_rate": 0.0004}, "rows": {"grounded": 6, "tone": 12, "new kind": 1},
       "held_out_rows": {"tone": 3}, "step": 4, "steps": 4, "dtype": "bf16", "tokens": 12_345, "seconds": 200.0,
       "measured_tokens_per_second": {"fp32": 204.0, "bf16": 307.2}, "tokens_per_second": 471.4,
       "curve": [[step, loss, 480.0] for step, loss in enumerate(LOSSES, 1)], "held_out_loss": [2.9, 2.1, 2.2]}
NEW = OLD | {"best_epoch": 1, "stopped_early": True, "learning_rate": 0.0004, "learning_weights": 4_884_480,
             "rates_tried": {"0.0002": 2.31, "0.0004": 2.1}, "device": "cpu", "threads": 2,
             "preferences": {"pairs": 12, "objective": "dpo", "prefers_better_before": 0.58, "prefers_better": 0.9}}


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "brand.yaml").write_text("name: Lumen\npersona: Helps.\nabstain: Not in my notes.\n")
    return Workspace(tmp_path)


@pytest.fixture
def page(workspace, monkeypatch):
    st.cache_resource.clear()
    monkeypatch.setattr(sys, "argv", ["app.py", str(workspace.folder)])
    monkeypatch.setattr(progress, "EVERY", 0.0)
    return lambda: AppTest.from_file(str(APP), default_timeout=30).run().switch_page("views/build.py").run()


def trained(workspace, made):
    write_json(workspace.built / "adapters" / "a1" / "training.json", made)
    write_json(workspace.built / "current.json", {"adapter": "adapters/a1"})


def ticked(watch, note="epoch 1 of 2"):
    watch("index")(3, 3, "passages")
    tick = watch("train")
    for step in range(1, 5):
        tick(step, 8, note, OLD | {"curve": OLD["curve"][:step], "held_out_loss": [2.9, 2.1], "epochs": 2})


def said(test):
    assert not test.exception
    return "\n".join(element.value for kind in (test.markdown, test.caption, test.header, test.text, test.warning,
                                                test.error) for element in kind)


def charts(test):
    return test.get("vega_lite_chart") + test.get("arrow_vega_lite_chart")


def test_where_nothing_was_trained_it_says_what_to_do(page, workspace):
    test = page()
    assert "Not trained yet. Training needs at least 8 examples" in said(test)
    assert not charts(test) and not test.metric


def test_a_build_that_runs_shows_its_stage_loss_speed_and_time(page, workspace):
    with recorded(lambda name: silent, workspace) as watch:
        ticked(watch)
        test = page()
    assert plain("train") in test.header[0].value
    assert {metric.label: metric.value for metric in test.metric} == {
        "Loss (smoothed)": "2.56", "Held-out loss": "2.10", "Tokens per second": "471"}
    bar = test.get("progress")[0]
    assert bar.proto.value == 50 and bar.proto.text.startswith("50% · step 4 of 8 · epoch 1 of 2")
    assert len(charts(test)) == 1 and "Done so far: index" in said(test)


def test_once_the_build_has_ended_the_page_shows_its_adapter(page, workspace):
    with recorded(lambda name: silent, workspace) as watch:
        ticked(watch)
        test = page()
        trained(workspace, NEW)
    test.run()
    assert test.header[0].value == "Last training" and len(charts(test)) == 1
    assert not test.session_state.building and "The last build" in said(test)


def test_a_build_that_has_ended_says_what_it_made_and_what_the_audit_found(page, workspace):
    with recorded(lambda name: silent, workspace) as watch:
        ticked(watch)
    trained(workspace, NEW)
    gates = [{"name": "served as trained", "met": True, "said": ""}, {"name": HOSTILE, "met": False, "said": ""}]
    release = {"name": "r001", "brand": "", "sha256": "", "gates": gates}
    write_json(workspace.built / "releases" / "r001" / "release.json", release)
    wrong = Finding("leak", "questions.jsonl", 4, "error", f"asks {HOSTILE}", "drop it", COSTS[0])
    write_json(workspace.built / "audit.json", as_json([wrong, replace(wrong, severity="note")]))
    test = page()
    missed, found = (one.value for one in test.warning)
    assert missed == plain(f"r001 is built, but not all checks passed (failed: {HOSTILE}).")
    assert found == plain(f"The data check found 1 error, for example: questions.jsonl:4: asks {HOSTILE}.")
    assert [link.proto.label for link in test.get("page_link")] == [
        "Read the test report", "See the releases", "Chat", "All findings"]


def test_a_build_that_was_stopped_says_that_it_carries_on(page, workspace):
    with pytest.raises(KeyboardInterrupt), recorded(lambda name: silent, workspace) as watch:
        ticked(watch)
        raise KeyboardInterrupt
    test = page()
    assert "stopped in the stage train, at step 4 of 8. Build again to resume" in test.warning[0].value
    assert len(charts(test)) == 1 and "Not trained yet" in said(test)


def test_a_build_that_failed_says_why(page, workspace):
    with pytest.raises(UserError), recorded(lambda name: silent, workspace) as watch:
        ticked(watch, HOSTILE)
        raise UserError(f"brand.yaml:3: {HOSTILE}")
    test = page()
    assert plain(f"The last build failed in the stage train: brand.yaml:3: {HOSTILE}") == test.error[0].value
    html = MarkdownIt("commonmark", {"html": True}).render(said(test))
    assert "<img" not in html and "<a " not in html and "<strong>" not in html


def test_a_training_is_told_in_plain_words(page, workspace):
    trained(workspace, NEW)
    test = page()
    words = said(test).replace("\\", "").replace("\u200b", "")
    for sentence in (
            "Held-out loss: 2.900 before training, 2.100 after epoch 1, 2.200 after epoch 2. Epoch 1 was kept; "
            "training stopped early because the loss no longer fell.",
            "Learning rate 0.0004, the best of those tried for one epoch: 0.0002 gave 2.310, 0.0004 gave 2.100.",
            "4,884,480 weights trained in bf16, the faster format on this machine (tokens per second: "
            "fp32 204, bf16 307).", "Read 12,345 tokens in 3 min 20 s on the CPU.",
            "12 preferences trained with dpo: the model prefers the better reply in 58% of pairs before and 90% after"):
        assert f"- {sentence}" in words
    assert {metric.label: metric.value for metric in test.metric} == {
        "Final loss (smoothed)": "2.56", "Held-out loss": "2.10", "Tokens per second": "471", "Time": "3 min 20 s"}
    rows = test.dataframe[0].value
    assert list(rows["rows"]) == ["grounded", "new kind", "tone"] and list(rows["learnt"]) == [6, 1, 12]
    assert list(rows["held out"]) == [0, 0, 3] and list(rows["teaches"])[2] == "how to speak"


PLAN = {"key": "0", "counts": {"examples": 12, "preferences": 0, "questions": 1}, "seconds": 150.0, "low": 120.0,
        "high": 180.0, "memory_bytes": 2_100_000_000, "price_per_hour": 0, "money": {"low": 0, "high": 0}, "stages": [
            {"name": "train", "seconds": 150.0, "low": 120.0, "high": 180.0, "memory_bytes": 2_100_000_000}]}


def test_a_plan_is_made_by_another_process_and_shown_once_it_stands(page, workspace):
    with held(workspace.built / PLANNING):
        test = page()
        assert "Measuring this machine" in test.info[0].value and not test.dataframe
        assert [one.disabled for one in test.button if one.label == "How long will it take?"] == [True]
    write_json(workspace.built / "plan.json", PLAN)
    test = page()
    assert "for 12 examples, 1 question, if everything is built again" in said(test) and not test.info
    (shown,) = test.dataframe
    assert shown.value.to_dict("records")[-1] == {
        "stage": "total", "about": "2 min 30 s", "between": "2 min and 3 min", "memory": "2.1 GB"}


def test_why_no_plan_can_be_made_is_said_where_it_was_asked(page, workspace):
    (workspace.folder / "examples.jsonl").write_text("no JSON\n")
    test = page()
    next(one for one in test.button if one.label == "How long will it take?").click().run()
    assert "examples.jsonl:1" in test.error[0].value.replace("\\", "").replace("\u200b", "")


@pytest.mark.parametrize("losses", [[None, None, None], []])
def test_an_older_training_and_one_without_held_out_rows_are_shown_as_far_as_they_go(page, workspace, losses):
    trained(workspace, OLD)
    assert "Epoch 2 was kept." in said(page()).replace("\\", "")
    trained(workspace, OLD | {"held_out_loss": losses, "measured_tokens_per_second": {}})
    test = page()
    words = said(test).replace("\\", "")
    assert "no held-out loss. The last epoch was kept" in words and "Trained in bf16." in words
    assert test.metric[1].value == "–"


def test_the_page_imports_neither_torch_nor_transformers(workspace):
    script = ("import sys; from streamlit.testing.v1 import AppTest; app = sys.argv.pop(1)\n"
              "test = AppTest.from_file(app, default_timeout=30).run().switch_page('views/build.py').run()\n"
              "assert not test.exception and test.title[0].value == 'Build'\n"
              "print([name for name in ('torch', 'transformers', 'xllamacpp', 'onnxruntime') if name in sys.modules])")
    trained(workspace, NEW)
    run = subprocess.run([sys.executable, "-c", script, APP, workspace.folder], capture_output=True, text=True,
                         timeout=60)
    assert run.returncode == 0 and run.stdout.strip() == "[]", run


@pytest.mark.parametrize(("ticked", "started"), [(True, ("build", "--retrain")), (False, ("build",))])
def test_whether_to_train_again_is_asked_where_only_documents_changed(page, workspace, monkeypatch, ticked, started):
    done = []

    def start(folder, *arguments, **_):
        done.append(arguments)
        (workspace.built / "work.log").write_text("twofold: that is all\n")

    monkeypatch.setattr(jobs, "start", start)
    assert not [one for one in page().checkbox if one.key == "again"]
    monkeypatch.setattr(train_stage, "documents_changed", lambda workspace: True)
    workspace.built.mkdir(exist_ok=True)
    test = page()
    test.checkbox(key="again").set_value(ticked).run()
    next(one for one in test.button if one.label == "Build").click().run()
    assert done == [started] and not test.exception
