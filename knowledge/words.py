"""A text's content words as stems: what word search counts and what overlap is measured in."""

import re
from functools import cache
from typing import Any

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")


def stems(text: str) -> list[str]:
    """The stems of a text's words in order, without those that carry no content (Snowball English)."""
    words = [word.replace("’", "'") for word in WORD.findall(text.casefold())]
    kept = [word.removesuffix("'s") for word in words if word not in _empty()]
    return list(stemmer().stemWords(kept))


@cache
def _empty() -> frozenset[str]:
    from bm25s.stopwords import STOPWORDS_EN_PLUS

    return frozenset(STOPWORDS_EN_PLUS)


@cache
def stemmer() -> Any:
    """Snowball's English stemmer; its stemWords takes lower-case words."""
    import Stemmer

    return Stemmer.Stemmer("english")
