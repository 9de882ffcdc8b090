"""A question compared with passages token by token, each of its tokens with the nearest one of a passage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int8]
"""(tokens, numbers): unit vectors times ONE."""
ONE = 127


@dataclass(frozen=True)
class Tokens:
    """The tokens that a text's content words are made of, in order, as the encoder sees them in their context."""

    words: tuple[str, ...]
    """Of each token, its word in lower case."""
    rows: Rows

    def weights(self, rarity: Callable[[str], float]) -> NDArray[np.float32]:
        """What each token counts: a word counts by its rarity, however many tokens it has; the sum is 1."""
        made = np.array([rarity(word) / self.words.count(word) for word in self.words], dtype=np.float32)
        return made / made.sum() if made.any() else made


NO_TOKENS = Tokens((), np.zeros((0, 1), dtype=np.int8))


def rounded(rows: NDArray[np.float32]) -> Rows:
    """Unit vectors in a byte a number."""
    return np.asarray(np.rint(rows * ONE), dtype=np.int8)


class TokenRows:
    """The token vectors of numbered passages, mapped from disk."""

    def __init__(self, rows: Rows, starts: NDArray[np.int64]) -> None:
        """Use `TokenRows.open`."""
        self._rows, self._starts = np.asarray(rows), starts  # still mapped, but sliced in a tenth of the time

    @staticmethod
    def save(parts: Sequence[Rows], folder: Path) -> None:
        """Write tokens.npy and token-starts.npy; `parts` are the rows of each passage."""
        starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        shape = (int(starts[-1]), max((part.shape[1] for part in parts if len(part)), default=1))
        rows: Any = np.lib.format.open_memmap(folder / "tokens.npy", mode="w+", dtype=np.int8, shape=shape)
        for part, start, end in zip(parts, starts, starts[1:], strict=False):
            if len(part):
                rows[start:end] = part
        rows.flush()
        np.save(folder / "token-starts.npy", starts, allow_pickle=False)

    @classmethod
    def open(cls, folder: Path) -> "TokenRows":
        """Open what `save` wrote; ValueError or OSError when a file is damaged."""
        rows = np.load(folder / "tokens.npy", mmap_mode="r", allow_pickle=False)
        starts = np.load(folder / "token-starts.npy", allow_pickle=False)
        if rows.dtype != np.int8 or rows.ndim != 2 or starts[-1] != len(rows):
            raise ValueError("tokens.npy is of other passages")
        return cls(rows, starts)

    def __len__(self) -> int:
        """How many passages."""
        return len(self._starts) - 1

    def __bool__(self) -> bool:
        """Whether the encoder that made them tells tokens apart."""
        return len(self._rows) > 0

    def part(self, number: int) -> Rows:
        """The rows of one passage."""
        return self._rows[self._starts[number]:self._starts[number + 1]]

    def closeness(self, question: Tokens, weights: NDArray[np.float32], numbers: Sequence[int]) -> NDArray[np.float32]:
        """For each passage the weighted mean, over the question's tokens, of the cosine to its nearest token there.

        This is ColBERT's sum of maxima (Khattab and Zaharia 2020) with `weights`, one for each token of the question,
        that sum to 1. A passage without tokens has 0.
        """
        made = np.zeros(len(numbers), dtype=np.float32)
        parts = [self.part(number) for number in numbers]
        held = [place for place, part in enumerate(parts) if len(part)]
        if not held or not len(question.rows):
            return made
        rows = np.concatenate([parts[place] for place in held]).astype(np.float32) / ONE
        cosines = rows @ (question.rows.astype(np.float32) / ONE).T
        starts = np.cumsum([0, *(len(parts[place]) for place in held[:-1])])
        made[held] = (np.maximum.reduceat(cosines, starts, axis=0) * weights).sum(1)
        return made
