"""OpenVINO on real weights: replies are those of transformers, at once as alone, and parity holds."""

import copy
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from builder.answering.opening import open_engine
from builder.answering.reply_cache import remembering
from builder.evaluation.checks.parity import GENERAL, parity
from builder.model import prepare
from builder.model.engine import Decoding
from builder.model.hf import load_base
from builder.model.openvino_engine import OpenVinoEngine, precision
from builder.model.prompt import render
from builder.model.transformers_engine import TransformersEngine
from builder.workspace.brand import Brand, Model
from builder.workspace.folder import Workspace
from knowledge.errors import UserError

pytest.importorskip("openvino_genai", reason="openvino-genai isn't installed: nothing to compare with")
BRAND = Brand(name="Acme", persona="You help.", abstain="No.", model=Model(engine="openvino", context=512))
ASKED = [render(BRAND, f"What is {number} plus 2?", []) for number in range(6)]
SHORT = Decoding(12)

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def base():
    return prepare.prepared(precision="f16")


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    """A random adapter strong enough to change every reply."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    adapted = get_peft_model(copy.deepcopy(load_base(base)), LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"))
    for name, values in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(values, std=0.05)
    folder = tmp_path_factory.mktemp("adapter")
    adapted.save_pretrained(folder, save_embedding_layers=False)
    return folder


@pytest.fixture(scope="module")
def exact(base):
    return OpenVinoEngine(base, slots=4, context=512, exact=True)


def test_replies_are_those_of_transformers_with_the_adapter_and_without(base, adapter, exact):
    slow = TransformersEngine(base, adapter, context=512)
    tuned = OpenVinoEngine(base, adapter, slots=4, context=512, exact=True)
    for engine, on in ((exact, False), (tuned, True)):
        made = [engine.generate(messages, on, SHORT) for messages in ASKED[:3]]
        wanted = [slow.generate(messages, on, SHORT) for messages in ASKED[:3]]
        assert [(one.text, one.tokens, one.finish) for one in made] == [
            (one.text, one.tokens, one.finish) for one in wanted]
    assert exact.generate(ASKED[0], True, SHORT).text != tuned.generate(ASKED[0], True, SHORT).text


def test_many_at_once_say_what_they_say_alone(exact):
    alone = [exact.generate(messages, False, SHORT).text for messages in ASKED]
    with ThreadPoolExecutor(exact.slots) as pool:
        made = list(pool.map(lambda messages: exact.generate(messages, False, SHORT), ASKED))
    assert [one.text for one in made] == alone and all(one.prompt_tokens > 0 for one in made)


def test_a_reader_can_stop_a_reply_and_the_engine_goes_on(exact):
    made = exact.generate(render(BRAND, "Tell a long story.", []), False, Decoding(200), lambda piece: True)
    assert made.finish == "cancelled" and made.tokens < 50
    pieces = []
    again = exact.generate(ASKED[0], False, SHORT, pieces.append)
    assert again.text and "".join(pieces).strip() == again.text
    assert not exact._pipe.has_non_finished_requests()


def test_a_drawn_reply_is_the_same_with_the_same_seed(exact):
    drawn = [exact.generate(ASKED[0], False, Decoding(12, temperature=1.5, seed=seed)).text for seed in (1, 1, 2, 3, 4)]
    assert drawn[0] == drawn[1] and len(set(drawn)) > 1


def test_a_prompt_without_room_is_one_line(exact):
    with pytest.raises(UserError, match="model.context"):
        exact.generate(render(BRAND, "word " * 600, []), False, Decoding(16))


def test_weights_and_adapters_that_it_can_not_load_are_one_line(base, tmp_path):
    (tmp_path / "tuned.gguf").write_bytes(b"GGUF nonsense")
    with pytest.raises(UserError, match=r"tuned\.gguf: OpenVINO can't load it .*set model\.engine") as told:
        OpenVinoEngine(base, tuned=tmp_path / "tuned.gguf")
    assert "\n" not in str(told.value)


def test_parity_holds_for_the_adapter_and_sees_another_strength(base, adapter, tmp_path):
    prompts = [[{"role": "user", "content": request}] for request in GENERAL[:2]]
    found = parity(base, base, adapter, prompts, 512, engine="openvino").as_json()
    assert found["met"], found["sentence"]
    assert [check["precision"] for check in found["checks"]] == ["f16", "f16"] + ["bf16"] * (precision() == "bf16")
    wrong = shutil.copytree(adapter, tmp_path / "wrong")
    settings = json.loads((wrong / "adapter_config.json").read_text())
    engine = OpenVinoEngine(base, adapter, context=512, exact=True)
    (wrong / "adapter_config.json").write_text(json.dumps(settings | {"lora_alpha": 12}))
    other = OpenVinoEngine(base, wrong, context=512, exact=True)
    assert engine.trace(prompts[0], True, 8).log_probabilities != other.trace(prompts[0], True, 8).log_probabilities


def test_a_workspace_that_names_it_gets_it_and_remembers_by_it(really_built, tmp_path):
    built = really_built
    brand = built.brand.model_copy(update={"model": built.brand.model.model_copy(update={"engine": "openvino"})})
    adapter = built.current().adapter
    engine = open_engine(brand, adapter, 2)
    asked = render(brand, "When do parcels leave?", [])
    assert engine.generate(asked, True, SHORT).text != engine.generate(asked, False, SHORT).text
    other = remembering(Workspace(built.folder), brand, adapter)
    usual = remembering(Workspace(built.folder), built.brand, adapter)
    assert other._identity != usual._identity


def test_it_loads_no_torch_and_calls_nobody():
    code = """
import sys
called = []
sys.addaudithook(lambda event, args: called.append(event) if event.startswith("socket.") else None)
from builder.model.prepare import prepared
from builder.model.engine import Decoding
from builder.model.openvino_engine import OpenVinoEngine
engine = OpenVinoEngine(prepared(precision="f16"), context=256)
assert engine.generate([{"role": "user", "content": "Hello"}], False, Decoding(4)).tokens
print(called, "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] False"
