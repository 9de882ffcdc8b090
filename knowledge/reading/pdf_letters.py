"""A PDF page's letters in reading order: where each stands and how large it is; lines of them, and filled-in fields."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

RAISED = "\ue002"
"""Stands before a figure that is raised, such as a note's mark or a power."""


class Letter(NamedTuple):
    """A sign and its place in points from the page's lower left corner; spaces have no place."""

    sign: str
    left: float = 0.0
    bottom: float = 0.0
    right: float = 0.0
    top: float = 0.0
    size: float = 0.0
    """Of its type, in points."""
    bold: bool = False


@dataclass(frozen=True)
class Run:
    """Letters that stand side by side on a line."""

    text: str
    left: float
    bottom: float
    right: float
    top: float
    size: float
    bold: bool


def letters_of(words: Any, box: tuple[float, ...]) -> list[Letter]:
    """The letters of a text page of pypdfium2 within `box`, the page's edges; nobody sees what is beyond them."""
    from ctypes import byref, c_double

    from pypdfium2 import raw

    left, right, bottom, top = (c_double() for _ in range(4))
    matrix = raw.FS_MATRIX()
    found: list[Letter] = []
    for number in range(words.count_chars()):
        sign = chr(raw.FPDFText_GetUnicode(words.raw, number))
        if sign.isspace() or not raw.FPDFText_GetCharBox(words.raw, number, *map(byref, (left, right, bottom, top))):
            found.append(Letter(sign))
            continue
        if not (box[0] <= (left.value + right.value) / 2 <= box[2]
                and box[1] <= (bottom.value + top.value) / 2 <= box[3]):
            continue
        raw.FPDFText_GetMatrix(words.raw, number, byref(matrix))
        size = raw.FPDFText_GetFontSize(words.raw, number) * (matrix.c**2 + matrix.d**2) ** 0.5
        letter = Letter(sign, left.value, bottom.value, right.value, top.value, size,
                        raw.FPDFText_GetFontWeight(words.raw, number) >= 600)
        if found and _is_raised(letter, found[-1]):
            found.append(Letter(RAISED))
        found.append(letter)
    return found


def _is_raised(letter: Letter, before: Letter) -> bool:
    """Whether a figure stands higher and smaller right behind another letter."""
    return (letter.sign.isdigit() and before.sign.isalnum() and letter.size < 0.8 * before.size
            and letter.bottom > before.bottom + 0.15 * before.size
            and abs(letter.left - before.right) < before.size / 2)


def runs_of(letters: Sequence[Letter], gap: float | None = None) -> list[Run]:
    """The lines of a page; with `gap`, pieces of lines that so many times the size of their type keep apart."""
    found: list[Run] = []
    group: list[Letter] = []
    for letter in (*letters, Letter("\n")):
        last = next((one for one in reversed(group) if one.size), None)
        parted = last is not None and bool(letter.size) and (
            letter.top < last.bottom or letter.bottom > last.top or gap is not None and (
                letter.left - last.right > gap * max(letter.size, last.size) or letter.left < last.left - last.size))
        if letter.sign in "\r\n" or parted:
            found += _run(group)
            group = []
        if letter.sign not in "\r\n":
            group.append(letter)
    return found


def _run(letters: list[Letter]) -> list[Run]:
    placed = [letter for letter in letters if letter.size]
    if not placed:
        return []
    text = re.sub(r"\s+", " ", "".join(letter.sign for letter in letters)).strip()
    sizes = sorted(letter.size for letter in placed)
    return [Run(text, min(letter.left for letter in placed), min(letter.bottom for letter in placed),
                max(letter.right for letter in placed), max(letter.top for letter in placed), sizes[len(sizes) // 2],
                2 * sum(letter.bold for letter in placed) > len(placed))]


def with_fields(letters: list[Letter], page: Any, form: Any) -> list[Letter]:
    """The letters of a page with what is filled into its fields, each behind the label that stands to its left.

    `form` is the environment that pypdfium2 makes of a PDF with fields; None for a PDF without.
    """
    from ctypes import byref

    from pypdfium2 import raw

    if form is None:
        return letters
    for number in range(max(0, raw.FPDFPage_GetAnnotCount(page.raw))):
        part = raw.FPDFPage_GetAnnot(page.raw, number)
        place = raw.FS_RECTF()
        if raw.FPDFAnnot_GetSubtype(part) == raw.FPDF_ANNOT_WIDGET and raw.FPDFAnnot_GetRect(part, byref(place)):
            value = _value(form.raw, part)
            if value:
                letters = _inserted(letters, value, place)
        raw.FPDFPage_CloseAnnot(part)
    return letters


def _value(form: Any, part: Any) -> str:
    """What is filled into a field; a cross for a box that is ticked."""
    from ctypes import POINTER, c_ushort, cast, create_string_buffer

    from pypdfium2 import raw

    if raw.FPDFAnnot_GetFormFieldType(form, part) in (raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON):
        return "[x]" if raw.FPDFAnnot_IsChecked(form, part) else ""
    size = raw.FPDFAnnot_GetFormFieldValue(form, part, None, 0)
    buffer = create_string_buffer(max(size, 2))
    raw.FPDFAnnot_GetFormFieldValue(form, part, cast(buffer, POINTER(c_ushort)), size)
    return " ".join(buffer.raw[:size].decode("utf-16-le", errors="ignore").rstrip("\0").split())


def _inserted(letters: list[Letter], value: str, place: Any) -> list[Letter]:
    """The letters with a field's value behind the last one to the left of it, or at the page's end."""
    beside = [number for number, letter in enumerate(letters) if letter.size
              and letter.bottom < place.top and letter.top > place.bottom and letter.right <= place.left + letter.size]
    middle = (place.bottom + place.top) / 2
    nearest = max(beside, key=lambda number: letters[number].right, default=len(letters) - 1)
    made = [Letter(" ") if beside else Letter("\n"),
            *(Letter(sign, place.left, middle - 4, place.left + 1, middle + 4, 8.0) if sign != " " else Letter(sign)
              for sign in value)]
    return [*letters[:nearest + 1], *made, *letters[nearest + 1:]]
