"""Grounded: do the numbers and names of a reply stand in what the documents say about the question."""

import re
from collections.abc import Sequence

from builder.scoring.text import Score, places, tidy, without

_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?:https?://|www\.)[^\s<>\"')\]]+", re.IGNORECASE)
_LIST_NUMBER = re.compile(r"(?m)^\s*(?:\d+[.)]|[-*•])\s+")
_NUMBER = re.compile(r"(?<![\w-])\d+(?:[.,:/]\d+)*")
_WORD = re.compile(r"(?:[A-Z]\.){2,}|[^\W\d_][\w'’&]*(?:-[A-Z\d]\w*)*")
_FIRST_PERSON = re.compile(r"I(?:['’]\w+)?$")


def claims(text: str) -> list[str]:
    """The numbers, names, e-mail and web addresses of a text, each once, in order of kind.

    A name is a run of capitalised words; a word that begins a sentence belongs to it only if it is an
    acronym. A number is its digits: the unit beside it is not checked.
    """
    text = _LIST_NUMBER.sub("\n", text)
    addresses = [match.group().rstrip(".,;:!?") for match in _ADDRESS.finditer(text)]
    text = _ADDRESS.sub(" . ", text)
    spans = names(text)
    found = addresses + [tidy(text[start:end]) for start, end in spans]
    for start, end in reversed(spans):
        text = text[:start] + " " * (end - start) + text[end:]
    found += [match.group() for match in _NUMBER.finditer(text)]
    return list(dict.fromkeys(found))


def names(text: str) -> list[tuple[int, int]]:
    """The spans of the names in a text: runs of capitalised words, not counting the first word of a sentence."""
    spans: list[tuple[int, int]] = []
    for match in _WORD.finditer(text):
        word, before = match.group(), text[max(0, match.start() - 20) : match.start()]
        if not word[0].isupper() or _FIRST_PERSON.match(word):
            continue
        first = re.search(r"(?:^|[.!?…:\n])[\s\"'“‘’”(*_-]*$", before) is not None
        if first and not _is_acronym(word):
            continue
        end = match.end() - 2 if re.search(r"['’]s$", word) else match.end()
        if spans and not first and text[spans[-1][1] : match.start()] == " ":
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((match.start(), end))
    return spans


def grounded(reply: str, sources: Sequence[str], fixed_phrases: Sequence[str]) -> Score:
    """The share of the reply's claims that stand in the sources: passages found, the question, the brand's phrases.

    The brand's fixed phrases are taken out of the reply first, so that a greeting grounds nothing. Unscored
    when the reply makes no claim.
    """
    made = claims(without(reply, fixed_phrases))
    if not made:
        return Score(None, "no numbers or names")
    everything = "\n".join([*sources, *fixed_phrases])
    loose = [claim for claim in made if not places(claim, everything)]
    evidence = f"{len(made) - len(loose)} of {len(made)} numbers and names are in the passages"
    return Score(1 - len(loose) / len(made), evidence + (f"; “{loose[0]}” is not" if loose else ""))


def _is_acronym(word: str) -> bool:
    return sum(map(str.isupper, word)) >= 2
