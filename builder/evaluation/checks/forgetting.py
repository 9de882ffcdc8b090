"""What fine-tuning forgot: general requests, exact formats and general text, before and after, against margins."""

import json
import math
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

from builder.model.engine import Decoding, Engine, at_once
from builder.scoring.statistics import compared, difference_told
from builder.scoring.text import places
from knowledge.files import Tick, silent

REPLY_TOKENS = 32
"""The most that a reply may take; no request needs more."""


@dataclass(frozen=True)
class Margins:
    """How much may be lost, set before anything is seen.

    Shares: a tenth is about the least that so few requests can tell from nothing; where not one of 40 changes, the
    exact 95 % limit on the share that would is 0.09. Text, in nats per token: 0.05 less is a perplexity 5 % higher, a
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


def requests() -> list[Request]:
    """The general requests; none of them is one that training replays."""
    return [Request(part, row["id"], row["request"], tuple(row.get("accepted", ())), row.get("pattern", ""))
            for part in ("instructions", "formats") for row in _rows(part)]


def general_texts() -> list[str]:
    """The passages whose log-probabilities are compared, in the order that `forgetting` expects."""
    return [row["text"] for row in _rows("texts")]


def forgetting(engine: Engine, log_probabilities: Sequence[tuple[float, float]], margins: Margins | None = None,
               tick: Tick = silent) -> dict[str, Any]:
    """What the adapter lost of the base model's general ability, ready for JSON.

    `engine` has the adapter; requests go to it without the brand's words, greedily, all without the adapter first.
    `log_probabilities` are those of `general_texts` in nats per token (before, after), as
    `builder.model.transformers_engine.mean_log_probabilities` gives them. For each part the paired difference with
    its 95 % interval over items is held against its margin, as in non-inferiority trials (Piaggio et al. 2012,
    CONSORT, JAMA 308: 2594): "kept" when the interval's lower end is above -margin; "forgot" when the difference is
    below -margin and the interval's upper end below 0; else "cannot tell". The build forgot when one part did, and
    only then is its gate not met; it kept when all parts did.
    """
    start = time.perf_counter()
    limits = asdict(margins or Margins())
    asked = requests()
    befores = _replies(engine, asked, False, tick)
    afters = _replies(engine, asked, True, tick)
    items: list[dict[str, Any]] = [
        {"part": request.part, "id": request.id, "request": request.text, "before": before, "after": after,
         "right_before": request.right(before), "right_after": request.right(after)}
        for request, before, after in zip(asked, befores, afters, strict=True)]
    texts: list[dict[str, Any]] = [
        {"part": "text", "id": row["id"], "field": row["field"], "before": before, "after": after}
        for row, (before, after) in zip(_rows("texts"), log_probabilities, strict=True)]
    parts = {part: _answered([item for item in items if item["part"] == part], limits[part])
             for part in ("instructions", "formats")}
    parts["text"] = _read(texts, limits["text"])
    outcomes = {part["outcome"] for part in parts.values()}
    outcome = next((worst for worst in ("forgot", "cannot tell") if worst in outcomes), "kept")
    return {"outcome": outcome, "met": outcome != "forgot", "parts": parts, "items": [*items, *texts],
            "seconds": time.perf_counter() - start}


def _answered(items: Sequence[dict[str, Any]], margin: float) -> dict[str, Any]:
    """One part of requests: the shares that are right, and how many were lost and gained."""
    before, after = ([float(item[key]) for item in items] for key in ("right_before", "right_after"))
    return {**compared(before, after, [item["id"] for item in items], margin), "unit": "share",
            "lost": sum(item["right_before"] and not item["right_after"] for item in items),
            "gained": sum(item["right_after"] and not item["right_before"] for item in items)}


def _read(texts: Sequence[dict[str, Any]], margin: float) -> dict[str, Any]:
    """The general text: mean log-probabilities over passages, and the perplexities that they come to."""
    part = compared([text["before"] for text in texts], [text["after"] for text in texts],
                    [text["id"] for text in texts], margin)
    return {**part, "unit": "nats per token", "perplexity_before": math.exp(-part["before"]),
            "perplexity_after": math.exp(-part["after"])}


def advice(result: dict[str, Any]) -> str:
    """The result of `forgetting` in plain words, and where the adapter forgot, what to try in brand.yaml and why."""
    parts = result["parts"]
    by_outcome = {outcome: [name for name in TITLES if parts[name]["outcome"] == outcome]
                  for outcome in ("forgot", "cannot tell")}
    if result["outcome"] == "kept":
        return f"Fine-tuning kept the base model's general ability: {_all_told(parts, list(TITLES))}."
    if result["outcome"] == "cannot tell":
        unseen = ", ".join(f"{parts[name]['detectable']:.2f} in {TITLES[name].lower()}"
                           for name in by_outcome["cannot tell"])
        return (f"Whether fine-tuning forgot more than the margin cannot be told: "
                f"{_all_told(parts, by_outcome['cannot tell'])}. Losses smaller than these would often go unseen: "
                f"{unseen}.")
    tries = []
    if {"instructions", "formats"} & set(by_outcome["forgot"]):
        tries.append("raise training.replay, whose rows are general requests in the base model's own words, since "
                     "requests that have nothing to do with the brand are no longer met")
    if "text" in by_outcome["forgot"]:
        rise = parts["text"]["perplexity_after"] / parts["text"]["perplexity_before"] - 1
        tries.append(f"lower training.learning_rate, since the perplexity of general text rose by {rise:.0%}: the "
                     "weights moved far")
    tries.append("fewer training.epochs, more training.frozen_layers or a lower training.rank, which leave the "
                 "adapter less room")
    return (f"Fine-tuning forgot more than the margin: {_all_told(parts, by_outcome['forgot'])}. "
            f"Try in brand.yaml, one at a time: {'; then '.join(tries)}.")


def _all_told(parts: dict[str, dict[str, Any]], names: Sequence[str]) -> str:
    return "; ".join(f"{TITLES[name].lower()} {_told(parts[name])}" for name in names)


def _told(part: dict[str, Any]) -> str:
    changed = f"{part['lost']} lost and {part['gained']} gained of {part['n']}, " if "lost" in part else ""
    unit = "" if part["unit"] == "share" else f" {part['unit']}"
    return (f"{part['before']:.2f} before and {part['after']:.2f} after{unit} ({changed}"
            f"{difference_told(part)})")


def _replies(engine: Engine, asked: Sequence[Request], tuned: bool, tick: Tick) -> list[str]:
    """The replies in order, as many at once as the engine has slots."""
    note, replies = "with the adapter" if tuned else "without the adapter", []
    conversations = [[{"role": "user", "content": request.text}] for request in asked]
    for made in at_once(engine, conversations, tuned, Decoding(REPLY_TOKENS)):
        replies.append(made.text)
        tick(tuned * len(asked) + len(replies), 2 * len(asked), f"general requests {note}")
    return replies


def _rows(name: str) -> list[dict[str, Any]]:
    text = files("builder.evaluation.checks").joinpath("general", f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
