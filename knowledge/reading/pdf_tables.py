"""The tables on a PDF's page, ruled by lines or by gaps: where they stand, and the page's letters in their cells."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from knowledge.reading.pdf_letters import Letter, Run, runs_of
from knowledge.reading.tables import ACROSS, said, table

LINES = 300
"""Of a page, once joined; a page with more is a drawing."""
NEAR = 3.0
"""Points between lines that were meant to meet."""
SHORTEST = 6.0
"""Points; a shorter line bounds no cell."""
GAP = 1.2
"""Times the size of its type: pieces of a line that are so far apart are cells."""
MOST_LEADING = 2.5
"""Times the size of its type: rows further apart are no table."""
LONG = 30
"""Letters: a longer piece is a line of text; two in a row, or one of two, speak against a table."""
ALIGNED = 0.6
"""Of a column's pieces: as many stand at one place at least."""

_MARK = re.compile(r"\W{0,2}(?:\d{1,3}|\w|[ivx]+)?\W{0,2}")
"""What stands before an item of a list."""

Lines = dict[float, list[tuple[float, float]]]
"""The place of each horizontal (vertical) line, and from where to where it runs."""


@dataclass
class Grid:
    """A table: its columns' and rows' edges, from left and from top, and the cells' letters."""

    across: list[float]
    down: list[float]
    owner: dict[tuple[int, int], tuple[int, int]]
    """Of each place the cell that covers it, by row and column."""
    letters: dict[tuple[int, int], list[str]]

    def cell(self, x: float, y: float) -> tuple[int, int] | None:
        """The cell at a point; None outside the table."""
        row = len(self.down) - bisect_right(self.down[::-1], y) - 1
        place = (row, bisect_right(self.across, x) - 1)
        return self.owner.get(place)

    def rows(self) -> list[list[object]]:
        """Cells' words; one that covers several rows stands in each of them."""
        words = {place: "".join(letters) for place, letters in self.letters.items()}
        return [[words.get(self.owner[row, column], "") if self.owner[row, column][1] == column else ACROSS
                 for column in range(len(self.across) - 1)] for row in range(len(self.down) - 1)]


    def text(self) -> str:
        """The table; as lines of text where words stand in but one row or column, as in a form or a frame."""
        filled = [[cell for cell in map(said, row) if cell] for row in self.rows()]
        rows = [" ".join(row) for row in filled if row]
        return table(self.rows()) if len(rows) > 1 and max(map(len, filled)) > 1 else "\n".join(rows)


Page = list[str | Grid]
"""A page's text and its tables in reading order."""


def rules_of(page: Any) -> Iterator[tuple[float, float, float, float]]:
    """The straight lines that a page draws, edges of rectangles among them, from where to where."""
    from ctypes import byref, c_float, c_int

    from pypdfium2 import raw

    x, y, fills, strokes = c_float(), c_float(), c_int(), c_int()
    for path in page.get_objects(filter=[raw.FPDF_PAGEOBJ_PATH], max_depth=1):
        raw.FPDFPath_GetDrawMode(path.raw, byref(fills), byref(strokes))
        if not (fills.value or strokes.value):
            continue
        matrix = path.get_matrix()
        first = last = (0.0, 0.0)
        for number in range(raw.FPDFPath_CountSegments(path.raw)):
            segment = raw.FPDFPath_GetPathSegment(path.raw, number)
            raw.FPDFPathSegment_GetPoint(segment, byref(x), byref(y))
            point = matrix.on_point(x.value, y.value)
            kind = raw.FPDFPathSegment_GetType(segment)
            if kind == raw.FPDF_SEGMENT_MOVETO:
                first = point
            elif kind == raw.FPDF_SEGMENT_LINETO:
                yield *last, *point
            if raw.FPDFPathSegment_GetClose(segment):
                yield *point, *first
            last = point


def grids_of(rules: Iterable[tuple[float, float, float, float]]) -> list[Grid]:
    """The tables that lines rule: at least two columns and two rows."""
    flat: list[tuple[float, float, float]] = []
    upright: list[tuple[float, float, float]] = []
    for x, y, right, top in rules:
        if abs(y - top) <= 1 and abs(x - right) >= SHORTEST:
            flat.append(((y + top) / 2, min(x, right), max(x, right)))
        elif abs(x - right) <= 1 and abs(y - top) >= SHORTEST:
            upright.append(((x + right) / 2, min(y, top), max(y, top)))
    found = []
    for level, plumb in _touching(_merged(flat), _merged(upright)):
        if len(level) >= 3 and len(plumb) >= 3:
            found.append(_grid(level, plumb))
    return found


def _merged(lines: list[tuple[float, float, float]]) -> Lines:
    """Lines at about the same place as one, and pieces that meet as one."""
    places: Lines = {}
    last = None
    for place, start, end in sorted(lines):
        if last is None or place - last > NEAR:
            last = place
        places.setdefault(last, []).append((start, end))
    for place, runs in places.items():
        met: list[tuple[float, float]] = []
        for start, end in sorted(runs):
            if met and start <= met[-1][1] + NEAR:
                met[-1] = met[-1][0], max(met[-1][1], end)
            else:
                met.append((start, end))
        places[place] = met
    return places


def _touching(flat: Lines, upright: Lines) -> Iterator[tuple[Lines, Lines]]:
    """Groups of lines that meet, directly or by others."""
    lines = [(True, place, *run) for place, runs in flat.items() for run in runs]
    lines += [(False, place, *run) for place, runs in upright.items() for run in runs]
    if len(lines) > LINES:
        return
    while lines:
        group, lines = [lines[0]], lines[1:]
        for line in group:  # it grows while it is gone through
            meeting = [other for other in lines if other[0] != line[0] and line[2] - NEAR <= other[1] <= line[3] + NEAR
                       and other[2] - NEAR <= line[1] <= other[3] + NEAR]
            group += meeting
            lines = [other for other in lines if other not in meeting]
        yield _lines(group, True), _lines(group, False)


def _lines(group: list[tuple[bool, float, float, float]], flat: bool) -> Lines:
    found: Lines = {}
    for kind, place, start, end in group:
        if kind == flat:
            found.setdefault(place, []).append((start, end))
    return found


def _grid(level: Lines, plumb: Lines) -> Grid:
    """A table, with places that no line parts as one cell."""
    across, down = sorted(plumb), sorted(level, reverse=True)
    owner: dict[tuple[int, int], tuple[int, int]] = {}
    for row, (top, bottom) in enumerate(zip(down, down[1:], strict=False)):
        for column, (left, right) in enumerate(zip(across, across[1:], strict=False)):
            parted = row == 0 or _runs_at(level[top], (left + right) / 2)
            walled = column == 0 or _runs_at(plumb[left], (top + bottom) / 2)
            owner[row, column] = (row, column) if parted and walled else owner[
                (row - 1, column) if not parted else (row, column - 1)]
    return Grid(across, down, owner, {})


def _runs_at(runs: list[tuple[float, float]], place: float) -> bool:
    return any(start - NEAR <= place <= end + NEAR for start, end in runs)


def unruled(letters: Sequence[Letter]) -> list[Grid]:
    """The tables that only gaps rule: at least three rows of pieces that stand in the same columns.

    Text in two columns is none: its pieces are lines of many words.
    """
    rows = _rows(runs_of(letters, GAP))
    grids: list[Grid] = []
    group: list[list[Run]] = []
    for row in [*rows, []]:
        near = not group or not row or group[-1][0].bottom - row[0].top < MOST_LEADING * row[0].size
        if len(row) < 2 or not near:
            grids += _gaps(group)
            group = []
        if len(row) >= 2:
            group.append(row)
    return grids


def _rows(runs: list[Run]) -> list[list[Run]]:
    """Pieces by the height that they stand at, from top to bottom, each row from left to right."""
    rows: list[list[Run]] = []
    for run in sorted(runs, key=lambda run: -(run.bottom + run.top)):
        middle = (run.bottom + run.top) / 2
        if rows and rows[-1][0].bottom <= middle <= rows[-1][0].top:
            rows[-1].append(run)
        else:
            rows.append([run])
    return [sorted(row, key=lambda run: run.left) for row in rows]


def _gaps(rows: list[list[Run]]) -> list[Grid]:
    """The grid of rows whose pieces stand in columns; none where they don't."""
    long = sum(sum(len(run.text) > LONG for run in row) > (len(row) > 2) for row in rows)
    if len(rows) < 3 or 3 * long > len(rows):
        return []
    columns: list[tuple[float, float]] = []
    for left, right in sorted((run.left, run.right) for row in rows for run in row):
        if columns and left < columns[-1][1]:
            columns[-1] = columns[-1][0], max(columns[-1][1], right)
        else:
            columns.append((left, right))
    held = [[run for row in rows for run in row if left <= run.left <= right] for left, right in columns]
    marks = all(_MARK.fullmatch(run.text) for run in held[0])
    if len(columns) < 2 + marks or max(map(len, rows)) < len(columns) or not all(map(_aligned, held)):
        return []
    heights = [(max(run.top for run in row), min(run.bottom for run in row)) for row in rows]
    across = [columns[0][0] - 1, *_between(columns), columns[-1][1] + 1]
    down = [heights[0][0] + 1, *_between(heights), heights[-1][1] - 1]
    places = {(row, column): (row, column) for row in range(len(rows)) for column in range(len(columns))}
    return [Grid(across, down, places, {})]


def _between(spans: Sequence[tuple[float, float]]) -> Iterator[float]:
    """The middle between each span's end and the next one's start."""
    return ((first[1] + second[0]) / 2 for first, second in pairwise(spans))


def _aligned(column: list[Run]) -> bool:
    """Whether most pieces of a column begin, end or are centred at one place."""
    def most(places: list[float]) -> int:
        return max(sum(abs(place - other) <= NEAR for other in places) for place in places)

    return max(most([run.left for run in column]), most([run.right for run in column]),
               most([(run.left + run.right) / 2 for run in column])) >= ALIGNED * len(column)


def parts_of(letters: Sequence[Letter], grids: list[Grid]) -> Page:
    """A page's letters in reading order, those within a table put into its cells, the table where its first stood."""
    outside: list[str] = []
    parts: Page = []
    inside: tuple[Grid, tuple[int, int]] | None = None
    for letter in letters:
        if letter.size:
            x, y = (letter.left + letter.right) / 2, (letter.bottom + letter.top) / 2
            inside = next(((grid, cell) for grid in grids if (cell := grid.cell(x, y))), None)
        if inside is None:
            outside.append(letter.sign)
            continue
        grid, cell = inside
        if not grid.letters:
            parts += ["".join(outside), grid]
            outside = []
        grid.letters.setdefault(cell, []).append(letter.sign)
    return [*parts, "".join(outside)]


def alike(grid: Grid, other: Grid) -> bool:
    """Whether the columns of two tables have the same edges."""
    return len(grid.across) == len(other.across) and all(
        abs(first - second) <= NEAR for first, second in zip(grid.across, other.across, strict=True))
