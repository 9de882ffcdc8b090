"""Each format's bytes to Markdown, and what the file tells about itself; runs in the child of `conversion`."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from knowledge.conversion import Converted, Unreadable
from knowledge.hidden import flags, plain, without_hidden

UNPACKED = 300_000_000
"""Bytes that the parts of an office file or e-book may have together."""
LONGEST_TITLE = 200
MAGIC = {b"%PDF-": "a PDF", b"PK\x03\x04": "a zip archive", b"\x89PNG": "a picture", b"\xff\xd8\xff": "a picture",
         b"GIF8": "a picture", b"\x7fELF": "a program", b"MZ\x90": "a program", b"\x1f\x8b": "a compressed file",
         b"\xd0\xcf\x11\xe0": "an old Office file", b"{\\rtf": "rich text"}
PACKED = {".docx": "word/", ".pptx": "ppt/", ".xlsx": "xl/", ".epub": ""}
"""Formats that are zip archives, and the folder that each must hold."""
_FRONT = re.compile(r"\A---[ \t]*\n(.{0,20000}?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def read(ending: str, data: bytes) -> Converted:
    """What the bytes of a file with this ending say; Unreadable where they can't be read."""
    _checked(ending, data)
    made = READERS[ending](data)
    text = plain(made.text.replace("\xa0", " ").replace("\r\n", "\n").replace("\r", "\n"))
    if not text.strip():
        raise Unreadable("is a scan without text; run text recognition on it first" if ending == ".pdf" and made.pages
                         else "holds no text")
    hidden = (*made.flags, *flags(ending, data, made.text))
    starts = made.pages if len(text) == len(made.text) else _moved(made, text)
    return replace(made, text=text, pages=starts, flags=hidden, title=" ".join(made.title.split())[:LONGEST_TITLE],
                   language=made.language[:2].lower())


def _moved(made: Converted, text: str) -> tuple[int, ...]:
    """Where pages begin once invisible characters are gone."""
    return tuple(len(plain(made.text[:start].replace("\xa0", " "))) for start in made.pages)


def _checked(ending: str, data: bytes) -> None:
    """Refuse a file that is not what its name says, and archives that swell."""
    for magic, what in MAGIC.items():
        if data.startswith(magic) and not (magic == b"%PDF-" and ending == ".pdf") and not (
                magic.startswith(b"PK") and ending in PACKED):
            raise Unreadable(f"is {what} by its content, not a {ending} file; give it the right ending or save it anew")
    if ending in PACKED:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as opened:
                parts = opened.infolist()
        except (zipfile.BadZipFile, OSError, ValueError):
            raise Unreadable(f"is damaged or no {ending[1:].upper()}; save it anew, or as text") from None
        if sum(part.file_size for part in parts) > UNPACKED:
            raise Unreadable(f"unpacks to more than {UNPACKED // 1_000_000} MB; split it")
        if not any(part.filename.startswith(PACKED[ending]) for part in parts):
            raise Unreadable(f"is a zip archive, but no {ending[1:].upper()}; save it anew")


def decoded(data: bytes) -> str:
    """Bytes as text: UTF-8 where it is that, else the most likely encoding; line ends unified."""
    from charset_normalizer import from_bytes

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        best = from_bytes(data[:2_000_000]).best()
        if best is None:
            raise Unreadable("is not text in any known encoding; save it as UTF-8") from None
        text = data.decode(best.encoding, errors="replace")
    if "\0" in text:
        raise Unreadable("holds NUL bytes and so is not text; save it as UTF-8 text")
    controls = sum(ord(letter) < 32 and letter not in "\t\n\r\f" for letter in text[:10_000])
    if controls > 10 + len(text[:10_000]) // 100:
        raise Unreadable("is not text but binary data; save it as UTF-8 text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _plain(data: bytes) -> Converted:
    return Converted(decoded(data))


def _markdown(data: bytes) -> Converted:
    """Markdown, and what its front matter says."""
    text = decoded(data)
    front = _FRONT.match(text)
    settings = _settings(front[1]) if front else None
    if front is None or settings is None:
        return Converted(text)
    tags = settings.get("tags") or settings.get("keywords") or ()
    tags = re.split(r"\s*,\s*", tags) if isinstance(tags, str) else tags if isinstance(tags, list) else ()
    return Converted(text[front.end():], title=_word(settings.get("title")), date=_day(settings.get("date")),
                     language=_word(settings.get("language") or settings.get("lang")),
                     tags=tuple(sorted({_word(tag) for tag in tags[:50]} - {""})))


def _settings(text: str) -> dict[str, Any] | None:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        loaded = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError):
        return None
    return {str(key).lower(): value for key, value in loaded.items()} if isinstance(loaded, dict) else None


def _word(value: object) -> str:
    return " ".join(str(value).split())[:LONGEST_TITLE] if isinstance(value, (str, int, float)) else ""


def _day(value: object) -> str:
    """A date as an ISO day; "" for what is none."""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    found = _DAY.search(str(value or "")[:100])
    return found[0] if found else ""


def _pair(question: str, answer: str) -> str:
    return f"## {' '.join(question.split())}\n\n{answer.strip()}\n"


def _rows(rows: list[dict[str, object]]) -> str:
    """Rows of question and answer as a section each; others as one table for each set of columns."""
    texts: list[str] = []
    columns: tuple[str, ...] = ()
    for row in rows:
        pair = next((_pair(str(row[asked]), str(row[answered]))
                     for asked, answered in (("question", "answer"), ("prompt", "reply"))
                     if row.get(asked) and row.get(answered)), None)
        if pair:
            columns = ()
            texts.append(pair)
            continue
        if tuple(row) != columns:
            columns = tuple(row)
            texts.append(f"\n{_line(columns)}\n{_line(['---'] * len(columns))}")
        texts.append(_line(row.values()))
    return "\n".join(texts).strip() + "\n"


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(" ".join(str("" if cell is None else cell).split()).replace("|", "\\|")
                             for cell in cells) + " |"


def _csv(data: bytes) -> Converted:
    text = decoded(data)
    try:
        comma = csv.Sniffer().sniff(text[:4000], ",;\t").delimiter
    except csv.Error:
        comma = ","
    try:
        rows = list(csv.DictReader(io.StringIO(text), delimiter=comma, restkey="more"))
    except csv.Error as error:
        raise Unreadable(f"is not a CSV ({error}); save it as CSV UTF-8") from None
    return Converted(_rows([{str(key).strip().lower(): " ".join(value) if isinstance(value, list) else value
                             for key, value in row.items()} for row in rows]))


def _jsonl(data: bytes) -> Converted:
    rows = []
    for line, text in enumerate(decoded(data).split("\n"), 1):
        if text.strip():
            try:
                row = json.loads(text)
            except (ValueError, RecursionError):
                raise Unreadable(f"line {line} is broken JSON; mend or remove it") from None
            if not isinstance(row, dict):
                raise Unreadable(f"line {line} is not a JSON object; write {{\"question\": …, \"answer\": …}}")
            rows.append(row)
    return Converted(_rows(rows))


def _pdf(data: bytes) -> Converted:
    import pypdfium2

    try:
        opened = pypdfium2.PdfDocument(data)
        texts = [_joined(page.get_textpage().get_text_bounded()) for page in opened]
    except pypdfium2.PdfiumError as error:
        raise Unreadable(f"is damaged or locked ({error}); save it anew as a PDF without a password") from None
    starts, length = [], 0
    for text in texts:
        starts.append(length)
        length += len(text) + 2
    settings = opened.get_metadata_dict()
    stamp = settings.get("ModDate") or settings.get("CreationDate") or ""
    day = re.match(r"D:(\d{4})(\d\d)(\d\d)", stamp)
    return Converted("\n\n".join(texts) if any(text.strip() for text in texts) else "", tuple(starts),
                     title=settings.get("Title") or "", date="-".join(day.groups()) if day else "")


def _joined(text: str) -> str:
    """A page's text with the words that were hyphenated at a line's end joined."""
    return re.sub("[\x02\ufffe]\n?", "", text.replace("\r\n", "\n").replace("\xa0", " "))


def _html(data: bytes) -> Converted:
    """A web page without what is hidden and what surrounds its text, and links as the words alone."""
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
    for link in kept.find_all("a"):
        link.unwrap()
    return Converted(_by_markitdown(".html", str(kept).encode()), title=title, language=language,
                     tags=tuple(sorted(set(tags[:50]) - {""})), flags=tuple(hidden),
                     date=_day(stamp.get("content")) if stamp else "")


def _navigates(part: Any) -> bool:
    """Whether a part of a page is little but short links elsewhere."""
    links = [len(link.get_text(strip=True)) for link in part.find_all("a", href=True)]
    whole = len(part.get_text(strip=True))
    return len(links) >= 5 and whole > 0 and sum(links) >= 0.9 * whole and sum(links) <= 30 * len(links)


def _by_markitdown(ending: str, data: bytes) -> str:
    """Through markitdown, which fetches nothing here."""
    from markitdown import MarkItDown, StreamInfo
    from markitdown._exceptions import MarkItDownException

    try:
        return str(MarkItDown(enable_plugins=False).convert_stream(
            io.BytesIO(data), stream_info=StreamInfo(extension=ending)).markdown)
    except (MarkItDownException, ValueError, KeyError) as error:
        raise Unreadable(f"can't be converted ({type(error).__name__}); save it anew, or as text") from None


def _office(ending: str) -> Callable[[bytes], Converted]:
    """A reader of an archive; pictures' data and the converter's own remarks are no text."""

    def convert(data: bytes) -> Converted:
        text = _by_markitdown(ending, data)
        text = re.sub(r"<!--.*?-->|!\[[^\]]*\]\([^)]*\)", "", text, flags=re.DOTALL)
        return Converted(re.sub(r"(?<=\|) ?(?:NaN|Unnamed: \d+) ?(?=\|)", "  ", text))

    return convert


def _mail(data: bytes) -> Converted:
    """A message: its subject as the heading, then who wrote when, then what; attachments are left out."""
    from email import policy
    from email.parser import BytesParser

    message: Any = BytesParser(policy=policy.default).parsebytes(data)
    part = message.get_body(("plain", "html"))
    if part is None:
        raise Unreadable("holds no message; save it anew, or as text")
    text = part.get_content()
    made = _html(text.encode()) if part.get_content_type() == "text/html" else Converted(text)
    subject, sent = _word(str(message["subject"] or "")), message["date"]
    day = _day(sent.datetime) if sent is not None and getattr(sent, "datetime", None) else ""
    head = "\n".join(part for part in (f"# {subject}" if subject else "", "",
                                       f"From {message['from']}, {day}" if message["from"] else "") if part)
    return replace(made, text=f"{head}\n\n{made.text}", title=subject, date=day)


READERS: dict[str, Callable[[bytes], Converted]] = {
    ".md": _markdown, ".markdown": _markdown, ".txt": _plain, ".html": _html, ".htm": _html, ".pdf": _pdf,
    ".docx": _office(".docx"), ".pptx": _office(".pptx"), ".xlsx": _office(".xlsx"), ".epub": _office(".epub"),
    ".csv": _csv, ".jsonl": _jsonl, ".eml": _mail}
"""How each format is read."""
