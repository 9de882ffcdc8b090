"""A text's content words as stems: what word search counts and what overlap is measured in."""

import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
SNOWBALL = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish", "fr": "french", "ga": "irish",
    "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian",
    "ne": "nepali", "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian",
    "ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish"}
"""Languages (ISO 639-1) that Snowball has a stemmer for; words of others stay whole."""
ENGLISH = ("en",)
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
"""Scripts that part no words: Thai, Lao, Burmese, Khmer, Chinese and Japanese."""


def stems(text: str, languages: Sequence[str] = ENGLISH) -> list[str]:
    """The stems of a text's words in order, without those that carry no content; a word has one in each language."""
    words = [word for _, _, word in words_of(text)]
    if len(languages) == 1:
        return [stem for stem in stemmed(words, languages[0]) if stem]
    return [stem for each in zip(*(stemmed(words, language) for language in languages), strict=True)
            for stem in dict.fromkeys(each) if stem]


def stemmed(words: Sequence[str], language: str) -> list[str]:
    """The stem of each word in lower case; "" for one that carries no content in that language."""
    empty = _empty(language)
    bare = [word.removesuffix("'s") for word in words]
    made = stemmer(language).stemWords(bare) if language in SNOWBALL else bare
    return ["" if word in empty else str(stem) for word, stem in zip(words, made, strict=True)]


def content_words(text: str) -> list[tuple[int, int, str]]:
    """Where each word that carries content in English begins and ends, and the word in lower case."""
    return [word for word in words_of(text) if word[2] not in _empty("en")]


def words_of(text: str) -> list[tuple[int, int, str]]:
    """Where each word begins and ends, and the word in lower case.

    Scripts that part no words give each two letters that stand together, which is what search engines count there.
    """
    found = []
    for match in WORD.finditer(text):
        word = match.group().casefold().replace("’", "'")
        if word.isascii() or not _UNSPACED.search(word):
            found.append((*match.span(), word))
        else:
            found += _pairs(match.start(), match.group())
    return found


def _pairs(start: int, text: str) -> list[tuple[int, int, str]]:
    """The pairs of letters of unspaced scripts, and the words between them."""
    found: list[tuple[int, int, str]] = []
    at = 0
    for run in (*_UNSPACED.finditer(text), None):
        first, last = run.span() if run else (len(text), len(text))
        if at < first:
            found.append((start + at, start + first, text[at:first].casefold()))
        found += [(start + one, start + other + 1, text[one:other + 1]) for one, other in pairwise(range(first, last))]
        if last - first == 1:
            found.append((start + first, start + last, text[first:last]))
        at = last
    return found


def usual_words(languages: Sequence[str]) -> list[str]:
    """Words that carry no content in these languages."""
    return sorted(word for language in languages for word in _empty(language) if word.isalpha())


@cache
def _empty(language: str) -> frozenset[str]:
    from bm25s import stopwords

    name = "EN_PLUS" if language == "en" else SNOWBALL.get(language, "").upper()
    return frozenset(getattr(stopwords, f"STOPWORDS_{name}", ()))


@cache
def stemmer(language: str = "en") -> Any:
    """Snowball's stemmer of a language of SNOWBALL; its stemWords takes lower-case words."""
    import Stemmer

    return Stemmer.Stemmer(SNOWBALL[language])
