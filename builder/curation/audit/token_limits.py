"""Examples as the tokens that training will see: what is cut, what teaches nothing, how many steps there are."""

import math
import mmap
import struct
from collections.abc import Iterator
from typing import Any

from builder.curation.audit.finding import RUN, STOPS, Finding, Material
from builder.model.base import Base
from builder.model.prepare import prepared
from builder.model.prompt import Message, render, to_prompt
from builder.training.batching import Row, encode
from builder.workspace.examples import kept_apart
from knowledge.errors import UserError

FEWEST_STEPS = 30
"""Optimiser steps: LoRA's B starts at zero and the first 5 % of steps warm up, so fewer hardly move the weights."""
FEWEST_EXAMPLES = 50
"""Examples: 15 % of fewer than 50 is less than the 8 replies that the voice score must hold out, so that eight kept
apart leave too little to learn from; and builder.brand's settings are made for 50 and more."""
MARK = "the reply stands here"


def check(material: Material) -> Iterator[Finding]:
    """Every example's row in tokens of the base model; nothing without examples."""
    if not material.examples:
        return
    try:
        base = prepared(material.brand.model.base, "f16")
        yield from _rows(material, base)
    except UserError as error:
        what, _, advice = str(error).rpartition("; ")
        yield Finding("model can't be used", "brand.yaml", None, "error", what or advice,
                      advice if what else "set model.base to another model", STOPS)


def _rows(material: Material, base: Base) -> Iterator[Finding]:
    from tokenizers import Tokenizer

    brand, tokenizer = material.brand, Tokenizer.from_file(str(base.tokenizer))
    end, reads = _limits(base)
    reads = reads or brand.model.context
    yield from _end_token(base, tokenizer, end)
    for number, example in enumerate(material.examples):
        history: list[Message] = [{"role": role, "content": content} for role, content in example.history]
        row = Row(render(brand, example.question, [], history), example.reply, "tone")
        made = encode([row], tokenizer, base.template, end or 0, 10 ** 9)[0]
        yield from _row(material, number, made.start, len(made.ids) - made.start - 1, reads)
    yield from _room(material, base, tokenizer)


def _row(material: Material, number: int, prompt: int, reply: int, reads: int) -> Iterator[Finding]:
    """One row of `prompt` and `reply` tokens against what the model reads and what brand.yaml lets it write."""
    settings, file, line = material.brand.model, material.file, material.examples[number].line
    most = min(settings.context, reads)
    if not reply or not any(map(str.isalnum, material.replies[number])):
        yield Finding("no supervised token", file, line, "warning",
                      "the reply has no text of its own, so there is nothing to learn", "write a reply, or remove it",
                      RUN)
    elif prompt + reply >= reads:
        yield Finding("row too long", file, line, "error", f"has {prompt + reply + 1:,} tokens, the model reads "
                      f"{reads:,}; training stops here", "shorten or remove it", STOPS)
    elif prompt >= most:
        yield Finding("no supervised token", file, line, "warning", f"its prompt alone has {prompt:,} tokens, and "
                      f"model.context is {most:,}", "shorten the conversation, or raise model.context in brand.yaml",
                      RUN)
    elif prompt + reply >= most:
        yield Finding("truncated reply", file, line, "warning", f"prompt and reply have {prompt + reply + 1:,} tokens, "
                      f"and model.context is {most:,}", "shorten it, or raise model.context in brand.yaml", RUN)
    elif reply > settings.reply_tokens:
        yield Finding("truncated reply", file, line, "warning", f"the reply has {reply} tokens, and model.reply_tokens "
                      f"cuts replies at {settings.reply_tokens}; the model would learn to be cut off",
                      f"shorten it, or set model.reply_tokens to {reply + 1} or more", RUN)


def _room(material: Material, base: Base, tokenizer: Any) -> Iterator[Finding]:
    """Whether the longest passages, the longest question and a whole reply go into model.context together."""
    model = material.brand.model
    longest = sorted(material.passages, key=lambda passage: len(passage.indexed))[-material.brand.retrieval.found:]
    question = max((example.question for example in material.examples), key=len)
    messages = render(material.brand, question, [(passage.heading, passage.shown) for passage in longest])
    prompt = tokenizer.encode(to_prompt(messages, base.template), add_special_tokens=False).ids
    needed = len(prompt) + model.reply_tokens
    if longest and needed > model.context:
        yield Finding("no room for passages", "brand.yaml", None, "warning",
                      f"a question with its {len(longest)} longest passages and a reply needs {needed:,} tokens, and "
                      f"model.context is {model.context:,}", f"raise model.context to {needed:,}, or lower "
                      "retrieval.found or retrieval.passage_tokens", RUN)


def _end_token(base: Base, tokenizer: Any, end: int | None) -> Iterator[Finding]:
    """Whether the token that training teaches to end with is the one that the chat template ends a turn with."""
    written = to_prompt([{"role": "user", "content": "?"}, {"role": "assistant", "content": MARK}], base.template)
    after = tokenizer.encode(written.partition(MARK)[2].lstrip(), add_special_tokens=False).ids
    name = tokenizer.id_to_token(end) if end is not None else None
    if name is None:
        yield Finding("stop token not trained", "brand.yaml", None, "error",
                      "the base model has no end token, so it would never learn to end a reply",
                      "set model.base to a chat model", STOPS)
    elif end != (after[0] if after else None):
        ends = tokenizer.id_to_token(after[0]) if after else "nothing"
        yield Finding("stop token not trained", "brand.yaml", None, "warning",
                      f"the chat template ends a turn with {ends}, but training puts {name} after a reply: the "
                      f"model never learns {ends}",
                      "set model.base to a chat model whose end token ends its turns", RUN)


def _limits(base: Base) -> tuple[int | None, int | None]:
    """The token that ends a reply and how many tokens the model reads; None for what it doesn't say."""
    if base.served:
        return setting(base, "tokenizer.ggml.eos_token_id"), setting(base, ".context_length")
    from builder.model.hf import end_of, read_config

    config = read_config(base.folder / "transformers")
    return end_of(base, config.get("eos_token_id")), config.get("max_position_embeddings")


def setting(base: Base, key: str) -> int | None:
    """A whole number among a GGUF file's settings, by its key or how it ends; None where there is none.

    Read from the bytes (GGUF v3: key, type 4 = uint32, value), for gguf.GGUFReader takes seconds to read them all.
    """
    with base.gguf.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(key.encode() + struct.pack("<I", 4))
        return int(struct.unpack_from("<I", data, at + len(key) + 4)[0]) if at >= 0 else None


def steps(material: Material, count: int | None = None) -> tuple[int, int]:
    """(rows, optimiser steps) of a training on these examples, or on `count` such ones; builder.mix's rates."""
    settings, examples = material.brand.training, material.examples
    share = sum(material.rests) / len(examples) if examples else 0.0
    count = len(examples) if count is None else count
    each = settings.replay + (1 - share) * settings.tone + share * (
        settings.closed + settings.grounded + settings.abstaining)
    rows = round((count - kept_apart(count)) * each)
    return rows, math.ceil(rows / settings.batch) * settings.epochs


def enough(material: Material) -> int:
    """The number of examples that would do: FEWEST_EXAMPLES, or as many as make FEWEST_STEPS."""
    count = FEWEST_EXAMPLES
    while steps(material, count)[1] < FEWEST_STEPS:
        count += 5
    return count
