"""Each format's bytes to Markdown, and what the file tells about itself; runs in the child of `conversion`."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from knowledge.reading.converted import Converted, Unreadable
from knowledge.reading.encodings import decoded
from knowledge.reading.hidden import flags, plain
from knowledge.reading.html import day, parsed, read_book, read_page, written
from knowledge.reading.office import read_slides, read_word, read_workbook
from knowledge.reading.pdf import read_pdf
from knowledge.reading.tables import csv_rows, line, sheet

UNPACKED = 300_000_000
"""Bytes that the parts of an office file or e-book may have together."""
LONGEST_TITLE = 200
MOST_LINES = 20
"""About hidden text, and about what was left out, that a person gets for one document."""
MAGIC = {b"%PDF-": "a PDF", b"PK\x03\x04": "a zip archive", b"\x89PNG": "a picture", b"\xff\xd8\xff": "a picture",
         b"GIF8": "a picture", b"\x7fELF": "a program", b"MZ\x90": "a program", b"\x1f\x8b": "a compressed file",
         b"\xd0\xcf\x11\xe0": "an old Office file", b"{\\rtf": "rich text"}
PACKED = {".docx": "word/", ".pptx": "ppt/", ".xlsx": "xl/", ".epub": ""}
"""Formats that are zip archives, and the folder that each must hold."""
_TABLE = re.compile(r"^(```|~~~)[\s\S]*?(?:^\1|\Z)|(?P<table><table\b[\s\S]{0,500000}?</table>)",
                    re.MULTILINE | re.IGNORECASE)
"""Code, which stays as it is, or a table."""
_FRONT = re.compile(r"\A---[ \t]*\n(.{0,20000}?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)


def read(ending: str, data: bytes) -> Converted:
    """What the bytes of a file with this ending say; Unreadable where they can't be read."""
    _checked(ending, data)
    made = READERS[ending](data)
    text = plain(made.text.replace("\xa0", " ").replace("\r\n", "\n").replace("\r", "\n"))
    if not text.strip():
        raise Unreadable("is a scan without text; run text recognition (OCR) on it first"
                         if ending == ".pdf" and made.pages else "contains no text")
    hidden = (*made.flags, *flags(ending, data, made.text))[:MOST_LINES]
    starts = made.pages if len(text) == len(made.text) else _moved(made, text)
    return replace(made, text=text, pages=starts, flags=hidden, title=_word(made.title),
                   tags=tuple(sorted({_word(tag) for tag in made.tags} - {""})), language=made.language[:2].lower(),
                   left_out=tuple(_shortened(list(map(plain, made.left_out)))))


def _shortened(lines: list[str]) -> list[str]:
    """At most MOST_LINES lines, the last of which says how many more there are."""
    more = len(lines) - MOST_LINES + 1
    return lines if more <= 1 else [*lines[:MOST_LINES - 1], f"{more} more of this kind"]


def _moved(made: Converted, text: str) -> tuple[int, ...]:
    """Where pages begin once invisible characters are gone."""
    return tuple(len(plain(made.text[:start].replace("\xa0", " "))) for start in made.pages)


def _checked(ending: str, data: bytes) -> None:
    """Refuse a file that is not what its name says, and archives that swell."""
    for magic, what in MAGIC.items():
        if data.startswith(magic) and not (magic == b"%PDF-" and ending == ".pdf") and not (
                magic.startswith(b"PK") and ending in PACKED):
            raise Unreadable(f"is {what} by its content, not a {ending} file; give it the right ending, or save it "
                             "again")
    if ending in PACKED:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as opened:
                parts = opened.infolist()
        except (zipfile.BadZipFile, OSError, ValueError):
            raise Unreadable(f"is damaged, or is not a {ending[1:].upper()}; save it again, or as text") from None
        if sum(part.file_size for part in parts) > UNPACKED:
            raise Unreadable(f"unpacks to more than {UNPACKED // 1_000_000} MB; split it")
        if not any(part.filename.startswith(PACKED[ending]) for part in parts):
            raise Unreadable(f"is a zip archive, but not a {ending[1:].upper()}; save it again")


def _plain(data: bytes) -> Converted:
    return Converted(decoded(data))


def _markdown(data: bytes) -> Converted:
    """Markdown with its HTML tables as Markdown's own, and what its front matter says."""
    text = _TABLE.sub(lambda found: f"\n{written(parsed(found[0]))}\n" if found["table"] else found[0], decoded(data))
    front = _FRONT.match(text)
    settings = _settings(front[1]) if front else None
    if front is None or settings is None:
        return Converted(text)
    tags = settings.get("tags") or settings.get("keywords") or ()
    tags = re.split(r"\s*,\s*", tags) if isinstance(tags, str) else tags if isinstance(tags, list) else ()
    return Converted(text[front.end():], title=_word(settings.get("title")), date=day(settings.get("date")),
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
    return " ".join(plain(str(value)).split())[:LONGEST_TITLE] if isinstance(value, (str, int, float)) else ""


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
            texts.append(f"\n{line(columns)}\n{line(['---'] * len(columns))}")
        texts.append(line(row.values()))
    return "\n".join(texts).strip() + "\n"


def _csv(data: bytes) -> Converted:
    """Pairs of question and answer as sections, whatever else as tables with the lines above them."""
    text = decoded(data)
    try:
        rows = list(csv_rows(text))
    except csv.Error as error:
        raise Unreadable(f"is not a CSV ({error}); save it as CSV UTF-8") from None
    for number, row in enumerate(rows[:20]):
        names = [name.strip().lower() for name in row]
        if {"question", "answer"} <= set(names) or {"prompt", "reply"} <= set(names):
            last = len(names) - 1  # an answer with a comma may have come without quotation marks
            whole = ([*below[:last], ",".join(below[last:])] for below in rows[number + 1:] if below)
            return Converted(_rows([dict(zip(names, below, strict=False)) for below in whole]))
    return Converted(sheet(rows) + "\n")


def _jsonl(data: bytes) -> Converted:
    rows = []
    for number, text in enumerate(decoded(data).split("\n"), 1):
        if text.strip():
            try:
                row = json.loads(text)
            except (ValueError, RecursionError):
                raise Unreadable(f"line {number} is broken JSON; correct or remove it") from None
            if not isinstance(row, dict):
                raise Unreadable(f"line {number} is not a JSON object; write {{\"question\": …, \"answer\": …}}")
            rows.append(row)
    return Converted(_rows(rows))


def _mail(data: bytes) -> Converted:
    """A message: its subject as the heading, then who wrote when, then each of its texts in their order."""
    from email import policy
    from email.parser import BytesParser

    message: Any = BytesParser(policy=policy.default).parsebytes(data)
    left_out: list[str] = []
    bodies = list(_bodies(message, left_out))
    if not bodies:
        raise Unreadable("contains no message; save it again, or as text")
    subject, sent = _word(str(message["subject"] or "")), message["date"]
    sent = day(sent.datetime) if sent is not None and getattr(sent, "datetime", None) else ""
    head = "\n".join(part for part in (f"# {subject}" if subject else "", "",
                                       f"From {message['from']}, {sent}" if message["from"] else "") if part)
    texts = [body.text.strip().removeprefix(f"# {subject}\n") for body in bodies]
    return Converted("\n\n".join([head, *texts]), title=subject, date=sent,
                     language=next((body.language for body in bodies if body.language), ""),
                     flags=tuple(flag for body in bodies for flag in body.flags),
                     left_out=tuple(left_out + [line for body in bodies for line in body.left_out]))


def _bodies(part: Any, left_out: list[str]) -> Iterator[Converted]:
    """The texts of a part of a message that its reader sees; the name of what else it brings goes to `left_out`."""
    kind = part.get_content_type()
    if kind == "multipart/alternative":
        found = [body for one in part.iter_parts() for body in _bodies(one, left_out)]
        yield from [_chosen(found)] if found else []
    elif part.is_multipart():
        for one in part.get_payload():
            yield from _bodies(one, left_out)
    elif kind not in ("text/plain", "text/html") or part.get_content_disposition() == "attachment":
        left_out.append(f"attachment {_word(part.get_filename() or kind)}")
    else:
        text = decoded(part.get_payload(decode=True) or b"", str(part.get_content_charset() or ""))
        made = read_page(text.encode()) if kind == "text/html" else Converted(text)
        if made.text.strip():
            yield made


def _chosen(versions: list[Converted]) -> Converted:
    """Of the same text in several forms, plainest first, the plain one, unless it lost a table or most of the words."""
    first, last = versions[0], versions[-1]
    words, all_words = (set(re.findall(r"\w+", body.text.lower())) for body in (first, last))
    return last if "\n| ---" in last.text or 2 * len(all_words - words) > len(all_words) else first


READERS: dict[str, Callable[[bytes], Converted]] = {
    ".md": _markdown, ".markdown": _markdown, ".txt": _plain, ".html": read_page, ".htm": read_page, ".pdf": read_pdf,
    ".docx": read_word, ".pptx": read_slides, ".xlsx": read_workbook, ".epub": read_book,
    ".csv": _csv, ".jsonl": _jsonl, ".eml": _mail}
"""How each format is read."""
