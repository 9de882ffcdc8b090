"""A reply's sentences to the spans of the passages that support them, without a model that judges."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from builder.scoring.grounded import claims
from builder.scoring.text import places, without
from knowledge.search.encoder import Encoder
from knowledge.search.index import Found
from knowledge.text.sentences import MARKER, Span, sentences
from knowledge.text.words import stems, words_of

SUPPORTED = 0.6
"""The mean of nearness and shared words from which a span supports a sentence; see `cite`."""
SAME_WORDS = 0.5
"""The share of words in common from which a "not" or its like on one side alone is a contradiction."""
DENYING = 4
"""Words before a statement within which a "not" denies it."""
FEWEST_STEMS = 2
"""Content words; a sentence of fewer states nothing."""
_NOT = re.compile(r"\b(?:no|not|never|none|nothing|nobody|neither|nor|without|cannot|closed)\b|n['’]t\b", re.IGNORECASE)


@dataclass(frozen=True)
class Citation:
    """One sentence of a reply, and the span that supports it."""

    start: int
    end: int
    """Where the sentence stands in the reply."""
    needs: bool
    """Whether it states anything; a greeting doesn't."""
    found: int | None
    """Which of the found passages supports it, counted from 0; None where none does."""
    passage_start: int
    passage_end: int
    """Where the supporting span stands in that passage's text."""
    support: float
    """0 to 1."""


@dataclass(frozen=True)
class _Window:
    """One or two sentences of a found passage."""

    found: int
    start: int
    end: int
    text: str
    heading: str
    rows: tuple[int, ...]


def cite(reply: str, found: Sequence[Found], encoder: Encoder, fixed: Sequence[str] = ()) -> tuple[Citation, ...]:
    """For each sentence of a reply the span of one or two sentences of a passage that says most of the same.

    Support is the mean of the cosine and of the share of the sentence's content words that the span or its heading
    holds. A sentence is supported from SUPPORTED on, if every number and name in it stands in the span or its heading,
    and if the two don't say the same words with a "not" or its like on one side alone. A sentence that stands in the
    span word for word is supported, whatever else the span says. `fixed` are the brand's own
    phrases. Numbers that stand in one span count as one statement, so a span that mixes them up can be missed.
    """
    spans = sentences(reply)
    bare = [without(reply[start:end], fixed).strip() for start, end in spans]
    needs = [len(set(stems(text))) >= FEWEST_STEMS and not text.endswith("?") for text in bare]
    windows, texts = _windows(found)
    if not windows or not any(needs):
        return tuple(Citation(*span, need, None, 0, 0, 0.0) for span, need in zip(spans, needs, strict=True))
    rows = encoder.encode([*texts, *bare])
    sides = np.stack([_unit(rows[list(window.rows)].sum(0)) for window in windows])
    made = []
    for number, (span, need) in enumerate(zip(spans, needs, strict=True)):
        best, support = None, 0.0
        if need:
            near = sides @ rows[len(texts) + number]
            rated = [(_support(bare[number], window, float(cosine)), window)
                     for window, cosine in zip(windows, near, strict=True)]
            support, best = max(rated, key=lambda one: (one[0], -one[1].end + one[1].start))
        held = best if best is not None and support >= SUPPORTED else None
        made.append(Citation(*span, need, held.found if held else None, held.start if held else 0,
                             held.end if held else 0, support))
    return tuple(made)


def _windows(found: Sequence[Found]) -> tuple[list[_Window], list[str]]:
    """Each sentence of the passages and each two in a row, and the sentences' texts that vectors are made of."""
    windows: list[_Window] = []
    texts: list[str] = []
    for place, one in enumerate(found):
        spans = sentences(one.passage.text)
        first = len(texts)
        texts += [one.passage.text[start:end] for start, end in spans]
        for number, (start, _) in enumerate(spans):
            for last in (number, number + 1):
                if last < len(spans) and (last == number or _one_thought(one.passage.text, spans[number], spans[last])):
                    windows.append(_Window(place, start, spans[last][1], one.passage.text[start:spans[last][1]],
                                           f"{one.passage.heading}\n{one.passage.lead}",
                                           tuple(range(first + number, first + last + 1))))
    return windows, texts


def _one_thought(text: str, span: Span, then: Span) -> bool:
    """Whether two sentences in a row belong together; rows and list items would lend each other their numbers."""
    begins = text[slice(*span)]
    if begins.startswith("|") or "\n\n" in text[span[1]:then[0]]:
        return False
    return begins.endswith(":") or not MARKER.match(text, then[0])


def _support(sentence: str, window: _Window, cosine: float) -> float:
    """0 where a number, a name, a "not", a "closed" or an "un" speaks against it."""
    everything = f"{window.heading}\n{window.text}"
    said, theirs = set(stems(sentence)), set(stems(everything))
    if _stands_in(sentence, window.text):
        return 1.0
    shared = len(said & theirs) / len(said)
    if any(not places(claim, everything) for claim in claims(sentence)):
        return 0.0
    if shared >= SAME_WORDS and (bool(_NOT.search(sentence)) != bool(_NOT.search(window.text))
                                 or _negates(said, theirs) or _negates(theirs, said)):
        return 0.0
    return (max(cosine, 0.0) + shared) / 2


def _stands_in(sentence: str, text: str) -> bool:
    """Whether all words of a sentence stand in one sentence of a text, in their order and without a gap.

    With gaps it could leave out a "not", or join what the text says of two things; right behind a "not" it is denied.
    """
    words = [word for _, _, word in words_of(sentence)]
    for start, end in sentences(text):
        theirs = [word for _, _, word in words_of(text[start:end])]
        for at in range(len(theirs) - len(words) + 1):
            if theirs[at:at + len(words)] == words and not _NOT.search(" ".join(theirs[max(0, at - DENYING):at])):
                return True
    return False


def _negates(one: set[str], other: set[str]) -> bool:
    """Whether a word of one stands in the other with "un" before it, and only so."""
    return any(f"un{stem}" in other for stem in one - other)


def _unit(row: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    return row / max(float(np.linalg.norm(row)), 1e-9)
