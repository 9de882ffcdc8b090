"""Consistency: is a question answered alike, and rightly, however it is put and drawn."""

from collections.abc import Sequence
from math import comb

from builder.scoring.text import Score

TRIES = 3
"""Replies to a question that must all be right; fewer where there are fewer."""


def consistency(right: Sequence[bool]) -> tuple[Score, Score]:
    """From whether the reply to each wording of one question, or each one drawn, was right: agreement, and pass^k.

    Agreement is the share of pairs of replies that are both right or both wrong. pass^k is the chance that k of them,
    drawn without return, are all right: C(right, k) / C(all, k) (Yao et al. 2024, arXiv 2406.12045). Both are unscored
    for a single reply.
    """
    count, good = len(right), sum(right)
    if count < 2:
        alone = Score(None, "asked once only")
        return alone, alone
    tries, said = min(TRIES, count), f"{good} of {count} replies right"
    alike = (comb(good, 2) + comb(count - good, 2)) / comb(count, 2)
    return Score(alike, said), Score(comb(good, tries) / comb(count, tries), f"{said}; {tries} tried")
