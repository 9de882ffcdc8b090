"""Form: how long a reply is and how much of it repeats."""

import re

from builder.scoring import Score, plain

RUN = 4
"""Words: so many in a row, said again, are a repetition."""


def count_words(text: str) -> int:
    """How many words a text has: stretches between spaces that hold a letter or digit."""
    return sum(any(map(str.isalnum, word)) for word in text.split())


def words(text: str) -> Score:
    """The reply's length in words."""
    count = count_words(text)
    return Score(float(count), f"{count} words")


def repeats(text: str, finish: str) -> Score:
    """The share of the reply's runs of four words that stand earlier in it; 1 when it was stopped as a loop."""
    if finish == "loop":
        return Score(1.0, "stopped because it looped")
    said = re.findall(r"\w+", plain(text))
    runs = [tuple(said[start : start + RUN]) for start in range(len(said) - RUN + 1)]
    again = len(runs) - len(set(runs))
    return Score(again / len(runs) if runs else 0.0, f"{again} of {len(runs)} runs of {RUN} words repeat")
