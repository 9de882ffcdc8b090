"""Tone: does a reply keep the brand's written and unwritten rules, and could the brand have written it."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from builder.scoring.form import count_words
from builder.scoring.grounded import names
from builder.scoring.text import Score, places, tidy, without
from builder.workspace.brand import Brand, Voice
from builder.workspace.examples import Example

SHARED = 0.6
"""The share of the examples' replies that must begin or end alike for it to be a habit of the brand."""

FEWEST_SHARING = 3
"""Replies; fewer that begin alike may do so by chance."""

FEWEST_REPLIES = 8
"""Replies on each side; a classifier learnt from fewer is noise."""

_SENTENCE_END = re.compile(r"[.!?…]+[\"')\]]*(?=\s|$)|\n+")
_SILENT = re.compile(r"(?:(?<=[^aeiouyltd])|(?<=[aeiouyl]l))ed$|(?:(?<=[^aeiouylscxzgh])|(?<=[aeiouyl]l))es$"
                     r"|(?:(?<=[^l])|(?<=[aeiouyl]l))e$")


@dataclass(frozen=True)
class Habits:
    """How most of the brand's replies begin and end; "" where they don't agree."""

    opening: str
    closing: str

    @property
    def phrases(self) -> tuple[str, ...]:
        """The habits that there are."""
        return tuple(filter(None, (self.opening, self.closing)))


def habits(examples: Sequence[Example]) -> Habits:
    """The longest opening and closing, in whole sentences, that at least 60 % of the examples' replies share."""
    return Habits(_shared([_openings(example.reply) for example in examples]),
                  _shared([_closings(example.reply) for example in examples]))


def rules(reply: str, voice: Voice, learned: Habits, abstained: bool) -> Score:
    """1 when the reply keeps every rule of the brand, else 0 and the first rule it breaks.

    Required and learned phrases are matched word for word (spaces and quotes aside), banned ones in any case.
    The habits learned from the examples bind only where voice.required names none. A canned abstention is
    the brand's own text and so is unscored.
    """
    if abstained:
        return Score(None, "the brand's own abstention")
    learned = Habits("", "") if voice.required else learned
    if not (voice.required or voice.banned or voice.words or voice.grade or learned.phrases):
        return Score(None, "the brand sets no rule that can be checked")
    broken = _broken(reply, voice, learned)
    return Score(float(not broken), broken or "keeps every rule")


def grade(text: str) -> float:
    """The Flesch-Kincaid school grade: 0.39 words/sentence + 11.8 syllables/word - 15.59 (Kincaid et al. 1975).

    Syllables are counted by a rule of thumb for English. 0 for a text without words.
    """
    words = re.findall(r"[^\W_][\w'’]*", text)
    sentences = sum(bool(count_words(sentence)) for sentence in _SENTENCE_END.split(text))
    if not words or not sentences:
        return 0.0
    return 0.39 * len(words) / sentences + 11.8 * sum(map(syllables, words)) / len(words) - 15.59


def syllables(word: str) -> int:
    """About how many syllables an English word has: its groups of vowels, less a silent ending."""
    word = re.sub(r"['’]\w*$", "", word.casefold())
    spoken = _SILENT.sub("", word)
    return max(1, len(re.findall(r"[aeiouy]+", spoken)) + len(re.findall(r"[aeiouy]ing$", spoken)))


@dataclass(frozen=True)
class VoiceClassifier:
    """Tells the brand's replies from the untuned model's, by how they are written; made by fit_voice."""

    auroc: float | None
    """How well it does so on replies it was not fitted on: 0.5 is chance, 1 is always; None when there are too few."""
    fixed_phrases: tuple[str, ...]
    models: tuple[Any, ...] = ()
    """One for each fold, fitted on the other folds."""
    folds: tuple[tuple[str, int], ...] = ()
    """The fold that a reply it was fitted on belongs to."""

    def score(self, text: str) -> Score:
        """The probability that the brand wrote `text`; unscored when there is no classifier.

        A reply that the classifier was fitted on is judged by the one fold's model that didn't see it.
        """
        if not self.models:
            return Score(None, f"fewer than {FEWEST_REPLIES} held-out replies of the brand")
        masked = mask(text, self.fixed_phrases)
        if not re.search(r"\w", masked):
            return Score(0.0, "nothing but fixed phrases" if text.strip() else "the reply is empty")
        fold = dict(self.folds).get(masked)
        models = self.models if fold is None else (self.models[fold],)
        probability = sum(float(model.predict_proba([masked])[0, 1]) for model in models) / len(models)
        return Score(probability, f"{probability:.0%} like the brand's held-out replies")


def fit_voice(positives: Sequence[str], negatives: Sequence[str], fixed_phrases: Sequence[str],
              seed: int = 0) -> VoiceClassifier:
    """Learn to tell held-out brand replies from untuned replies to the same questions, cross-fitted in 5 folds.

    Characters in runs of 3 to 5, so that manner counts more than matter; fixed phrases, numbers and names are
    masked, so that neither a catch-phrase nor a topic decides. Where both sides answer the same questions
    in the same order, both replies to a question are in one fold.
    """
    from sklearn.metrics import roc_auc_score

    phrases = tuple(fixed_phrases)
    if min(len(positives), len(negatives)) < FEWEST_REPLIES:
        return VoiceClassifier(None, phrases)
    texts = [mask(text, phrases) for text in (*positives, *negatives)]
    labels = [1] * len(positives) + [0] * len(negatives)
    folds = _folds(len(positives), seed) + _folds(len(negatives), seed)
    models, probabilities = [], [0.0] * len(texts)
    for fold in range(max(folds) + 1):
        inside = [place for place, other in enumerate(folds) if other == fold]
        outside = [place for place, other in enumerate(folds) if other != fold]
        model = manner_classifier()
        model.fit([texts[place] for place in outside], [labels[place] for place in outside])
        for place, probability in zip(inside, model.predict_proba([texts[place] for place in inside])[:, 1],
                                      strict=True):
            probabilities[place] = float(probability)
        models.append(model)
    return VoiceClassifier(float(roc_auc_score(labels, probabilities)), phrases, tuple(models),
                           tuple(dict(zip(texts, folds, strict=True)).items()))


def manner_classifier() -> Any:
    """An unfitted classifier of texts by their characters in runs of 3 to 5, so that manner counts more than matter."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), lowercase=False, sublinear_tf=True),
        LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000))


def mask(text: str, fixed_phrases: Sequence[str]) -> str:
    """The text with fixed phrases taken out, and every name and number alike."""
    text = without(text, fixed_phrases)
    for start, end in reversed(names(text)):
        text = text[:start] + "Name" + text[end:]
    return " ".join(re.sub(r"\d+(?:[.,:/]\d+)*", "0", text).split())


def _folds(count: int, seed: int) -> list[int]:
    import numpy as np

    order = np.random.default_rng(seed).permutation(count)
    return [int(place) % 5 for place in order]


def _broken(reply: str, voice: Voice, learned: Habits) -> str:
    """The first rule that the reply breaks, or ""."""
    said = tidy(reply)
    if not said:
        return "the reply is empty"
    for phrase in voice.required:
        if tidy(phrase) not in said:
            return f"lacks “{phrase}”"
    if not said.startswith(learned.opening):
        return f"doesn't begin with “{learned.opening}”"
    if not said.endswith(learned.closing):
        return f"doesn't end with “{learned.closing}”"
    for phrase in voice.banned:
        if places(phrase, reply):
            return f"says the banned “{phrase}”"
    if voice.words and count_words(reply) > voice.words:
        return f"has {count_words(reply)} words, more than {voice.words}"
    if voice.grade and grade(reply) > voice.grade:
        return f"reads at grade {grade(reply):.1f}, above {voice.grade:g}"
    return ""


def _openings(reply: str) -> list[str]:
    """What the reply may be said to begin with: a greeting up to its comma, or its first sentences, but not all."""
    ends = [match.end() for match in _SENTENCE_END.finditer(reply)]
    greeting = re.match(r"[^\n.,:!?…]+[,:](?=\s)", reply)
    return [tidy(reply[:end]) for end in ([greeting.end()] if greeting else []) + ends if reply[end:].strip()]


def _closings(reply: str) -> list[str]:
    """What the reply may be said to end with: its last sentences, but not all."""
    return [tidy(reply[match.end():]) for match in _SENTENCE_END.finditer(reply) if reply[match.end():].strip()]


def _shared(candidates: list[list[str]]) -> str:
    """The longest phrase of at least two words that enough of the replies have among their candidates."""
    counts = Counter(phrase for phrases in candidates for phrase in set(phrases) if count_words(phrase) >= 2)
    enough = max(FEWEST_SHARING, SHARED * len(candidates))
    return max((phrase for phrase, count in counts.items() if count >= enough), key=len, default="")


def fixed_phrases(brand: Brand, examples: Sequence[Example]) -> list[str]:
    """The phrases that all replies share, and so say nothing about what a reply rests on."""
    return [*brand.voice.required, *habits(examples).phrases]
