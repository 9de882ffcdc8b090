"""Word, PowerPoint and Excel files to Markdown, by way of the blocks that office-oxide reads in them."""

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from knowledge.reading.converted import Converted, Unreadable
from knowledge.reading.headings import Line, levels
from knowledge.reading.tables import ACROSS, counted, said, sheet, table
from knowledge.reading.word_numbers import with_numbers

Block = dict[str, Any]
"""A part of office-oxide's document: its `type`, and what that type holds."""

_ROW = re.compile(rb'<(\w+:|)row\b[^>]*?\sr="(\d{1,7})"')
_CLOCK = re.compile(r"^(\[?)h+\]?:mm(:ss)?", re.IGNORECASE)
_PAGE_NUMBER = re.compile(r"\W*(?:\w+\W+)?\d*(?:\W+(?:\w+\W+)?\d+)?\W*")
"""A header or footer that says no more than which page it is."""


def read_word(data: bytes) -> Converted:
    """A Word file with its headings, numbers, tables, notes and text boxes; headers and footers once."""
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        equations = b"<m:oMath" in opened.read("word/document.xml")
    if equations:
        from markitdown.converter_utils.docx.pre_process import pre_process_docx

        data = pre_process_docx(io.BytesIO(data)).read()
    document = _document(with_numbers(data), "docx")
    blocks = [block for section in document["sections"] for block in section["elements"]]
    blocks = _with_headings(_with_notes(blocks))
    first = 1 if blocks and blocks[0]["type"] == "heading" else 0
    texts = [_text(block) for block in blocks]
    body = "\n".join(texts)
    heads, feet = (list(dict.fromkeys(
        text for section in document["sections"] for name in (f"first_page_{kind}", kind, f"even_page_{kind}")
        if (text := _joined(section.get(name, {}).get("content", ()))) and not _PAGE_NUMBER.fullmatch(text)
        and text not in body)) for kind in ("header", "footer"))
    comments = sum("author" in block for block in blocks)
    pictures = sum(block["type"] == "image" for block in _within(blocks))
    return Converted("\n\n".join(filter(None, [*texts[:first], *heads, *texts[first:], *feet])),
                     title=document["metadata"].get("title", "") if not blocks or not first else "",
                     left_out=tuple(counted(comments, "comment") + counted(pictures, "picture")))


def read_slides(data: bytes) -> Converted:
    """A section for each slide, headed by its title wherever that stands on it."""
    document = _document(data, "pptx")
    texts, comments, pictures = [], 0, 0
    for number, slide in enumerate(document["sections"], 1):
        blocks = slide["elements"]
        title = next((said(_words(block)) for block in blocks if block["type"] == "heading"), "")
        parts = [_text(block) for block in blocks if block["type"] != "heading" or said(_words(block)) != title]
        notes = "\n\n".join(filter(None, map(_text, slide.get("speaker_notes", ()))))
        parts += [f"Notes:\n\n{notes}"] if notes else []
        comments += sum("author" in block for block in blocks)
        pictures += sum(block["type"] == "image" for block in _within(blocks))
        if title or any(parts):
            texts.append("\n\n".join([f"# {title or f'Slide {number}'}", *filter(None, parts)]))
    return Converted("\n\n".join(texts), title=document["metadata"].get("title", ""),
                     left_out=tuple(counted(comments, "comment") + counted(pictures, "picture")))


def read_workbook(data: bytes) -> Converted:
    """A section for each sheet, with its cells as a person sees them, and what is noted on cells below."""
    document = _document(_with_blank_rows(data), "xlsx")
    texts: list[str] = []
    empty = pictures = 0
    for page in document["sections"]:
        parts: list[str] = []
        for block in page["elements"]:
            if block["type"] == "table":
                parts.append(sheet(_rows(block)))
                empty += sum("formula" in cell and not said(_cell(cell)) for row in block["rows"]
                             for cell in row["cells"])
            elif block["type"] == "endnote":
                parts.append(f"Note on {block['marker'].split(' ')[0]}: {_joined(block['content'])}")
            else:
                parts.append(_text(block))
                pictures += block["type"] == "image"
        if any(parts):
            texts += [f"## {page.get('title') or 'Sheet'}", *filter(None, parts)]
    left_out = [f"{line} without a value; open the file in Excel or LibreOffice and save it"
                for line in counted(empty, "formula")]
    return Converted("\n\n".join(texts), title=document["metadata"].get("title", ""),
                     left_out=tuple(left_out + counted(pictures, "picture")))


def _with_blank_rows(data: bytes) -> bytes:
    """A workbook in which a blank row stands as one: files leave it out, and office-oxide then closes the gap."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as opened, zipfile.ZipFile(made, "w") as written:
        for part in opened.infolist():
            content = opened.read(part)
            if part.filename.startswith("xl/worksheets/"):
                content = _gaps_filled(content)
            written.writestr(part.filename, content)
    return made.getvalue()


def _gaps_filled(content: bytes) -> bytes:
    """A sheet's XML with an empty row wherever the rows' numbers leap."""
    before = 0

    def filled(row: re.Match[bytes]) -> bytes:
        nonlocal before
        number = int(row[2])
        empty = b'<%srow r="%d"></%srow>' % (row[1], number - 1, row[1])
        gap = empty if before and number > before + 1 else b""
        before = number
        return gap + row[0]

    return _ROW.sub(filled, content)


def _document(data: bytes, kind: Literal["docx", "pptx", "xlsx"]) -> Block:
    from office_oxide import Document, OfficeOxideError

    try:
        return dict(Document.from_bytes(data, kind).to_ir())
    except OfficeOxideError:
        raise Unreadable(f"is damaged, or is not a {kind.upper()}; save it again, or as text") from None


def _within(blocks: Sequence[Block]) -> Iterator[Block]:
    """Blocks, and those that they hold."""
    for block in blocks:
        yield block
        yield from _within([part for part in block.get("content", ()) if "type" in part])
        for item in block.get("items", ()):
            yield from _within([*item["content"], *([item["nested"] | {"type": "list"}] if "nested" in item else [])])
        for row in block.get("rows", ()):
            yield from _within([part for cell in row["cells"] for part in cell["content"]])


def _with_notes(blocks: list[Block]) -> list[Block]:
    """Blocks with each footnote and endnote in brackets where it is referred to."""
    notes = {(block["type"], block.get("id")): said(_joined(block["content"])) for block in blocks
             if block["type"] in ("footnote", "endnote") and "author" not in block}
    for block in _within(blocks):
        for run in block.get("content", ()):
            note = notes.pop((run.get("type", "").removesuffix("_ref"), run.get("note_id")), "")
            if note:
                run["text"] = f" ({note})"
    return [block for block in blocks if "author" in block or block["type"] not in ("footnote", "endnote")
            or (block["type"], block.get("id")) in notes]


def _with_headings(blocks: list[Block]) -> list[Block]:
    """Blocks with headings that nothing but their type shows, where a document has no other headings."""
    if any(block["type"] == "heading" for block in blocks):
        return blocks
    lines = [_line(block) for block in blocks]
    return [block if level is None else block | {"type": "heading", "level": level}
            for block, level in zip(blocks, levels(lines), strict=True)]


def _line(block: Block) -> Line:
    """How a block looks; one that is no paragraph is no heading, whatever its type."""
    runs = [run for run in block.get("content", ()) if run.get("text", "").strip()]
    if block["type"] != "paragraph" or not runs:
        return Line("" if not runs else _words(block), 0.0, False)
    return Line(_words(block), min(run.get("font_size_half_pt", 0) for run in runs) / 2,
                all(run.get("bold") for run in runs))


def _text(block: Block) -> str:
    """A block as Markdown; "" for pictures, for comments, which have an author, and for page breaks."""
    kind = block["type"]
    if kind == "heading":
        words = said(_words(block))
        return f"{'#' * min(6, block['level'])} {words}" if words else ""
    if kind == "list":
        return _listed(block, "")
    if kind == "table":
        return _table(block)
    if kind == "paragraph":
        return _words(block).strip()
    if kind == "text_box":
        return _chart(block) or _joined(block["content"])
    return "" if "author" in block else _joined(block.get("content", ()))


def _chart(block: Block) -> str:
    """A chart's values as a table, one row for each category; "" for a box that is no chart, or with odd names."""
    lines = [said(_words(part)) for part in block["content"] if part["type"] == "paragraph"]
    named = [line.partition(": ") for line in lines if not line.startswith("Title: ")]
    columns = [values.split(", ") for _, _, values in named]
    if len(named) < 2 or named[0][0] != "Categories" or len(set(map(len, columns))) > 1:
        return ""
    title = next((line.removeprefix("Title: ") + ":\n\n" for line in lines if line.startswith("Title: ")), "")
    return title + table([["", *(name for name, _, _ in named[1:])], *zip(*columns, strict=True)])


def _joined(blocks: Sequence[Block]) -> str:
    return "\n\n".join(filter(None, map(_text, blocks)))


def _words(block: Block) -> str:
    """The runs of a paragraph or heading; a raised figure behind another becomes a power."""
    text = ""
    for run in block["content"]:
        words = run.get("text", " " if run["type"] == "line_break" else "")
        raised = run.get("vertical_align") == "superscript" and words.strip().isdigit() and text[-1:].isdigit()
        text += f"^{words.strip()}" if raised else words
    return text


def _listed(block: Block, indent: str) -> str:
    """A list, the items within an item below it."""
    lines = []
    for number, item in enumerate(block["items"], block.get("start_number", 1)):
        marker = f"{number}. " if block.get("ordered") else "- "
        lines.append(f"{indent}{marker}{said(_joined(item['content']))}")
        if "nested" in item:
            lines.append(_listed(item["nested"], indent + " " * len(marker)))
    return "\n".join(lines)


def _table(block: Block) -> str:
    """A table; one of a single column or row is text in a frame."""
    rows = list(_rows(block))
    if len(rows) < 2 or max(map(len, rows), default=0) < 2:
        return _joined([part for row in block["rows"] for cell in row["cells"] for part in cell["content"]])
    caption = said(block.get("caption"))
    return (f"{caption.rstrip('.:')}:\n\n" if caption else "") + table(rows)


def _rows(block: Block) -> Iterator[list[object]]:
    """A table's cells, one that covers several rows in each of them."""
    below: dict[int, tuple[object, int]] = {}
    for row in block["rows"]:
        made: list[object] = []
        own = iter(row["cells"])
        while True:
            value, left = below.get(len(made), (None, 0))
            if left:
                below[len(made)] = value, left - 1
                made.append(value)
                continue
            cell = next(own, None)
            if cell is None:
                break
            for value in (_cell(cell), *[ACROSS] * (cell.get("col_span", 1) - 1)):
                below[len(made)] = value, cell.get("row_span", 1) - 1
                made.append(value)
        yield made


def _cell(cell: Block) -> str:
    """What a person sees in a cell: its words, a table within it row by row, else what a picture is said to show."""
    parts = ["; ".join(" ".join(filter(None, map(said, row))) for row in _rows(block)) if block["type"] == "table"
             else said(_text(block)) for block in cell["content"]]
    words = " ".join(filter(None, parts)) or " ".join(said(block.get("alt_text")) for block in cell["content"])
    return _formatted(words, cell.get("raw_number"), cell.get("number_format") or "").strip()


def _formatted(words: str, value: float | None, pattern: str) -> str:
    """A number in the formats that office-oxide leaves out: leading zeros and times of day or of more than a day."""
    if value is None:
        return words
    if re.fullmatch("00+", pattern) and value >= 0:
        return f"{value:.0f}".zfill(len(pattern))
    clock = _CLOCK.match(pattern)
    if clock and value >= 0 and (clock[1] or value < 1):
        minutes, seconds = divmod(round(value * 86_400), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}" + (f":{seconds:02}" if seconds else "")
    return words
