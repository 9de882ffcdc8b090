"""Messages to a reply by transformers and PEFT: the slow, obvious engine that llama.cpp is checked against."""

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from builder.model.base import Base
from builder.model.engine import ENDS, Decoding, Emit, Generated, Reading, prompt_ids
from builder.model.hf import load_adapter, load_base
from builder.model.prompt import Message
from knowledge.errors import UserError


class TransformersEngine:
    """transformers over the base weights and, where there is one, a PEFT adapter; on a GPU where one can be used."""

    def __init__(self, base: Base, adapter: Path | None = None, slots: int = 1, context: int = 2048) -> None:
        """Load the weights; `context` is the tokens of prompt and reply together. Replies are made one by one."""
        from tokenizers import Tokenizer

        self.slots = slots
        self._context, self._template = context, base.template
        self._tokenizer = Tokenizer.from_file(str(base.tokenizer))
        model: Any = load_base(base)
        self._ends = {model.config.eos_token_id, *map(self._tokenizer.token_to_id, ENDS)} - {None}
        self._adapted = load_adapter(model, adapter) if adapter else None
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = (self._adapted or model).to(self._device)
        self._lock = threading.Lock()  # whether the adapter is on is the model's state, not the request's

    def generate(self, messages: Sequence[Message], tuned: bool, decoding: Decoding,
                 emit: Emit | None = None) -> Generated:
        """Make one reply; UserError when the prompt leaves no room for it.

        Greedy at temperature 0; else drawn from the softmax of logits / temperature, with the seed.
        """
        ids = prompt_ids(messages, self._tokenizer, self._template, self._context - decoding.most_tokens)
        reading = Reading(emit)
        with self._lock, self._switched(tuned):
            self._read(ids, decoding, reading)
        return reading.whole(len(ids))

    def _switched(self, tuned: bool) -> contextlib.AbstractContextManager[Any]:
        if self._adapted is None or tuned:
            return contextlib.nullcontext()
        return self._adapted.disable_adapter()

    def _read(self, ids: list[int], decoding: Decoding, reading: Reading) -> None:
        """Token after token into `reading`, until the model, the limit, the guard or the reader ends it."""
        from tokenizers.decoders import DecodeStream

        text = DecodeStream(skip_special_tokens=True)  # holds back half a character
        drawing = torch.Generator(self._device).manual_seed(decoding.seed)
        step, past = torch.tensor([ids], device=self._device), None
        with torch.inference_mode():
            for _ in range(decoding.most_tokens):
                made = self._model(input_ids=step, past_key_values=past, use_cache=True, logits_to_keep=1)
                token, past = _draw(made.logits[0, -1], decoding.temperature, drawing), made.past_key_values
                reading.tokens += 1
                if token in self._ends:
                    return
                if reading.feed(text.step(self._tokenizer, token) or ""):
                    return
                step = torch.tensor([[token]], device=self._device)
        reading.finish = "length"


def _draw(logits: torch.Tensor, temperature: float, drawing: torch.Generator) -> int:
    """One token's number from the logits (vocabulary,)."""
    if temperature == 0:
        return int(logits.argmax())
    return int(torch.multinomial(torch.softmax(logits.float() / temperature, -1), 1, generator=drawing))


def teacher_forced(model: Any, prompt: Sequence[int], reply: Sequence[int]) -> tuple[list[float], list[int],
                                                                                     list[float]]:
    """One pass over a prompt and a reply given as token numbers.

    For each token of the reply: its log-probability after all that stands before it, the most likely token there, and
    that one's log-probability.
    """
    ids = torch.tensor([[*prompt, *reply]], device=model.device)
    with torch.inference_mode():
        logits = model(input_ids=ids[:, :-1], use_cache=False, logits_to_keep=len(reply)).logits[0]
    sure = torch.log_softmax(logits.float(), -1)
    best = sure.max(-1)
    return (sure.gather(1, ids[0, -len(reply):, None])[:, 0].tolist(), best.indices.tolist(), best.values.tolist())


def mean_log_probabilities(base: Base, adapter: Path, texts: Sequence[str]) -> list[tuple[float, float]]:
    """For each text, the mean log-probability of its tokens in nats without the adapter, and with it.

    Each token but the first is judged after those before it, with no chat template around them; in fp32. A text
    needs at least two tokens. UserError where base or adapter can't be loaded, or the adapter makes no numbers.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(base.tokenizer))
    rows = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    model: Any = load_adapter(load_base(base), adapter)
    with model.disable_adapter():
        before = _mean_log_probabilities(model, rows)
    after = _mean_log_probabilities(model, rows)
    if not torch.tensor(after).isfinite().all():
        raise UserError(f"{adapter}: makes the model compute values that are not numbers; lower "
                        "training.learning_rate in "
                        "brand.yaml and build again")
    return list(zip(before, after, strict=True))


def _mean_log_probabilities(model: Any, rows: Sequence[list[int]], at_once: int = 8) -> list[float]:
    """As above, with the model as it stands; rows of like length share a pass, filled up at the end with token 0."""
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    means = [0.0] * len(rows)
    for start in range(0, len(order), at_once):
        chosen = order[start:start + at_once]
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(rows[row]) for row in chosen], batch_first=True)
        with torch.inference_mode():
            # Attention looks back only, so that what fills up the end changes nothing before it.
            logits = model(input_ids=ids[:, :-1], attention_mask=torch.ones_like(ids[:, :-1]), use_cache=False).logits
        for place, row in enumerate(chosen):
            seen = len(rows[row]) - 1
            means[row] = -float(torch.nn.functional.cross_entropy(logits[place, :seen], ids[place, 1:seen + 1]))
    return means
