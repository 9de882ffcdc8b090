"""Parity on real weights: the true adapter passes, and adapters, bases and templates that are wrong are caught."""

import copy
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from builder.evaluation.checks import parity as parting
from builder.evaluation.checks.parity import fixed_prompts, parity
from builder.evaluation.report import Tolerance
from builder.model.base import Base
from builder.model.export import write_lora
from builder.model.hf import load_base
from builder.model.llama_engine import LlamaEngine
from builder.model.prepare import prepared
from builder.model.prompt import render
from builder.model.transformers_engine import teacher_forced
from builder.workspace.brand import Brand
from builder.workspace.examples import Example
from knowledge.errors import UserError

pytestmark = pytest.mark.thorough

BRAND = Brand(name="Acme", persona="You help.", abstain="No.")
EXAMPLES = [Example(question, "Yes.", (), line) for line, question in
            enumerate(["How do I return a shirt?", "Are you open?", "What is 2 plus 2?"], 1)]
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def f16():
    return prepared(precision="f16")


@pytest.fixture(scope="module")
def model(f16):
    return load_base(f16)


@pytest.fixture(scope="module")
def adapter(f16, model, tmp_path_factory):
    """A random adapter strong enough to change every reply, as training writes it, and exported."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    adapted = get_peft_model(copy.deepcopy(model), LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"))
    for name, weights in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.05)
    folder = tmp_path_factory.mktemp("adapter")
    adapted.save_pretrained(folder, save_embedding_layers=False)
    write_lora(folder, f16, folder / "adapter.gguf")
    return folder


@pytest.fixture
def quick(model, monkeypatch):
    """Short replies, and the base as it is loaded already, since reading it takes long."""
    monkeypatch.setattr("builder.model.hf.load_base", lambda base: copy.deepcopy(model))
    monkeypatch.setattr(parting, "TOKENS", 12)


def prompts():
    return fixed_prompts(BRAND, EXAMPLES, None)[2:4]


def wrong(adapter, f16, folder, monkeypatch, tensors=None, settings=None, permuted=True):
    """The adapter with an export made of other tensors or settings than it has."""
    shutil.copytree(adapter, folder / "changed")
    if tensors:
        save_file(tensors(load_file(adapter / WEIGHTS)), folder / "changed" / WEIGHTS)
    config = json.loads((adapter / "adapter_config.json").read_text()) | (settings or {})
    (folder / "changed" / "adapter_config.json").write_text(json.dumps(config))
    if not permuted:
        monkeypatch.setattr("builder.model.export.permute", lambda rows, heads: rows)
    made = shutil.copytree(adapter, folder / "wrong")
    write_lora(folder / "changed", f16, made / "adapter.gguf")
    return made


def test_the_true_adapter_passes_with_figures_ready_for_json(f16, adapter, quick):
    asked = prompts()
    found = parity(f16, prepared(), adapter, asked, 512).as_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["met"] and found["sentence"].startswith("the served model is the trained one")
    assert [(check["precision"], check["adapter"], check["met"]) for check in found["checks"]] == [
        ("f16", "on", True), ("f16", "off", True), ("q8_0", "on", True)]
    exact, _, rounded = found["checks"]
    assert 0 < exact["mean"] < 0.003 < rounded["mean"] and found["effect"] > 0.1
    assert exact["worst"]["prompt"] in [messages[-1]["content"] for messages in asked]
    assert found["own_template"] is True and found["prompts"] == 2


def test_where_f16_is_served_nothing_is_asked_twice(f16, adapter, quick):
    found = parity(f16, f16, adapter, prompts()[:1], 512).as_json()
    assert found["met"] and [check["precision"] for check in found["checks"]] == ["f16", "f16"]


def test_a_rounded_base_that_lies_too_far_apart_is_one_line(f16, adapter, quick, monkeypatch):
    monkeypatch.setattr(parting, "ROUNDED", Tolerance(mean=0.001, largest=9, tie=None))
    found = parity(f16, prepared(), adapter, prompts()[:1], 512).as_json()
    assert [check["met"] for check in found["checks"]] == [True, True, False] and not found["met"]
    assert found["sentence"].startswith("brand.yaml: model.precision: q8_0 changes the model")


def test_log_probabilities_are_those_of_one_token_at_a_time(model):
    prompt, reply = [1, 520, 339, 28], [506, 260, 2]
    sure, likeliest, most = teacher_forced(model, prompt, reply)
    for place, token in enumerate(reply):
        with torch.inference_mode():
            row = torch.log_softmax(model(torch.tensor([[*prompt, *reply[:place]]])).logits[0, -1], -1)
        assert sure[place] == pytest.approx(float(row[token]), abs=1e-4)
        assert (likeliest[place], most[place]) == (int(row.argmax()), pytest.approx(float(row.max()), abs=1e-4))


def test_a_traced_reply_is_the_generated_one(f16, adapter):
    from builder.model.engine import Decoding

    engine = LlamaEngine(f16, adapter / "adapter.gguf", context=512)
    messages = render(BRAND, "What is the capital of France?", [])
    for tuned in (False, True):
        made, traced = engine.generate(messages, tuned, Decoding(16)), engine.trace(messages, tuned, 16)
        assert len(traced.reply) == len(traced.log_probabilities) == made.tokens
        assert engine._tokenizer.decode(traced.reply).strip().startswith(made.text)
        assert all(value <= 0 for value in traced.log_probabilities)
        assert engine.own_prompt(messages) == list(traced.prompt) and made.prompt_tokens == len(traced.prompt)
    with pytest.raises(UserError, match="model.context"):
        engine.trace(render(BRAND, "word " * 600, []), True, 16)


def test_another_template_is_caught_before_any_model_is_loaded(f16, adapter, quick, tmp_path, monkeypatch):
    monkeypatch.setattr("builder.model.hf.load_base", None)
    changed = shutil.copytree(f16.folder, tmp_path / "changed", ignore=shutil.ignore_patterns("transformers"))
    template = f16.template.replace("assistant\n", "assistant ")
    assert template != f16.template
    (changed / "chat_template.jinja").write_text(template)
    served = parity(f16, Base(changed, f16.sha256), adapter, prompts(), 512).as_json()
    assert not served["met"] and not served["own_template"]
    assert f"{changed}: its template" in served["sentence"] and "prompt 1, from token" in served["sentence"]


def other_layer(tensors):
    return {name.replace("layers.0.", "layers.x.").replace("layers.29.", "layers.0.").replace("layers.x.", "layers.29.")
            : values for name, values in tensors.items()}


def one_half_negated(tensors):
    return {name: -values if "layers.3.mlp.up_proj.lora_A" in name else values for name, values in tensors.items()}


@pytest.mark.thorough
@pytest.mark.parametrize("change", [
    {"permuted": False}, {"settings": {"lora_alpha": 16}}, {"settings": {"lora_alpha": 7.5}},
    {"tensors": other_layer}, {"tensors": one_half_negated},
    {"tensors": lambda tensors: {name: np.zeros_like(values) for name, values in tensors.items()}}])
def test_a_wrong_export_is_caught(f16, adapter, quick, tmp_path, monkeypatch, change):
    made = wrong(adapter, f16, tmp_path, monkeypatch, **change)
    found = parity(f16, f16, made, prompts(), 512).as_json()
    exact, off = found["checks"]
    assert not found["met"] and not exact["met"] and off["met"]
    assert found["sentence"].startswith(f"{made / 'adapter.gguf'}: differs from what was trained")
    assert "delete its folder" in found["sentence"] and "\n" not in found["sentence"]


@pytest.mark.thorough
def test_a_base_that_is_another_is_caught_with_the_adapter_off(f16, adapter, quick, model, monkeypatch):
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.model.layers[5].mlp.down_proj.weight.mul_(1.2)
    monkeypatch.setattr("builder.model.hf.load_base", lambda base: other)
    found = parity(f16, f16, adapter, prompts(), 512).as_json()
    assert not found["met"] and "llama.cpp answers differently from the base model" in found["sentence"]


def test_the_prompts_are_fixed_and_one_holds_passages():
    passage = SimpleNamespace(heading="Returns", shown="Within 30 days.")
    index = SimpleNamespace(search=lambda question, count: [SimpleNamespace(passage=passage)] * count)
    retriever = SimpleNamespace(index=index, count=2)
    made = fixed_prompts(BRAND, EXAMPLES, retriever)
    assert made[:5] == fixed_prompts(BRAND, EXAMPLES, None) and len(made) == 6
    assert [messages[-1]["content"] for messages in made[3:5]] == [EXAMPLES[0].question, EXAMPLES[2].question]
    assert made[5][-1]["content"].count("Within 30 days.") == 2
    assert len(fixed_prompts(BRAND, EXAMPLES[:1], None)) == 4 and len(fixed_prompts(BRAND, [], retriever)) == 3
