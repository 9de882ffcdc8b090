"""Web pages and e-books to Markdown: without what is hidden and what surrounds the text, tables as tables."""

import io
import posixpath
import re
import warnings
import zipfile
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from urllib.parse import unquote

from knowledge.reading.converted import Converted, Unreadable
from knowledge.reading.encodings import decoded
from knowledge.reading.hidden import without_hidden
from knowledge.reading.raised import raised
from knowledge.reading.tables import captioned, cells, table
from knowledge.text.structure import CAPTION, LONGEST_HEADING

SAYS_NOTHING = frozenset(("here", "click here", "see here", "this", "this page", "page", "this link", "link",
                          "this site", "website", "more", "read more", "learn more", "hier", "mehr", "ici", "aquí"))
"""Words of a link that say nothing without its address."""
AROUND = "nav, .toc, .navheader, .navfooter, [role=navigation], footer, aside"
"""What surrounds the text of a page, outside of its article."""
NOTES = re.compile("(?:foot|end|rear)note|note(?:ref|s)?$", re.IGNORECASE)
"""The type or role of a part that holds notes."""
EXCERPT = 60
"""Characters of what is left out that a person is shown."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_PLACE = re.compile("[ \t]*\ue000(\\d+)\ue001")
_FIGURE = re.compile(r"(?:fig|abb|bild|image)", re.IGNORECASE)


def parsed(text: str) -> Any:
    """A web page as a tree; end tags that HTML lets a writer leave out are where a browser would put them."""
    from bs4 import BeautifulSoup, XMLParsedAsHTMLWarning

    with warnings.catch_warnings(category=XMLParsedAsHTMLWarning, action="ignore"):  # an e-book's pages are both
        return BeautifulSoup(text, "lxml")


def read_page(data: bytes) -> Converted:
    """A web page without what is hidden and what surrounds its text."""
    page = parsed(decoded(data))
    title = page.title.get_text() if page.title else ""
    language = str(page.html.get("lang") or "") if page.html else ""
    stamp = page.find("meta", attrs={"property": "article:modified_time"}) or page.find("meta", attrs={"name": "date"})
    words = page.find("meta", attrs={"name": "keywords"})
    tags = re.split(r"\s*,\s*", str(words.get("content") or "")) if words else []
    hidden = without_hidden(page)
    left_out: list[str] = []
    articles = page.select("main, [role=main], article")
    for part in page.select(AROUND):
        if not part.decomposed and not _is_notes(part) and not (part.name == "aside" and part.find_parent(
                ["main", "article"])):
            _leave_out(part, left_out)
    whole = len(articles) == 1 and len(articles[0].get_text()) > 200
    for part in page.find_all(["ul", "ol", "div", "table"]):
        if not part.decomposed and _navigates(part):
            _leave_out(part, left_out)
    kept = articles[0] if whole else page.body or page
    if whole:
        around = "".join(page.body.get_text(" ").split()) if page.body else ""
        more = len(around) - len("".join(kept.get_text(" ").split()))
        left_out += [f"{more} characters outside the article"] if more > 0 else []
    return Converted(written(kept), title=title, language=language, tags=tuple(sorted(set(tags[:50]) - {""})),
                     flags=tuple(hidden), date=day(stamp.get("content")) if stamp else "", left_out=tuple(left_out))


def _is_notes(part: Any) -> bool:
    """Whether a part says of itself that it holds notes, as those of e-books do."""
    return any(NOTES.search(str(part.get(name) or "")) for name in ("epub:type", "role"))


def _leave_out(part: Any, left_out: list[str]) -> None:
    """Take a part out of its page, with a line for a person if it holds words."""
    words = " ".join(part.get_text(" ").split())
    name = "navigation" if part.name not in ("footer", "aside") else part.name
    if words:
        left_out.append(f"{name}: “{words if len(words) <= EXCERPT else words[:EXCERPT - 1] + '…'}”")
    part.decompose()


def _navigates(part: Any) -> bool:
    """Whether a part of a page is little but short links elsewhere, and neither in the article nor under a heading."""
    links = [len(link.get_text(strip=True)) for link in part.find_all("a", href=True)]
    whole = len(part.get_text(strip=True))
    if len(links) < 5 or not whole or sum(links) < 0.9 * whole or sum(links) > 30 * len(links):
        return False
    before = part.find_previous_sibling()
    return not (part.find_parent(["main", "article"]) or before is not None and re.fullmatch("h[1-6]|p", before.name))


def written(page: Any) -> str:
    """A parsed page as Markdown: links as words where these say something, and tables by our own hand.

    The library in between loses cells that cover several rows, bars within cells and captions.
    """
    _write_signs(page)
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
    text = _PLACE.sub(lambda place: "".join(tables[int(place[1]):][:1]), _markdown(page))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _markdown(page: Any) -> str:
    from markdownify import ATX, MarkdownConverter

    return str(MarkdownConverter(heading_style=ATX, bullets="-", escape_asterisks=False, escape_underscores=False,
                                 strip=["img", "input"]).convert_soup(page))


def _write_signs(page: Any) -> None:
    """Write what a page says by signs as words: pictures and icons by their names, raised figures as powers.

    A raised mark of a note goes, as it would become a part of the figure before it.
    """
    for part in page.find_all(["button", "dt", "dd", "dl"]):
        part.name = "div" if part.name == "dl" else "p"
    for sign in page.find_all(["img", "svg", "i", "span", "use"]):
        name = sign.get("alt") or sign.get("aria-label") or sign.get("title") or (
            sign.title.get_text() if sign.name == "svg" and sign.title else "")
        if sign.name in ("img", "svg") or name and not sign.get_text(strip=True):
            sign.replace_with(f" {name} " if name else "")
    for mark in page.find_all("a", href=re.compile("^#")):
        if NOTES.search(str(mark.get("epub:type") or mark.get("role") or "")) or (
                mark.find_parent("sup") or mark.find("sup")) and len(mark.get_text(strip=True)) <= 5:
            mark.decompose()
    plain = "\n".join(text for text in page.strings if not text.find_parent("sup"))
    for raised_part in page.find_all("sup"):
        value = raised_part.get_text(strip=True).strip("[]()")
        before = raised_part.previous_sibling if isinstance(raised_part.previous_sibling, str) else ""
        if not value or not before.strip() or not re.fullmatch(r"\d{1,3}|[*†‡]+", value):
            raised_part.unwrap()
        else:
            raised_part.replace_with(raised(value, before, plain))


def _sets_out(found: Any) -> bool:
    """Whether a table only places parts of a page beside or below each other."""
    rows = found.find_all("tr")
    return found.find_parent("td") is None and bool(found.find("table")) or (
        found.get("role") == "presentation" or len(rows) < 2
        or all(len(row.find_all(["td", "th"], recursive=False)) < 2 for row in rows))


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
                   flags=tuple(flag for page in pages for flag in page.flags)[:20],
                   left_out=tuple(line for page in pages for line in page.left_out))
