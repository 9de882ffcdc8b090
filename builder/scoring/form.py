"""Form: how long a reply is, how much of it repeats, and how much is copied from training replies."""

import re
from collections.abc import Sequence

from builder.scoring.text import Score, plain, without

RUN = 4
"""Words: so many in a row, said again, are a repetition."""
COPIED = 8
"""Words: so many in a row, as in a training reply, are copied."""


def count_words(text: str) -> int:
    """How many words a text has: stretches between spaces that hold a letter or digit."""
    return sum(any(map(str.isalnum, word)) for word in text.split())


def words(text: str) -> Score:
    """The reply's length in words."""
    count = count_words(text)
    return Score(float(count), f"{count} words")


def word_runs(text: str, length: int) -> list[tuple[str, ...]]:
    """All stretches of so many words in a row, in order; words are compared without case and punctuation."""
    words = re.findall(r"\w+", plain(text))
    return [tuple(words[start:start + length]) for start in range(len(words) - length + 1)]


def repeats(text: str, finish: str) -> Score:
    """The share of the reply's runs of four words that stand earlier in it; 1 when it was stopped as a loop."""
    if finish == "loop":
        return Score(1.0, "stopped because it looped")
    runs = word_runs(text, RUN)
    again = len(runs) - len(set(runs))
    return Score(again / len(runs) if runs else 0.0, f"{again} of {len(runs)} runs of {RUN} words repeat")


class Copies:
    """The runs of words of all training replies, by which copies of them are known."""

    def __init__(self, replies: Sequence[str], fixed_phrases: Sequence[str]) -> None:
        """`fixed_phrases` are what all replies share; nobody copies by saying them."""
        self._fixed = tuple(fixed_phrases)
        self._known = {run for reply in replies for run in self._runs(reply)}

    def score(self, text: str) -> Score:
        """The share of the reply's runs of eight words that a training reply holds; unscored for shorter replies."""
        runs = self._runs(text)
        if not self._known or not runs:
            return Score(None, f"fewer than {COPIED} words" if self._known else "no training replies")
        copied = [run for run in runs if run in self._known]
        said = f"{len(copied)} of {len(runs)} runs of {COPIED} words are copied"
        return Score(len(copied) / len(runs), said + (f": “{' '.join(copied[0])}”" if copied else ""))

    def _runs(self, text: str) -> list[tuple[str, ...]]:
        return word_runs(without(text, self._fixed), COPIED)
