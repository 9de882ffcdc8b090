"""A text's sentences: where each begins and ends, in European languages."""

import re
from collections.abc import Sequence

Span = tuple[int, int]
"""Start and end character in a text."""

_END = re.compile(r"[.!?…]+[\"'”’»)\]*_]*(?=\s)|[。！？]+[」』”)]*|\n\s*")
MARKER = re.compile(r"[-*+•]\s|\d{1,3}[.)]\s|\||#{1,6}\s|>|```|~~~")
"""How an item of a list, a table's row, a heading, a quotation or code begins."""
_ACRONYM = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
_NEVER = frozenset("mr mrs ms dr prof st mt mme mlle hr hrn frl fr sr sra jr dipl ing e.g i.e z.b d.h u.a o.ä p.ex "
                   "vs cf viz ca approx bzw evtl ggf inkl zzgl vgl max min incl excl tel".split())
"""Words whose full stop ends no sentence."""
_NUMBERED = frozenset("no nos nr núm art abs fig figs abb p pp s vol sec ch kap § par tab eq ed n°".split())
"""Words whose full stop ends no sentence before a number."""
_MONTHS = frozenset("januar februar märz april mai juni juli august september oktober november dezember".split())
"""The months before which German counts days with a full stop."""


def sentences(text: str, span: Span | None = None) -> list[Span]:
    """Where each sentence of a text (or of a span of it) begins and ends, in order; European languages.

    A blank line ends a sentence, and so does a line that is a table's row, is followed by a list's item, or is too
    short to have been wrapped. Abbreviations, decimals, initials and what goes on in lower case end none.
    """
    start, end = span or (0, len(text))
    spans = []
    for mark in _END.finditer(text, start, end):
        ends = _line_ends if mark.group()[0] == "\n" else _stop_ends
        if ends(text, start, mark, end):
            spans.append(trimmed(text, (start, mark.end())))
            start = mark.end()
    spans.append(trimmed(text, (start, end)))
    return [span for span in spans if span[0] < span[1]]


def _line_ends(text: str, start: int, mark: re.Match[str], end: int) -> bool:
    """Whether a line break ends the sentence begun at `start`."""
    after = mark.end()
    line = text[max(start, text.rfind("\n", start, mark.start()) + 1):mark.start()].strip()
    if mark.group().count("\n") > 1 or after >= end or line.startswith("|") or MARKER.match(text, after):
        return True
    return len(line) > 160 or (len(line) < 40 and (text[after].isupper() or text[after].isdigit()))


def _stop_ends(text: str, start: int, mark: re.Match[str], end: int) -> bool:
    """Whether a full stop or its like ends the sentence begun at `start`."""
    following = re.compile(r"\s*(\S?)").match(text, mark.end(), end)
    assert following is not None
    after = following.group(1)
    if after.islower():
        return "\n" in following.group() and bool(MARKER.match(text, following.start(1)))
    if mark.group() != ".":
        return True
    before = text[max(start, mark.start() - 40):mark.start()].split()
    word = before[-1].lstrip("(\"'“„«[*_") if before else ""
    return not _abbreviates(word, before[:-1], text[following.start(1):following.start(1) + 12], after)


def _abbreviates(word: str, before: Sequence[str], rest: str, after: str) -> bool:
    """Whether the full stop behind `word` belongs to the word."""
    small = word.casefold()
    if small in _NEVER or (small in _NUMBERED and after.isdigit()):
        return True
    if len(word) == 1 and word.isupper():
        return word != "I" and (not before or before[-1][0].isupper())  # John F. Kennedy, but not "vitamin C. It"
    if word.isdigit() and len(word) <= 3:
        following = rest.split()[0].casefold().strip(".,") if rest.strip() else ""
        return not before or (len(word) <= 2 and following in _MONTHS)
    return bool(_ACRONYM.fullmatch(word)) and word.isupper()


def trimmed(text: str, span: Span) -> Span:
    """The span without white space at its ends."""
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
