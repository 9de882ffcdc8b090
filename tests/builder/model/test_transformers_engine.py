"""Two engines, one model: transformers and llama.cpp give the same replies, with the adapter and without."""

import contextlib
import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from builder.model.base import Base
from builder.model.engine import Decoding
from builder.model.export import write_lora
from builder.model.llama_engine import LlamaEngine
from builder.model.prepare import prepared
from builder.model.prompt import render
from builder.model.transformers_engine import TransformersEngine, load_adapter, load_base
from builder.workspace.brand import Brand
from knowledge.errors import UserError

pytestmark = pytest.mark.thorough

BRAND = Brand(name="Acme", persona="You help.", abstain="No.")
QUESTIONS = ["What is the capital of France?", "How do I return a shirt?", "What is 2 plus 2?"]
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
WEIGHTS = "adapter_model.safetensors"


def asked(question):
    return render(BRAND, question, [])


@pytest.fixture(scope="module")
def base():
    return prepared(precision="f16")


@pytest.fixture(scope="module")
def loaded(base):
    """The base as transformers has it, and what loading it printed."""
    with contextlib.redirect_stderr(io.StringIO()) as errors, contextlib.redirect_stdout(io.StringIO()) as output:
        model = load_base(base)
    return model, errors.getvalue() + output.getvalue()


@pytest.fixture(scope="module")
def adapter(loaded, tmp_path_factory):
    """A PEFT adapter on all modules with random weights, strong enough to change every reply below."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    adapted = get_peft_model(loaded[0], LoraConfig(r=4, lora_alpha=8, target_modules=MODULES))
    for name, weights in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.05)
    folder = tmp_path_factory.mktemp("adapter")
    adapted.save_pretrained(folder, save_embedding_layers=False)
    adapted.unload()
    return folder


@pytest.fixture(scope="module")
def reference(base, adapter, loaded):
    """The engine; it takes the weights that are loaded already, since reading them takes long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builder.model.transformers_engine.load_base", lambda base: loaded[0])
        return TransformersEngine(base, adapter, context=512)


def test_the_base_loads_quietly_in_32_bits_and_names_no_place_on_this_machine(loaded, adapter):
    model, printed = loaded
    assert printed == ""
    assert model.dtype == torch.float32 and not model.training
    assert model.config._attn_implementation == "sdpa"
    assert not hasattr(model.config, "quantization_config")
    named = json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert named and named == model.config.name_or_path and "/" not in named


def test_replies_are_those_of_llama_cpp_with_the_adapter_and_without(base, adapter, reference, tmp_path):
    write_lora(adapter, base, tmp_path / "adapter.gguf")
    llama = LlamaEngine(base, tmp_path / "adapter.gguf", context=512)
    for question in QUESTIONS[:2]:
        replies = {}
        for tuned in (False, True):
            slow, quick = (engine.generate(asked(question), tuned, Decoding(48)) for engine in (reference, llama))
            facts = [(made.text, made.finish, made.tokens, made.prompt_tokens) for made in (slow, quick)]
            assert facts[0] == facts[1]
            replies[tuned] = slow.text
        assert replies[False] != replies[True]


def test_it_reads_as_it_streams_and_ends_where_a_loop_begins(reference):
    pieces = []
    made = reference.generate(asked(QUESTIONS[1]), False, Decoding(60), pieces.append)
    assert made.finish == "loop" and made.tokens < 60
    assert len(pieces) > 10 and "".join(pieces).strip() == made.text


def test_a_reader_can_stop_a_reply(reference):
    made = reference.generate(asked(QUESTIONS[1]), False, Decoding(60), lambda piece: True)
    assert made.finish == "cancelled" and made.tokens < 10 and made.text


class Scripted:
    """Stands in for the model: says the given tokens, whatever it reads, and counts what it was given."""

    def __init__(self, ids):
        self.ids, self.read = ids, []

    def __call__(self, input_ids, past_key_values, use_cache, logits_to_keep):
        self.read.append((input_ids.shape[1], past_key_values))
        said = past_key_values or 0
        logits = torch.nn.functional.one_hot(torch.tensor([[self.ids[said]]]), 49152)
        return SimpleNamespace(logits=logits, past_key_values=said + 1)


@pytest.mark.parametrize("end", ["<|im_end|>", "<|endoftext|>"])
def test_half_a_character_and_control_tokens_are_never_shown(reference, monkeypatch, end):
    said = "A naïve 🙂🙂 café <|im_start|> — “quoted”"
    ids = reference._tokenizer.encode(f"{said}{end} and more", add_special_tokens=False).ids
    ended = ids.index(reference._tokenizer.token_to_id(end)) + 1
    scripted, pieces = Scripted(ids), []
    monkeypatch.setattr(reference, "_model", scripted)
    made = reference.generate(asked("Hello"), True, Decoding(len(ids)), pieces.append)
    assert made.text == "".join(pieces) == said.replace("<|im_start|>", "")
    assert (made.finish, made.tokens) == ("stop", ended)
    # the prompt is read once, and then each token by itself
    assert scripted.read == [(made.prompt_tokens, None), *((1, said) for said in range(1, ended))]
    cut = reference.generate(asked("Hello"), True, Decoding(ended - 1))
    assert (cut.finish, cut.tokens) == ("length", ended - 1)


def test_replies_are_drawn_again_from_the_same_seed(reference):
    texts = [reference.generate(asked(QUESTIONS[0]), True, Decoding(12, 1.0, seed)).text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_requests_at_once_do_not_share_the_adapter(reference):
    wanted = [reference.generate(asked(QUESTIONS[2]), tuned, Decoding(10)).text for tuned in (False, True)]
    with ThreadPoolExecutor(4) as pool:
        made = pool.map(lambda tuned: reference.generate(asked(QUESTIONS[2]), tuned, Decoding(10)).text,
                        [False, True] * 3)
    assert list(made) == wanted * 3


def test_a_prompt_without_room_is_one_line(reference):
    with pytest.raises(UserError, match="model.context"):
        reference.generate(asked("word " * 600), False, Decoding(16))


@pytest.mark.parametrize("name", ["adapter_config.json", WEIGHTS])
@pytest.mark.parametrize("content", [None, b"", b"nonsense {"])
def test_a_damaged_adapter_is_one_line(adapter, tmp_path, name, content):
    folder = shutil.copytree(adapter, tmp_path / "adapter")
    (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
    with pytest.raises(UserError, match="build` again") as caught:
        load_adapter(tiny(), folder)
    assert "\n" not in str(caught.value)


def test_an_adapter_for_another_base_or_with_a_tensor_missing_is_one_line(adapter, tmp_path):
    with pytest.raises(UserError, match="not an adapter for this base"):
        load_adapter(tiny(), adapter)
    folder = shutil.copytree(adapter, tmp_path / "adapter")
    tensors = {name: weights[:, :8].clone() if "lora_A" in name else weights[:8].clone()
               for name, weights in load_file(adapter / WEIGHTS).items() if "layers.0." in name}
    save_file(tensors, folder / WEIGHTS)
    assert load_adapter(tiny(), folder).active_adapter == "default"
    save_file(dict(list(tensors.items())[1:]), folder / WEIGHTS)
    with pytest.raises(UserError, match="missing adapter keys"):
        load_adapter(tiny(), folder)


def test_weights_that_can_not_be_read_are_one_line(tmp_path):
    for content in (None, b"nonsense"):
        if content:
            (tmp_path / "model.gguf").write_bytes(content)
        with pytest.raises(UserError, match="transformers can't load it") as caught:
            load_base(Base(tmp_path, "0" * 64))
        assert "\n" not in str(caught.value)


def tiny():
    """A model of one layer, 8 wide, with two heads."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(vocab_size=16, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                                        num_attention_heads=2, num_key_value_heads=2))
