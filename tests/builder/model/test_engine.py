"""The engine on real weights: the tokenizer is llama.cpp's own, replies are the same one by one and at once."""

import json
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from tokenizers import Tokenizer

from builder.model import prepare
from builder.model.engine import Decoding
from builder.model.llama_engine import LlamaEngine
from builder.model.prompt import render
from builder.workspace.brand import Brand
from knowledge.errors import UserError

BRAND = Brand(name="Acme", persona="You help.", abstain="No.")
TEXTS = ["Hello world", "It's 12,345.67 euros on 2026-11-24!", "  two  spaces\n\nand\ttabs", "naïve café — “quoted” 🙂",
         "<|im_start|>user\nHi<|im_end|>\n", "don't we'll THEY'RE x_y(z) == 0x1F"]


@pytest.fixture(scope="module")
def base():
    return prepare.prepared()


@pytest.fixture(scope="module")
def engine(base):
    return LlamaEngine(base, slots=4, context=512)


def test_the_tokenizer_is_that_of_llama_cpp(base, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda size: "a-key-for-the-test")
    engine = LlamaEngine(base, context=256)
    tokenizer = Tokenizer.from_file(str(base.tokenizer))
    for text in TEXTS:
        request = urllib.request.Request(
            engine._server.listening_address + "/tokenize",
            json.dumps({"content": text, "parse_special": True}).encode(),
            {"Authorization": "Bearer a-key-for-the-test", "Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["tokens"] == tokenizer.encode(text, add_special_tokens=False).ids


def test_greedy_replies_come_out_the_same_again(engine):
    messages = render(BRAND, "Name a colour.", [])
    pieces = []
    first = engine.generate(messages, False, Decoding(24), pieces.append)
    assert first.text and first.tokens <= 24 and "".join(pieces).startswith(first.text[:5])
    assert engine.generate(messages, False, Decoding(24)).text == first.text


def test_many_at_once_all_answer(engine):
    asked = [render(BRAND, f"What is {number} plus 2?", []) for number in range(8)]
    with ThreadPoolExecutor(engine.slots) as pool:
        made = list(pool.map(lambda messages: engine.generate(messages, False, Decoding(16)), asked))
    assert [reply.prompt_tokens > 0 and bool(reply.text) for reply in made] == [True] * 8


def test_a_reader_can_stop_a_reply(engine):
    made = engine.generate(render(BRAND, "Tell a long story.", []), False, Decoding(200), lambda piece: True)
    assert made.finish == "cancelled" and made.tokens < 50


def test_a_prompt_without_room_and_files_that_are_no_model_are_one_line(engine, tmp_path):
    with pytest.raises(UserError, match="model.context"):
        engine.generate(render(BRAND, "word " * 600, []), False, Decoding(16))
    (tmp_path / "bad.gguf").write_bytes(b"GGUF nonsense")
    for name in (str(tmp_path / "bad.gguf"), str(tmp_path / "none.gguf")):
        with pytest.raises(UserError):
            prepare.prepared(name)


def test_answering_imports_no_torch():
    code = ("import sys, builder.model.llama_engine, builder.model.prepare; "
            "print(sorted({'torch', 'transformers'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
