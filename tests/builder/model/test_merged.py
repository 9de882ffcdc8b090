"""DoRA and full fine-tuning in llama.cpp: the tuned weights answer as in transformers, the base as ever."""

import json
import shutil

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from builder.answering.opening import open_engine
from builder.model.base import Base
from builder.model.engine import Decoding
from builder.model.export import write_merged, write_served
from builder.model.hf import merged_tensors
from builder.model.llama_engine import LlamaEngine
from builder.model.prepare import prepared
from builder.model.prompt import render
from builder.model.transformers_engine import load_adapter, load_base, teacher_forced
from builder.training.adapter import adapt, learning, save
from builder.workspace.brand import Brand, Training
from knowledge.errors import UserError

BRAND = Brand(name="Acme", persona="You help.", abstain="No.", model={"precision": "f16", "context": 512})
QUESTIONS = ["What is the capital of France?", "How do I return a shirt?"]
WEIGHTS = {"dora": "adapter_model.safetensors", "full": "model.safetensors"}


def trained(base, method, folder, spread):
    """What training by `method` writes, with random weights strong enough to change replies."""
    model = adapt(load_base(base), Training(method=method, rank=4, alpha=8))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in learning(model).items():
            noise = torch.randn(weight.shape, generator=generator)
            if "magnitude" in name:
                weight.mul_(1 + spread * noise)
            elif method == "full":
                weight.add_(noise * weight.std() * spread)
            elif "lora_B" in name:
                weight.copy_(noise * spread * 0.3)
    save(model, base.sha256, folder)
    return folder


@pytest.fixture(scope="module")
def base():
    return prepared(precision="f16")


@pytest.fixture(scope="module", params=["dora", "full"])
def served(request, base, tmp_path_factory):
    folder = trained(base, request.param, tmp_path_factory.mktemp(request.param), 0.1)
    write_served(folder, base, request.param, "f16")
    return folder


def apart(engine, model, tuned):
    """How far the log-probabilities of greedy replies lie apart, and how much likelier transformers finds others."""
    far, ties = [], []
    for question in QUESTIONS:
        said = engine.trace(render(BRAND, question, []), tuned, 24)
        known, likeliest, most = teacher_forced(model, said.prompt, said.reply)
        far += [abs(one - other) for one, other in zip(said.log_probabilities, known, strict=True)]
        ties += [best - own for token, other, own, best in zip(said.reply, likeliest, known, most, strict=True)
                 if token != other]
    return float(np.mean(far)), max(far), max(ties, default=0.0)


@pytest.mark.thorough
def test_replies_are_those_of_transformers_up_to_ties_and_the_base_stays_as_it_is(base, served, monkeypatch):
    """Two tokens can be equally likely to 0.002 nats, so that texts part; log-probabilities tell right from wrong."""
    assert not (served / "adapter.gguf").exists()
    model, alone = load_adapter(load_base(base), served), LlamaEngine(base, context=512)
    quick = LlamaEngine(base, context=512, tuned=served / "tuned.gguf")
    mean, largest, tie = apart(quick, model, True)
    assert mean < 0.005 and largest < 0.05 and tie < 0.01
    both = open_engine(BRAND, served)
    for question in QUESTIONS:
        messages = render(BRAND, question, [])
        off, on = (both.generate(messages, tuned, Decoding(24)).text for tuned in (False, True))
        assert off == alone.generate(messages, False, Decoding(24)).text != on
        assert on == quick.generate(messages, True, Decoding(24)).text
    with model.disable_adapter():
        assert apart(alone, model, False)[1] < 0.05
    monkeypatch.setattr("builder.model.gguf_files.permute", lambda rows, heads: rows)
    write_merged(served, base, served / "wrong.gguf", "f16")
    assert apart(LlamaEngine(base, context=512, tuned=served / "wrong.gguf"), model, True)[0] > 0.1


@pytest.mark.thorough
def test_in_8_bits_settings_and_names_are_those_of_the_base(base, served, tmp_path):
    write_merged(served, base, tmp_path / "tuned.gguf", "q8_0")
    made, plain = gguf.GGUFReader(tmp_path / "tuned.gguf"), gguf.GGUFReader(prepared().gguf)
    assert {name: field.contents() for name, field in made.fields.items()} == {
        name: field.contents() for name, field in plain.fields.items()}
    assert [(tensor.name, tensor.tensor_type, list(tensor.shape)) for tensor in made.tensors] == [
        (tensor.name, tensor.tensor_type, list(tensor.shape)) for tensor in plain.tensors]
    changed = {one.name.split(".")[2] for one, other in zip(made.tensors, plain.tensors, strict=True)
               if not np.array_equal(one.data, other.data)}
    assert changed == {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}
    assert list(tmp_path.glob(".writing-*")) == []


def tiny(folder, hidden=8):
    """A base of one layer with two heads, as transformers and as GGUF have it."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=16, hidden_size=hidden, intermediate_size=12, num_hidden_layers=1,
                                         num_attention_heads=2, num_key_value_heads=2))
    model.save_pretrained(folder / "transformers")
    writer = gguf.GGUFWriter(folder / "model.gguf", "llama")
    writer.add_block_count(1)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 1)
    for name, values in model.state_dict().items():
        writer.add_tensor(names.get_name(name, (".weight",)), values.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Base(folder, "0" * 64)


@pytest.fixture
def small(tmp_path):
    (tmp_path / "base").mkdir()
    return tiny(tmp_path / "base")


def test_a_dora_merge_is_the_formula_of_its_paper(small, tmp_path):
    folder = trained(small, "dora", tmp_path / "dora", 0.5)
    made, plain, adapter = merged_tensors(small, folder), load_base(small).state_dict(), load_file(
        folder / WEIGHTS["dora"])
    assert len(made) == 7
    for name, values in made.items():
        a, b, magnitude = (adapter[f"base_model.model.{name.removesuffix('.weight')}.{part}"] for part in (
            "lora_A.weight", "lora_B.weight", "lora_magnitude_vector"))
        moved = plain[name] + 8 / 4 * b @ a
        wanted = magnitude[:, None] * moved / moved.norm(dim=1, keepdim=True)
        np.testing.assert_allclose(values, wanted.numpy(), rtol=1e-4, atol=1e-6)
        assert not np.allclose(values, plain[name].numpy(), rtol=0.05)


def test_only_what_changed_is_replaced(small, tmp_path):
    folder = trained(small, "full", tmp_path / "full", 0.1)
    tensors, plain = load_file(folder / WEIGHTS["full"]), load_base(small).state_dict()
    name = "model.layers.0.mlp.up_proj.weight"
    save_file({tensor: tensors[tensor] if tensor == name else plain[tensor] for tensor in tensors},
              folder / WEIGHTS["full"], {"format": "pt"})
    made = merged_tensors(small, folder)
    assert made.keys() == {name} and np.array_equal(made[name], tensors[name].numpy())


def test_the_base_answers_while_the_tuned_model_is_off(small, tmp_path):
    model, ids = load_adapter(load_base(small), trained(small, "full", tmp_path / "full", 0.5)), torch.tensor([[1, 2]])
    with torch.no_grad():
        on, wanted = model(input_ids=ids).logits, load_base(small)(input_ids=ids).logits
        with pytest.raises(KeyError), model.disable_adapter():
            assert torch.equal(model(input_ids=ids).logits, wanted)
            raise KeyError
        assert torch.equal(model(input_ids=ids).logits, on) and not torch.allclose(on, wanted)


@pytest.mark.parametrize("method", ["dora", "full"])
@pytest.mark.parametrize("content", [None, b"", b"nonsense {"])
def test_damaged_weights_are_one_line_and_leave_nothing(small, tmp_path, method, content):
    folder = trained(small, method, tmp_path / method, 0.1)
    file = folder / WEIGHTS[method]
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(UserError, match="build` again") as caught:
        write_served(folder, small, method, "f16")
    assert "\n" not in str(caught.value) and not list(folder.glob("*.gguf"))


@pytest.mark.parametrize("method", ["dora", "full"])
def test_what_is_not_a_number_or_of_another_base_is_refused(small, tmp_path, method):
    folder = trained(small, method, tmp_path / method, 0.1)
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match="this base model"):
        write_merged(folder, tiny(tmp_path / "other", 16), tmp_path / "it.gguf", "f16")
    shutil.copy(tmp_path / "other" / "model.gguf", small.folder / "model.gguf")
    with pytest.raises(UserError, match="doesn't fit"):
        write_merged(folder, small, tmp_path / "it.gguf", "f16")
    tensors = load_file(folder / WEIGHTS[method])
    name = next(name for name in tensors if "q_proj" in name)
    save_file(tensors | {name: torch.full_like(tensors[name], float("nan"))}, folder / WEIGHTS[method],
              {"format": "pt"})
    with pytest.raises(UserError, match="not numbers; train again with a lower learning rate"):
        write_merged(folder, small, tmp_path / "it.gguf", "f16")
    assert not (tmp_path / "it.gguf").exists()


def test_a_missing_tensor_is_refused(small, tmp_path):
    folder = trained(small, "full", tmp_path / "full", 0.1)
    tensors = load_file(folder / WEIGHTS["full"])
    del tensors["model.layers.0.self_attn.q_proj.weight"]
    save_file(tensors, folder / WEIGHTS["full"], {"format": "pt"})
    with pytest.raises(UserError, match=r"q_proj\.weight differs"):
        load_adapter(load_base(small), folder)


def test_targets_and_bases_that_can_not_be_used_are_one_line(small, tmp_path):
    folder = trained(small, "full", tmp_path / "full", 0.1)
    with pytest.raises(UserError, match="can't be written"):
        write_merged(folder, small, tmp_path / "none" / "it.gguf", "f16")
    small.gguf.write_bytes(b"nonsense")
    with pytest.raises(UserError, match="not a GGUF file"):
        write_merged(folder, small, tmp_path / "it.gguf", "f16")


@pytest.mark.thorough
@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_plain_lora_stays_an_adapter(base, tmp_path, method):
    save(adapt(load_base(base), Training(rank=4, alpha=8)), base.sha256, tmp_path)
    write_served(tmp_path, base, method, "q8_0")
    assert (tmp_path / "adapter.gguf").exists() and not (tmp_path / "tuned.gguf").exists()
    assert json.loads((tmp_path / "adapter_config.json").read_text())["use_dora"] is False


@pytest.mark.thorough
def test_qlora_learns_as_lora_does_on_the_same_rounded_weights(base):
    """In a 32-bit product both are the same; measuring the dtype first must not disturb the packed weights."""
    bitsandbytes = pytest.importorskip("bitsandbytes", reason="the extra qlora isn't installed")
    from builder.training.adapter import open_model
    from builder.training.batching import Encoded
    from builder.training.loop import measure
    from builder.training.objectives import Computing

    four, plain = open_model(base, Training(method="qlora", rank=4, alpha=8)), load_base(base)
    for name, module in four.get_base_model().named_modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.compute_dtype, module.compute_type_is_set = torch.float32, True
            plain.get_submodule(name.removesuffix(".base_layer")).weight.data.copy_(
                bitsandbytes.functional.dequantize_4bit(module.weight.data, module.weight.quant_state))
    rounded = adapt(plain, Training(rank=4, alpha=8))
    rows = [Encoded((1, 520, 339, 28, 506, 260, 2), 4), Encoded((1, 520, 77, 506, 2), 3)]
    measure(four, rows[0])
    losses, slopes = [], []
    for model in (four, rounded):
        with torch.no_grad():
            for name, weight in learning(model).items():
                weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(len(name))) * 0.02)
        losses.append(Computing(model, torch.float32).token_losses(rows)[0].sum())
        losses[-1].backward()
        slopes.append({name: weight.grad for name, weight in learning(model).items()})
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-4, atol=1e-4)
    for name, slope in slopes[0].items():
        torch.testing.assert_close(slope, slopes[1][name], rtol=1e-2, atol=1e-4 * float(slopes[1][name].abs().max()))
