"""A text's content words as stems: what word search counts and what overlap is measured in."""

import re
from functools import cache
from typing import Any

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")


def stems(text: str) -> list[str]:
    """The stems of a text's words in order, without those that carry no content (Snowball English)."""
    return [stem for _, _, stem in content_words(text)]


def content_words(text: str) -> list[tuple[int, int, str]]:
    """Where each word that carries content begins and ends, and its stem."""
    words = [(*match.span(), match.group().casefold().replace("’", "'")) for match in WORD.finditer(text)]
    kept = [(start, end, word.removesuffix("'s")) for start, end, word in words if word not in _empty()]
    stemmed = stemmer().stemWords([word for _, _, word in kept])
    return [(start, end, stem) for (start, end, _), stem in zip(kept, stemmed, strict=True)]


@cache
def _empty() -> frozenset[str]:
    from bm25s.stopwords import STOPWORDS_EN_PLUS

    return frozenset(STOPWORDS_EN_PLUS)


@cache
def stemmer() -> Any:
    """Snowball's English stemmer; its stemWords takes lower-case words."""
    import Stemmer

    return Stemmer.Stemmer("english")
