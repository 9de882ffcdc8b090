"""A message to the questions that are searched: each for itself, without politeness, in the index's spelling."""

import re
from collections.abc import Callable, Mapping, Sequence

from knowledge.text.sentences import sentences
from knowledge.text.words import words_of

SHORTEST = 5
"""Letters; a shorter word is too near to others to be mended."""
LONG = 8
"""Letters from which a word may hold two typos."""
MOST = 4
"""Questions of one message that are searched for themselves; what is more is searched with the last one."""
_OPENS = re.compile(r"""
    \s*(?: (?:dear|hello|hi|hey|good\ (?:morning|day|afternoon|evening)|to\ whom\ it\ may\ concern)\b
            [^.!?\n,]{0,40} (?:[,.!:\n]+|$)
    | I\ hope\ (?:this|you|all|everything)[^.!?\n]*[.!\n]+
    | (?:I\ (?:just\ )?(?:have|had)\ |just\ )?(?:a|one|another)\ (?:quick\ |short\ |small\ |little\ )?question
      [^.!?:,\n]*[.!:,\n]+ )""", re.IGNORECASE | re.VERBOSE)
_CLOSES = re.compile(r"""
    (?:^|(?<=[.!?\n,])) \s*
    (?: (?:many\ |best\ |kind\ |warm\ )?(?:thanks|thank\ you|cheers)\b [^.!?\n]*[.!]*
    | (?:with\ )?(?:kind|best|warm|many)?\ ?(?:regards|wishes|greetings)\b [\s\S]*
    | (?:yours|sincerely|faithfully)\b [\s\S]*
    | (?:I\ )?look(?:ing)?\ forward\ to [^.!?\n]*[.!]*
    | please\ let\ me\ know [^.!?\n]*[.!]* ) (?:\n\s*[^\W\d][\w.'’-]*(?:\ [^\W\d][\w.'’-]*){0,3})? \s*$""",
                     re.IGNORECASE | re.VERBOSE)
"""The end of a letter, with a name on the line below it."""
_SIGNED = re.compile(r"(?<=[.!?,])\s*\n+\s*[A-Z][\w.'’-]*(?: [A-Z][\w.'’-]*){0,2}\s*$")
"""A name alone on the last line."""


def bare(message: str) -> str:
    """The message without greeting, thanks, regards and name around it; as it is where nothing else is in it."""
    text = message.strip()
    for _ in range(4):  # "Hello," before "I hope you are well."
        before = text
        if opening := _OPENS.match(text):
            text = text[opening.end():].strip()
        text = _CLOSES.sub("", text).strip()
        if "\n" in text:
            text = _SIGNED.sub("", text).strip()
        if text == before:
            break
    return text if words_of(text) else message.strip()


def questions(message: str) -> list[str]:
    """The questions of a message, each with the statements before it; one without a question mark is one question."""
    text = bare(message)
    parts: list[str] = []
    begun = 0
    for start, end in sentences(text):
        if text[start:end].rstrip("\"'”’») ").endswith("?") and len(parts) < MOST:
            parts.append(text[begun:end].strip())
            begun = end
    if rest := text[begun:].strip():
        parts = [*parts[:-1], f"{parts[-1]} {rest}"] if parts else [rest]
    return parts or [text]


class Spelling:
    """Mends typos by the words that an index holds."""

    def __init__(self, counts: Mapping[str, int], is_known: Callable[[str], bool], usual: Sequence[str] = ()) -> None:
        """`counts` says how often the index holds each word; `is_known` whether a word that it lacks is one."""
        self._counts = {word: count for word, count in counts.items() if len(word) >= SHORTEST - 1 and word.isalpha()}
        self._choices = list({**self._counts, **dict.fromkeys(usual, 0)})
        self._there = {*counts, *usual}
        self._is_known = is_known

    def mended(self, text: str) -> str:
        """The text with each word that nobody knows as the nearest one of the index, where one is near."""
        made = text
        for start, end, word in reversed(words_of(text)):
            better = self._nearest(word) if end - start == len(word) else ""
            if better:
                made = made[:start] + better + made[end:]
        return made

    def _nearest(self, word: str) -> str:
        from rapidfuzz.distance import OSA
        from rapidfuzz.process import extract

        if len(word) < SHORTEST or not word.isalpha() or word in self._there or self._is_known(word):
            return ""
        found = extract(word, self._choices, scorer=OSA.distance, score_cutoff=2 if len(word) >= LONG else 1, limit=20)
        best = min(found, key=lambda near: (near[1], near[0][0] != word[0], -self._counts.get(near[0], 0)),
                   default=None)
        return str(best[0]) if best else ""
