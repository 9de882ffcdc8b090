"""Consistency: is a question answered alike, and rightly, however it is put."""

from collections.abc import Sequence
from math import comb

from builder.scoring import Score

TRIES = 3
"""Wordings of a question that must all be answered rightly; fewer where there are fewer."""


def consistency(right: Sequence[bool]) -> tuple[Score, Score]:
    """From whether the reply to each wording of one question was right: agreement, and pass^k.

    Agreement is the share of pairs of wordings that are both right or both wrong. pass^k is the chance that k of them,
    drawn without return, are all right: C(right, k) / C(all, k) (Yao et al. 2024, arXiv 2406.12045). Both are unscored
    for a single wording.
    """
    count, good = len(right), sum(right)
    if count < 2:
        alone = Score(None, "asked in one wording only")
        return alone, alone
    tries, said = min(TRIES, count), f"{good} of {count} wordings answered rightly"
    alike = (comb(good, 2) + comb(count - good, 2)) / comb(count, 2)
    return Score(alike, said), Score(comb(good, tries) / comb(count, tries), f"{said}; {tries} tried")
