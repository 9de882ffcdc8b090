"""A PDF's pages to Markdown: text in reading order, ruled tables as tables, headings where bookmarks name them."""

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from knowledge.reading.converted import Converted, Unreadable
from knowledge.reading.pdf_tables import Grid, Page, alike, grids_of, joined, parts_of, rules_of
from knowledge.reading.tables import line, said
from knowledge.text.structure import CAPTION, blocks

EFFORT = 600_000
"""Lines, cells and every fourth letter of pages with tables that one PDF may cost; pages beyond stay plain text."""
BOOKMARKS = 5_000

_NUMBER = re.compile(r"\W*(?:(?:page|p|seite|s|página|pagina|sida|side|strona)\W+)?"
                     r"(?:\d+(?:\W+(?:(?:of|von|de|sur|di|van|av|af|z)\W+)?\d+)?)?\W*", re.IGNORECASE)
_NO_TITLE = re.compile(r"\(?(?:anonymous|untitled|unspecified)\b|Microsoft \w+ - ", re.IGNORECASE)
"""What programs write where nobody gave a title."""


def read_pdf(data: bytes) -> Converted:
    """What a PDF says; its text is empty if it holds pictures of pages alone."""
    import pypdfium2

    try:
        opened = pypdfium2.PdfDocument(data)
        texts = _continued(list(_pages(opened)))
        headings = _bookmarks(opened)
    except pypdfium2.PdfiumError:
        raise Unreadable("is damaged, needs a password, or is not a PDF; save it again as a PDF without a "
                         "password") from None
    texts = [_headed(text, headings.get(number, [])).strip() for number, text in enumerate(texts)]
    starts, length = [], 0
    for text in texts:
        starts.append(length)
        length += len(text) + 2
    settings = opened.get_metadata_dict()
    title = settings.get("Title") or ""
    stamp = settings.get("ModDate") or settings.get("CreationDate") or ""
    day = re.match(r"D:(\d{4})(\d\d)(\d\d)", stamp)
    return Converted("\n\n".join(texts) if any(text.strip() for text in texts) else "", tuple(starts),
                     title="" if _NO_TITLE.match(title) else title, date="-".join(day.groups()) if day else "")


def _pages(opened: Any) -> Iterator[Page]:
    """Each page's parts; a page whose tables can't be told stays plain text."""
    left = EFFORT
    for page in opened:
        words = page.get_textpage()
        plain = joined(words.get_text_bounded())
        parts: Page = [plain]
        with suppress(RuntimeError, ArithmeticError, LookupError, ValueError):
            rules = list(islice(rules_of(page), max(0, left)))
            grids = grids_of(rules)
            left -= len(rules) + sum(len(grid.owner) for grid in grids) + (len(plain) // 4 if grids else 0)
            parts = parts_of(words, grids, page.get_bbox()) if grids and plain.strip() else parts
        yield parts
        words.close()
        page.close()


def _continued(pages: list[Page]) -> list[str]:
    """Each page's text; a table that goes on from the page before has that one's caption and header row again."""
    texts: list[str] = []
    before: Page = []
    for number, page in enumerate(pages, 1):
        made = [part.text() if isinstance(part, Grid) else part.strip() for part in page]
        first, last = _edge(page, number, before, number - 1), _edge(before[::-1], number - 1, page, number)
        if first and last and alike(first, last):
            made[page.index(first)] = _again(texts[-1], first.rows())
        texts.append("\n\n".join(filter(None, made)))
        before = page
    return texts


def _edge(page: Page, number: int, other: Page, other_number: int) -> Grid | None:
    """The table that a page begins with (reversed: ends with), but for running heads, which the other page has too."""
    running = _lines("\n".join(part for part in other if isinstance(part, str)), other_number)
    for part in page:
        if isinstance(part, Grid):
            return part
        if _lines(part, number) - running:
            return None
    return None


def _lines(text: str, number: int) -> set[str]:
    """A text's lines but for the page's number, alone or within them; a table's number is none."""
    own = re.compile(rf"\b{number}\b")
    return {one if CAPTION.match(one) else own.sub("", one).strip() for one in text.split("\n")
            if len(one) > 40 or not _NUMBER.fullmatch(one)}


def _again(text: str, rows: list[list[object]]) -> str:
    """The rows below what introduced the last table of the text."""
    lead = next((block.lead for block in reversed(blocks(text)) if block.kind == "table"), "")
    header = lead.split("\n")[-2:][0]
    below = [line(row) for row in rows if any(map(said, row))]
    return "\n".join([lead.replace("\n|", "\n\n|", 1) if not lead.startswith("|") else lead,
                      *(below[1:] if below[:1] == [header] else below)])


def _bookmarks(opened: Any) -> dict[int, list[tuple[int, str]]]:
    """Of each page the headings that bookmarks name, with their level."""
    found: dict[int, list[tuple[int, str]]] = {}
    for bookmark in islice(opened.get_toc(max_depth=6), BOOKMARKS):
        place = bookmark.get_dest()
        number = place.get_index() if place else None
        title = " ".join(bookmark.get_title().split())
        if number is not None and title:
            found.setdefault(number, []).append((bookmark.level + 1, title))
    return found


def _headed(text: str, headings: list[tuple[int, str]]) -> str:
    """The text with each line that a bookmark of its page names as a heading."""
    for level, title in headings:
        words = "[ \t]+".join(map(re.escape, title.split()))
        line_of_it = re.search(rf"^[ \t]*{words}[ \t]*$", text, re.MULTILINE)
        if line_of_it:
            before, after = text[:line_of_it.start()], text[line_of_it.end():]
            text = f"{before}\n{'#' * level} {title}\n{after}"
    return text
