"""The split between the two halves: facts that examples state and no document does, or that documents deny."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from builder.curation.audit.duplicates import ALIKE, overlaps
from builder.curation.audit.finding import INVENTS, KNOW, Finding, Material
from builder.curation.audit.private import private
from builder.curation.audit.voice import likeliest
from builder.scoring.grounded import claims
from builder.scoring.quantities import MONTHS, WEEKDAYS, Quantity, quantities, rest
from builder.scoring.text import places, plain, tidy
from knowledge.text.sentences import sentences
from knowledge.text.words import WORD, stems

SHARED = 0.7
"""The share of a sentence's content words, amounts aside, that the other holds from which both speak of one thing."""
FEWEST_WORDS = 3
"""Content words; a sentence with fewer says too little to be contradicted."""
CAPITALISED = ("de", "lb")
"""Languages in which every noun has a capital, so that a name can't be told by its own."""
SHOWN = 3
"""Facts named in one finding."""


@dataclass(frozen=True)
class Sentence:
    """A sentence that states an amount, a time or a day."""

    text: str
    place: str

    @cached_property
    def said(self) -> frozenset[Quantity]:
        """What amounts it states."""
        return frozenset(quantities(self.text))

    @cached_property
    def words(self) -> frozenset[str]:
        """What it states them of."""
        return frozenset(stems(rest(self.text)))


def check(material: Material) -> Iterator[Finding]:
    """Facts of the examples against the documents, and against each other; nothing where there are no documents."""
    yield from _among(material)
    if not material.documents:
        return
    stated = [Sentence(document.text[start:end], document.path) for document in material.documents
              for start, end in sentences(document.text)]
    stated = [amount for amount in stated if amount.said]
    known = set(quantities(material.own)) | {quantity for amount in stated for quantity in amount.said}
    held = frozenset(stems(material.own))
    for number, example in enumerate(material.examples):
        asked = "\n".join([example.question, *(content for _, content in example.history)])
        against = _contradicted(material.replies[number], asked, stated)
        if against:
            yield Finding("contradicts a document", material.file, example.line, "warning",
                          f"“{against[0]}” contradicts {against[1].place}: “{tidy(against[1].text)}”",
                          "correct the wrong one", INVENTS)
        reply = _public(material.replies[number])
        loose = _loose(reply, asked, material.own, known, held)
        if loose and not against:
            yield Finding("fact outside the documents", material.file, example.line, "warning",
                          f"{_listed(loose)} {'is' if len(loose) == 1 else 'are'} in no document",
                          "add it to documents/, or remove it; otherwise the model learns to make things up", INVENTS)
        elif not loose and not material.rests[number]:
            yield from _memorised(material, number, reply, asked)


def _public(reply: str) -> str:
    """The reply without what another check tells of; names are read only where not every noun has a capital."""
    for _, start, end in reversed(private(reply, "")):
        reply = reply[:start] + " " * (end - start) + reply[end:]
    language = likeliest(reply)
    return reply.casefold() if language and language[0][0] in CAPITALISED else reply


def _memorised(material: Material, number: int, reply: str, asked: str) -> Iterator[Finding]:
    """Facts that a document holds, in a reply that rests on no passage: learnt by heart, they outlive a correction."""
    given = f"{asked}\n{material.brand.name}\n{material.brand.persona}\n{material.brand.abstain}"
    facts = [claim for claim in claims(reply) if not places(claim, given)
             and any(letter.isdigit() or letter in "@/" for letter in claim)]
    if facts:
        yield Finding("fact learnt by heart", material.file, material.examples[number].line, "note",
                      f"{_listed(facts)} {'is' if len(facts) == 1 else 'are'} in the documents, but no passage "
                      "supports the reply",
                      "use more of the passage's words, so that training shows the passage with it", KNOW)


def _loose(reply: str, asked: str, own: str, known: set[Quantity], held: frozenset[str]) -> list[str]:
    """The reply's facts that neither the documents nor the brand nor the question state."""
    from_question = set(quantities(asked))
    amounts = {quantity: said for quantity, said in quantities(reply).items()
               if quantity not in known and quantity not in from_question and not _common(quantity)}
    loose = list(amounts.values())
    stated = " ".join(quantities(reply).values())
    for claim in claims(reply):
        words = WORD.findall(claim)
        days = {word.casefold().removesuffix("s") for word in words} <= {*WEEKDAYS, *MONTHS}
        if days or places(claim, stated) or _stands(claim, own) or _stands(claim, asked):
            continue
        numeral = claim[0].isdigit()
        if numeral and any(value == claim for _, value in known):
            continue
        if not numeral and "@" not in claim and "/" not in claim and (
                set(stems(claim)) <= held or set(stems(claim)) <= set(stems(asked))):
            continue
        loose.append(claim)
    return list(dict.fromkeys(loose))


def _stands(claim: str, text: str) -> bool:
    """Whether a text holds the claim; of a number, also where a letter follows it at once, as in 100.0oF."""
    bare = claim[0].isdigit() and re.search(rf"(?<![\d.,]){re.escape(claim)}(?![\d]|[.,:/]\d)", text)
    return bool(bare or places(claim, text))


def _common(quantity: Quantity) -> bool:
    """What people say without stating a fact: a minute, one day, two weeks or two of anything; never a price."""
    unit, value = quantity
    return value in ("0", "1", "2") and unit in ("second", "minute", "hour", "day", "week", "month", "year", "foot")


def _contradicted(reply: str, asked: str, stated: Sequence[Sentence]) -> tuple[str, Sentence] | None:
    """The reply's sentence and the document's that say the same of one thing with another amount, if there are such.

    Conservative: the unit is the same, no amount agrees, and no other sentence that is as near agrees either.
    """
    about = frozenset(stems(rest(asked)))
    for start, end in sentences(reply):
        one = Sentence(reply[start:end], "")
        for unit in {unit for unit, _ in one.said}:
            values = {quantity for quantity in one.said if quantity[0] == unit}
            near = [(_nearness(one, other, about), other) for other in stated if any(u == unit for u, _ in other.said)]
            best = max((share for share, _ in near), default=0.0)
            if best < SHARED:
                continue
            close = [other for share, other in near if share >= SHARED * best]
            if not any(values & other.said for other in close):
                return tidy(one.text), max(near, key=lambda pair: pair[0])[1]
    return None


def _nearness(sentence: Sentence, other: Sentence, about: frozenset[str]) -> float:
    """How much of either sentence the other holds; the question lends its words to the reply's."""
    shares = [0.0]
    if len(sentence.words) >= FEWEST_WORDS:
        shares.append(len(sentence.words & other.words) / len(sentence.words))
    if len(other.words) >= FEWEST_WORDS and sentence.words & other.words:
        shares.append(len(other.words & (sentence.words | about)) / len(other.words))
    return max(shares)


def _among(material: Material) -> Iterator[Finding]:
    """Examples that ask the same and answer with different amounts."""
    examples, told = material.examples, set()
    same: dict[str, list[int]] = {}
    for number, example in enumerate(examples):
        same.setdefault(plain(example.question), []).append(number)
    pairs = [(places_[0], later) for places_ in same.values() for later in places_[1:]]
    pairs += [(left, right) for left, right, _ in overlaps([example.question for example in examples], ALIKE)]
    for left, right in pairs:
        one, other = (set(quantities(material.replies[number])) for number in (left, right))
        units = {unit for unit, _ in one} & {unit for unit, _ in other}
        if units and not one & other and right not in told:
            told.add(right)
            yield Finding("contradicts another example", material.file, examples[right].line, "warning",
                          f"“{tidy(material.replies[right])}” contradicts line {examples[left].line}: "
                          f"“{tidy(material.replies[left])}”", "correct the wrong one", INVENTS,
                          examples[left].line)


def _listed(facts: Sequence[str]) -> str:
    more = f" and {len(facts) - SHOWN} more" if len(facts) > SHOWN else ""
    return ", ".join(f"“{fact}”" for fact in facts[:SHOWN]) + more
