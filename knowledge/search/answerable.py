"""Found passages to the probability that they answer the question; learned without the questions that judge."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.resources import files
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowledge.files import Tick, read_json, silent, write_json
from knowledge.search.bm25 import WordSearch
from knowledge.search.index import Found, Index
from knowledge.search.passages import Passage
from knowledge.text.sentences import sentences
from knowledge.text.words import WORD, stemmed, stems, words_of

LOOK = 10
"""How many of the found passages the judgement looks at."""
RIVALS = 4
"""How many of the next best passages the best one is compared with."""
SIGNS = 5
"""What `features` gives."""
STRANGE = 5.0
"""How many times a question about anything else counts: a near miss is the harder thing to tell, and there are many
more of them, so that they would else take the whole curve."""
FEWEST_ASKED = 20
"""Questions as people ask them; with fewer, made-up ones set the threshold."""
FEWEST = 8
"""Passages; below this nothing can be learned and a fixed curve over the best cosine decides."""
SAMPLE = 400
"""Passages that pseudo-questions are made from, at most; a quarter where a cross-encoder reads what is found."""
REFUSED = 0.15
"""The share of answerable pseudo-questions that may be refused, whatever the wish for few false answers."""
Features = NDArray[np.float64]


class Confidence(StrEnum):
    """How sure one may be that the passages found for a question answer it, in a word for people."""

    LOW = "low"
    """A probability below 0.5: more likely than not they don't answer it."""
    MEDIUM = "medium"
    HIGH = "high"
    """A probability of 0.8 or more: of five such questions at most one is expected to be unanswered."""

    @classmethod
    def of(cls, probability: float) -> "Confidence":
        """The word for a calibrated probability, 0 to 1."""
        if probability < 0.5:
            return cls.LOW
        return cls.MEDIUM if probability < 0.8 else cls.HIGH


@dataclass(frozen=True)
class Answerability:
    """A logistic curve over what was found, and the probability from which a question is answered."""

    weights: tuple[float, ...]
    bias: float
    means: tuple[float, ...]
    scales: tuple[float, ...]
    threshold: float
    quality: dict[str, float]
    """How well it did on pseudo-questions that it wasn't fitted on."""
    wished: float = 0.1
    """The share of false answers that the threshold was set for."""
    asked: int = 0
    """Questions as people ask them that it was fitted on."""
    changed: float = 0.0
    """The share of passages that came or went since it was fitted."""
    reranker: str = ""
    """The hash of the cross-encoder that it was fitted with; empty without one."""

    def probability(self, question: str, found: Sequence[Found], words: WordSearch) -> float:
        """The probability, 0 to 1, that the found passages answer the question."""
        if not found:
            return 0.0
        values = (features(question, found, words) - np.array(self.means)) / np.array(self.scales)
        return 1 / (1 + exp(-float(values @ np.array(self.weights) + self.bias)))

    def save(self, folder: Path) -> None:
        """Write answerable.json into an index folder."""
        write_json(folder / "answerable.json", self.__dict__)

    @classmethod
    def open(cls, folder: Path) -> "Answerability":
        """Read what `save` wrote."""
        kept: dict[str, Any] = read_json(folder / "answerable.json")
        for name in ("weights", "means", "scales"):
            kept[name] = tuple(kept[name])
        return cls(**kept)


def features(question: str, found: Sequence[Found], words: WordSearch) -> Features:
    """What tells whether passages answer.

    Nearness by the whole and by tokens, the best one's lead, shared words, and a cross-encoder's score.
    """
    looked = found[:LOOK]
    both = sorted((look.cosine + look.tokens for look in looked), reverse=True)
    rest = both[1:1 + RIVALS] or [0.0]
    return np.array([max(look.cosine for look in looked), max(look.tokens for look in looked),
                     both[0] - sum(rest) / len(rest), max(_covered(question, look, words) for look in looked),
                     max(look.cross for look in looked)])


def _covered(question: str, found: Found, words: WordSearch) -> float:
    """The share of the question's content words, weighted by their rarity, that stand in the passage."""
    asked = {tuple(forms): words.rarity(word) for _, _, word in words_of(question)
             if any(forms := [stemmed([word], language)[0] for language in words.languages])}
    if not any(asked.values()):
        return 0.0
    held = set(stems(found.passage.indexed, words.languages))
    return sum(weight for forms, weight in asked.items() if held.intersection(forms)) / sum(asked.values())


def fit(index: Index, false_answers: float = 0.1, asked: Sequence[tuple[str, int]] = (), seed: int = 0,
        tick: Tick = silent) -> Answerability:
    """Learn from the index's own passages when found passages answer a question.

    Pseudo-questions are made from passages; `asked` are questions as people ask them, each with the number of the
    passage that answers it, and never the ones that judge. Found with the index as it is, they are answered; found
    with their passage's section left out they are near misses; questions about anything else are strangers. The
    threshold lets through `false_answers` of those that aren't answered, as long as that refuses no more
    than REFUSED of the others; it is set on what people asked, where that is enough.
    """
    words = index.words
    if len(index.passages) < FEWEST:
        return Answerability((12.0, *[0.0] * (SIGNS - 1)), -12 * 0.4, (0.0,) * SIGNS, (1.0,) * SIGNS, 0.5, {},
                             false_answers, len(asked), reranker=index.reranker)
    chance = random.Random(seed)
    most = SAMPLE // 4 if index.reranker else SAMPLE
    chosen = chance.sample(range(len(index.passages)), min(most, len(index.passages)))
    made = [(question, number) for number in chosen for question in _asked(index.passages[number], chance)]
    fitted = _fitted(_rows(index, made, words, tick), _rows(index, asked, words, tick), _strange(index, words),
                     false_answers)
    return replace(fitted, asked=len(asked), reranker=index.reranker)


@dataclass(frozen=True)
class _Rows:
    """Features of questions with and without their passage; a question and its near miss share a group."""

    values: Features
    labels: Features
    groups: NDArray[np.int64]


def _rows(index: Index, asked: Sequence[tuple[str, int]], words: WordSearch, tick: Tick) -> _Rows:
    rows, labels, groups = [], [], []
    for done, (question, number) in enumerate(asked, 1):
        passage = index.passages[number]
        section = frozenset(other for other, one in enumerate(index.passages)
                            if (one.document, one.heading) == (passage.document, passage.heading))
        for label, hidden in ((1.0, frozenset[int]()), (0.0, section)):
            found = index.search(question, LOOK, hidden)
            if found:
                rows.append(features(question, found, words))
                labels.append(label)
                groups.append(number)
        tick(done, len(asked), "learning which questions it can answer")
    return _Rows(np.array(rows).reshape(-1, SIGNS), np.array(labels), np.array(groups, dtype=np.int64))


def _strange(index: Index, words: WordSearch) -> _Rows:
    """Questions about anything in the world, none of them anybody's documents."""
    lines = files("knowledge.search").joinpath("strangers.txt").read_text(encoding="utf-8").splitlines()
    rows = [features(line, index.search(line, LOOK), words) for line in lines]
    return _Rows(np.array(rows), np.zeros(len(rows)), -1 - np.arange(len(rows)))


def _asked(passage: Passage, chance: random.Random) -> list[str]:
    """Up to two questions that a passage answers, worded less well than it is: some of a sentence's words, shuffled
    out, and its heading's, if that asks."""
    asked = []
    last = passage.heading.split(" > ")[-1]
    if last.endswith("?"):
        asked.append(_worn(last, chance, 0.3))
    told = [passage.text[start:end] for start, end in sentences(passage.text)]
    told = [sentence for sentence in told if len(stems(sentence)) >= 4]
    if told:
        about = f"{last} " if chance.random() < 0.5 else ""
        asked.append(about + _worn(chance.choice(told), chance, 0.5))
    return asked


def _worn(text: str, chance: random.Random, lost: float) -> str:
    """The text with each word lost at random, at most a dozen kept: people ask in fewer and other words."""
    words = WORD.findall(text)
    kept = [word for word in words if chance.random() >= lost] or words
    start = chance.randrange(max(1, len(kept) - 11))
    return " ".join(kept[start:start + 12])


def _fitted(made: _Rows, asked: _Rows, strange: _Rows, false_answers: float) -> Answerability:
    """The curve over all rows; what people asked weighs as much as what was made up, however little it is."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import brier_score_loss, roc_auc_score
    from sklearn.model_selection import GroupKFold

    parts = (made, asked, strange)
    values, labels, groups = (np.concatenate([getattr(part, name) for part in parts])
                              for name in ("values", "labels", "groups"))
    trusted = len(asked.labels) >= 2 * FEWEST_ASKED
    counts = {id(asked): len(made.labels) / max(len(asked.labels), 1), id(strange): STRANGE}
    weights = np.concatenate([np.full(len(part.labels), counts.get(id(part), 1.0)) for part in parts])
    means, scales = values.mean(0), np.maximum(values.std(0), 1e-6)
    scaled = (values - means) / scales
    unseen = np.zeros(len(labels))
    for learned, left in GroupKFold(5).split(scaled, labels, groups):
        fold = LogisticRegression().fit(scaled[learned], labels[learned], weights[learned])
        unseen[left] = fold.predict_proba(scaled[left])[:, 1]
    judging = np.ones(len(labels), dtype=bool)
    if trusted:
        judging[: len(made.labels)] = False
    labels_, unseen_ = labels[judging], unseen[judging]
    threshold = min(float(np.quantile(unseen_[labels_ == 0], 1 - false_answers)),
                    float(np.quantile(unseen_[labels_ == 1], REFUSED)))
    model = LogisticRegression().fit(scaled, labels, weights)
    quality = {"auroc": float(roc_auc_score(labels_, unseen_)), "brier": float(brier_score_loss(labels_, unseen_)),
               "refused_answerable": float((unseen_[labels_ == 1] < threshold).mean()),
               "answered_unanswerable": float((unseen_[labels_ == 0] >= threshold).mean()), "n": float(len(labels_))}
    return Answerability(tuple(map(float, model.coef_[0])), float(model.intercept_[0]), tuple(map(float, means)),
                         tuple(map(float, scales)), threshold, quality, false_answers)
