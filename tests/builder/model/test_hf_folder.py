"""Bases given as transformers folders: alike in both engines, trained as by transformers, or refused in one line."""

import json
import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from builder.answering.opening import open_engine
from builder.evaluation.checks.parity import Tolerance, parity
from builder.model.engine import Decoding
from builder.model.export import must_be_servable, write_served
from builder.model.hf_folder import SPLITS
from builder.model.llama_engine import LlamaEngine
from builder.model.prepare import prepared
from builder.model.prompt import render, to_prompt
from builder.model.transformers_engine import TransformersEngine, load_adapter, load_base, teacher_forced
from builder.training.adapter import adapt, learning, save
from builder.workspace.brand import Brand, Training
from knowledge.errors import UserError
from tests.builder.training.test_training import gradients, moved, plain_loss, some_rows, total

BRAND = Brand(name="Acme", persona="You help.", abstain="No.")
QUESTIONS = ["Is the lamp shop open?", "Hello there", "When do you close?"]
TEMPLATE = ("{% for turn in messages %}<|im_start|>{{ turn['role'] }}\n{{ turn['content'] }}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
COMMON = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
          "max_position_embeddings": 512, "initializer_range": 0.3, "eos_token_id": 2, "bos_token_id": None,
          "pad_token_id": None}
GROUPED = COMMON | {"num_key_value_heads": 2}
KINDS = {"llama": ("Llama", GROUPED), "qwen2": ("Qwen2", GROUPED), "qwen3": ("Qwen3", GROUPED | {"head_dim": 16}),
         "gpt_neox": ("GPTNeoX", COMMON), "phi3": ("Phi3", GROUPED), "gemma3": ("Gemma3", GROUPED | {
             "head_dim": 16, "sliding_window": 8}), "gpt2": ("GPT2", {"n_embd": 32, "n_layer": 2, "n_head": 4,
                                                                    "eos_token_id": 2})}
SERVED, TRAINED = ("llama", "qwen2", "qwen3"), ("llama", "qwen2", "qwen3", "gpt_neox", "phi3")


LETTERS = [*map(chr, range(33, 127)), "Ġ", "Ċ"]


def tokenizer(letters=LETTERS):
    """A small one whose every token is whole characters, unless its letters stand for other bytes too."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(["hello there lamp shop open closed"] * 3, trainers.BpeTrainer(
        vocab_size=len(letters) + 34, initial_alphabet=letters, special_tokens=[
            "<|endoftext|>", "<|im_start|>", "<|im_end|>"]))
    return made


def write_folder(folder, kind="llama", dtype=torch.float32, tokens=None, **changes):
    """A tiny random model with its tokenizer and template, as transformers saves them."""
    name, settings = KINDS[kind]
    tokens = tokens or tokenizer()
    config = getattr(transformers, f"{name}{'Text' if name == 'Gemma3' else ''}Config")
    model = getattr(transformers, f"{name}{'LMHeadModel' if name == 'GPT2' else 'ForCausalLM'}")
    torch.manual_seed(0)
    made = model(config(**settings | {"vocab_size": tokens.get_vocab_size()} | changes)).eval()
    with torch.no_grad():
        for part, weight in made.named_parameters():  # they begin as ones and zeros, which hide mistakes
            if "norm" in part or part.endswith("bias"):
                weight.add_(torch.randn_like(weight) * 0.1)
    made.to(dtype).save_pretrained(folder)
    tokens.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOFOLD_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", SERVED)
def test_llama_cpp_says_what_transformers_says(tmp_path, kind, dtype):
    base = prepared(str(write_folder(tmp_path / kind, kind, dtype)), "f16")
    model, engine = load_base(base), LlamaEngine(base, context=400)
    for question in QUESTIONS:
        messages = render(BRAND, question, [])
        said = engine.trace(messages, False, 24)
        assert engine.own_prompt(messages) == list(said.prompt)
        known, likeliest, most = teacher_forced(model, said.prompt, said.reply)
        assert said.log_probabilities == pytest.approx(known, abs=0.05)
        assert all(token == other or best - own < 0.02 for token, other, own, best in zip(
            said.reply, likeliest, known, most, strict=True))


def test_a_traced_reply_holds_tokens_that_are_half_a_character(tmp_path):
    """llama.cpp tells no log-probability of those, and its list of the others is shorter than the reply."""
    tokens = tokenizer(pre_tokenizers.ByteLevel.alphabet())
    base = prepared(str(write_folder(tmp_path / "model", tokens=tokens)), "f16")
    model, engine, halves = load_base(base), LlamaEngine(base, context=400), 0
    for question in QUESTIONS:
        said = engine.trace(render(BRAND, question, []), False, 48)
        known, likeliest, most = teacher_forced(model, said.prompt, said.reply)
        told = [(own, other) for own, other in zip(said.log_probabilities, known, strict=True) if own is not None]
        assert len(said.reply) > len(told) > 5
        assert [own for own, _ in told] == pytest.approx([other for _, other in told], abs=0.05)
        assert all(token == other or best - own < 0.02 for token, other, own, best in zip(
            said.reply, likeliest, known, most, strict=True))
        halves += len(said.reply) - len(told)
    assert halves > 5


def moved_a_lot(base, method, folder):
    """What training by `method` writes, with random weights strong enough to change replies."""
    model = moved(adapt(load_base(base), Training(method=method, rank=4, alpha=8)))
    with torch.no_grad():
        for weight in learning(model).values():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)) * 0.05)
    save(model, base.sha256, folder)
    return folder


@pytest.mark.parametrize("method", ["lora", "dora", "full"])
@pytest.mark.parametrize("kind", SERVED)
def test_what_was_trained_on_each_is_served(tmp_path, kind, method):
    base = prepared(str(write_folder(tmp_path / kind, kind)), "f16")
    must_be_servable(base, method)
    tuned = moved_a_lot(base, method, tmp_path / "tuned")
    write_served(tuned, base, method, "f16")
    engine = open_engine(BRAND.model_copy(update={"model": BRAND.model.model_copy(
        update={"base": str(tmp_path / kind), "precision": "f16", "context": 400})}), tuned)
    engine = getattr(engine, "_tuned", engine)
    said = engine.trace(render(BRAND, "Hello", []), True, 24)
    again = load_adapter(load_base(base), tuned)
    known, _, _ = teacher_forced(again, said.prompt, said.reply)
    assert said.log_probabilities == pytest.approx(known, abs=0.05)
    with again.disable_adapter():
        plain, _, _ = teacher_forced(again, said.prompt, said.reply)
    assert max(abs(one - other) for one, other in zip(known, plain, strict=True)) > 0.2


@pytest.mark.parametrize("method", ["lora", "dora", "full"])
@pytest.mark.parametrize("precision", ["f16", "q8_0"])
def test_parity_holds_whatever_the_method_and_catches_another_file(tmp_path, method, precision, monkeypatch):
    # random weights are far more sensitive to rounding than trained ones, for which the tolerances are
    monkeypatch.setattr("builder.evaluation.checks.parity.EXACT", Tolerance(mean=0.02, largest=0.2, tie=0.1))
    monkeypatch.setattr("builder.evaluation.checks.parity.ROUNDED", Tolerance(mean=0.2, largest=2, tie=None))
    folder = str(write_folder(tmp_path / "qwen2", "qwen2"))
    base, served = prepared(folder, "f16"), prepared(folder, precision)
    tuned = moved_a_lot(base, method, tmp_path / "tuned")
    write_served(tuned, base, method, precision)
    prompts, scratch = [render(BRAND, question, []) for question in QUESTIONS], tmp_path / "scratch"
    scratch.mkdir()
    found = parity(base, served, tuned, prompts, 400, scratch).as_json()
    assert found["met"], found["sentence"]
    assert [check["precision"] for check in found["checks"]] == ["f16", "f16", "q8_0"][:2 + (precision != "f16")]
    assert found["effect"] > 0.05 and list(scratch.iterdir()) == []
    other = moved_a_lot(base, method, tmp_path / "other")
    name = "model.safetensors" if method == "full" else "adapter_model.safetensors"
    save_file({part: -weight if "up_proj" in part and "lora_A" not in part else weight
               for part, weight in load_file(other / name).items()}, other / name, {"format": "pt"})
    (tuned / name).write_bytes((other / name).read_bytes())  # the served file is now of other weights than lie there
    wrong = parity(base, served, tuned, prompts, 400).as_json()
    assert not wrong["met"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in SERVED])
def test_others_answer_by_transformers_alone(tmp_path, kind):
    base = prepared(str(write_folder(tmp_path / kind, kind)), "f16")
    made = TransformersEngine(base, context=400).generate(render(BRAND, "Hello", []), False, Decoding(8))
    assert made.tokens > 0
    with pytest.raises(UserError, match=rf"{kind}.*; set model.engine to transformers") as caught:
        LlamaEngine(base, context=400)
    assert "\n" not in str(caught.value) and not base.served
    write_served(tmp_path, base, "full", "f16")
    assert not list(tmp_path.glob("*.gguf"))


@pytest.mark.parametrize("method", ["lora", "dora", "full"])
@pytest.mark.parametrize("kind", TRAINED)
def test_loss_and_gradients_are_those_of_transformers(tmp_path, kind, method):
    base = prepared(str(write_folder(tmp_path / kind, kind)), "f16")
    model, rows = moved(adapt(load_base(base), Training(method=method, rank=4, alpha=8))), some_rows()
    theirs = plain_loss(model, rows)
    theirs.backward()
    expected = gradients(model)
    ours = total(model, rows, torch.float32)
    ours.backward()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)
    found = gradients(model)
    assert found.keys() == expected.keys() and found
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-5 * float(expected[name].abs().max()))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in TRAINED])
def test_those_that_can_not_be_trained_say_so_in_one_line(tmp_path, kind):
    base = prepared(str(write_folder(tmp_path / kind, kind)), "f16")
    with pytest.raises(UserError, match="model.base: .*can't be trained yet") as caught:
        total(adapt(load_base(base), Training(rank=4, alpha=8)), some_rows(), torch.float32)
    assert "\n" not in str(caught.value)


def test_the_folder_is_linked_and_no_path_is_kept_in_what_is_trained(tmp_path):
    folder = write_folder(tmp_path / "llama")
    base = prepared(str(folder))
    assert (base.folder / "transformers").resolve() == folder.resolve()
    save(adapt(load_base(base), Training(rank=4, alpha=8)), base.sha256, tmp_path / "adapter")
    assert all(str(tmp_path).encode() not in file.read_bytes() for file in (tmp_path / "adapter").iterdir())
    assert prepared(str(folder)).folder == base.folder
    write_folder(folder, initializer_range=0.2)
    assert prepared(str(folder)).sha256 != base.sha256


def test_begin_tokens_that_a_template_names_are_spelt_out_and_prompts_are_never_cut(tmp_path):
    folder = write_folder(tmp_path / "llama")
    (folder / "chat_template.jinja").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "bos_token": {"content": "<|endoftext|>"}, "chat_template": [
            {"name": "tools", "template": "no"}, {"name": "default", "template": "{{ bos_token }}" + TEMPLATE}]}))
    cutting = Tokenizer.from_file(str(folder / "tokenizer.json"))
    cutting.enable_truncation(4)
    cutting.save(str(folder / "tokenizer.json"))
    base = prepared(str(folder))
    said = to_prompt([{"role": "user", "content": "hello there"}], base.template)
    assert said.startswith("<|endoftext|><|im_start|>user\nhello there")
    assert len(Tokenizer.from_file(str(base.tokenizer)).encode(said).ids) > 4


def test_of_several_end_tokens_the_one_that_ends_a_turn_is_taken(tmp_path):
    base = prepared(str(write_folder(tmp_path / "llama", eos_token_id=[0, 2])))
    assert load_base(base).config.eos_token_id == 2
    (tmp_path / "llama" / "chat_template.jinja").write_text(TEMPLATE.replace("<|im_end|>", "|"))
    assert load_base(prepared(str(tmp_path / "llama"))).config.eos_token_id == 0


@pytest.mark.parametrize(("changes", "reason"), [
    ({"hidden_act": "gelu"}, "activation is gelu"),
    ({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}, "rope scaling is linear")])
def test_what_llama_cpp_would_compute_otherwise_is_refused(tmp_path, changes, reason):
    base = prepared(str(write_folder(tmp_path / "llama", **changes)))
    with pytest.raises(UserError, match=f"{reason}.*; set model.engine to transformers"):
        LlamaEngine(base)


def test_a_tokenizer_that_llama_cpp_splits_otherwise_is_refused(tmp_path):
    folder = write_folder(tmp_path / "llama")
    other = Tokenizer.from_file(str(folder / "tokenizer.json"))
    other.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel(False)])
    other.save(str(folder / "tokenizer.json"))
    with pytest.raises(UserError, match="its tokenizer is of another kind"):
        LlamaEngine(prepared(str(folder)))


@pytest.mark.parametrize("split", SPLITS.values())
def test_the_known_splits_are_those_of_llama_cpp(tmp_path, split):
    from tokenizers import Regex

    folder, key = write_folder(tmp_path / "llama"), next(key for key, name in SPLITS.items() if name == split)
    steps = {"digits": pre_tokenizers.Digits(individual_digits=True), "GPT-2": pre_tokenizers.ByteLevel(False)}
    parts = [steps.get(part) or pre_tokenizers.Split(Regex(part), "isolated") for part in key]
    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        parts if "GPT-2" in key else [*parts, pre_tokenizers.ByteLevel(False, use_regex=False)])
    made.save(str(folder / "tokenizer.json"))
    base = prepared(str(folder))
    engine, ours = LlamaEngine(base, context=400), Tokenizer.from_file(str(base.tokenizer))
    for text in ("the lamp's 12,345 lamps!", "  two  spaces", "don't we'll THEY'RE x_y(z) == 0x1F", "hello\nthere 7"):
        messages = [{"role": "user", "content": text}]
        assert engine.own_prompt(messages) == ours.encode(to_prompt(messages, base.template)).ids


@pytest.mark.parametrize(("name", "content", "message"), [
    ("config.json", None, "contains no config.json"), ("tokenizer.json", None, "contains no tokenizer.json"),
    ("model.safetensors", None, "no complete model"), ("chat_template.jinja", None, "has no chat template"),
    ("config.json", "nonsense", "config.json"), ("tokenizer.json", "nonsense", "tokenizer.json: can't be read"),
    ("config.json", '{"model_type": "unheard-of"}', "can't read its config.json"),
    ("adapter_config.json", "{}", "no complete model"), ("model.safetensors", "nonsense", "can't be read")])
def test_folders_that_hold_no_model_are_one_line(tmp_path, name, content, message):
    folder = write_folder(tmp_path / "llama")
    (folder / name).unlink() if content is None else (folder / name).write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        prepared(str(folder))
    assert "\n" not in str(caught.value)


def test_a_name_of_a_hub_is_to_be_downloaded_first():
    with pytest.raises(UserError, match="a model from a hub must be downloaded first"):
        prepared("somebody/some-model")


def test_several_files_of_weights_are_one_model(tmp_path):
    folder = write_folder(tmp_path / "llama")
    whole = shutil.copytree(folder, tmp_path / "whole")
    tensors = load_file(folder / "model.safetensors")
    names, weights = sorted(tensors), {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({one: tensors[one] for one in part}, folder / file, {"format": "pt"})
        weights |= dict.fromkeys(part, file)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weights}))
    said = [LlamaEngine(prepared(str(one), "f16"), context=400).trace(render(BRAND, "Hello", []), False, 12)
            for one in (folder, whole)]
    assert said[0] == said[1]
