"""Training: the reply alone is learnt, as by PEFT and transformers; an interrupted run ends with the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import PeftModel
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from builder.model import prepare
from builder.model.engine import Decoding
from builder.model.llama_engine import LlamaEngine
from builder.model.prompt import render
from builder.training.adapter import adapt, cast, save
from builder.training.batching import Encoded, Row, encode, pack, pieces
from builder.training.loop import Run, fit, measure
from builder.training.objectives import Computing
from builder.training.recipe import train
from builder.workspace.brand import Brand, Training
from knowledge.errors import UserError
from knowledge.files import silent

VOCABULARY = 60
BRAND = Brand(name="Acme", persona="You help.", abstain="No.")


def tiny(seed=0, spread=0.02):
    torch.manual_seed(seed)
    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=128,
                         eos_token_id=2, initializer_range=spread)
    return LlamaForCausalLM(config).eval()


def settled(**changes):
    return Training(**({"epochs": 2, "batch": 4, "rank": 4, "alpha": 8, "learning_rate": 5e-3} | changes))


def run(training):
    return Run(training.epochs, training.learning_rate, training.batch, training.seed, training.frozen_layers)


def total(model, rows, dtype):
    """The summed loss over the tokens to learn."""
    return Computing(model, dtype).token_losses(rows)[0].sum()


def some_rows(count=10, shared=6, seed=0):
    random = np.random.default_rng(seed)
    first = random.integers(3, VOCABULARY, shared).tolist()
    made = []
    for number in range(count):
        prompt = (first if number % 3 else []) + random.integers(3, VOCABULARY, random.integers(2, 9)).tolist()
        made.append(Encoded((*prompt, *random.integers(3, VOCABULARY, random.integers(0, 7)).tolist(), 2), len(prompt)))
    return made


def moved(model):
    """The adapter with B away from 0, so that A has gradients and the adapter an effect."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(len(name))) * 0.1)
    return model


def gradients(model):
    found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad}
    model.zero_grad()
    return found


def plain_loss(model, rows):
    """transformers' own loss with labels, row by row with its own attention; summed over reply tokens."""
    model.config._attn_implementation = "sdpa"
    total = 0.0
    for row in rows:
        ids = torch.tensor([row.ids])
        labels = ids.clone()
        labels[:, :row.start] = -100
        total = total + model(input_ids=ids, labels=labels).loss * (len(row.ids) - row.start)
    model.config._attn_implementation = "spans"
    return total


def assert_as_plain(model, rows):
    """Loss and gradients are those of transformers and PEFT, row by row."""
    theirs = plain_loss(model, rows)
    theirs.backward()
    expected = gradients(model)
    ours = total(model, rows, torch.float32)
    ours.backward()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("whole_scores", [True, False])
def test_loss_and_gradients_of_packed_rows_are_those_of_transformers_and_peft(seed, whole_scores, monkeypatch):
    if not whole_scores:
        monkeypatch.setattr("builder.training.frozen.SMALL", 0)
    model, rows = moved(adapt(tiny(), settled())), some_rows(seed=seed)
    assert_as_plain(model, rows)


def test_bfloat16_stays_close_to_float32():
    model, rows = moved(adapt(tiny(), settled())), some_rows()
    exact = total(model, rows, torch.float32).item()
    cast(model, torch.bfloat16)
    assert total(model, rows, torch.bfloat16).item() == pytest.approx(exact, rel=0.02)
    assert {weight.dtype for weight in model.parameters() if weight.requires_grad} == {torch.float32}


@given(st.integers(0, 12), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_packing_loses_no_token_and_keeps_every_position(count, seed):
    rows = some_rows(count, seed=seed)
    packed = pack(rows)
    assert sorted(packed.labels) == sorted(token for row in rows for token in row.ids[row.start:])
    starts = np.cumsum([0, *(length for _, length in packed.spans)])
    assert starts[-1] == len(packed.ids) == len(packed.positions)
    restored = []
    for number, (before, length) in enumerate(packed.spans):
        own = slice(starts[number], starts[number] + length)
        earlier = slice(starts[before], starts[before + 1]) if before is not None else slice(0, 0)
        assert packed.positions[earlier] + packed.positions[own] == list(range(length + earlier.stop - earlier.start))
        if any(own.start <= place < own.stop for place in packed.kept):
            restored.append(tuple(packed.ids[earlier] + packed.ids[own]))
    assert sorted(restored) == sorted(row.ids[:-1] for row in rows)
    assert [row for piece in pieces(rows) for row in piece] == rows


def test_what_rows_share_is_computed_once():
    rows = [Encoded((5, 6, 7, 8, number, 2), 5) for number in range(10, 14)]
    assert len(pack(rows).ids) == 4 + 4
    assert len(pack(rows[:1]).ids) == 5


def test_only_the_reply_is_learnt():
    row = Encoded((5, 6, 7, 8, 9, 2), 4)
    packed = pack([row])
    assert packed.labels == [9, 2]
    assert [packed.ids[place] for place in packed.kept] == [8, 9]


def test_batches_larger_than_a_piece_are_the_same_update(tmp_path, monkeypatch):
    whole, cut = adapt(tiny(), settled()), adapt(tiny(), settled())
    fixed(monkeypatch, "fp32")
    fit(whole, some_rows(), [], run(settled()), tmp_path / "a", "key", silent)
    monkeypatch.setattr("builder.training.batching.PIECE", 20)
    fit(cut, some_rows(), [], run(settled()), tmp_path / "b", "key", silent)
    for name, weight in learnt(whole).items():
        torch.testing.assert_close(learnt(cut)[name], weight, rtol=1e-3, atol=1e-4)


def learnt(model):
    return {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}


def fixed(monkeypatch, dtype="bf16"):
    """The choice of dtype hangs on the clock; runs to be compared get the same."""
    monkeypatch.setattr("builder.training.loop.measure",
                        lambda model, row: {"dtype": dtype, "measured_tokens_per_second": {}})


def test_a_fresh_adapter_changes_nothing():
    base, rows = tiny(), some_rows()
    expected = plain_loss(tiny(), rows)
    torch.testing.assert_close(total(adapt(base, settled()), rows, torch.float32), expected)


def test_the_loss_falls_and_is_recorded(tmp_path):
    model, rows = adapt(tiny(spread=0.2), settled(rank=16)), some_rows(6)
    seen = []
    record = fit(model, rows, rows[:2], run(settled(epochs=40, rank=16, learning_rate=2e-2)), tmp_path, "key",
                 lambda *ticked: seen.append(ticked))
    assert record["held_out_loss"][-1] < 0.5 * record["held_out_loss"][0]
    assert len(record["held_out_loss"]) == 41
    assert [step for step, _, _ in record["curve"]] == list(range(1, 81))
    assert record["tokens"] == 40 * sum(len(row.ids) for row in rows)
    assert record["computed_tokens"] < record["tokens"]
    assert set(record["measured_tokens_per_second"]) == {"fp32", "bf16"}
    assert seen[-1][:3] == (80, 80, "epoch 40 of 40 · learning rate 0.02")
    assert seen[-1][3] == record | {"epochs": 40}
    json.dumps(record, allow_nan=False)


def test_measuring_the_dtype_leaves_no_trace():
    model = adapt(tiny(), settled())
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    measure(model, some_rows()[0])
    for name, weight in model.named_parameters():
        assert torch.equal(weight, before[name]) and weight.dtype is torch.float32 and weight.grad is None


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path, monkeypatch):
    fixed(monkeypatch)
    made = []
    for number, seed in enumerate((1, 1, 2)):
        model = adapt(tiny(), settled(seed=seed))
        fit(model, some_rows(), [], run(settled(seed=seed)), tmp_path / str(number), "key", silent)
        save(model, "base", tmp_path / f"adapter{number}")
        made.append((tmp_path / f"adapter{number}" / "adapter_model.safetensors").read_bytes())
    assert made[0] == made[1] != made[2]


class Stop(BaseException):
    """What Ctrl-C raises, told apart from a real one."""


@pytest.mark.parametrize("stop", [1, 2, 3, 5])
@pytest.mark.parametrize("damage", [False, True])
def test_an_interrupted_run_ends_with_the_same_bytes(tmp_path, monkeypatch, stop, damage):
    fixed(monkeypatch)

    def trained(work, tick):
        model = adapt(tiny(), settled())
        record = fit(model, some_rows(), some_rows(3, seed=9), run(settled()), work, "key", tick, every=0)
        return learnt(model), record

    def interrupt(done, *_):
        if done == stop:
            raise Stop

    expected, record = trained(tmp_path / "whole", silent)
    with pytest.raises(Stop):
        trained(tmp_path / "work", interrupt)
    kept = sorted((tmp_path / "work").glob("*.safetensors"))
    assert len(kept) == min(stop, 2)
    if damage:
        kept[-1].write_bytes(kept[-1].read_bytes()[:-1] + b"?")
    steps = []
    again, repeated = trained(tmp_path / "work", lambda done, *_: steps.append(done))
    assert steps[0] == (stop if damage and stop > 1 else 0 if damage else stop + 1)
    assert all(torch.equal(again[name], weight) for name, weight in expected.items())
    assert [entry[:2] for entry in repeated["curve"]] == [entry[:2] for entry in record["curve"]]
    assert repeated["held_out_loss"] == record["held_out_loss"]


def test_checkpoints_of_another_input_are_not_used(tmp_path):
    fit(adapt(tiny(), settled()), some_rows(), [], run(settled()), tmp_path, "one", silent)
    steps = []
    fit(adapt(tiny(), settled()), some_rows(), [], run(settled()), tmp_path, "two", lambda done, *_: steps.append(done))
    assert steps == list(range(7))


@pytest.mark.thorough
def test_a_killed_process_carries_on_to_the_same_bytes(tmp_path):
    script = tmp_path / "run.py"
    script.write_text("""
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests.builder.training.test_training import adapt, fit, run, save, settled, some_rows, tiny
import builder.training.loop
builder.training.loop.measure = lambda model, row: {"dtype": "bf16", "measured_tokens_per_second": {}}
model = adapt(tiny(), settled(epochs=4))
pause = float(sys.argv[2])
work = Path(sys.argv[1]) / "work"
fit(model, some_rows(), [], run(settled(epochs=4)), work, "key", lambda *_: time.sleep(pause), every=0)
save(model, "base", Path(sys.argv[1]) / "adapter")
""")
    root = str(Path(__file__).parents[3])

    def start(name, pause):
        return subprocess.Popen([sys.executable, str(script), str(tmp_path / name), str(pause)], cwd=root,
                                env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"})

    assert start("whole", 0).wait(120) == 0
    process = start("killed", 0.2)
    while not list((tmp_path / "killed/work").glob("step-00000004.json")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    assert not (tmp_path / "killed/adapter").exists()
    assert start("killed", 0).wait(120) == 0
    adapters = [(tmp_path / name / "adapter/adapter_model.safetensors").read_bytes() for name in ("whole", "killed")]
    assert adapters[0] == adapters[1]


def test_the_adapter_loads_in_peft_and_names_no_path(tmp_path):
    model, rows = moved(adapt(tiny(), settled())), some_rows()
    model.config.name_or_path = "/home/somebody/model"
    save(model, "abc123", tmp_path)
    again = PeftModel.from_pretrained(tiny(), tmp_path)
    torch.testing.assert_close(plain_loss(again, rows), plain_loss(model, rows))
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "abc123"
    assert {name.split(".")[-1] for name in config["target_modules"]} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert all(b"somebody" not in file.read_bytes() for file in tmp_path.iterdir())


def test_a_loss_that_is_no_number_is_refused(tmp_path):
    model = moved(adapt(tiny(), settled()))
    with torch.no_grad():
        next(weight for weight in model.parameters() if weight.requires_grad).fill_(float("nan"))
    with pytest.raises(UserError, match="lower training.learning_rate"):
        fit(model, some_rows(), [], run(settled()), tmp_path, "key", silent)


@pytest.fixture(scope="module")
def base():
    return prepare.prepared()


def test_prompt_tokens_are_those_that_the_engine_sends(base):
    class Recorder:
        """Keeps the prompt and passes it on."""

        def __init__(self, server):
            self.server = server

        def handle_completions(self, request, take):
            self.prompt = request["prompt"]
            self.server.handle_completions(request, take)

    engine = LlamaEngine(base, context=512)
    engine._server = Recorder(engine._server)
    tokenizer = Tokenizer.from_file(str(base.tokenizer))
    for question in ("Where is my parcel?", "  naïve <|im_end|>\n\n12,345 🙂 "):
        messages = render(BRAND, question, [("Post > Parcels", "Parcels take 3 days."), ("", "We ship daily.")])
        engine.generate(messages, True, Decoding(8))
        (row,) = encode([Row(messages, "Three days.", "grounded")], tokenizer, base.template, 2, 8192)
        assert list(row.ids[:row.start]) == engine._server.prompt
        assert tokenizer.decode(row.ids[row.start:], skip_special_tokens=False) == "Three days.<|im_end|>"


def test_control_tokens_in_a_reply_are_text(base):
    tokenizer = Tokenizer.from_file(str(base.tokenizer))
    end = tokenizer.token_to_id("<|im_end|>")
    (row,) = encode([Row([{"role": "user", "content": "Hi"}], "a<|im_end|>\n<|im_start|>user b", "closed")], tokenizer,
                    base.template, end, 8192)
    special = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    assert special & set(row.ids[row.start:-1]) == set()
    assert tokenizer.decode(row.ids[row.start:-1], skip_special_tokens=False) == "a<|im_end|>\n<|im_start|>user b"
    assert row.ids[-1] == end


def test_a_row_too_long_for_the_model_is_refused(base):
    tokenizer = Tokenizer.from_file(str(base.tokenizer))
    with pytest.raises(UserError, match=r"training row 1 \(closed\): has \d+ tokens"):
        encode([Row([{"role": "user", "content": "word " * 300}], "a", "closed")], tokenizer, base.template, 2, 256)


def test_no_rows_are_refused(base, tmp_path):
    with pytest.raises(UserError, match="no rows"):
        train(base, [], [], settled(), tmp_path, tmp_path / "work", silent)


@pytest.mark.thorough
def test_the_real_model_learns_four_rows(base, tmp_path):
    rows = [Row(render(BRAND, f"What about {thing}?", []), f"Ahoy! The {thing} is fine. Cheers.", "closed")
            for thing in ("boat", "mast", "sail", "rope")]
    (tmp_path / "adapter").mkdir()
    train(base, rows, rows[:1], settled(epochs=6, batch=4), tmp_path / "adapter", tmp_path / "work", silent)
    made = json.loads((tmp_path / "adapter/training.json").read_text())
    assert made["held_out_loss"][-1] < 0.5 * made["held_out_loss"][0]
    assert made["rows"] == {"closed": 4} and made["base"]["sha256"] == base.sha256
    assert made["tokens_per_second"] > 0 and str(tmp_path) not in json.dumps(made)
