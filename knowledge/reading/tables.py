"""Rows of cells to Markdown tables, with the caption that stands above a sheet's rows and with merged cells filled."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from statistics import median
from typing import Any

Row = Sequence[object]
ACROSS = object()
"""A cell that the one to its left covers, as merged cells do."""
MOST_SPANNED = 1000
"""Columns or rows that one cell of a web page may cover."""
LONGEST_CELL = 50_000_000
"""Characters of a CSV's cell; Python's own limit is 131,072."""
MOST_CELLS = 3_000_000
"""Of one table; merged cells could make any number of them."""


def line(cells: Iterable[object]) -> str:
    """One row of a Markdown table."""
    return "| " + " | ".join(said(cell).replace("|", "\\|") for cell in cells) + " |"


def said(cell: object) -> str:
    """A cell's words on one line; none where nothing stands in it."""
    return "" if cell is None or cell is ACROSS else " ".join(str(cell).split())


def table(rows: Iterable[Row]) -> str:
    """A Markdown table of rows, the first of them its header; rows and columns without a word are left out.

    A first row of one cell over all columns is its caption. A header in two rows, told by a cell over several
    columns, becomes one: `Price` over `small` and `large` gives `Price small` and `Price large`.
    """
    kept = [list(row) for row in rows if any(map(said, row))]
    width = max(map(len, kept), default=0)
    columns = [number for number in range(width) if any(number < len(row) and said(row[number]) for row in kept)]
    kept = [[row[number] if number < len(row) else "" for number in columns] for row in kept]
    if not kept:
        return ""
    if len(kept) > 2 and len(columns) > 1 and all(cell is ACROSS for cell in kept[0][1:]):
        return f"{captioned(said(kept[0][0]))}\n\n{table(kept[1:])}"
    header = _spread(kept.pop(0))
    if len(kept) > 1 and header[1]:
        header = [list(dict.fromkeys((above, said(below)))) for above, below in
                  zip(header[0], _spread(kept.pop(0))[0], strict=True)], False
    names = [" ".join(name) if isinstance(name, list) else name for name in header[0]]
    return "\n".join([line(names), line(["---"] * len(columns)), *map(line, kept)])


def _spread(row: Row) -> tuple[list[Any], bool]:
    """A header row with what covers several columns in each of them, and whether anything does."""
    names: list[str] = []
    for cell in row:
        names.append(names[-1] if cell is ACROSS and names else said(cell))
    return names, any(cell is ACROSS for cell in row)


def counted(many: int, thing: str) -> list[str]:
    """A line that names how many of a thing there are; none for no thing."""
    return [f"{many} {thing}{'' if many == 1 else 's'}"] if many else []


def captioned(words: str) -> str:
    """A caption as a line that says by its colon that it introduces what follows."""
    return f"{words.rstrip('.:;, ')}:" if words else ""


def sheet(rows: Iterable[Row]) -> str:
    """The tables of a sheet or CSV, each below the lines that stand above its header row.

    A blank row ends a table only if what follows has lines of its own above it or fills other columns.
    """
    found: list[tuple[list[Row], list[Row]]] = []
    for filled, group in groupby(rows, lambda row: any(map(said, row))):
        part = list(group) if filled else []
        if not part:
            continue
        if found and found[-1][1] and len(_columns(part[:1])) > 1 and _columns(part) <= _columns(found[-1][1]):
            found[-1][1].extend(part)
            continue
        above, below = _parted(part)
        if found and not found[-1][1]:  # nothing but words so far: they stand above what follows
            found[-1] = [*found[-1][0], *above], below
        else:
            found.append((above, below))
    texts = []
    for above, below in found:
        words = [", ".join(filter(None, map(said, row))).replace(":, ", ": ") for row in above]
        texts += words[:-1] + ([captioned(words[-1]) if below else words[-1]] if words else []) + [table(below)]
    return "\n\n".join(filter(None, texts))


def _parted(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """The lines above a header row, and the table: its header fills about as many columns as its rows do."""
    filled = [sum(map(bool, map(said, row))) for row in rows]
    usual = median(filled[-50:])
    first = next((number for number, many in enumerate(filled) if many >= max(2, usual * 2 / 3)), 0)
    if first == len(rows) - 1:  # no row stands below it
        return rows, []
    spans = first and any(cell is ACROSS for cell in rows[first - 1]) and filled[first - 1] > 1
    return rows[:first - bool(spans)], rows[first - bool(spans):]


def _columns(rows: Iterable[Row]) -> set[int]:
    return {number for row in rows for number, cell in enumerate(row) if said(cell)}


def csv_rows(text: str) -> Any:
    """The reader of a CSV's rows, by whatever parts its cells, however long they are; csv.Error as it reads on."""
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_CELL))
    return csv.reader(io.StringIO(text), delimiter=separator(text))


def separator(text: str) -> str:
    """What parts the cells of a CSV: the one that parts most lines into the same number of them."""
    lines = [row for row in text[:20_000].split("\n")[:50] if row.strip()]

    def alike(comma: str) -> int:
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=comma) if len(row) > 1)
        return max(widths.values(), default=0)

    return max(",;\t|", key=alike)


def cells(found: Any) -> list[list[object]]:
    """The cells of a parsed web page's table, one that covers several rows in each of them."""
    rows: list[list[object]] = []
    many = 0
    below: dict[int, tuple[object, int]] = {}
    for row in found.find_all("tr"):
        made: list[object] = []
        own = iter(row.find_all(["td", "th"], recursive=False))
        while True:
            if below.get(len(made), ("", 0))[1]:
                cell, left = below[len(made)]
                below[len(made)] = cell, left - 1
                made.append(cell)
                continue
            tag = next(own, None)
            if tag is None:
                break
            wide, high = _number(tag.get("colspan")), _number(tag.get("rowspan"))
            for cell in [_words(tag), *[ACROSS] * (wide - 1)]:
                below[len(made)] = cell, high - 1
                made.append(cell)
        rows.append(made)
        many += len(made)
        if many > MOST_CELLS:
            break
    return rows


def _number(value: object) -> int:
    return max(1, min(MOST_SPANNED, int(str(value)))) if re.fullmatch(r"\d{1,6}", str(value)) else 1


def _words(tag: Any) -> str:
    """What a cell says, with the address of a link whose words say nothing by themselves."""
    for link in tag.find_all("a"):
        link.replace_with(f"{link.get_text()} ({link['href']})" if link.get("href") else link.get_text())
    for part in tag.find_all(["br", "p", "li", "div"]):
        part.insert_after(" ")
    return said(tag.get_text())
