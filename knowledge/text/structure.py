"""A text's structure: Markdown headings, paragraphs, lists, tables and code as blocks that know where they stand."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from knowledge.text.sentences import Span, sentences, trimmed

WINDOW = 200_000
"""Characters parsed at a time: tokens take some hundred times the memory of the text."""
NESTING = 20
"""Levels of lists and quotes within each other; what is deeper is plain text."""
LONGEST_HEADING = 200
"""Characters; a longer heading is a paragraph in a heading's clothes."""
LONGEST_LABEL = 80
"""Characters of a line without a full stop that introduces what stands below it."""
QUESTION = 7
"""The level of a question in bold or after `Q:`: below every heading."""
KINDS = {"heading_open": "heading", "bullet_list_open": "list", "ordered_list_open": "list", "fence": "code",
         "code_block": "code", "table_open": "table"}
"""Our names for the parser's tokens; whatever else it finds is a paragraph."""

CAPTION = re.compile(r"^[*_]{0,3}(?:Table|Tab\.|Tabelle|Tableau|Tabla|Tabella|Tabela|Tabel|Tabell)[ \t]+"
                      r"(?:\d[\d.-]*|[A-Z]\.?\d+|[IVXLC]+)(?=[:.\s*_–-]|$)", re.MULTILINE)
"""A numbered caption, such as `Table 3: Prices`, at the start of its line."""
_ASKS = re.compile(r"(?:\*\*|__)?Q(?:uestion)?[ \t]*\d*[ \t]*[:.)](?:\*\*|__)?[ \t]+([^\n]+)")
_BOLD = re.compile(r"(\*\*|__)((?:(?!\1).)+\?)\1[ \t]*(?:\n|$)")
_ANSWERS = re.compile(r"(?:\*\*|__)?A(?:nswer)?[ \t]*\d*[ \t]*[:.)](?:\*\*|__)?[ \t]+")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_RULE = re.compile("-+")
_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)")
_EMPHASIS = re.compile(r"(\*\*|__|`)(.+?)\1")


@dataclass(frozen=True)
class Block:
    """One part of a document."""

    kind: str
    """heading, paragraph, list, table or code."""
    start: int
    end: int
    parts: tuple[Span, ...] = ()
    """A list's items, or a table's rows below its header."""
    lead: str = ""
    """What introduces it, to be repeated where it is cut: a caption, a table's header row."""
    level: int = 0
    """Of a heading, 1 to 6, or QUESTION."""
    name: str = ""
    """A heading's words."""


def blocks(text: str) -> list[Block]:
    """The blocks of a Markdown text in order, by CommonMark and its tables; they cover all of it but blank lines.

    A line that introduces the list, table or code below it ("You need:", a caption) belongs to that block. A
    question in bold or after `Q:` is a heading.
    """
    plain = text.replace("\r", " ")
    found: list[Block] = []
    start = 0
    while start < len(plain):
        if found and found[-1].kind == "table" and found[-1].end == start - 1 and plain.startswith("|", start):
            found[-1] = _lengthened(plain, found[-1], start)  # a window ended within it
            start = found[-1].end + 1
            continue
        end = _window(plain, start)
        found += _parsed(plain, start, end)
        start = end
    return _introduced(plain, [part for block in found for part in _asking(plain, block)])


def _window(text: str, start: int) -> int:
    """Where the next part to be parsed ends: at a heading, else at a blank line, else at a line."""
    if len(text) - start <= WINDOW:
        return len(text)
    for mark in ("\n#", "\n\n", "\n"):
        at = text.rfind(mark, start + WINDOW // 2, start + WINDOW)
        if at > 0:
            return at + 1
    return text.find("\n", start + WINDOW) + 1 or len(text)


def _lengthened(text: str, table: Block, start: int) -> Block:
    """A table with the rows that follow from `start` on."""
    rows = []
    while text.startswith("|", start):
        rows.append(trimmed(text, (start, (text.find("\n", start) + 1 or len(text) + 1) - 1)))
        start = text.find("\n", start) + 1 or len(text)
    return replace(table, end=rows[-1][1], parts=(*table.parts, *rows))


@cache
def _parser() -> Any:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"maxNesting": NESTING}).enable("table").disable("reference")
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


def _parsed(text: str, start: int, end: int) -> list[Block]:
    lines = [start]
    for line in text[start:end].split("\n"):
        lines.append(lines[-1] + len(line) + 1)
    try:
        tokens = _parser().parse(text[start:end])
    except (RecursionError, IndexError, ValueError):  # a fault of the parser must not cost a person the document
        tokens = []
    found: list[Block] = []
    parts: list[list[Span]] = []
    for number, token in enumerate(tokens):
        if not token.map or token.nesting < 0 or token.type == "hr":
            continue
        span = trimmed(text, (lines[token.map[0]], min(lines[token.map[1]], end)))
        if token.level == 0:
            found.append(_block(token, span, tokens[min(number + 1, len(tokens) - 1)].content))
            parts.append([])
        elif (token.type, token.level) in (("list_item_open", 1), ("tr_open", 2)):
            parts[-1].append(span)
    whole = [_headed(text, replace(block, parts=tuple(part))) for block, part in zip(found, parts, strict=True)]
    return list(_covering(text, whole, (start, end)))


def _block(token: Any, span: Span, content: str) -> Block:
    kind = KINDS.get(token.type, "paragraph")
    # a rule below a paragraph makes a heading of it, says CommonMark
    if kind == "heading" and len(content) <= LONGEST_HEADING and "\n" not in content:
        return Block(kind, *span, level=int(token.tag[1]), name=words(content))
    return Block("paragraph" if kind == "heading" else kind, *span)


def words(content: str) -> str:
    """What a line of Markdown says: without emphasis, links' addresses and escapes."""
    for pattern, kept in ((_LINK, r"\1"), (_EMPHASIS, r"\2"), (_ESCAPE, r"\1")):
        content = pattern.sub(kept, content)
    return " ".join(content.split())


def _covering(text: str, found: Sequence[Block], span: Span) -> Iterator[Block]:
    """The blocks with paragraphs for whatever lies between them, so that no text is lost."""
    at = span[0]
    for block in [*found, Block("end", span[1], span[1])]:
        between = trimmed(text, (at, block.start))
        if between[0] < between[1] and not set(text[between[0]:between[1]]) <= set("-*_ \t\n"):
            yield Block("paragraph", *between)
        if block.kind != "end":
            yield block
        at = block.end


def _headed(text: str, block: Block) -> Block:
    """A table with its header row as its lead."""
    if block.kind != "table" or not block.parts:
        return block
    header, rule = (line.strip() for line in text[block.start:block.end].split("\n", 2)[:2])
    # an encoder counts each dash of the rule, which would leave less room for rows in every piece
    return replace(block, parts=block.parts[1:], lead=f"{header}\n{_RULE.sub('-', rule)}")


def _asking(text: str, block: Block) -> Iterator[Block]:
    """A paragraph that begins with a question in bold or after `Q:` as a heading and the rest."""
    asks = block.kind == "paragraph" and (_ASKS.match(text, block.start, block.end)
                                          or _BOLD.match(text, block.start, block.end))
    if not asks or asks.end() - block.start > LONGEST_HEADING:
        yield block
        return
    yield Block("heading", *trimmed(text, asks.span()), level=QUESTION, name=words(asks.group(asks.lastindex or 0)))
    answer = _ANSWERS.match(text, *trimmed(text, (asks.end(), block.end)))
    rest = trimmed(text, (answer.end() if answer else asks.end(), block.end))
    if rest[0] < rest[1]:
        yield replace(block, start=rest[0], end=rest[1])


def _introduced(text: str, found: Sequence[Block]) -> list[Block]:
    """Lists, tables and code joined to the line that introduces them, and tables to a numbered caption below them."""
    made: list[Block] = []
    for block in found:
        introduced = made and block.kind in ("list", "table", "code")
        label = _label(text, made[-1], block.kind == "table") if introduced else None
        below = _below(text, made[-1], block) if made else None
        if label:
            before = trimmed(text, (made[-1].start, label[0]))
            made[-1:] = [replace(made[-1], end=before[1])] if before[0] < before[1] else []
            block = replace(block, start=label[0], lead=_lead(text, label, block))
        if below:
            made[-1] = replace(made[-1], end=below[1], lead=_lead(text, below, made[-1]))
            rest = trimmed(text, (below[1], block.end))
            made += [replace(block, start=rest[0])] if rest[0] < rest[1] else []
        else:
            made.append(block)
    return made


def _lead(text: str, label: Span, block: Block) -> str:
    return "\n".join(part for part in (text[label[0]:label[1]], block.lead) if part)


def _below(text: str, above: Block, block: Block) -> Span | None:
    """The numbered caption that a paragraph begins with, if the table above it has none yet."""
    if (above.kind, block.kind) != ("table", "paragraph") or CAPTION.match(above.lead):
        return None
    caption = CAPTION.match(text, block.start, block.end)
    end = (text.find("\n", block.start, block.end) + 1 or block.end + 1) - 1
    return trimmed(text, (block.start, end)) if caption and end - block.start <= LONGEST_HEADING else None


def _label(text: str, block: Block, table: bool) -> Span | None:
    """The last line or sentence of a paragraph if it introduces what follows."""
    if block.kind != "paragraph":
        return None
    *_, caption = [block.start, *(found.start() for found in CAPTION.finditer(text, block.start, block.end))]
    whole = table and "\n" not in text[block.start:block.end] and text[block.end - 1] == ":"
    if (whole or CAPTION.match(text, caption)) and block.end - caption <= LONGEST_HEADING:
        return caption, block.end
    last = sentences(text, (max(block.start, block.end - 4 * LONGEST_HEADING), block.end))[-1]
    line = text[last[0]:last[1]]
    if line.rstrip("*_").endswith(":") and len(line) <= LONGEST_HEADING:
        return last
    alone = last[0] == block.start or text[last[0] - 1] == "\n"
    short = alone and "\n" not in line and len(line) <= LONGEST_LABEL
    return last if short and any(map(str.isalnum, line)) and line[-1] not in ".!?…;," else None
