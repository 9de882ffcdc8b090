"""A reply's sentences to the sentences of the passages that support them, without a model that judges."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from builder.answering.statements import LEANS, NOT, Statement, clauses, english, says
from builder.scoring.text import without
from knowledge.search.encoder import Encoder
from knowledge.search.index import Found
from knowledge.search.late_interaction import Tokens
from knowledge.text.sentences import MARKER, Span, sentences
from knowledge.text.words import stems, words_of

DENYING = 4
"""Words before a statement within which a "not" denies it."""
FEWEST_STEMS = 2
"""Content words; a sentence of fewer states nothing."""


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
class _Held:
    """A sentence of a found passage."""

    found: int
    number: int
    start: int
    end: int
    statement: Statement


@dataclass(frozen=True)
class Support:
    """Where something is said, and how much of it, 0 to 1."""

    share: float
    found: int
    start: int
    end: int
    number: int


def cite(reply: str, found: Sequence[Found], encoder: Encoder, fixed: Sequence[str] = (),
         alike: Sequence[Collection[str]] = ()) -> tuple[Citation, ...]:
    """For each sentence of a reply the sentence of a passage that says it, or two neighbours that say its clauses.

    What saying means is in `statements.says`; a sentence that stands in one of the passage word for word is supported,
    whatever else that says. `fixed` are the brand's own phrases, `alike` groups of words that mean the same to it.
    """
    spans = sentences(reply)
    bare = [without(reply[start:end], fixed).strip() for start, end in spans]
    needs = [len(set(stems(text))) >= FEWEST_STEMS and not text.endswith("?") for text in bare]
    said = iter(supports([text for text, need in zip(bare, needs, strict=True) if need], found, encoder, alike))
    made = []
    for span, need in zip(spans, needs, strict=True):
        best = next(said) if need else None
        made.append(Citation(*span, need, best.found if best else None, best.start if best else 0,
                             best.end if best else 0, best.share if best else 0.0))
    return tuple(made)


def supports(statements: Sequence[str], found: Sequence[Found], encoder: Encoder,
             alike: Sequence[Collection[str]] = ()) -> list[Support | None]:
    """For each sentence where it is said, None where it isn't; the passages are read once for all."""
    if not found or not statements:
        return [None] * len(statements)
    parts = [[text, *clauses(text)] for text in statements]
    places = [[one.passage.text[start:end] for start, end in _parts(one.passage.text)] for one in found]
    texts = list(dict.fromkeys(text for some in (*parts, *places) for text in some))
    tokens = dict(zip(texts, encoder.encode_documents(texts)[1], strict=True))
    held = [one for place, passage in enumerate(found) for one in _sentences(place, passage, tokens)]
    return [_supported([Statement(text, tokens[text]) for text in some], held, alike) for some in parts]


def _sentences(place: int, found: Found, tokens: dict[str, Tokens]) -> list[_Held]:
    """The sentences of a passage; one that points to the sentence before knows its words, unless it is another item."""
    text, made = found.passage.text, list[_Held]()
    heading, usual = f"{found.passage.heading}\n{found.passage.lead}", english(text)
    for number, (start, end) in enumerate(_parts(text)):
        said, before = text[start:end], made[-1] if made else None
        follows = before and _follows(text, before, start) and (
            LEANS.search(said) or before.statement.text.endswith(":"))
        made.append(_Held(place, number, start, end, Statement(
            said, tokens[said], heading, before.statement if before and follows else None, usual)))
    return made


def _parts(text: str) -> list[Span]:
    """The sentences of a passage; what a semicolon parts are two."""
    parts = []
    for start, end in sentences(text):
        cuts = [start, *(at + 1 for at in range(start, end) if text[at] == ";"), end]
        parts += [(first, last) for first, last in zip(cuts, cuts[1:], strict=False) if text[first:last].strip()]
    return parts


def _follows(text: str, before: _Held, start: int) -> bool:
    """Whether a sentence goes on with the thought of the one before; rows and list items lend each other nothing."""
    if before.statement.text.startswith("|") or "\n\n" in text[before.end:start]:
        return False
    return before.statement.text.endswith(":") or not MARKER.match(text, start)


def _supported(parts: Sequence[Statement], held: Sequence[_Held], alike: Sequence[Collection[str]]) -> Support | None:
    """What supports a whole sentence, the first of `parts`, or else each of its clauses, one beside the other."""
    whole, *rest = (_best(part, held, alike) for part in parts)
    if whole or not rest:
        return whole
    found = [one for one in rest if one]
    together = len(found) == len(rest) and len({one.found for one in found}) == 1
    numbers = [one.number for one in found]
    if not together or max(numbers) - min(numbers) > 1:
        return None
    return Support(min(one.share for one in found), found[0].found, min(one.start for one in found),
                    max(one.end for one in found), min(numbers))


def _best(ours: Statement, held: Sequence[_Held], alike: Sequence[Collection[str]]) -> Support | None:
    """The sentence that says most of a statement, the first of several; None where none does."""
    rated = [(1.0 if _stands_in(ours.text, one.statement.text) else says(one.statement, ours, alike), one)
             for one in held]
    share, best = max(rated, key=lambda one: one[0])
    return Support(share, best.found, best.start, best.end, best.number) if share else None


def _stands_in(sentence: str, text: str) -> bool:
    """Whether all words of a sentence stand in one sentence of a text, in their order and without a gap.

    With gaps it could leave out a "not", or join what the text says of two things; right behind a "not" it is denied.
    """
    words = [word for _, _, word in words_of(sentence)]
    for start, end in sentences(text):
        theirs = [word for _, _, word in words_of(text[start:end])]
        for at in range(len(theirs) - len(words) + 1):
            if theirs[at:at + len(words)] == words and not NOT.search(" ".join(theirs[max(0, at - DENYING):at])):
                return True
    return False
