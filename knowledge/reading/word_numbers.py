"""The numbers that Word counts by itself, written into a document's text, so that "section 2.2" can be found."""

import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
          (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))


@dataclass
class Level:
    """How one level of a numbered list counts."""

    start: int
    kind: str
    """Such as decimal or lowerLetter, of ECMA-376's ST_NumberFormat."""
    pattern: str
    """Such as %1.%2, where %1 is the number of the outermost level."""


@dataclass
class Style:
    """What a paragraph style says about headings and numbers; a style without a word of its own asks its parent."""

    parent: str
    heading: bool
    numbers: str
    """The list that its paragraphs are counted in; "" for none."""
    level: int | None


@dataclass
class Counter:
    """How far each level of one list has counted."""

    levels: dict[int, Level]
    counts: dict[int, int] = field(default_factory=dict)

    def next(self, level: int) -> str:
        """Count one on at this level and return the number as it is shown."""
        self.counts = {deep: count for deep, count in self.counts.items() if deep <= level}
        for above in range(level):
            self.counts.setdefault(above, self._level(above).start)
        self.counts[level] = self.counts.get(level, self._level(level).start - 1) + 1
        return re.sub(r"%(\d)", lambda place: self._shown(int(place[1]) - 1), self._level(level).pattern)

    def _level(self, level: int) -> Level:
        return self.levels.get(level) or Level(1, "decimal", "")

    def _shown(self, level: int) -> str:
        return shown(self.counts.get(level, 1), self._level(level).kind)


def shown(number: int, kind: str) -> str:
    """A positive number in the given kind of figures; a kind that is not known is shown in digits."""
    if kind in ("lowerLetter", "upperLetter"):
        letters = chr(97 + (number - 1) % 26) * (1 + (number - 1) // 26)
        return letters.upper() if kind.startswith("upper") else letters
    if kind in ("lowerRoman", "upperRoman"):
        roman = ""
        for value, sign in _ROMAN:
            roman, number = roman + sign * (number // value), number % value
        return roman.upper() if kind.startswith("upper") else roman
    return str(number)


def with_numbers(data: bytes) -> bytes:
    """A Word file whose headings, and paragraphs numbered like 2.2, carry their number as text."""
    from lxml import etree

    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        parts = {part.filename: opened.read(part) for part in opened.infolist()}
    if "word/numbering.xml" not in parts or "word/document.xml" not in parts:
        return data
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    try:
        body = etree.fromstring(parts["word/document.xml"], parser)
        lists = _lists(etree.fromstring(parts["word/numbering.xml"], parser))
        styles = _styles(etree.fromstring(parts.get("word/styles.xml", b"<none/>"), parser))
    except (etree.XMLSyntaxError, ValueError):
        return data
    if not sum(_number(paragraph, lists, styles) for paragraph in body.iter(f"{_W}p")):
        return data
    parts["word/document.xml"] = etree.tostring(body, xml_declaration=True, encoding="UTF-8", standalone=True)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as written:
        for name, part in parts.items():
            written.writestr(name, part)
    return made.getvalue()


def _number(paragraph: Any, lists: dict[str, Counter], styles: dict[str, Style]) -> bool:
    """Write the number of a paragraph into it, if it is one that a text refers to."""
    from lxml import etree

    settings = paragraph.find(f"{_W}pPr")
    name = _value(settings, "pStyle") if settings is not None else ""
    chain = list(_chain(name, styles))
    own = settings.find(f"{_W}numPr") if settings is not None else None
    numbers = _value(own, "numId") if own is not None else next((style.numbers for style in chain if style.numbers), "")
    counter = lists.get(numbers)
    if counter is None or not any((text.text or "").strip() for text in paragraph.iter(f"{_W}t")):
        return False
    level = _value(own, "ilvl") if own is not None else ""
    deep = int(level) if level.isdigit() else next((style.level for style in chain if style.level is not None), 0)
    number = counter.next(deep)
    heading = any(style.heading for style in chain)
    if not number or counter.levels[deep].kind in ("bullet", "none") or not (
            heading or counter.levels[deep].pattern.count("%") > 1):
        return False
    if own is not None:
        settings.remove(own)  # else it would be a list's item as well
    if not heading:
        etree.SubElement(etree.SubElement(settings, f"{_W}numPr"), f"{_W}numId").set(f"{_W}val", "0")
    run = etree.Element(f"{_W}r")
    etree.SubElement(run, f"{_W}t", {"{http://www.w3.org/XML/1998/namespace}space": "preserve"}).text = f"{number} "
    paragraph.insert(0 if settings is None else paragraph.index(settings) + 1, run)
    return True


def _lists(root: Any) -> dict[str, Counter]:
    """The lists of a document by the number that paragraphs name; lists of one kind count together."""
    kinds = {}
    for kind in root.iter(f"{_W}abstractNum"):
        levels = {}
        for level in kind.iter(f"{_W}lvl"):
            start = _value(level, "start")
            levels[int(level.get(f"{_W}ilvl", "0"))] = Level(
                int(start) if start.isdigit() else 1, _value(level, "numFmt") or "decimal", _value(level, "lvlText"))
        kinds[kind.get(f"{_W}abstractNumId")] = Counter(levels)
    return {str(number.get(f"{_W}numId")): kinds[_value(number, "abstractNumId")]
            for number in root.iter(f"{_W}num") if _value(number, "abstractNumId") in kinds}


def _styles(root: Any) -> dict[str, Style]:
    styles = {}
    for style in root.iter(f"{_W}style"):
        settings = style.find(f"{_W}pPr")
        own = settings.find(f"{_W}numPr") if settings is not None else None
        level = _value(own, "ilvl") if own is not None else ""
        outline = _value(settings, "outlineLvl") if settings is not None else ""
        name = re.fullmatch(r"heading (\d)", _value(style, "name").lower())
        deep = int(level) if level.isdigit() else int(name[1]) - 1 if name else None
        styles[str(style.get(f"{_W}styleId"))] = Style(
            _value(style, "basedOn"), bool(name) or outline.isdigit() and int(outline) < 9,
            _value(own, "numId") if own is not None else "", deep)
    return styles


def _chain(name: str, styles: dict[str, Style]) -> Iterator[Style]:
    """A style and those that it is based on."""
    for _ in range(20):
        if name not in styles:
            return
        yield styles[name]
        name = styles[name].parent


def _value(parent: Any, name: str) -> str:
    child = parent.find(f"{_W}{name}")
    return str(child.get(f"{_W}val", "")) if child is not None else ""
