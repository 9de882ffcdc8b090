"""What an engine is: messages to a reply, with the adapter on or off; knows no engine in particular."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from builder.model.loop_guard import Guard
from builder.model.prompt import Message, to_prompt
from knowledge.errors import UserError

VERSION = "1"
"""Of our own part in decoding (loop guard, ends, prompts); with a new one no reply is taken from the cache."""
Emit = Callable[[str], bool | None]
"""Gets a reply's text piece by piece; returns True to stop it."""
ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<|end|>", "<end_of_turn>")
"""Control tokens that end a reply, beside the one that the weights name; llama.cpp knows them by their text too."""


@dataclass(frozen=True)
class Decoding:
    """How a reply is drawn from the model; the same for all systems."""

    most_tokens: int = 120
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Generated:
    """A reply's text, what it cost, and why it ended: stop, length, loop or cancelled."""

    text: str
    tokens: int
    prompt_tokens: int
    seconds: float
    finish: str


@dataclass(frozen=True)
class Traced:
    """A greedy reply as token numbers: what was read, what was said, and the log-probability of each token said."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]
    log_probabilities: tuple[float | None, ...]
    """None for a token that ends within a character: llama.cpp tells it of whole characters alone."""


class Engine(Protocol):
    """Whatever turns messages into a reply, with the adapter on or off."""

    slots: int

    def generate(self, messages: Sequence[Message], tuned: bool, decoding: Decoding,
                 emit: Emit | None = None) -> Generated:
        """Make one reply; blocks until it is whole. May be called from `slots` threads at once."""


def at_once(engine: Engine, asked: Iterable[Sequence[Message]], tuned: bool,
            decoding: Decoding) -> Iterator[Generated]:
    """Replies in order, as many made at once as the engine has slots; when the reader stops, no further one begins."""
    pool = ThreadPoolExecutor(engine.slots)
    try:
        yield from pool.map(lambda messages: engine.generate(messages, tuned, decoding), asked)
    finally:
        pool.shutdown(cancel_futures=True)


def prompt_ids(messages: Sequence[Message], tokenizer: Any, template: str, most: int) -> list[int]:
    """The messages as the token numbers of a prompt; UserError when they are more than `most`."""
    ids: list[int] = tokenizer.encode(to_prompt(messages, template), add_special_tokens=False).ids
    if len(ids) > most:
        raise UserError(f"the prompt has {len(ids)} tokens, but only {most} leave room for the reply; raise "
                        "model.context or lower retrieval.found in brand.yaml")
    return ids


class Reading:
    """One reply as it streams out of a model."""

    def __init__(self, emit: Emit | None) -> None:
        """Start the clock on an empty reply."""
        self.finish, self.tokens = "stop", 0
        self._guard, self._shown, self._emit = Guard(), "", emit
        self._cancelled, self._start = False, time.perf_counter()

    def feed(self, text: str) -> bool:
        """Take the next piece of text; True stops the stream."""
        self._show(self._guard.feed(text))
        return self._guard.looped or self._cancelled

    def whole(self, prompt_tokens: int) -> Generated:
        """The reply when nothing more comes."""
        text, finish = self._guard.finish("cancelled" if self._cancelled else self.finish)
        self._show(text[len(self._shown):] if finish in ("stop", "length") else "")
        return Generated(text, self.tokens, prompt_tokens, time.perf_counter() - self._start, finish)

    def _show(self, text: str) -> None:
        """Pass text on to the reader, without the space that models like to begin with."""
        text = text if self._shown else text.lstrip()
        if text:
            self._shown += text
            if self._emit and self._emit(text):
                self._cancelled = True
