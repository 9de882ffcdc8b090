"""Text in Word, PowerPoint, Excel and PDF files that a person does not see."""

import io
import zipfile
from collections.abc import Iterator
from typing import Any

Found = tuple[str, str, str]
"""Where the hidden text is, what hides it, and the text."""

SMALLEST = 2.0
"""Points: smaller type is not read by a person."""
PAGES, OBJECTS = 500, 50_000
"""How much of a PDF is looked through."""
LARGEST = 50_000_000
"""Bytes of one part of an office file that are looked through."""
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def in_word(data: bytes) -> Iterator[Found]:
    """Runs that are hidden, white or tiny, and comments."""
    for name, root in _parts(data, "word/"):
        if name == "word/comments.xml":
            yield "comments", "a comment", "".join(root.itertext())
        if name != "word/document.xml" and not name.startswith(("word/header", "word/footer", "word/footnotes")):
            continue
        for number, paragraph in enumerate(root.iter(f"{_W}p"), 1):
            for run in paragraph.iter(f"{_W}r"):
                what = _word_run(run.find(f"{_W}rPr"))
                if what:
                    yield f"paragraph {number}", what, "".join(text.text or "" for text in run.iter(f"{_W}t"))


def _word_run(settings: Any) -> str:
    if settings is None:
        return ""
    vanish, colour, size = (settings.find(f"{_W}{name}") for name in ("vanish", "color", "sz"))
    if vanish is not None and vanish.get(f"{_W}val", "true") not in ("0", "false"):
        return "hidden text"
    shaded = any(settings.find(f"{_W}{name}") is not None for name in ("shd", "highlight"))
    if colour is not None and str(colour.get(f"{_W}val")).upper() in ("FFFFFF", "FEFEFE") and not shaded:
        return "white text"
    if size is not None and str(size.get(f"{_W}val")).isdigit() and int(size.get(f"{_W}val")) <= 2 * SMALLEST:
        return "tiny text"
    return ""


def in_slides(data: bytes) -> Iterator[Found]:
    """Hidden slides, tiny runs, and notes."""
    for name, root in _parts(data, "ppt/slides/slide"):
        number = name.removeprefix("ppt/slides/slide").removesuffix(".xml")
        if root.get("show") in ("0", "false"):
            yield f"slide {number}", "a hidden slide", " ".join(text.text or "" for text in root.iter(f"{_A}t"))
        for run in root.iter(f"{_A}r"):
            settings = run.find(f"{_A}rPr")
            size = settings.get("sz", "") if settings is not None else ""
            if size.isdigit() and int(size) <= 100 * SMALLEST:
                yield f"slide {number}", "tiny text", "".join(text.text or "" for text in run.iter(f"{_A}t"))


def in_sheets(data: bytes) -> Iterator[Found]:
    """Hidden sheets and rows; their words are not looked up, since a number stands for each."""
    for name, root in _parts(data, "xl/"):
        if name == "xl/workbook.xml":
            for sheet in root.iter(f"{_S}sheet"):
                if sheet.get("state") in ("hidden", "veryHidden"):
                    yield "workbook", "a hidden sheet", str(sheet.get("name"))
        elif name.startswith("xl/worksheets/"):
            rows = [row.get("r", "?") for row in root.iter(f"{_S}row") if row.get("hidden") in ("1", "true")]
            if rows:
                yield name.rsplit("/", 1)[-1], "hidden rows", f"rows {', '.join(rows[:20])}"


def _parts(data: bytes, below: str) -> Iterator[tuple[str, Any]]:
    from defusedxml.ElementTree import fromstring

    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        for part in opened.infolist():
            if part.filename.startswith(below) and part.filename.endswith(".xml") and part.file_size <= LARGEST:
                yield part.filename, fromstring(opened.read(part))


def in_pages(data: bytes) -> Iterator[Found]:
    """Text of a PDF that is invisible, white or tiny; a page of invisible text alone is a scan with its words."""
    import pypdfium2
    from pypdfium2 import raw

    looked = 0
    opened = pypdfium2.PdfDocument(data)
    for number in range(min(len(opened), PAGES)):
        page = opened[number]
        words = page.get_textpage()
        hidden, seen = [], 0
        for part in page.get_objects(filter=[raw.FPDF_PAGEOBJ_TEXT], max_depth=3):
            looked += 1
            if looked > OBJECTS:
                return
            what = _concealed(part.raw)
            seen += not what
            if what:
                hidden.append((what, _said(part.raw, words.raw)))
        invisible = all(what == "invisible text" for what, _ in hidden)
        if hidden and (seen or not invisible):
            yield from ((f"page {number + 1}", what, text) for what, text in hidden)


def _concealed(part: Any) -> str:
    """What keeps a text object from being seen."""
    from ctypes import byref, c_float, c_uint

    from pypdfium2 import raw

    if raw.FPDFTextObj_GetTextRenderMode(part) == raw.FPDF_TEXTRENDERMODE_INVISIBLE:
        return "invisible text"
    colours = [c_uint() for _ in range(4)]
    if raw.FPDFPageObj_GetFillColor(part, *map(byref, colours)):
        red, green, blue, alpha = (colour.value for colour in colours)
        if min(red, green, blue) >= 250:
            return "white text"
        if alpha <= 5:
            return "transparent text"
    size, matrix = c_float(), raw.FS_MATRIX()
    if raw.FPDFTextObj_GetFontSize(part, byref(size)) and raw.FPDFPageObj_GetMatrix(part, byref(matrix)):
        height = size.value * (matrix.c**2 + matrix.d**2) ** 0.5
        if 0 < height < SMALLEST:
            return "tiny text"
    return ""


def _said(part: Any, page: Any) -> str:
    from ctypes import POINTER, c_ushort, cast, create_string_buffer

    from pypdfium2 import raw

    size = raw.FPDFTextObj_GetText(part, page, None, 0)
    buffer = create_string_buffer(max(size, 2))
    raw.FPDFTextObj_GetText(part, page, cast(buffer, POINTER(c_ushort)), size)
    return buffer.raw[:size].decode("utf-16-le", errors="ignore").rstrip("\0")
