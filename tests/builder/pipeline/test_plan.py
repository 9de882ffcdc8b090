import json
import math
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.model.base import Base
from builder.model.prepare import prepared
from builder.pipeline import plan as planning
from builder.pipeline.plan import known, named, on_gpu
from builder.pipeline.rehearsal import _ByWords, rehearse
from builder.training.adapter import adapt
from builder.training.batching import Encoded, Row
from builder.training.calibration import LEAST, RATES, Load, Step, calibrate, fitted, work_of, workload
from builder.training.loop import Run, fit
from builder.training.objectives import Pair
from builder.workspace.brand import Training
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from knowledge.files import read_json
from knowledge.machine import peak_memory
from knowledge.reading.documents import read_documents
from knowledge.search.passages import split
from tests.conftest import write_workspace

SIZES = {"trunk": 100_000_000, "head": 30_000_000, "layers": 30, "weights": 140_000_000, "learning": 5_000_000}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The embedded tokenizer and template over a model of two small layers with random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    real = prepared(precision="f16")
    folder = tmp_path_factory.mktemp("small")
    for name in ("tokenizer.json", "chat_template.jinja", "base.json"):
        (folder / name).write_bytes((real.folder / name).read_bytes())
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=49152, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                         num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True, eos_token_id=2,
                         bos_token_id=1, pad_token_id=2)
    LlamaForCausalLM(config).save_pretrained(folder / "transformers")
    return Base(folder, "small")


def encoded(count, seed=0):
    chance = np.random.default_rng(seed)
    return [Encoded((1, 2, 3, *chance.integers(5, 90, int(length)).tolist()), 6)
            for length in chance.integers(8, 40, count)]


def rows(count):
    return [Row([{"role": "system", "content": "You mend lamps."}, {"role": "user", "content": f"Why {word}?"}],
                f"Because of the {word} " + "lamp " * (number % 7), "tone")
            for number, word in enumerate([f"shade{place}" for place in range(count)])]


@given(st.lists(st.integers(50, 3000), min_size=4, max_size=12, unique=True), st.floats(0.01, 2), st.floats(1e-4, 0.1))
def test_a_cost_that_is_a_line_is_found(works, each, slope):
    steps = [Step(work, 0.0) for work in works]
    times = [each + slope * work for work in works]
    cost = fitted(steps, times)
    assert cost.of(steps) == pytest.approx(sum(times), rel=1e-3)
    assert cost.low == pytest.approx(1 - LEAST) and cost.high == pytest.approx(1 + LEAST)


def test_what_frozen_layers_see_first_has_a_cost_of_its_own():
    steps = [Step(work, fresh * work) for fresh in (1, 0) for work in (100.0, 300.0, 700.0)]
    times = [0.1 + 0.002 * step.work + 0.001 * step.fresh for step in steps]
    cost = fitted(steps, times)
    assert (cost.step, cost.work, cost.fresh) == pytest.approx((0.1, 0.002, 0.001), rel=1e-3)


def test_steps_that_differ_widen_the_range_and_one_slow_step_hardly_moves_the_middle():
    cost = fitted([Step(1000.0, 0.0)] * 11, [1.0] * 10 + [5.0])
    assert cost.of([Step(1000.0, 0.0)]) == pytest.approx(1, rel=0.03) and cost.high == pytest.approx(1 + LEAST)
    steps = [Step(1000.0, 0.0)] * 9
    shaky = fitted(steps, [0.6, 1.6, 0.7, 1.5, 0.6, 1.6, 0.7, 1.5, 1.0])
    assert shaky.low < 1 - LEAST and shaky.high > 1 + LEAST
    assert shaky.low * shaky.of(steps) < 9 < shaky.high * shaky.of(steps)


@pytest.mark.parametrize("settings", [Training(epochs=2, batch=4, seed=3), Training(epochs=1, batch=16)])
def test_the_tokens_counted_are_those_that_training_computes(settings, small, tmp_path):
    from builder.model.transformers_engine import load_base

    items = encoded(18)
    run = Run(settings.epochs, 1e-3, settings.batch, settings.seed)
    record = fit(adapt(load_base(small), settings), items, [], run, tmp_path, "k", lambda *_: None)
    load = workload(items, [], [], settings, 0.0)
    assert sum(step.work for step in load.steps) == record["computed_tokens"]
    assert len(load.steps) == record["steps"] == len(load.least)


def test_rates_epochs_and_preferences_are_all_counted():
    items, held_out = encoded(20), encoded(6, 1)
    pairs = [Pair(*both) for both in zip(encoded(16, 2), encoded(16, 3), strict=True)]
    settings = Training(epochs=5, batch=4, learning_rate="auto", preference_epochs=2)
    load = workload(items, held_out, pairs, settings, 0.5)
    learnt = 14  # every eighth pair is kept apart
    assert len(load.steps) == 5 * (len(RATES) + 5) + 2 * math.ceil(learnt / 4)
    assert len(load.least) == len(load.steps) - 2 * 5  # two of five epochs may be left out
    watched, apart, all_pairs = work_of(held_out, 0.5), work_of(pairs[::8], 0.5), work_of(pairs, 0.5)
    assert load.forward == pytest.approx(watched * (2 * len(RATES) + 6) + apart * (3 + 2) + all_pairs)
    assert sum(step.fresh > 0 for step in load.steps) == 5 * (len(RATES) + 1) + math.ceil(learnt / 4)


def test_shared_prompts_are_counted_once():
    one = Encoded((*range(1, 60), 7, 8, 9), 60)
    assert work_of([one, one], 0.0) < 1.2 * work_of([one], 0.0)
    assert work_of([one], 1.0) == work_of([one], 0.0) + one.learnt
    assert workload([one], [], [], Training(epochs=1), 0.0) == Load([Step(61, 61)], [Step(61, 61)], 0, 0)


@pytest.mark.parametrize("frozen", [0, 1])
def test_a_calibration_runs_real_steps_and_leaves_an_adapter_of_real_size(frozen, small, tmp_path):
    settings = Training(epochs=3, batch=4, rank=4, frozen_layers=frozen)
    made = calibrate(small, settings, rows(30), rows(5), [], tmp_path, seconds=0.2)
    assert json.loads(json.dumps(made)) == made
    assert 0 < made["low"] < made["seconds"] < made["high"]
    assert len(made["steps"]) >= 4 and all(step["seconds"] > 0 and step["work"] > 0 for step in made["steps"])
    assert [step["fresh"] > 0 for step in made["steps"][:4]] == [bool(frozen)] * 3 + [False]
    assert made["totals"]["steps"] == 3 * 8 and made["dtype"] in ("fp32", "bf16")
    assert made["memory_bytes"] >= peak_memory() * 0.99
    size = (tmp_path / "adapter_model.safetensors").stat().st_size
    assert 0 < size - made["sizes"]["learning"] * 4 < 8192  # the header's names


def test_the_peak_counts_what_was_held_and_given_back():
    code = """
from knowledge.machine import peak_memory
before = peak_memory()
held = b"x" * 300_000_000
most = peak_memory()
del held
print(most - before, peak_memory() - most)
"""
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    grown, later = map(int, made.split())
    assert grown > 200_000_000 and later > -4_000_000  # the kernel counts pages in lots


def test_words_find_the_passage_that_a_question_is_about(written):
    documents, _ = read_documents(written)
    words = _ByWords([passage for one in documents for passage in split(one, lambda text: len(text.split()))], 3)
    for question, about in (("How wide can a linen shade be?", "Shades"), ("Which bulb can be dimmed?", "Bulbs")):
        found = words.search(question, 3)
        assert found[0].passage.heading.endswith(about) and len(found) == 3
        assert found[0].score >= found[1].score >= found[2].score


TRAIN = {"sizes": SIZES, "totals": {"steps": 66, "work": 1e8, "forward": 1e7}, "activation_bytes": 2_000_000_000}


def test_a_gpu_is_priced_by_what_there_is_to_compute():
    made = on_gpu("nvidia h100", TRAIN, full=False)
    flops = 4 * 1e8 * 1e8 + 2 * 1e7 * 1e8
    assert made["flops"] == flops and made["name"] == "H100" and made["fits"]
    assert flops / (0.40 * 989e12) < made["low"] < made["seconds"] < made["high"]
    assert made["money"]["low"] == pytest.approx(made["low"] / 3600 * named("H100")["price"][0])
    assert on_gpu("L4", TRAIN, False)["seconds"] > 5 * made["seconds"]
    assert on_gpu("H100", TRAIN, True)["flops"] > made["flops"]
    mine = on_gpu("H100", TRAIN, False, 36.0)
    assert mine["money"]["high"] == pytest.approx(mine["high"] / 100) and mine["priced"] == "--price"


def test_a_small_training_on_a_gpu_is_bound_by_its_kernels():
    small = TRAIN | {"totals": {"steps": 66, "work": 1000.0, "forward": 0.0}}
    assert on_gpu("H100", small, False)["low"] >= 66 * 30 * 100 * 5e-6


def test_a_model_too_large_for_a_gpu_is_said_so():
    large = TRAIN | {"sizes": SIZES | {"weights": 8_000_000_000}}
    assert not on_gpu("L4", large, False)["fits"] and on_gpu("A100", large, False)["fits"]


def test_a_gpu_that_is_not_known_is_refused_before_anything_runs(written):
    with pytest.raises(UserError, match="there are L4, .*H100"):
        planning.plan(Workspace(written), "abacus")
    assert not (written / ".twofold").exists()
    assert known()["date"] and all(low <= high for low, high in (one["price"] for one in known()["gpus"]))


@pytest.fixture(scope="module")
def lamps(tmp_path_factory):
    return Workspace(write_workspace(tmp_path_factory.mktemp("plan") / "lamps"))


@pytest.fixture(scope="module")
def measured(lamps, tmp_path_factory):
    """The lamp house's rehearsal, with the real models; its questions can't even be read, so they calibrate nothing."""
    folder = tmp_path_factory.mktemp("unread") / "lamps"
    shutil.copytree(lamps.folder, folder)
    (folder / "questions.jsonl").write_text("{", encoding="utf-8")
    return rehearse(Workspace(folder), tmp_path_factory.mktemp("rehearsal"))


@pytest.mark.thorough
def test_a_rehearsal_measures_every_stage_and_is_forecast(measured, lamps):
    assert json.loads(json.dumps(measured)) == measured
    assert measured["index"]["passages"] == 10 and measured["index"]["search"] > 0
    assert measured["answers"]["tuned"]["say"] > 0 and measured["answers"]["full"] > measured["answers"]["plain"]
    stages = planning.forecast(lamps, measured)
    assert [stage["name"] for stage in stages] == ["index", "train", "check", "evaluate"]
    assert all(0 < stage["low"] < stage["seconds"] < stage["high"] for stage in stages)
    assert all(stage["memory_bytes"] > 100_000_000 and stage["disk_bytes"] > 0 for stage in stages)
    peaks = [stage["memory_bytes"] for stage in stages]
    assert peaks == sorted(peaks)


@pytest.mark.thorough
def test_more_documents_and_questions_cost_more(measured, lamps):
    usual = {stage["name"]: stage for stage in planning.forecast(lamps, measured)}
    larger = measured | {"index": measured["index"] | {"all_characters": 10 * measured["index"]["all_characters"]}}
    more = {stage["name"]: stage for stage in planning.forecast(lamps, larger)}
    assert more["index"]["seconds"] > usual["index"]["seconds"]
    assert more["index"]["disk_bytes"] == pytest.approx(10 * usual["index"]["disk_bytes"], rel=0.01)
    asked = Workspace(lamps.folder)
    asked.questions = lamps.questions * 3
    thrice = {stage["name"]: stage for stage in planning.forecast(asked, measured)}
    assert thrice["evaluate"]["seconds"] > 2 * usual["evaluate"]["seconds"]
    assert thrice["train"] == usual["train"]


@pytest.mark.thorough
def test_without_examples_or_documents_their_stages_cost_nothing(measured, lamps):
    alone = {stage["name"]: stage for stage in planning.forecast(lamps, measured | {
        "train": None, "answers": measured["answers"] | {"tuned": None}})}
    assert alone["train"]["seconds"] == alone["check"]["seconds"] == 0 < alone["evaluate"]["seconds"]
    voice = {stage["name"]: stage for stage in planning.forecast(lamps, measured | {"index": None})}
    assert voice["index"]["seconds"] == 0 < voice["train"]["seconds"]


@pytest.mark.thorough
def test_a_plan_is_kept_and_held_against_what_a_build_took(written):
    workspace = Workspace(written)
    assert planning.against(workspace, {"train": 10.0}) == []
    made = planning.plan(workspace, "L4", 1.0)
    assert made["gpu"]["name"] == "L4" and made["money"] == {"low": 0, "high": 0}
    assert made["seconds"] == pytest.approx(sum(stage["seconds"] for stage in made["stages"]))
    assert read_json(written / ".twofold" / "plan.json")["stages"] == made["stages"]
    train = made["stages"][1]
    rows = planning.against(workspace, {"train": 2 * train["high"], "index": made["stages"][0]["seconds"]})
    assert [row.name for row in rows] == ["index", "train", "whole"]
    assert rows[0].ratio == pytest.approx(1) and rows[0].within
    assert rows[1].ratio > 2 and not rows[1].within
    assert rows[2].actual == pytest.approx(rows[0].actual + rows[1].actual)
    (written / "documents" / "more.md").write_text("# More\n\nWe mend clocks as well.", encoding="utf-8")
    assert planning.against(Workspace(written), {"train": 10.0}) == []


def test_what_a_build_would_refuse_is_refused_in_its_words(written):
    (written / "examples.jsonl").write_text('{"messages": 3}\n', encoding="utf-8")
    with pytest.raises(UserError, match="examples.jsonl:1: "):
        planning.plan(Workspace(written))


@pytest.mark.skipif(sys.platform != "linux", reason="ends a process by its memory limit as Linux does")
def test_a_rehearsal_ended_by_the_system_is_told(written, monkeypatch):
    ended = written / "ended.py"
    ended.write_text(f"#!{sys.executable}\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    ended.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(ended))
    with pytest.raises(UserError, match="want of memory; lower training.batch"):
        planning.plan(Workspace(written))
