"""How far it can be trusted that a sentence is called supported by a passage: precision and recall of the check.

`supported/` holds passages of made-up organisations, and with each of them sentences that it supports and sentences
that it doesn't: one fact changed, one word changed, negated, stitched from two places, unrelated. What the check of
citations is made of was chosen by development.jsonl; nobody who chose looked at final.jsonl.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby
from typing import Literal

from builder.answering.citations import supports
from builder.evaluation.report import Estimate, SupportCheck
from builder.scoring.statistics import interval
from knowledge.search.encoder import Encoder
from knowledge.search.index import Found
from knowledge.search.passages import Passage

Half = Literal["development", "final"]
_MADE: dict[tuple[str, Half], SupportCheck] = {}


@dataclass(frozen=True)
class Sentence:
    """A sentence as a reply may hold it, the passage that it is said to rest on, and whether that supports it."""

    passage_id: str
    heading: str
    passage: str
    sentence: str
    kind: str
    """true, fact, word, negated, stitched or unrelated."""
    supported: bool


def written(half: Half) -> list[Sentence]:
    """The sentences of one half."""
    text = files("builder.evaluation").joinpath("supported", f"{half}.jsonl").read_text(encoding="utf-8")
    names = Sentence.__dataclass_fields__
    return [Sentence(**{name: row[name] for name in names}) for row in map(json.loads, text.splitlines())]


def called_supported(sentences: Sequence[Sentence], encoder: Encoder) -> list[bool]:
    """For each whether its passage is said to support it."""
    said: list[bool] = []
    for _, group in groupby(sentences, lambda one: one.passage_id):
        some = list(group)
        passage = Passage(f"documents/{some[0].passage_id}.md", some[0].heading, some[0].passage, 0,
                          len(some[0].passage), None)
        found = [Found(passage, 0, 1.0, 1.0, 1.0)]
        said += [one is not None for one in supports([one.sentence for one in some], found, encoder)]
    return said


def support_check(encoder: Encoder, half: Half = "final") -> SupportCheck:
    """Precision, recall and what is called supported of each kind; 95 % intervals over passages.

    It takes seconds and depends on the encoder alone, so in one process it is made once for each.
    """
    key = encoder.sha256, half
    if key not in _MADE:
        _MADE[key] = _judged(encoder, written(half))
    return _MADE[key]


def _judged(encoder: Encoder, sentences: Sequence[Sentence]) -> SupportCheck:
    called = called_supported(sentences, encoder)
    kinds = dict.fromkeys(one.kind for one in sentences)
    return SupportCheck(
        sentences=len(sentences),
        precision=_share([(one, one.supported) for one, yes in zip(sentences, called, strict=True) if yes]),
        recall=_share([(one, yes) for one, yes in zip(sentences, called, strict=True) if one.supported]),
        called={kind: (sum(yes for one, yes in zip(sentences, called, strict=True) if one.kind == kind),
                       sum(one.kind == kind for one in sentences)) for kind in kinds})


def _share(right: Sequence[tuple[Sentence, bool]]) -> Estimate:
    around = interval([float(yes) for _, yes in right], [one.passage_id for one, _ in right], share=True)
    return Estimate(value=around.value, low=around.low, high=around.high, n=len(right)) if around else Estimate()
