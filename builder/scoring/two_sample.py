"""Told apart: can a system's replies be told from the brand's own at all; 0.5 says that nobody could."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from builder.scoring.tone import manner_classifier, mask

FEWEST = 20
"""Replies on each side; a classifier learnt from fewer says nothing."""
RESAMPLES = 2_000
FOLDS = 5


@dataclass(frozen=True)
class Apart:
    """The AUROC of a classifier that sees neither fixed phrases nor names nor numbers, with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int
    """Replies of the system."""


def told_apart(replies: Sequence[str], own: Sequence[str], topics: Sequence[str], own_topics: Sequence[str],
               fixed_phrases: Sequence[str], seed: int = 0) -> Apart | None:
    """A classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv 1610.06545) of `replies` against the brand's `own`.

    Cross-fitted: each reply is judged by a model that saw no reply of either side on its topic, so that only manner
    tells. Over-styled replies are told apart as well as flat ones: the best value is 0.5, not 0. The interval is the
    bootstrap over replies of either side. None with fewer than FEWEST of either.
    """
    from sklearn.model_selection import GroupKFold

    if min(len(replies), len(own)) < FEWEST or len({*topics, *own_topics}) < FOLDS:
        return None
    texts = np.array([mask(text, fixed_phrases) for text in (*own, *replies)], dtype=object)
    labels = np.array([1] * len(own) + [0] * len(replies))
    chances = np.full(len(texts), 0.5)
    folds = GroupKFold(FOLDS, shuffle=True, random_state=seed).split(texts, labels, [*own_topics, *topics])
    for known, unknown in folds:
        if len(set(labels[known])) < 2:
            continue
        model = manner_classifier()
        try:
            model.fit(texts[known], labels[known])
        except ValueError:  # nothing is left of any reply but fixed phrases
            continue
        chances[unknown] = model.predict_proba(texts[unknown])[:, 1]
    wins = (chances[:len(own), None] > chances[None, len(own):]) + 0.5 * (
        chances[:len(own), None] == chances[None, len(own):])
    random = np.random.default_rng(seed)
    ours, theirs = (random.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count
                    for count in wins.shape)
    low, high = np.percentile(((ours @ wins) * theirs).sum(1), [2.5, 97.5])
    return Apart(float(wins.mean()), float(low), min(1.0, float(high)), len(replies))
