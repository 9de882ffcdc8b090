"""A question to the passages found for it, and whether they answer it."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from knowledge.errors import UserError
from knowledge.search.answerable import LOOK, Answerability, Confidence
from knowledge.search.encoder import Encoder
from knowledge.search.filter import Filter
from knowledge.search.index import Found, Index
from knowledge.search.message import questions
from knowledge.text.words import stems

FEWEST_STEMS = 3
"""Content words; a question of fewer in which a word like "it" stands leans on the one before."""
_LEANS = re.compile(r"\s*(?:and|or|but|so|also|then|what about|how about|what if)\b", re.IGNORECASE)
_POINTS = re.compile(r"\b(?:it|its|they|them|their|theirs|that|this|those|these|there|one|ones|he|she|his|her|him)\b",
                     re.IGNORECASE)


@dataclass(frozen=True)
class Finding:
    """What was found for a question, best first, and whether it answers it."""

    found: tuple[Found, ...]
    probability: float
    """That what was found answers the question."""
    answerable: bool
    """Whether that is probable enough for an answer; the workspace's data set the threshold."""
    searched: tuple[str, ...] = ()
    """What was searched for: each question of the message, its typos mended, after the one that it leans on."""
    answered: tuple[str, ...] = ()
    """The questions of the message that can be answered, as they were asked."""
    unanswered: tuple[str, ...] = ()
    """Those that can't be, where others can."""

    @property
    def confidence(self) -> Confidence:
        """The probability in a word."""
        return Confidence.of(self.probability)


class Retriever:
    """Finds passages and judges them; the same for every system that retrieves."""

    def __init__(self, index: Index, answerability: Answerability, count: int = 3) -> None:
        """`count` is how many passages are found."""
        self.index, self.answerability, self.count = index, answerability, count

    @classmethod
    def open(cls, folder: Path, opened: Index, count: int = 3) -> "Retriever":
        """The opened index of a folder that holds a fitted answerability; UserError where they don't fit together."""
        learned = Answerability.open(folder)
        if learned.reranker != opened.reranker:
            raise UserError(f"{folder}: was built with a different retrieval.reranker; run "
                            "`twofold index` again")
        return cls(opened, learned, count)

    @property
    def encoder(self) -> Encoder:
        """What the index was encoded with."""
        return self.index.encoder

    def find(self, question: str, count: int | None = None, earlier: Sequence[str] = (), where: Filter | None = None,
             leave_out: Collection[int] = ()) -> Finding:
        """The best passages for a question (`count` of them, else its own), and the probability that they answer it.

        `earlier` are the questions before it, oldest first: one that leans on them is searched together with them.
        A message of several questions is searched for each of them, without politeness and with typos mended.
        """
        count = count or self.count
        parts = questions(question)
        asked: list[str] = []
        for part in parts:
            mended = self.index.spelling.mended(part)
            short = len(set(stems(mended))) < FEWEST_STEMS  # "And on Sundays?", not "And do you sell lamps?"
            asked.append(standalone(mended, [*earlier, *asked] if short or not asked else []))
        made = [self._find(one, count, where, leave_out) for one in asked]
        best = max(made, key=lambda finding: finding.probability)
        kept = [finding for finding in made if finding.answerable] or made
        told = [(part, finding.answerable) for part, finding in zip(parts, made, strict=True)]
        return replace(
            best, found=_interleaved([finding.found for finding in kept], max(count, len(kept))), searched=tuple(asked),
            answered=tuple(part for part, answerable in told if answerable),
            unanswered=tuple(part for part, answerable in told if not answerable and best.answerable))

    def _find(self, asked: str, count: int, where: Filter | None, leave_out: Collection[int]) -> Finding:
        """One question's passages."""
        found = self.index.search(asked, max(count, LOOK), leave_out, where)
        probability = self.answerability.probability(asked, found[: max(self.count, LOOK)], self.index.words)
        return Finding(tuple(found[:count]), probability, probability >= self.answerability.threshold)


def _interleaved(lists: Sequence[tuple[Found, ...]], count: int) -> tuple[Found, ...]:
    """The first of each list, then the second of each, and so on, none twice."""
    ranked = (hit for hits in zip_longest(*lists) for hit in hits if hit is not None)
    return tuple({hit.number: hit for hit in ranked}.values())[:count]


def standalone(question: str, earlier: Sequence[str]) -> str:
    """The question, after the last one that stands by itself if it leans on what went before ("and on Sundays?")."""
    if not earlier or not _depends(question):
        return question
    before = next((one for one in reversed(earlier) if not _depends(one)), earlier[-1])
    return f"{before} {question}"


def _depends(question: str) -> bool:
    words = len(set(stems(question)))
    return bool(_LEANS.match(question)) or not words or (words < FEWEST_STEMS and bool(_POINTS.search(question)))
