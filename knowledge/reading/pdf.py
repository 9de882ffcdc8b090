"""A PDF's pages to Markdown: text in reading order, tables as tables, headings by bookmarks or by their type."""

import re
from collections import Counter
from contextlib import suppress
from itertools import islice
from typing import Any

from knowledge.reading.converted import Converted, Unreadable
from knowledge.reading.headings import Line, levels
from knowledge.reading.ocr import Reader
from knowledge.reading.pdf_letters import RAISED, Run, letters_of, runs_of, with_fields
from knowledge.reading.pdf_tables import Grid, Page, alike, grids_of, parts_of, rules_of, unruled
from knowledge.reading.raised import raised
from knowledge.reading.tables import counted, line, said
from knowledge.text.structure import CAPTION, blocks

EFFORT = 600_000
"""Lines, cells and every fourth letter of pages with tables that one PDF may cost; pages beyond stay plain text."""
BOOKMARKS = 5_000
PREFIXES = frozenset(("self", "non", "ex", "half", "well", "cross", "all", "anti", "co", "semi", "quasi", "vice"))
"""First halves of words that mostly keep their hyphen."""

_HYPHEN = re.compile("(\\w*)[\x02\ufffe]\n?(\\w*)")
_NUMBER = re.compile(r"\W*(?:(?:page|p|seite|s|página|pagina|sida|side|strona)\W+)?"
                     r"(?:\d+(?:\W+(?:(?:of|von|de|sur|di|van|av|af|z)\W+)?\d+)?)?\W*", re.IGNORECASE)
_NO_TITLE = re.compile(r"\(?(?:anonymous|untitled|unspecified)\b|Microsoft \w+ - ", re.IGNORECASE)
"""What programs write where nobody gave a title."""


def read_pdf(data: bytes) -> Converted:
    """What a PDF says; its text is empty if it holds pictures of pages alone."""
    import pypdfium2

    reader, left_out = Reader(), list[str]()
    try:
        opened = pypdfium2.PdfDocument(data)
        if opened.get_formtype():
            opened.init_forms()
        pages, looks = _pages(opened, reader, left_out)
        headings = _bookmarks(opened) or _by_type(looks)
    except pypdfium2.PdfiumError:
        raise Unreadable("is damaged, needs a password, or is not a PDF; save it again as a PDF without a "
                         "password") from None
    texts = _continued(pages)
    whole = "\n".join(texts)
    texts = [_headed(written(text, whole), headings.get(number, [])).strip() for number, text in enumerate(texts)]
    starts, length = [], 0
    for text in texts:
        starts.append(length)
        length += len(text) + 2
    settings = opened.get_metadata_dict()
    title = settings.get("Title") or ""
    stamp = settings.get("ModDate") or settings.get("CreationDate") or ""
    day = re.match(r"D:(\d{4})(\d\d)(\d\d)", stamp)
    return Converted("\n\n".join(texts) if any(text.strip() for text in texts) else "", tuple(starts),
                     title="" if _NO_TITLE.match(title) else title, date="-".join(day.groups()) if day else "",
                     left_out=tuple(left_out))


def _pages(opened: Any, reader: Reader, left_out: list[str]) -> tuple[list[Page], list[list[Run]]]:
    """Each page's parts and lines; a page whose tables can't be told stays plain text, and has no lines."""
    pages: list[Page] = []
    looks: list[list[Run]] = []
    left, remarks = EFFORT, 0
    scans: list[int] = []
    for number, page in enumerate(opened, 1):
        words = page.get_textpage()
        parts: Page = [words.get_text_bounded().replace("\r\n", "\n")]
        lines: list[Run] = []
        with suppress(RuntimeError, ArithmeticError, LookupError, ValueError):
            if left > 0:
                letters = with_fields(letters_of(words, page.get_bbox()), page, opened.formenv)
                rules = list(islice(rules_of(page), max(0, left)))
                lines, grids = runs_of(letters), grids_of(rules)
                left -= len(rules) + sum(len(grid.owner) for grid in grids) + len(letters) // 4
                parts = parts_of(letters, grids or unruled(letters))
        if not any(part.text() if isinstance(part, Grid) else part.strip() for part in parts) and _is_scan(page):
            text = reader.read(page)
            parts = [text]
            scans += [] if text else [number]
        remarks += _remarks(page)
        pages.append(parts)
        looks.append(lines)
        words.close()
        page.close()
    left_out += [f"page {number}: is a scan without text; {reader.advice}" for number in scans]
    left_out += counted(remarks, "comment")
    return pages, looks


def _is_scan(page: Any) -> bool:
    from pypdfium2 import raw

    return any(True for _ in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3))


def _remarks(page: Any) -> int:
    """How many comments a page has that are no part of its text."""
    from pypdfium2 import raw

    kinds = []
    for number in range(max(0, raw.FPDFPage_GetAnnotCount(page.raw))):
        part = raw.FPDFPage_GetAnnot(page.raw, number)
        kinds.append(raw.FPDFAnnot_GetSubtype(part))
        raw.FPDFPage_CloseAnnot(part)
    return sum(kind in (raw.FPDF_ANNOT_TEXT, raw.FPDF_ANNOT_FREETEXT) for kind in kinds)


def written(text: str, whole: str) -> str:
    """A page's text with words that a line's end parts joined, and raised figures told from those before them.

    A hyphen stays beside a capital or a figure, behind a first half such as self-, and in a word that `whole`, the
    text of all pages, writes with it elsewhere.
    """
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")  # letters may come in halves
    text = _HYPHEN.sub(lambda word: word[1] + ("-" if _stays(word[1], word[2], whole) else "") + word[2],
                       text.replace("\r\n", "\n").replace("\xa0", " "))
    return re.sub(rf"(\w){RAISED}(\d(?:{RAISED}?\d)*)(?:\n(?= ))?",  # a line that only the raised figure began
                  lambda mark: mark[1] + raised(mark[2].replace(RAISED, ""), mark[1], whole), text)


def _stays(first: str, second: str, whole: str) -> bool:
    """Whether the hyphen between two halves of a word is a part of it."""
    if not first or not second or first[-1].isdigit() or second[0].isdigit() or second[0].isupper():
        return True
    return first.lower() in PREFIXES or re.search(rf"\b{re.escape(first)}-{re.escape(second)}\b", whole) is not None


def _by_type(looks: list[list[Run]]) -> dict[int, list[tuple[int, str]]]:
    """Of each page the headings that their type tells, with their level; what stands on many pages is none."""
    pages = Counter(text for runs in looks for text in {re.sub(r"\d+", "", run.text) for run in runs})
    placed = [(number, run) for number, runs in enumerate(looks) for run in runs]
    running = max(3, len(looks) // 2)
    found: dict[int, list[tuple[int, str]]] = {}
    before: tuple[int, int] | None = None
    for (number, run), level in zip(placed, levels([Line(run.text, run.size, run.bold) for _, run in placed]),
                                    strict=True):
        if level is None or pages[re.sub(r"\d+", "", run.text)] >= running:
            before = None
            continue
        if before == (number, level):  # a heading of several lines
            found[number][-1] = level, f"{found[number][-1][1]} {run.text}"
        else:
            found.setdefault(number, []).append((level, run.text))
        before = number, level
    return found


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
        words = r"\s+".join(map(re.escape, title.split()))
        line_of_it = re.search(rf"^[ \t]*{words}[ \t]*$", text, re.MULTILINE)
        if line_of_it:
            before, after = text[:line_of_it.start()], text[line_of_it.end():]
            text = f"{before}\n{'#' * level} {title}\n{after}"
    return text
