"""A question to the passages found for it, and whether they answer it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowledge.answerable import LOOK, Answerability
from knowledge.encoder import Encoder
from knowledge.index import Found, Index


@dataclass(frozen=True)
class Finding:
    """What was found for a question, best first, and whether it answers it."""

    found: tuple[Found, ...]
    probability: float
    """That what was found answers the question."""
    answerable: bool


class Retriever:
    """Finds passages and judges them; the same for every system that retrieves."""

    def __init__(self, index: Index, answerability: Answerability, count: int = 3) -> None:
        """`count` is how many passages are found."""
        self.index, self.answerability, self.count = index, answerability, count

    @classmethod
    def open(cls, folder: Path, encoder: Encoder, count: int = 3, store: Any = None) -> "Retriever":
        """Open an index folder that holds a fitted answerability; `store` as for `Index.open`."""
        return cls(Index.open(folder, encoder, store), Answerability.open(folder), count)

    def find(self, question: str, count: int | None = None) -> Finding:
        """The best passages for a question (`count` of them, else its own), and the probability that they answer it."""
        count = count or self.count
        found = self.index.search(question, max(count, LOOK))
        probability = self.answerability.probability(question, found[: max(self.count, LOOK)],
                                                      self.index.words.rarity)
        return Finding(tuple(found[:count]), probability, probability >= self.answerability.threshold)
