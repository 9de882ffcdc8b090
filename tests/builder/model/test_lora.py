"""An adapter as llama.cpp reads it: plain LoRA that fits the base is written, everything else is one line."""

import json
import re

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from builder.model.base import Base
from builder.model.engine import Decoding
from builder.model.export import write_lora
from builder.model.gguf_files import MODULES, permute
from builder.model.llama_engine import LlamaEngine
from builder.model.prepare import prepared
from builder.model.prompt import render
from builder.workspace.brand import Brand
from knowledge.errors import UserError

RANK = 2
SMALL = {"q_proj": (16, 12), "k_proj": (8, 12), "v_proj": (8, 12), "o_proj": (12, 16),
         "gate_proj": (20, 12), "up_proj": (20, 12), "down_proj": (12, 20)}
"""Outputs and inputs of a model with 4 heads of 4, 2 of keys and values."""
REAL = {"q_proj": (576, 576), "k_proj": (192, 576), "v_proj": (192, 576), "o_proj": (576, 576),
        "gate_proj": (1536, 576), "up_proj": (1536, 576), "down_proj": (576, 1536)}
PLAIN = {"peft_type": "LORA", "r": RANK, "lora_alpha": 4, "bias": "none", "use_rslora": False, "alpha_pattern": {}}
FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"


def write_adapter(folder, sizes, layers):
    """An adapter as training begins: A is random, B is zero."""
    random, tensors = np.random.default_rng(0), {}
    for layer in range(layers):
        for module in MODULES:
            outputs, inputs = sizes[module.partition(".")[2]]
            name = f"base_model.model.model.layers.{layer}.{module}"
            tensors[f"{name}.lora_A.weight"] = random.normal(size=(RANK, inputs)).astype(np.float32)
            tensors[f"{name}.lora_B.weight"] = np.zeros((outputs, RANK), np.float32)
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(PLAIN))
    return folder


def write_base(folder, architecture="llama", heads=4, layers=2):
    """The weights of a model too small to say anything; without a tokenizer, which an adapter doesn't need."""
    writer = gguf.GGUFWriter(folder / "model.gguf", architecture)
    if heads:
        writer.add_head_count(heads)
        writer.add_head_count_kv(2)
    writer.add_tensor("output_norm.weight", np.ones(12, np.float32))
    for layer in range(layers):
        for module, name in MODULES.items():
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(SMALL[module.partition(".")[2]], np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Base(folder, "0" * 64)


@pytest.fixture
def base(tmp_path):
    return write_base(tmp_path)


@pytest.fixture
def make(tmp_path):
    """Makes an adapter with settings changed and a function run over its tensors."""
    def made(settings=None, tensors=None):
        (tmp_path / "adapter").mkdir()
        folder = write_adapter(tmp_path / "adapter", SMALL, 2)
        (folder / "adapter_config.json").write_text(json.dumps(PLAIN | (settings or {})))
        if tensors:
            save_file(tensors(load_file(folder / "adapter_model.safetensors")), folder / "adapter_model.safetensors")
        return folder
    return made


@given(st.integers(1, 9), st.integers(1, 8), st.integers(1, 3))
def test_the_order_of_rows_is_undone_by_its_inverse(heads, pairs, columns):
    rows = np.arange(heads * pairs * 2 * columns).reshape(-1, columns)
    undone = permute(rows, heads).reshape(heads, pairs, 2, columns).swapaxes(1, 2).reshape(rows.shape)
    assert (undone == rows).all()


@given(st.integers(1, 9), st.integers(1, 8))
def test_pairs_that_turn_together_become_neighbours(heads, pairs):
    size = 2 * pairs
    moved = permute(np.arange(heads * size)[:, None], heads)[:, 0]
    wanted = [head * size + half * pairs + pair for head in range(heads) for pair in range(pairs) for half in (0, 1)]
    assert moved.tolist() == wanted


@pytest.mark.thorough
def test_an_adapter_whose_b_is_zero_replies_as_the_base_does(tmp_path):
    base = prepared(precision="f16")
    write_lora(write_adapter(tmp_path, REAL, 30), base, tmp_path / "fresh.gguf")
    engine = LlamaEngine(base, tmp_path / "fresh.gguf", context=256)
    for question in ("Name a colour.", "What is the capital of France?"):
        messages = render(Brand(name="Acme", persona="You help.", abstain="No."), question, [])
        off, on = (engine.generate(messages, tuned, Decoding(16)).text for tuned in (False, True))
        assert off == on != ""


def test_the_file_says_what_llama_cpp_asks_of_an_adapter(base, make, tmp_path):
    def number(tensors):
        return tensors | {FIRST: np.arange(16 * RANK, dtype=np.float32).reshape(16, RANK)}
    write_lora(make(tensors=number), base, tmp_path / "it.gguf")
    reader = gguf.GGUFReader(tmp_path / "it.gguf")
    said = {key: reader.get_field(key).contents() for key in
            ("general.architecture", "general.type", "adapter.type", "adapter.lora.alpha")}
    assert list(said.values()) == ["llama", "adapter", "lora", 4.0]
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    assert len(tensors) == 2 * len(MODULES) * 2
    # head 0 has rows 0 to 3, of which 0 turns with 2 and 1 with 3
    assert tensors["blk.0.attn_q.weight.lora_b"][:5].tolist() == [[0, 1], [4, 5], [2, 3], [6, 7], [8, 9]]
    assert list(tmp_path.glob(".writing-*")) == []


@pytest.mark.parametrize("settings", [{"use_rslora": True}, {"use_dora": True}, {"bias": "lora_only"},
                                      {"alpha_pattern": {"q_proj": 8}}, {"modules_to_save": ["lm_head"]},
                                      {"peft_type": "IA3"}, {"lora_alpha": None, "fan_in_fan_out": True},
                                      {"lora_alpha": None}, {"lora_alpha": "much"}])
def test_what_is_not_plain_lora_is_refused(base, make, tmp_path, settings):
    with pytest.raises(UserError, match=r"adapter_config\.json: .*train again"):
        write_lora(make(settings), base, tmp_path / "it.gguf")
    assert not (tmp_path / "it.gguf").exists()


@pytest.mark.parametrize(("tensors", "message"), [
    (lambda tensors: {name: values for name, values in tensors.items() if name != FIRST}, "half of the adapter"),
    (lambda tensors: {}, "half of the adapter"),
    (lambda tensors: tensors | {FIRST: np.zeros((17, RANK), np.float32)}, "blk.0.attn_q.weight doesn't fit"),
    (lambda tensors: tensors | {FIRST: np.zeros((16, RANK + 1), np.float32)}, "blk.0.attn_q.weight doesn't fit"),
    (lambda tensors: tensors | {FIRST: np.zeros(16, np.float32)}, "blk.0.attn_q.weight doesn't fit"),
    (lambda tensors: tensors | {FIRST: np.full((16, RANK), np.nan, np.float32)}, "not numbers"),
    (lambda tensors: {name.replace("layers.0.", "layers.2."): values for name, values in tensors.items()},
     "blk.2.* doesn't fit"),
    (lambda tensors: tensors | {FIRST.replace("self_attn.q_proj", "block_sparse_moe.gate"): tensors[FIRST]},
     "block_sparse_moe.*target modules among q_proj"),
    (lambda tensors: tensors | {"base_model.model.lm_head.lora_A.weight": np.zeros((2, 2), np.float32)}, "lm_head"),
])
def test_tensors_that_do_not_fit_are_refused(base, make, tmp_path, tensors, message):
    with pytest.raises(UserError, match=message):
        write_lora(make(tensors=tensors), base, tmp_path / "it.gguf")


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"nonsense {", b"[]"])
def test_missing_and_damaged_files_are_one_line(base, make, tmp_path, name, content):
    folder = make()
    (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=re.escape(name)) as caught:
        write_lora(folder, base, tmp_path / "it.gguf")
    assert "\n" not in str(caught.value)


def test_other_bases_are_refused(make, tmp_path):
    adapter = make()
    for changed, message in [({"architecture": "gemma2"}, "its architecture is gemma2"), ({"heads": 0}, "head_count"),
                             ({"layers": 1}, "blk.1.* doesn't fit")]:
        with pytest.raises(UserError, match=message):
            write_lora(adapter, write_base(tmp_path, **changed), tmp_path / "it.gguf")
    (tmp_path / "model.gguf").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="not a GGUF file"):
        write_lora(adapter, Base(tmp_path, ""), tmp_path / "it.gguf")


def test_a_target_that_can_not_be_written_is_one_line(base, make, tmp_path):
    with pytest.raises(UserError, match="can't be written"):
        write_lora(make(), base, tmp_path / "none" / "it.gguf")
