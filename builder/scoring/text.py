"""What all scores share: a value with its evidence, and text made comparable; one family of scores a file."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

_QUOTES = str.maketrans({**dict.fromkeys("‘’‚‛′´", "'"), **dict.fromkeys("“”„‟″«»", '"'),
                         **dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff")})
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−", "-"))
_THOUSANDS = re.compile(r"(?<![\w.,])\d{1,3}([,'’\u00a0\u2009\u202f])\d{3}(?:\1\d{3})*(?!\d)")


@dataclass(frozen=True)
class Score:
    """One score of one reply; a value of None is unscored, which means leave it out, never count it as zero."""

    value: float | None
    evidence: str
    """Why, in plain words."""


@lru_cache(maxsize=4096)
def tidy(text: str) -> str:
    """The text word for word, but with straight quotes, single spaces and nothing invisible."""
    return " ".join(unicodedata.normalize("NFC", text).translate(_QUOTES).split())


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """The text made comparable: tidy, lower case, plain dashes and letters, no Markdown emphasis, 1,000 as 1000."""
    text = _THOUSANDS.sub(lambda match: re.sub(r"\D", "", match.group()), text)
    text = tidy("".join(map(_letter, text))).translate(_DASHES)
    text = re.sub(r"\*\*|__|`", "", text)
    text = re.sub(r"(?<=\d)\.00(?![\d.])", "", text)
    return re.sub(r"(?<=\d) ?- ?(?=\d)", "-", text).casefold()


def places(phrase: str, text: str) -> list[tuple[int, int]]:
    """Where `phrase` stands in `text` as whole words, as spans of plain(text).

    A number stands only as the whole number: 5 is not in 15, 5.5, 5:30 or -5. A word does not stand in its own
    negation: can is not in can't, but Ann is in Ann's.
    """
    sought = plain(phrase)
    if not sought:
        return []
    pattern = re.escape(sought)
    if _is_word(sought[0]):
        pattern = r"(?<!\w)" + pattern
    if sought[0].isdigit():
        pattern = r"(?<!\d[.,:/])(?<!\s-)(?<!^-)" + pattern
    if _is_word(sought[-1]):
        pattern += r"(?!\w)(?!'(?!s\b)\w)"
    if sought[-1].isdigit():
        pattern += r"(?![.,:/]\d)"
    return [match.span() for match in re.finditer(pattern, plain(text))]


def without(text: str, phrases: Iterable[str]) -> str:
    """The text without the phrases, whatever their case and punctuation; longer phrases go first."""
    for phrase in sorted(phrases, key=len, reverse=True):
        words = re.findall(r"\w+", tidy(phrase))
        if words:
            pattern = r"(?<!\w)" + r"\W+".join(map(re.escape, words)) + r"(?!\w)[!?.,;:]*"
            text = re.sub(pattern, " ", text, flags=re.IGNORECASE)
    return text.strip()


def is_abstention(text: str, abstain: str) -> bool:
    """Whether a reply is the brand's abstention, whoever wrote it: the retriever's judgement or the model."""
    return plain(text) == plain(abstain)


def _is_word(character: str) -> bool:
    return re.match(r"\w", character) is not None


def _letter(character: str) -> str:
    """A ligature, a full-width letter or a raised footnote mark as what a person would type."""
    if character.isascii():
        return character
    kind = unicodedata.decomposition(character).split(" ")[0]
    if kind == "<super>":
        return " "
    return unicodedata.normalize("NFKC", character) if kind in ("<compat>", "<wide>", "<sub>") else character
