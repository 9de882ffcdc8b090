"""Examples and index to training rows: the texts that the adapter learns from."""

import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib.resources import files

from builder.answering.support import support
from builder.model.prompt import Message, render
from builder.scoring.tone import fixed_phrases
from builder.training.batching import Preference, Row
from builder.workspace.brand import Brand, Training
from builder.workspace.examples import Choice, Example, hold_out
from knowledge.files import Tick, silent
from knowledge.search.index import Found
from knowledge.search.retriever import Retriever

FEWEST_EXAMPLES = 8
"""With fewer, nothing is trained."""
REPLAY_TOKENS = 80
"""The longest reply of the base model that is replayed."""
Answer = Callable[[Sequence[list[Message]]], list[str]]
"""Conversations to the base model's own replies."""


@dataclass(frozen=True)
class Mix:
    """What is trained on, what the loss is watched on, and the examples of either; the latter are voice to compare."""

    rows: tuple[Row, ...]
    held_out: tuple[Row, ...]
    trained_examples: tuple[Example, ...]
    held_out_examples: tuple[Example, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Training rows of each kind."""
        return dict(Counter(row.kind for row in self.rows))


def mix(brand: Brand, examples: Sequence[Example], retriever: Retriever | None, answer: Answer,
        tick: Tick = silent, learnt: Collection[str] = ()) -> Mix:
    """The rows of one training; examples of the hashes `learnt` were trained on before and are not held out.

    Tone and closed rows show the question alone; grounded rows the same question with the passage that its reply rests
    on among distractors that search puts beside it; abstaining rows only passages that don't answer; replay rows are
    general requests in the base model's own words, without the brand. Held-out rows are the same whatever the shares,
    so that two mixes can be compared by their loss.
    """
    settings = brand.training
    chance = random.Random(settings.seed)
    trained, apart = hold_out(examples, settings.seed, learnt)
    fixed = fixed_phrases(brand, examples)
    rows: list[Row] = []
    for example in trained:
        rows += _rows(brand, example, retriever, fixed, settings, chance)
    usual, again = Training(), random.Random(settings.seed)
    held_out = [row for example in apart for row in _rows(brand, example, retriever, fixed, usual, again)]
    requests = files("builder.training").joinpath("replayed_requests.txt").read_text(encoding="utf-8").splitlines()
    chosen = chance.sample(requests, min(len(requests), round(settings.replay * len(trained))))
    asked = [[{"role": "user", "content": request}] for request in chosen]
    tick(0, len(chosen), "base model answers general requests")
    rows += [Row(messages, reply, "replay") for messages, reply in zip(asked, answer(asked), strict=True)]
    return Mix(tuple(rows), tuple(held_out), tuple(trained), tuple(apart))


def _rows(brand: Brand, example: Example, retriever: Retriever | None, fixed: Sequence[str], settings: Training,
          chance: random.Random) -> list[Row]:
    """The rows of one example."""
    right = support(example, retriever.index, fixed) if retriever else None
    if not retriever or not right:
        return [_row(brand, example, [], "tone")] * _times(settings.tone, chance)
    rows = [_row(brand, example, [], "closed")] * _times(settings.closed, chance)
    for _ in range(_times(settings.grounded, chance)):
        crowded = chance.random() < settings.distractors
        found = _among(example, right, retriever, chance) if crowded else [right]
        rows.append(_row(brand, example, found, "grounded"))
    if _times(settings.abstaining, chance):
        others = [hit for hit in retriever.index.search(example.question, retriever.count + 1)
                  if hit.number != right.number][: retriever.count]
        rows.append(Row(_messages(brand, example, others), brand.abstain, "abstaining"))
    return rows


def preferred(brand: Brand, choices: Sequence[Choice], retriever: Retriever | None,
              fixed: Sequence[str]) -> list[Preference]:
    """The pairs of preferences.jsonl, with passages where the better reply rests on one."""
    chance = random.Random(brand.training.seed)
    pairs = []
    for choice in choices:
        right = support(choice.better, retriever.index, fixed) if retriever else None
        found = _among(choice.better, right, retriever, chance) if retriever and right else []
        messages = _messages(brand, choice.better, found)
        pairs.append(Preference(Row(messages, choice.better.reply, "chosen"), Row(messages, choice.worse, "rejected")))
    return pairs


def _among(example: Example, right: Found, retriever: Retriever, chance: random.Random) -> list[Found]:
    """What search finds for the question, best first, the right passage in it, at a random place if it wasn't."""
    found = retriever.index.search(example.question, retriever.count)
    if all(hit.number != right.number for hit in found):
        found = found[: retriever.count - 1]
        found.insert(chance.randint(0, len(found)), right)
    return found


def _times(rate: float, chance: random.Random) -> int:
    """`rate` as a whole number that is right on average."""
    return int(rate) + (chance.random() < rate - int(rate))


def _messages(brand: Brand, example: Example, found: Sequence[Found]) -> list[Message]:
    history = [{"role": role, "content": content} for role, content in example.history]
    passages = [(hit.passage.heading, hit.passage.shown) for hit in found]
    return render(brand, example.question, passages, history)


def _row(brand: Brand, example: Example, found: Sequence[Found], kind: str) -> Row:
    return Row(_messages(brand, example, found), example.reply, kind)
