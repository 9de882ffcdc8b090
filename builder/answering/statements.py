"""Whether one sentence says what another says: by its words, amounts, names and negations, without a model that judges.

Everything that the reply's sentence states must stand in one sentence of the passage: each amount, time, day and name,
and each word that carries content, as the same word, as one of a group of usual synonyms, or as a word of like meaning
there. Where the two deny a different number of times, or one has the opposite of the other's word, nothing is said.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from builder.scoring.grounded import claims
from builder.scoring.quantities import MONTHS, SMALL, TENS, WEEKDAYS, Quantity, rest, spans
from builder.scoring.text import places
from knowledge.search.late_interaction import Tokens
from knowledge.text.words import stemmed, usual_words, words_of

LIKE = 0.58
"""The cosine of two words in their sentences from which one stands for the other."""
FEWEST = 2
"""Content words of a statement that can be compared."""
ENGLISH = 0.2
"""The share of a text's words that are the commonest English ones, from which these rules are for it."""
ENOUGH = 0.6
"""In other languages, the share of content words that must be found; nothing is known of what the others mean."""
LIGHT = frozenset(
    "open opens need needs needed must may might can could should shall please available get gets got come comes "
    "make makes made take takes able possible also simply even still yes sure course like want would will way go "
    "goes back anyone someone somebody anybody people everyone customer customers visitor visitors guest guests member "
    "members remember note ask happy glad either quite really currently usually normally kept keep offer offers "
    "offered give gives given provide provides provided put set own long use used using thing things anything "
    "something whole part done let lets turn turns although though whereas whoever person persons required handed "
    "ensure".split())
"""Words that a reply may add without stating anything more."""
GROUPS = tuple(frozenset(line.split()) for line in (
    "cost costs price priced charge charged pay pays paid fee fees", "allow allowed allows permitted permit welcome",
    "return returns returned", "start starts begin begins starting beginning open opens opened",
    "end ends finish finishes close closes closed", "child children kid kids", "buy buys bought purchase purchased",
    "ahead advance beforehand", "enter entry admission admitted", "send sends sent post posted",
    "ring call telephone phone", "bring brings brought", "collect collected collection pick",
    "mend mends mended repair repairs repaired fix fixed", "big large larger bigger", "small smaller little",
    "lend lent loan loaned borrow borrowed", "show shown", "leave leaves left", "get receive received"))
"""Usual synonyms, with their forms."""
OPPOSITES: dict[str, set[str]] = {}
"""Words of which one takes back what the other says, though they stand in like places."""
for _sides in (
        "before, after; above, below; over, under; more, less, fewer; first, last; all, some; always, sometimes",
        "until, from; early, late; earlier, later; morning, evening, afternoon; day, night; minimum, maximum",
        "least, most; inside, outside; indoors, outdoors; up, down; in, out; weekday, weekend; weekdays, weekends",
        "open opens opened, closed close closes shut; allowed welcome permitted, forbidden banned prohibited",
        "included includes include, excluded excludes exclude, extra; free, paid charged; full, empty",
        "start starts begin begins, end ends; buy buys, sell sells; arrive arrives, leave leaves; add, remove",
        "new, old used; big large, small; high, low; higher, lower; long, short; longer, shorter; hot warm, cool cold",
        "accept accepts, refuse refuses; adult adults, child children; summer, winter; spring, autumn; public, private",
        "wet, dry; left, right; next, previous; deposit, refund; possible, impossible; required compulsory, optional"):
    for _side in (one.split(", ") for one in _sides.split("; ")):
        for _words in _side:
            for _word in _words.split():
                OPPOSITES.setdefault(_word, set()).update(
                    word for others in _side if others != _words for word in others.split())
NOT = re.compile(r"\b(?:no|not|never|none|nothing|nobody|neither|nor|without|cannot|unless|except|excluding"
                 r"|apart from|other than)\b|n['’]t\b", re.IGNORECASE)
ONLY = frozenset({"only", "just", "alone", "except", "other", "nothing", "no"})
NAMING = frozenset({"call", "say", "write", "use", "name", "instead"})
LEANS = re.compile(r"\b(?:it|they|them|this|these|those|ones?|he|she|his|her|its|their|both|each|that|such|there"
                   r"|then)\b", re.IGNORECASE)
"""What points to the sentence before."""
_PART = re.compile(r"[,;:]|\b(?:unless|but|and|because|if|which|so|while|except|apart from|or|when|though"
                   r"|although|since|whereas)\b",
                   re.IGNORECASE)
_CLAUSE = re.compile(r"[;,]? (?:and|but|so|though|although|whereas|while|which) (?:that )?(?!\d)|[;,] ", re.IGNORECASE)
_WEEKDAYS, _WEEKENDS = re.compile(r"\bweekdays?\b", re.IGNORECASE), re.compile(r"\bweekends?\b", re.IGNORECASE)
_NUMBERS = {word: str(value) for value, word in enumerate(SMALL)} | {
    word: str(10 * value) for value, word in enumerate(TENS, 2)}


@dataclass(frozen=True)
class Statement:
    """A sentence as it is compared, with the encoder's tokens of its content words."""

    text: str
    tokens: Tokens
    heading: str = ""
    """Of the passage, with what leads to it; its names are known to whoever reads the sentence."""
    before: "Statement | None" = field(default=None, repr=False)
    """The sentence before, where this one points to it."""
    english: bool = True
    """Whether every word must be accounted for, as the rules for English allow."""

    @cached_property
    def amounts(self) -> set[Quantity]:
        """Its amounts, times, days and dates."""
        return {quantity for quantity, *_ in spans(self.text)}

    @cached_property
    def bare(self) -> str:
        """The text without those."""
        return rest(self.text)

    @cached_property
    def words(self) -> list[tuple[str, str]]:
        """All content words, each with its stem."""
        return _content(self.text)

    @cached_property
    def stems(self) -> set[str]:
        """The stems of those."""
        return {stem for _, stem in self.words}

    @cached_property
    def numbers(self) -> set[str]:
        """Every word of it, small numbers in figures."""
        return {_figure(word) for _, _, word in words_of(self.text)}

    @cached_property
    def vectors(self) -> Mapping[str, Any]:
        """A unit vector for each content word, the mean of its tokens."""
        rows: dict[str, list[Any]] = {}
        for word, row in zip(self.tokens.words, np.asarray(self.tokens.rows, dtype=np.float32), strict=True):
            rows.setdefault(word, []).append(_unit(row))
        return {word: _unit(np.mean(some, 0)) for word, some in rows.items()}


def english(text: str) -> bool:
    """Whether the rules for English are for a text: enough of its words are the commonest English ones."""
    words, usual = [word for _, _, word in words_of(text)], set(usual_words(["en"]))
    return sum(word in usual for word in words) >= ENGLISH * len(words)


def same_words(instructions: Sequence[str]) -> list[frozenset[str]]:
    """The pairs of words that a brand has stand for each other, as in “call an umbrella a brolly”."""
    pairs = [frozenset(word for word, _ in _content(line)) - NAMING for line in instructions]
    return [pair for pair in pairs if len(pair) == 2]


def clauses(text: str) -> list[str]:
    """The parts of a sentence that state something each, where there are several."""
    parts = [part.strip() for part in _CLAUSE.split(text) if len(set(_content(part))) >= FEWEST]
    return parts if len(parts) > 1 else []


def says(theirs: Statement, ours: Statement, alike: Sequence[Collection[str]] = ()) -> float:
    """How much of `ours` stands in `theirs`, 0 to 1; 0 where anything of it doesn't, or speaks against it.

    `alike` are groups of words that mean the same here, beside the usual ones.
    """
    if not all(_holds(theirs, amount) for amount in ours.amounts) or not _named(theirs, ours):
        return 0.0
    found: set[str] = set()
    needed = matched = 0
    words = _content(_without_days(ours.bare, theirs))
    left = {stem for _, stem in theirs.words} - {stem for _, stem in words}  # what no word of ours says as it is
    for word, stem in words:
        if (word in LIGHT or "'" in word) and stem not in theirs.stems:
            continue
        stands = _stands(theirs, ours, word, stem, left, alike)
        left -= stands or set()
        needed += 1
        if stands is None:
            if theirs.english or _figure(word).isdigit():
                return 0.0
            continue
        matched += 1
        found |= stands
    found |= {stem for _, stem in theirs.words if stem in ours.stems}
    if needed + len(ours.amounts) < FEWEST or not found or matched < ENOUGH * needed:
        return 0.0
    return 0.0 if _contradicts(theirs, ours, found) else max(matched, 1) / max(needed, 1)


def _stands(theirs: Statement, ours: Statement, word: str, stem: str, left: Collection[str],
            alike: Sequence[Collection[str]]) -> set[str] | None:
    """The stems of `theirs`, itself or one of those `left`, that a word of `ours` stands for; None where for none."""
    figure = _figure(word)
    if figure.isdigit():
        return set() if figure in theirs.numbers else None
    if stem in theirs.stems:
        return {stem}
    for group in (*GROUPS, *alike):
        if word in group and (same := {other for said, other in theirs.words if said in group and other in left}):
            return same
    if word not in ours.vectors:
        return None
    row, others = ours.vectors[word], {said: other for said, other in theirs.words if other in left}
    near, said = max(((float(row @ theirs.vectors[said]), said) for said in others if said in theirs.vectors),
                     default=(0.0, ""))
    return {others[said]} if near >= LIKE and said not in OPPOSITES.get(word, ()) else None


def _contradicts(theirs: Statement, ours: Statement, found: Collection[str]) -> bool:
    """Whether the parts of `theirs` that hold what was `found` deny otherwise, or have an opposite."""
    parts = _parts(theirs.text)
    held = [part for part in parts if not {stem for _, stem in _content(part)}.isdisjoint(found)] or [theirs.text]
    said = {word for _, _, word in words_of(ours.text)}
    others = {word for _, _, word in words_of(theirs.text)}
    beside = {word for part in held for _, _, word in words_of(part)}
    if any(word not in others and OPPOSITES[word] & beside for word in said & OPPOSITES.keys()):
        return True
    if "only" in said and not others & ONLY:
        return True
    if _unlike(ours.stems, theirs.stems) or _unlike(theirs.stems, ours.stems):
        return True
    return len(NOT.findall(ours.text)) % 2 != sum(len(NOT.findall(part)) for part in held) % 2


def _parts(text: str) -> list[str]:
    """A sentence's parts; what holds no content word, such as "and never", belongs to the part behind it."""
    cuts, parts, waiting = [0, *(match.start() for match in _PART.finditer(text)), len(text)], list[str](), ""
    for start, end in zip(cuts, cuts[1:], strict=False):
        waiting += text[start:end]
        if any(not NOT.fullmatch(word) for word, _ in _content(waiting)):
            parts.append(waiting)
            waiting = ""
    return parts


def _unlike(one: Collection[str], other: Collection[str]) -> bool:
    """Whether a word of one stands in the other with "un" before it, and only so."""
    return any(f"un{stem}" in other and stem not in other for stem in one)


def _holds(theirs: Statement, amount: Quantity) -> bool:
    """Whether an amount stands there; a time also as 6.30 or 18:30, and a day among the weekdays or at the weekend."""
    if amount in theirs.amounts:
        return True
    unit, value = amount
    if unit == "weekday":
        weekend = value in WEEKDAYS[5:]
        return bool((_WEEKENDS if weekend else _WEEKDAYS).search(theirs.text))
    if unit != "clock":
        return False
    hour, minute = value.split(":")
    hours = {int(hour), int(hour) + 12} - {0}
    if minute == "00" and any(str(one) in theirs.numbers for one in hours):
        return True
    return any(re.search(rf"(?<!\d)0?{one}[.:]{minute}(?!\d)", theirs.text) for one in hours)


def _named(theirs: Statement, ours: Statement) -> bool:
    """Whether each name and address of `ours` is known there."""
    everything = "\n".join([theirs.heading, theirs.before.text if theirs.before else "", theirs.text])
    return all(places(name, everything) for name in claims(ours.bare)
               if not name[0].isdigit() and name.casefold() not in (*WEEKDAYS, *MONTHS))


def _without_days(text: str, theirs: Statement) -> str:
    """The text without "weekdays" where the other says from Monday to Friday."""
    week = {("weekday", WEEKDAYS[0]), ("weekday", WEEKDAYS[4])} <= theirs.amounts
    return _WEEKDAYS.sub(" ", text) if week else text


def _content(text: str) -> list[tuple[str, str]]:
    """The words that carry content in English, each with its stem."""
    words = [word for _, _, word in words_of(text)]
    return [(word, stem) for word, stem in zip(words, stemmed(words, "en"), strict=True) if stem]


def _figure(word: str) -> str:
    return _NUMBERS.get(word, word)


def _unit(row: Any) -> Any:
    return row / max(float(np.linalg.norm(row)), 1e-9)
