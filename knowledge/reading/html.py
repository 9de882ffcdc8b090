"""Web pages and e-books to Markdown: without what is hidden and what surrounds the text, tables as tables."""

import io
import posixpath
import re
import zipfile
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from urllib.parse import unquote

from knowledge.reading.converted import Converted, Unreadable
from knowledge.reading.encodings import decoded
from knowledge.reading.hidden import without_hidden
from knowledge.reading.tables import captioned, cells, table
from knowledge.text.structure import CAPTION, LONGEST_HEADING

SAYS_NOTHING = frozenset(("here", "click here", "see here", "this", "this page", "page", "this link", "link",
                          "this site", "website", "more", "read more", "learn more", "hier", "mehr", "ici", "aquí"))
"""Words of a link that say nothing without its address."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_PLACE = re.compile("[ \t]*\ue000(\\d+)\ue001")
_FIGURE = re.compile(r"(?:fig|abb|bild|image)", re.IGNORECASE)


def read_page(data: bytes) -> Converted:
    """A web page without what is hidden and what surrounds its text."""
    from bs4 import BeautifulSoup

    page = BeautifulSoup(decoded(data), "html.parser")
    title = page.title.get_text() if page.title else ""
    language = str(page.html.get("lang") or "") if page.html else ""
    stamp = page.find("meta", attrs={"property": "article:modified_time"}) or page.find("meta", attrs={"name": "date"})
    words = page.find("meta", attrs={"name": "keywords"})
    tags = re.split(r"\s*,\s*", str(words.get("content") or "")) if words else []
    hidden = without_hidden(page)
    for part in page.select("nav, .toc, .navheader, .navfooter, [role=navigation], footer, aside"):
        part.decompose()
    body = page.select("main, [role=main], article")
    kept = body[0] if len(body) == 1 and len(body[0].get_text()) > 200 else page
    for part in kept.find_all(["ul", "ol", "div", "table"]):
        if not part.decomposed and _navigates(part):
            part.decompose()
    return Converted(written(kept), title=title, language=language, tags=tuple(sorted(set(tags[:50]) - {""})),
                     flags=tuple(hidden), date=day(stamp.get("content")) if stamp else "")


def _navigates(part: Any) -> bool:
    """Whether a part of a page is little but short links elsewhere."""
    links = [len(link.get_text(strip=True)) for link in part.find_all("a", href=True)]
    whole = len(part.get_text(strip=True))
    return len(links) >= 5 and whole > 0 and sum(links) >= 0.9 * whole and sum(links) <= 30 * len(links)


def written(page: Any) -> str:
    """A parsed page as Markdown: links as words where these say something, and tables by our own hand.

    The library in between loses cells that cover several rows, bars within cells and captions.
    """
    for link in page.find_all("a"):
        if " ".join(link.get_text().split()).lower().strip(".!:»›→ ") not in SAYS_NOTHING:
            link.unwrap()
    tables: list[str] = []
    for found in page.find_all("table"):
        if _sets_out(found):
            for part in [found, *found.find_all(["thead", "tbody", "tfoot", "tr", "td", "th"])]:
                part.name = "div"
            continue
        caption = _caption(found)
        tables.append(f"\n\n{caption}\n\n{table(cells(found))}\n\n")
        found.name, found.attrs = "div", {}
        found.string = f"\ue000{len(tables) - 1}\ue001"
    text = _PLACE.sub(lambda place: "".join(tables[int(place[1]):][:1]), _by_markitdown(str(page).encode()))
    return re.sub(r"\n{3,}", "\n\n", text).strip() if tables else text


def _sets_out(found: Any) -> bool:
    """Whether a table only places parts of a page beside or below each other."""
    rows = found.find_all("tr")
    return bool(found.find("table")) or found.get("role") == "presentation" or len(rows) < 2 or all(
        len(row.find_all(["td", "th"], recursive=False)) < 2 for row in rows)


def _caption(found: Any) -> str:
    """A table's caption, taken out: its own, or the part beside it that is marked as one."""
    for part in filter(None, (found.find("caption"), found.find_previous_sibling(), found.find_next_sibling())):
        words = " ".join(part.get_text().split()) if part.name in ("caption", "figcaption", "p", "div") else ""
        marked = part.name in ("caption", "figcaption") or "caption" in (part.get("class") or [])
        if words and len(words) <= LONGEST_HEADING and (
                marked and not _FIGURE.match(words) or CAPTION.match(words)):
            part.extract()
            return captioned(words)
    return ""


def _by_markitdown(data: bytes) -> str:
    from markitdown import MarkItDown, StreamInfo
    from markitdown._exceptions import MarkItDownException

    try:  # without the encoding named it would guess one
        return str(MarkItDown(enable_plugins=False).convert_stream(
            io.BytesIO(data), stream_info=StreamInfo(extension=".html", charset="utf-8")).markdown)
    except (MarkItDownException, ValueError, KeyError) as error:
        raise Unreadable(f"can't be converted ({type(error).__name__}); save it again, or as text") from None


def day(value: object) -> str:
    """A date as an ISO day; "" for what is none."""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    found = _DAY.search(str(value or "")[:100])
    return found[0] if found else ""


def read_book(data: bytes) -> Converted:
    """An e-book's pages in the order that it gives, and what it tells about itself."""
    from defusedxml.ElementTree import fromstring

    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        roots = [part.get("full-path", "") for part in fromstring(opened.read("META-INF/container.xml")).iter()
                 if part.tag.endswith("}rootfile")]
        if not roots:
            raise Unreadable("lists no pages; save it again, or as text")
        package = list(fromstring(opened.read(roots[0])).iter())
        places = {part.get("id"): posixpath.normpath(posixpath.join(posixpath.dirname(roots[0]),
                                                                    unquote(part.get("href", ""))))
                  for part in package if part.tag.endswith("}item")}
        order = dict.fromkeys(places.get(part.get("idref"), "") for part in package if part.tag.endswith("}itemref"))
        pages = [read_page(opened.read(place)) for place in order if place in opened.NameToInfo]
    told = {part.tag.split("}")[-1]: part.text or "" for part in reversed(package) if "/dc/elements/" in part.tag}
    return replace(Converted("\n\n".join(page.text.strip() for page in pages)), title=told.get("title", ""),
                   language=told.get("language", ""), date=day(told.get("date")),
                   flags=tuple(flag for page in pages for flag in page.flags)[:20])
