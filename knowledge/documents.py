"""Files to documents: whatever format a person wrote in becomes text with headings, or one line on why not."""

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from knowledge.files import Tick, silent

LARGEST = 50_000_000
"""Bytes; a larger file is no document to quote from."""


@dataclass(frozen=True)
class Document:
    """A document's text: Markdown headings, whatever the format was."""

    path: str
    """Relative to the workspace, with forward slashes, such as documents/returns.md."""
    text: str
    pages: tuple[int, ...]
    """The character offset at which each page of a PDF begins; empty for other formats."""
    sha256: str
    """Of the file."""
    title: str = ""
    language: str = ""
    """ISO 639-1, such as en."""
    tags: tuple[str, ...] = ()
    date: str = ""
    """ISO day."""
    flags: tuple[str, ...] = ()
    """One line each for a person about text that a reader of the file would not see."""


@dataclass(frozen=True)
class Failure:
    """A document that could not be read, and why."""

    document: str
    reason: str


class Unreadable(Exception):
    """Why a file can't be read, in words for the person who wrote it."""


def read_documents(workspace: Path, tick: Tick = silent) -> tuple[list[Document], list[Failure]]:
    """Read every file below `workspace`/documents, in the order of their names; one bad file never stops the rest.

    Hidden files and links that lead out of the folder are passed over.
    """
    root = workspace / "documents"
    files = [file for file in sorted(root.rglob("*")) if file.is_file() and not file.name.startswith(".")
             and file.resolve().is_relative_to(root.resolve())]
    documents, failures = [], []
    for number, file in enumerate(files, 1):
        name = file.relative_to(workspace).as_posix()
        try:
            documents.append(_read(file, name))
        except (Unreadable, OSError) as error:
            failures.append(Failure(name, str(error)))
        tick(number, len(files), name)
    return documents, failures


def _read(file: Path, name: str) -> Document:
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise Unreadable(f"{file.suffix or 'a file without an ending'} is not a known format; "
                         f"save it as one of {', '.join(READERS)}")
    if file.stat().st_size > LARGEST:
        raise Unreadable(f"larger than {LARGEST // 1_000_000} MB; split it")
    data = file.read_bytes()
    text, pages = reader(data)
    if not text.strip():
        raise Unreadable("holds no text; a scanned document needs text recognition first")
    return Document(name, text, pages, hashlib.sha256(data).hexdigest())


def _decoded(data: bytes) -> str:
    """Bytes as text: UTF-8 where it is that, else the most likely encoding; line ends unified."""
    from charset_normalizer import from_bytes

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        best = from_bytes(data).best()
        if best is None:
            raise Unreadable("is not text in any known encoding; save it as UTF-8") from None
        text = str(best)
    if "\0" in text:
        raise Unreadable("holds NUL bytes and so is not text; save it as UTF-8 text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _plain(data: bytes) -> tuple[str, tuple[int, ...]]:
    return _decoded(data), ()


def _pair(question: str, answer: str) -> str:
    return f"## {' '.join(question.split())}\n\n{answer.strip()}\n"


def _pairs(rows: list[dict[str, object]]) -> tuple[str, tuple[int, ...]]:
    """Rows of question and answer as a section each; other rows as lines of `column: value`."""
    texts = []
    for row in rows:
        for asked, answered in (("question", "answer"), ("prompt", "reply")):
            if row.get(asked) and row.get(answered):
                texts.append(_pair(str(row[asked]), str(row[answered])))
                break
        else:
            texts.append("\n".join(f"{key}: {value}" for key, value in row.items() if value) + "\n")
    return "\n".join(texts), ()


def _table(data: bytes) -> tuple[str, tuple[int, ...]]:
    try:
        rows = list(csv.DictReader(io.StringIO(_decoded(data)), restkey="more"))
    except csv.Error as error:
        raise Unreadable(f"is not a CSV ({error}); save it as CSV UTF-8") from None
    return _pairs([{str(key).strip().lower(): value for key, value in row.items()} for row in rows])


def _lines(data: bytes) -> tuple[str, tuple[int, ...]]:
    rows = []
    for line, text in enumerate(_decoded(data).split("\n"), 1):
        if text.strip():
            try:
                row = json.loads(text)
            except (ValueError, RecursionError):
                raise Unreadable(f"line {line} is broken JSON; mend or remove it") from None
            if not isinstance(row, dict):
                raise Unreadable(f"line {line} is not a JSON object; write {{\"question\": …, \"answer\": …}}")
            rows.append(row)
    return _pairs(rows)


def _pdf(data: bytes) -> tuple[str, tuple[int, ...]]:
    import pypdfium2

    try:
        opened = pypdfium2.PdfDocument(data)
        texts = [page.get_textpage().get_text_bounded().replace("\r\n", "\n") for page in opened]
    except pypdfium2.PdfiumError as error:
        raise Unreadable(f"is damaged or locked ({error}); save it anew as a PDF without a password") from None
    starts, length = [], 0
    for text in texts:
        starts.append(length)
        length += len(text) + 2
    return "\n\n".join(texts) if any(text.strip() for text in texts) else "", tuple(starts)


def _office(ending: str) -> Callable[[bytes], tuple[str, tuple[int, ...]]]:
    """A reader through markitdown, which turns HTML and DOCX into Markdown and fetches nothing."""

    def read(data: bytes) -> tuple[str, tuple[int, ...]]:
        from markitdown import MarkItDown, StreamInfo
        from markitdown._exceptions import MarkItDownException

        if ending == ".docx" and not zipfile.is_zipfile(io.BytesIO(data)):
            raise Unreadable("is damaged or no DOCX; save it anew, or as text")  # else it would pass as plain text
        try:
            data = _without_furniture(data) if ending == ".html" else data
            made = MarkItDown(enable_plugins=False).convert_stream(
                io.BytesIO(data), stream_info=StreamInfo(extension=ending))
        except (MarkItDownException, RecursionError, ValueError, KeyError) as error:
            raise Unreadable(f"can't be converted ({type(error).__name__}); save it anew, or as text") from None
        return made.markdown.replace("\r\n", "\n"), ()

    return read


def _without_furniture(data: bytes) -> bytes:
    """A web page without what surrounds its text, navigation and tables of contents, and links as the words alone."""
    from bs4 import BeautifulSoup

    page = BeautifulSoup(_decoded(data), "html.parser")
    for part in page.select("nav, script, style, .toc, .navheader, .navfooter, [role=navigation]"):
        part.decompose()
    for link in page.find_all("a"):
        link.unwrap()
    return page.encode("utf-8")


READERS: dict[str, Callable[[bytes], tuple[str, tuple[int, ...]]]] = {
    ".md": _plain, ".markdown": _plain, ".txt": _plain, ".html": _office(".html"), ".htm": _office(".html"),
    ".docx": _office(".docx"), ".pdf": _pdf, ".csv": _table, ".jsonl": _lines,
}
"""How each format is read: bytes to text and page offsets."""
