"""Files to documents: whatever format a person wrote in becomes text with headings, or one line on why not."""

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from knowledge.errors import UserError
from knowledge.files import Tick, hash_bytes, read_json, silent, write_bytes, write_json
from knowledge.reading.conversion import Converter
from knowledge.reading.converted import Converted, Unreadable
from knowledge.reading.fetch import fetched, read_urls
from knowledge.reading.ocr import program

VERSION = "3"
"""Of how files are converted; a new one makes them be converted again."""
LARGEST = 50_000_000
"""Bytes; a larger file is no document to quote from."""
LONGEST_NAME = 200
"""Bytes of a file's name; file systems take 255, and temporary ones are longer."""
TO_TELL = 60
"""Letters from which a language is told."""
SURE = 0.5
"""The probability from which a language counts as told."""
DEEPEST = 40
"""Folders within each other."""
FORMATS = (".md", ".markdown", ".txt", ".html", ".htm", ".pdf", ".docx", ".pptx", ".xlsx", ".csv", ".jsonl", ".epub",
           ".eml")


@dataclass(frozen=True)
class Document:
    """A document's text: Markdown headings, whatever the format was."""

    path: str
    """Relative to the workspace, with forward slashes, such as documents/returns.md; a web page's address."""
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
    left_out: tuple[str, ...] = ()
    """One line each for a person about what the file holds and the text does not."""


@dataclass(frozen=True)
class Failure:
    """A document that could not be read, and why."""

    document: str
    reason: str


def read_documents(workspace: Path, tick: Tick = silent) -> tuple[list[Document], list[Failure]]:
    """Read every file below `workspace`/documents, in the order of their names; one bad file never stops the rest.

    Hidden files and workspaces within the folder are passed over; links that are not followed are failures. Each file
    is converted once, in a child process with limits; what it became is kept under its content's hash. A .urls file
    stands for the pages it lists, as far as they were fetched.
    """
    files = document_files(workspace)
    documents: list[Document] = []
    failures = [Failure(printable(file.relative_to(workspace).as_posix()), reason)
                for file, reason in _entries(workspace / "documents") if reason]
    converter = Converter()
    kept = workspace / ".twofold" / "documents"
    try:
        for number, file in enumerate(files, 1):
            name = printable(file.relative_to(workspace).as_posix())
            try:
                if name != file.relative_to(workspace).as_posix():
                    raise Unreadable("has a name with characters that can't be shown; rename it")
                if file.suffix.lower() == ".urls":
                    _pages(file, workspace, kept, converter, documents, failures)
                else:
                    documents.append(_document(name, file.suffix.lower(), _bytes(file), kept, converter))
            except (Unreadable, OSError) as error:
                failures.append(Failure(name, _reason(error)))
            tick(number, len(files), name)
    finally:
        converter.close()
    return documents, failures


def add_file(workspace: Path, name: str, data: bytes, replace_it: bool = False) -> Path:
    """Put a file of a person's below `workspace`/documents, under the last part of its name, and return where it lies.

    UserError where no such file would be read, or one of that name is there already, unless `replace_it`.
    """
    last = name.replace("\\", "/").rsplit("/", 1)[-1].strip()
    ending = Path(last).suffix.lower()
    if not last.strip(".") or last.startswith(".") or printable(last) != last or len(last.encode()) > LONGEST_NAME:
        raise UserError(f"{printable(name)[:80]}: this name can't be used for a document; rename the file")
    if ending not in (*FORMATS, ".urls"):
        raise UserError(f"{last}: {ending or 'a file without an ending'} is not a known format; save it as one of "
                        f"{', '.join((*FORMATS, '.urls'))}")
    if len(data) > LARGEST:
        raise UserError(f"{last}: is larger than {LARGEST // 1_000_000} MB; split it")
    place = workspace / "documents" / last
    if place.exists() and not replace_it:
        raise UserError(f"{last}: already exists; rename the new one, or choose to replace the old one")
    write_bytes(place, data)
    return place


def remove_file(workspace: Path, document: str) -> None:
    """Take a document, such as documents/returns.md, out; the file lies in .twofold/removed from then on.

    UserError where there is no such document.
    """
    known = {file.relative_to(workspace).as_posix(): file for file in document_files(workspace)}
    place = known.get(document)
    if place is None:
        raise UserError(f"{printable(document)}: is not a file of this assistant; reload the page")
    kept = workspace / ".twofold" / "removed" / f"{time.time_ns()}-{place.name}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    place.rename(kept)


def document_files(workspace: Path) -> list[Path]:
    """The files below `workspace`/documents that are read, in the order of their names."""
    return [file for file, reason in _entries(workspace / "documents") if not reason]


def _entries(root: Path) -> Iterator[tuple[Path, str]]:
    """Regular files below `root` in order of their names, and links with the reason why they are not followed.

    Links are followed only to files within it.
    """
    if not root.is_dir():
        return
    inside = root.resolve()
    found: list[tuple[Path, str | None]] = []
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        if here != root and (here / "brand.yaml").is_file():
            folders.clear()
            continue
        kept = sorted(folder for folder in folders if not folder.startswith("."))
        linked = [here / folder for folder in kept if (here / folder).is_symlink()]
        found += [(folder, "is a link to a folder, whose files are not read; copy them here") for folder in linked]
        deep = len(here.relative_to(root).parts) >= DEEPEST
        found += [(here / folder, f"is more than {DEEPEST} folders deep; move it up") for folder in kept if deep]
        folders[:] = [] if deep else kept
        found += [(here / name, _link(here / name, inside)) for name in names if not name.startswith(".")]
    yield from sorted((file, reason) for file, reason in found if reason is not None)


def _link(file: Path, inside: Path) -> str | None:
    """Why a link is not followed; "" where it is, and for what is no link; None for what is no file, as pipes."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            return None
        return "" if file.resolve().is_relative_to(inside) else "is a link out of the folder; put a copy in its place"
    except (OSError, RuntimeError):
        return "is a link to a file that is not there; remove it" if file.is_symlink() else ""


def printable(name: str) -> str:
    """The name with what can't be printed as escapes, so that it is one line anywhere."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode()
                   for letter in name)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"can't be opened ({error.strerror}); mend its permissions or remove it"
    return str(error)


def _bytes(file: Path) -> bytes:
    if file.suffix.lower() not in FORMATS:
        raise Unreadable(f"{file.suffix or 'a file without an ending'} is not a known format; "
                         f"save it as one of {', '.join((*FORMATS, '.urls'))}")
    if file.stat().st_size > LARGEST:
        raise Unreadable(f"larger than {LARGEST // 1_000_000} MB; split it")
    data = file.read_bytes()
    if not data.strip():
        raise Unreadable("contains no text")
    return data


def _document(name: str, ending: str, data: bytes, kept: Path, converter: Converter) -> Document:
    """The document, from what was kept of an earlier conversion or converted now."""
    digest = sha256(data).hexdigest()
    reads_scans = str(program()) if ending == ".pdf" else ""  # read anew once a program for it is installed
    place = kept / f"{hash_bytes(VERSION, ending, digest, reads_scans)[:32]}.json"
    made = None
    if place.exists():
        try:
            made = Converted.loaded(read_json(place))
        except (UserError, ValueError, KeyError, TypeError, AttributeError):
            made = None  # damaged: converted anew
    if made is None:
        made = converter.convert(ending, data)
        made = replace(made, language=made.language or _language(made.text))
        write_json(place, asdict(made))
    return Document(name, made.text, made.pages, digest, made.title, made.language, made.tags, made.date, made.flags,
                    made.left_out)


def _language(text: str) -> str:
    """The language that the text is most likely in; "" for a text too short to tell."""
    sample = text[:4000]
    if sum(map(str.isalpha, sample)) < TO_TELL:
        return ""
    try:
        language, sure = _identifier().classify(sample)
    except OSError:  # it unpacks its model into the temporary folder, which may be full
        return ""
    return str(language) if sure >= SURE else ""


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _pages(file: Path, workspace: Path, kept: Path, converter: Converter, documents: list[Document],
           failures: list[Failure]) -> None:
    """The pages that a list of addresses names."""
    name = file.relative_to(workspace).as_posix()
    addresses, wrong = read_urls(file.read_bytes()[:LARGEST])
    failures += [Failure(name, reason) for reason in wrong]
    for url in addresses:
        page = fetched(workspace / ".twofold" / "fetched", url)
        try:
            if page is None:
                raise Unreadable("has not been downloaded yet; run `twofold index DIR --fetch`")
            documents.append(_document(url, page[0], page[1], kept, converter))
        except Unreadable as error:
            failures.append(Failure(url, str(error)))
