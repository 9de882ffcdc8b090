"""Documents to passages: cut along the document's own structure, each passage knowing where it stands."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from knowledge.reading.documents import Document
from knowledge.text.sentences import Span, sentences, trimmed
from knowledge.text.structure import Block, blocks

VERSION = "5"
"""Of where documents are cut; a new one makes them be cut again."""
Count = Callable[[str], int]
"""Tokens of a text, as the encoder counts them."""
TOKENS_PER_WORD = 1.35
"""About how many of an encoder's tokens an English word has."""
_WORD = re.compile(r"\S+")
_PARAGRAPH = re.compile(r"\S[^\n]*(?:\n[^\n]*\S[^\n]*)*")


@dataclass(frozen=True)
class Passage:
    """A piece of a document small enough to show a model: `text` is document.text[start:end]."""

    document: str
    heading: str
    """The headings above it, from the outermost, joined by ` > `; the document's title or name where there are none."""
    text: str
    start: int
    end: int
    page: int | None
    """Counted from 1; None for a format without pages."""
    lead: str = ""
    """What introduced the table or list that `text` continues: its caption, its header row."""

    @property
    def shown(self) -> str:
        """What a person and a model see."""
        return f"{self.lead}\n{self.text}" if self.lead else self.text

    @property
    def indexed(self) -> str:
        """What is searched: the headings travel with the text."""
        return f"{self.heading}\n{self.shown}"

    @property
    def question(self) -> str:
        """The question that it answers, where its heading asks one; else empty."""
        last = self.heading.split(" > ")[-1]
        return last if last.rstrip().endswith("?") else ""


@dataclass(frozen=True)
class _Piece:
    """What is not cut further; `group` numbers the table or list that it is a part of."""

    start: int
    end: int
    lead: str = ""
    group: int = -1


def about_tokens(text: str) -> int:
    """About how many of an encoder's tokens a text has: near enough to cut passages without opening one."""
    return round(len(text.split()) * TOKENS_PER_WORD)


def split(document: Document, count: Count, most: int = 110, limit: int = 256) -> list[Passage]:
    """Cut a document into passages of at most `most` tokens as `count` counts them, in reading order.

    A section is cut between its blocks, a list between items, a table between rows, each piece with the caption and
    header row; a paragraph between sentences, never within one unless it is too long by itself. A section whose
    heading asks a question is a question-and-answer pair and stays whole up to twice that length. With its headings
    no passage has more than `limit` tokens, so that an encoder of that limit reads it to the end.
    """
    title = document.title or PurePosixPath(document.path).stem.replace("-", " ").replace("_", " ")
    passages = []
    for path, section in _sections(document.text):
        heading = _short(path or [title], count, limit // 3)
        room = max(1, limit - count(heading))
        size = min(room, 2 * most if heading.rstrip().endswith("?") else most)
        for piece in _cut(document.text, section, count, size, min(most, room), room):
            page = bisect_right(document.pages, piece.start) if document.pages else None
            passages.append(Passage(document.path, heading, document.text[piece.start:piece.end], piece.start,
                                    piece.end, page, piece.lead))
    return passages


def _sections(text: str) -> Iterator[tuple[list[str], list[Block]]]:
    """Each section's headings, from the outermost, and its blocks; a heading above nothing is a section's text."""
    path: list[Block] = []
    section: list[Block] = []
    for block in [*blocks(text), None]:
        if block and block.kind != "heading":
            section.append(block)
            continue
        if path and not section and (block is None or block.level <= path[-1].level):
            section.append(path.pop())
        yield [above.name for above in path if above.name], section
        section = []
        if block:
            path = [*(above for above in path if above.level < block.level), block]


def _short(path: Sequence[str], count: Count, most: int) -> str:
    """The path joined; of one too long the innermost headings that fit, or as many words of the last as do."""
    for first in range(len(path)):
        heading = " > ".join(path[first:])
        if count(heading) <= most:
            return heading
    start, end = next(_runs(path[-1], (0, len(path[-1])), count, most), (0, 0))
    return path[-1][start:end]


def _cut(text: str, section: Sequence[Block], count: Count, size: int, most: int, room: int) -> list[_Piece]:
    """A section's passages: whole if it has at most `size` tokens, else pieces filled up in order to `most`."""
    if not section:
        return []
    if count(text[section[0].start:section[-1].end]) <= size:
        return [_Piece(section[0].start, section[-1].end)]
    filled: list[_Piece] = []
    for number, block in enumerate(section):
        for piece in _pieces(text, block, number, count, most, room):
            last = filled[-1] if filled else None
            joins = last and (piece.group < 0 or not piece.lead or last.group == piece.group)
            wide = min(room, max(most, count(piece.lead) + most // 2))  # a wide table's header row leaves room for rows
            if last and joins and count(f"{last.lead}\n{text[last.start:piece.end]}") <= wide:
                filled[-1] = replace(last, end=piece.end, group=piece.group)
            else:
                filled.append(piece)
    if len(filled) > 1 and not filled[-1].lead:  # a short rest joins the one before
        joined = replace(filled[-2], end=filled[-1].end)
        if count(f"{joined.lead}\n{text[joined.start:joined.end]}") <= min(room, most * 5 // 4):
            filled[-2:] = [joined]
    return filled


def _pieces(text: str, block: Block, group: int, count: Count, most: int, room: int) -> Iterator[_Piece]:
    """The block if it fits, else what it is made of."""
    if count(text[block.start:block.end]) <= most:
        yield _Piece(block.start, block.end)
    elif block.parts:
        lead = block.lead if count(block.lead) <= room * 2 // 3 else ""
        most = min(room, max(most, count(lead) + most // 2))
        above = text.startswith(lead.split("\n")[0], block.start)  # else its caption stands below it
        starts = [block.start, *(start for start, _ in block.parts[1:])]
        for number, start in enumerate(starts):
            end = trimmed(text, (start, starts[number + 1] if number + 1 < len(starts) else block.end))[1]
            yield from _part(text, (start, end), lead if number or not above else "", group, count, most)
    else:
        inner = (span for span in _paragraphs(text, block)) if block.kind == "code" else sentences(
            text, (block.start, block.end))
        for span in inner:
            for start, end in _runs(text, span, count, most):
                yield _Piece(start, end)


def _part(text: str, span: Span, lead: str, group: int, count: Count, most: int) -> Iterator[_Piece]:
    """A list's item or a table's row, cut only if it is too long by itself."""
    room = most - count(lead)
    if count(text[span[0]:span[1]]) <= room:
        yield _Piece(*span, lead, group)
        return
    for sentence in sentences(text, span):
        for start, end in _runs(text, sentence, count, room):
            yield _Piece(start, end, lead, group)


def _paragraphs(text: str, block: Block) -> Iterator[Span]:
    for match in _PARAGRAPH.finditer(text, block.start, block.end):
        yield trimmed(text, match.span())


def _runs(text: str, span: Span, count: Count, most: int) -> Iterator[Span]:
    """The span if it fits, else cut at words, and a word too long by itself within it."""
    if span[1] - span[0] <= 20 * most and count(text[span[0]:span[1]]) <= most:
        yield span
        return
    start, last, used = span[0], span[0], 0
    for word in _WORD.finditer(text, *span):
        for first, end, tokens in _letters(text, word.span(), count, most):
            between = count(text[last:first]) if last > start else 0
            if last > start and used + between + tokens > most:
                yield start, last
                start, used, between = first, 0, 0
            last, used = end, used + between + tokens
    if last > start:
        yield start, last


def _letters(text: str, span: Span, count: Count, most: int) -> Iterator[tuple[int, int, int]]:
    """A word, or halves of halves of it, and the tokens of each."""
    start, end = span
    tokens = count(text[start:end]) if end - start <= 20 * most else most + 1
    if tokens <= most or end - start == 1:
        yield start, end, tokens
        return
    middle = (start + end) // 2
    yield from _letters(text, (start, middle), count, most)
    yield from _letters(text, (middle, end), count, most)
