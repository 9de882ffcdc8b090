"""Documents to passages: cut along the document's own structure, each passage knowing where it stands."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from knowledge.documents import Document

Span = tuple[int, int]
"""Start and end character in a document's text."""

HEADING = re.compile(r"^(#{1,6})[ \t]+(.*?)[ \t#]*$", re.MULTILINE)
FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"\S[^\n]*(?:\n[^\n]*\S[^\n]*)*")
SENTENCE = re.compile(r"\S.*?(?:[.!?…][\"')\]]*(?=\s)|\n(?=\s*[-*|\d])|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Passage:
    """A piece of a document small enough to show a model: `text` is document.text[start:end]."""

    document: str
    heading: str
    """The headings above it, from the outermost, joined by ` > `; the file's name where there are none."""
    text: str
    start: int
    end: int
    page: int | None
    """Counted from 1; None for a format without pages."""

    @property
    def indexed(self) -> str:
        """What is searched: the headings travel with the text."""
        return f"{self.heading}\n{self.text}"


def split(document: Document, count: Callable[[str], int], most: int = 110) -> list[Passage]:
    """Cut a document into passages of at most `most` tokens as `count` counts them, in reading order.

    A section is cut at paragraphs, a paragraph at sentences, never within one unless it is too long by itself.
    A section whose heading asks a question is a question-and-answer pair and stays whole up to twice that length.
    """
    passages = []
    title = PurePosixPath(document.path).stem.replace("-", " ").replace("_", " ")
    for heading, start, end in _sections(document.text):
        limit = 2 * most if heading.rstrip().endswith("?") else most
        for first, last in _cut(document.text, (start, end), count, limit, most):
            page = bisect_right(document.pages, first) if document.pages else None
            passages.append(Passage(document.path, heading or title, document.text[first:last], first, last, page))
    return passages


def _sections(text: str) -> Iterator[tuple[str, int, int]]:
    """Each section's heading path, and where its own text begins and ends."""
    fenced = [match.span() for match in FENCE.finditer(text)]
    marks = [match for match in HEADING.finditer(text)
             if not any(start <= match.start() < end for start, end in fenced)]
    yield "", 0, marks[0].start() if marks else len(text)
    path: list[tuple[int, str]] = []
    for number, mark in enumerate(marks, 1):
        level, after = len(mark.group(1)), marks[number].start() if number < len(marks) else len(text)
        path = [*(above for above in path if above[0] < level), (level, mark.group(2).strip())]
        yield " > ".join(name for _, name in path if name), mark.end(), after


def _cut(text: str, section: Span, count: Callable[[str], int], limit: int, most: int) -> list[Span]:
    """A section's passages: whole if it fits, else pieces filled up in order; a short rest joins the one before."""
    body = _trimmed(text, section)
    if body[0] == body[1]:
        return []
    if count(text[body[0]:body[1]]) <= limit:
        return [body]
    filled: list[Span] = []
    for start, end in _pieces(text, body, count, most):
        if filled and count(text[filled[-1][0]:end]) <= most:
            filled[-1] = (filled[-1][0], end)
        else:
            filled.append((start, end))
    if len(filled) > 1 and count(text[filled[-2][0]:filled[-1][1]]) <= most * 5 // 4:
        filled[-2:] = [(filled[-2][0], filled[-1][1])]
    return filled


def _pieces(text: str, span: Span, count: Callable[[str], int], most: int) -> Iterator[Span]:
    """The smallest units: paragraphs that fit, else sentences that fit, else runs of words."""
    for block in _matches(BLOCK, text, span):
        if count(text[block[0]:block[1]]) <= most:
            yield block
            continue
        for sentence in _matches(SENTENCE, text, block):
            if count(text[sentence[0]:sentence[1]]) <= most:
                yield sentence
            else:
                yield from _runs(text, sentence, count, most)


def _runs(text: str, span: Span, count: Callable[[str], int], most: int) -> Iterator[Span]:
    """A sentence too long by itself, cut at words; a word too long by itself stays, for no cut would help it."""
    start, last = span[0], span[0]
    for word in re.compile(r"\S+").finditer(text, *span):
        if last > start and count(text[start:word.end()]) > most:
            yield start, last
            start = word.start()
        last = word.end()
    yield start, last


def _matches(pattern: re.Pattern[str], text: str, span: Span) -> Iterator[Span]:
    for match in pattern.finditer(text, *span):
        trimmed = _trimmed(text, match.span())
        if trimmed[0] < trimmed[1]:
            yield trimmed


def _trimmed(text: str, span: Span) -> Span:
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
