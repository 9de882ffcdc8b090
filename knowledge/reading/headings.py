"""Headings that only their type shows: larger or bolder than the text around them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

LARGER = 1.12
"""Times the size of the text: a line of this size or more may be a heading."""
DEEPEST = 4
"""Sizes of headings that are told apart."""
LONGEST = 120
"""Characters of a heading."""
MOST = 0.4
"""Of the letters; where more look like headings, none is."""


@dataclass(frozen=True)
class Line:
    """A line or paragraph and its type."""

    text: str
    size: float
    """Points; 0 where it is not known, which no heading has."""
    bold: bool


def levels(lines: Sequence[Line]) -> list[int | None]:
    """Each line's level as a heading, from 1 for the largest type; None for text.

    The size of text is the one in which most letters stand. Bold lines of that size are headings of the lowest level.
    """
    sizes: Counter[float] = Counter()
    bold: Counter[bool] = Counter()
    for line in lines:
        sizes[line.size] += len(line.text) if line.size else 0
        bold[line.bold] += len(line.text)
    usual = max(sizes, key=lambda size: sizes[size], default=0.0)
    looks = [_look(line, usual, bold[True] > bold[False]) for line in lines]
    found = {look for look in looks if look}
    if sum(len(line.text) for line, look in zip(lines, looks, strict=True) if look) > MOST * sum(
            len(line.text) for line in lines):
        return [None] * len(lines)
    order = {look: min(DEEPEST, number) for number, look in enumerate(sorted(found, reverse=True), 1)}
    return [order[look] if look else None for look in looks]


def _look(line: Line, usual: float, all_bold: bool) -> tuple[float, bool] | None:
    """What sets a heading apart; None for a line that is none."""
    text = line.text.strip()
    if not text or not line.size or len(text) > LONGEST or not any(map(str.isalpha, text)) or text[-1] in ".,;:":
        return None
    if line.size >= LARGER * usual:
        return round(line.size, 0), False
    return (round(usual, 0), True) if line.bold and not all_bold and line.size >= 0.95 * usual else None
