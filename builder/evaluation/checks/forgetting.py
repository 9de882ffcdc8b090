"""What fine-tuning forgot: general requests, exact formats and general text, before and after, against margins."""

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from builder.evaluation.report import Forgetting, ForgettingItem, ForgettingPart
from builder.model.engine import Decoding, Engine, at_once
from builder.scoring.statistics import Outcome, compare
from builder.scoring.text import places
from knowledge.files import Tick, silent

GENERAL = files("builder.evaluation.checks").joinpath("general")
REQUESTED = ("instructions", "formats")
REPLY_TOKENS = 32
"""The most that a reply may take; no request needs more."""


@dataclass(frozen=True)
class Margins:
    """How much may be lost, set before anything is seen.

    Shares: a tenth is about the least that so few requests can tell from nothing; where not one of 60 changes, the
    exact 95 % limit on the share that would is 0.06. Text, in nats per token: 0.05 less is a perplexity 5 % higher, a
    sixth of what 4 bits in place of 8 cost the embedded model (published perplexities 31.6 and 23.5).
    """

    instructions: float = 0.10
    formats: float = 0.10
    text: float = 0.05


TITLES = {"instructions": "General instructions", "formats": "Exact formats", "text": "General text"}


@dataclass(frozen=True)
class Request:
    """One general request and what a right reply is: it holds an accepted answer, or is of a pattern as a whole."""

    part: str
    id: str
    text: str
    accepted: tuple[str, ...]
    pattern: str

    def right(self, reply: str) -> bool:
        """Whether the reply is right."""
        if self.pattern:
            return re.fullmatch(self.pattern, reply.strip()) is not None
        return any(places(answer, reply) for answer in self.accepted)


def requests(folder: Traversable = GENERAL) -> list[Request]:
    """The general requests, of which none is one that training replays, or those of another folder."""
    return [Request(part, row["id"], row["request"], tuple(row.get("accepted", ())), row.get("pattern", ""))
            for part in REQUESTED for row in _rows(part, folder)]


def general_texts() -> list[str]:
    """The passages whose log-probabilities are compared, in the order that `forgetting` expects."""
    return [row["text"] for row in _rows("texts")]


def forgetting(engine: Engine, log_probabilities: Sequence[tuple[float, float]], margins: Margins | None = None,
               tick: Tick = silent) -> Forgetting:
    """What the adapter lost of the base model's general ability.

    `engine` has the adapter; requests go to it without the brand's words, greedily, all without the adapter first.
    `log_probabilities` are those of `general_texts` in nats per token (before, after), as
    `builder.model.transformers_engine.mean_log_probabilities` gives them. For each part the paired difference with
    its 95 % interval over items is held against its margin by the rule of `statistics.compare`. The build forgot when
    one part did, and only then is its gate not met; it kept when all parts did.
    """
    start, margins = time.perf_counter(), margins or Margins()
    parts, items = judge_requests(engine, requests(), margins, tick)
    texts = [ForgettingItem(part="text", id=row["id"], field=row["field"], before=before, after=after)
             for row, (before, after) in zip(_rows("texts"), log_probabilities, strict=True)]
    parts["text"] = _text_part(log_probabilities, [item.id for item in texts], margins.text)
    outcomes = {part.outcome for part in parts.values()}
    outcome = next((worst for worst in (Outcome.FORGOT, Outcome.CANNOT_TELL) if worst in outcomes), Outcome.KEPT)
    return Forgetting(outcome=outcome, parts=parts, items=[*items, *texts],
                      seconds=time.perf_counter() - start)


def judge_requests(engine: Engine, asked: Sequence[Request], margins: Margins, tick: Tick = silent
                   ) -> tuple[dict[str, ForgettingPart], list[ForgettingItem]]:
    """Requests asked without and with the engine's adapter: what became of each part, and each request."""
    befores, afters = (_replies(engine, asked, tuned, tick) for tuned in (False, True))
    items = [ForgettingItem(part=request.part, id=request.id, request=request.text, before=before, after=after,
                            right_before=request.right(before), right_after=request.right(after))
             for request, before, after in zip(asked, befores, afters, strict=True)]
    return {part: _requests_part([item for item in items if item.part == part], asdict(margins)[part])
            for part in REQUESTED}, items


def _requests_part(items: Sequence[ForgettingItem], margin: float) -> ForgettingPart:
    """One part of requests: the shares that are right, and how many were lost and gained."""
    before, after = [bool(item.right_before) for item in items], [bool(item.right_after) for item in items]
    found = compare([float(right) for right in before], [float(right) for right in after],
                    [item.id for item in items], margin)
    pairs = list(zip(before, after, strict=True))
    return ForgettingPart(**asdict(found), unit="share", lost=pairs.count((True, False)),
                          gained=pairs.count((False, True)))


def _text_part(log_probabilities: Sequence[tuple[float, float]], ids: Sequence[str], margin: float) -> ForgettingPart:
    """The general text: mean log-probabilities over passages, and their perplexities."""
    before, after = zip(*log_probabilities, strict=True)
    found = compare(before, after, ids, margin)
    return ForgettingPart(**asdict(found), unit="nats per token", perplexity_before=math.exp(-found.before),
                          perplexity_after=math.exp(-found.after))


def advice(result: Forgetting) -> str:
    """The result of `forgetting` in plain words, and where the adapter forgot, what to try in brand.yaml and why."""
    def parts(outcome: Outcome) -> dict[str, ForgettingPart]:
        return {name: part for name in TITLES if (part := result.parts[name]).outcome == outcome}

    if result.outcome == Outcome.KEPT:
        return f"Fine-tuning kept the base model's general ability: {_all_figures(result.parts)}."
    if result.outcome == Outcome.CANNOT_TELL:
        unclear = parts(Outcome.CANNOT_TELL)
        unseen = ", ".join(f"{part.detectable:.2f} in {TITLES[name].lower()}" for name, part in unclear.items())
        return (f"It is not clear whether fine-tuning lost more general ability than the margin allows: "
                f"{_all_figures(unclear)}. Smaller losses than these would often go unseen: {unseen}.")
    forgot, tries = parts(Outcome.FORGOT), []
    if {"instructions", "formats"} & forgot.keys():
        tries.append("raise training.replay, which adds general requests to the training, because requests that have "
                     "nothing to do with the brand now fail")
    if text := forgot.get("text"):
        rise = (text.perplexity_after or 1) / (text.perplexity_before or 1) - 1
        tries.append(f"lower training.learning_rate, because the perplexity of general text rose by {rise:.0%}")
    tries.append("use fewer training.epochs, more training.frozen_layers or a lower training.rank, which change the "
                 "model less")
    return (f"Fine-tuning lost more general ability than the margin allows: {_all_figures(forgot)}. "
            f"Try in brand.yaml, one at a time: {'; then '.join(tries)}.")


def _all_figures(parts: Mapping[str, ForgettingPart]) -> str:
    return "; ".join(f"{TITLES[name].lower()} {figures(part)}" for name, part in parts.items())


def figures(part: ForgettingPart) -> str:
    """A part in figures, for people."""
    changed = "" if part.lost is None else f"{part.lost} lost and {part.gained} gained of {part.n}, "
    unit = "" if part.unit == "share" else f" {part.unit}"
    return (f"{part.before:.2f} before and {part.after:.2f} after{unit} ({changed}difference {part.difference:+.2f}, "
            f"95 % interval {part.low:+.2f} to {part.high:+.2f}, margin {part.margin:.2f})")


def _replies(engine: Engine, asked: Sequence[Request], tuned: bool, tick: Tick) -> list[str]:
    """The replies in order, as many at once as the engine has slots."""
    note, replies = "with the adapter" if tuned else "without the adapter", []
    conversations = [[{"role": "user", "content": request.text}] for request in asked]
    for made in at_once(engine, conversations, tuned, Decoding(REPLY_TOKENS)):
        replies.append(made.text)
        tick(tuned * len(asked) + len(replies), 2 * len(asked), f"general requests {note}")
    return replies


def _rows(name: str, folder: Traversable = GENERAL) -> list[dict[str, Any]]:
    return [json.loads(line) for line in folder.joinpath(f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
