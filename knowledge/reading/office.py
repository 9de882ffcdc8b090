"""Word, PowerPoint and Excel files to Markdown."""

import io
from collections.abc import Iterable, Iterator
from datetime import datetime, time
from typing import Any

from knowledge.reading.converted import Converted
from knowledge.reading.html import written
from knowledge.reading.tables import ACROSS, said, sheet, table


def read_word(data: bytes) -> Converted:
    """A Word file by way of a web page; pictures are no text."""
    import mammoth
    from bs4 import BeautifulSoup
    from markitdown.converter_utils.docx.pre_process import pre_process_docx

    made = mammoth.convert_to_html(
        pre_process_docx(io.BytesIO(data)), style_map="p[style-name='Caption'] => p.caption:fresh",
        convert_image=mammoth.images.img_element(lambda picture: {}))
    page = BeautifulSoup(made.value, "html.parser")
    for picture in page.find_all("img"):
        picture.decompose()
    return Converted(written(page))


def read_slides(data: bytes) -> Converted:
    """A section for each slide, headed by its title wherever that stands on it."""
    from pptx import Presentation

    show = Presentation(io.BytesIO(data))
    texts = []
    for number, slide in enumerate(show.slides, 1):
        title = slide.shapes.title
        parts = list(_parts(shape for shape in slide.shapes if title is None or shape.shape_id != title.shape_id))
        notes = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
        if notes is not None and notes.text.strip():
            parts.append(f"Notes:\n\n{notes.text.strip()}")
        words = said(title.text) if title is not None else ""
        if words or any(parts):
            texts.append("\n\n".join([f"# {words or f'Slide {number}'}", *filter(None, parts)]))
    return Converted("\n\n".join(texts), title=show.core_properties.title or "")


def _parts(shapes: Iterable[Any]) -> Iterator[str]:
    """What shapes say, from top to bottom."""
    for shape in sorted(shapes, key=lambda shape: (shape.top or 0, shape.left or 0)):
        if hasattr(shape, "shapes"):
            yield from _parts(shape.shapes)
        elif getattr(shape, "has_table", False):
            yield table(_filled(shape.table))
        elif getattr(shape, "has_chart", False):
            for plot in shape.chart.plots:
                names = [series.name for series in plot.series]
                yield table([["", *names], *zip(plot.categories, *(series.values for series in plot.series),
                                                strict=False)])
        elif shape.has_text_frame:
            yield shape.text_frame.text.replace("\v", " ").strip()


def _filled(found: Any) -> list[list[object]]:
    """A slide's table, a merged cell in each of the rows that it covers."""
    rows: list[list[object]] = [[cell.text for cell in row.cells] for row in found.rows]
    for place, row in enumerate(found.rows):
        for column, cell in enumerate(row.cells):
            if cell.is_merge_origin:
                covering = [cell.text, *[ACROSS] * (cell.span_width - 1)]
                for below in rows[place:place + cell.span_height]:
                    below[column:column + cell.span_width] = covering[:len(below) - column]
    return rows


def read_workbook(data: bytes) -> Converted:
    """A section for each sheet."""
    from openpyxl import load_workbook

    book = load_workbook(io.BytesIO(data), data_only=True)
    texts = [f"## {page.title}\n\n{text}" for page in book.worksheets if (text := sheet(_rows(page)))]
    return Converted("\n\n".join(texts), title=book.properties.title or "")


def _rows(page: Any) -> Iterator[list[object]]:
    """A sheet's rows, a merged cell in each of the rows that it covers."""
    found: dict[int, dict[int, object]] = {}
    for (row, column), cell in page._cells.items():  # going through its rows would make every cell that is empty
        if cell.value is not None:
            found.setdefault(row, {})[column] = _shown(cell)
    end = max(found, default=0)
    for span in page.merged_cells.ranges:
        first = found.get(span.min_row, {}).get(span.min_col)
        for row in range(span.min_row, min(span.max_row, end) + 1) if first is not None else ():
            cells = found.setdefault(row, {})
            cells |= {span.min_col: first} | dict.fromkeys(range(span.min_col + 1, span.max_col + 1), ACROSS)
    for row in range(1, end + 1):
        cells = found.get(row, {})
        yield [cells.get(column) for column in range(1, max(cells, default=0) + 1)]


def _shown(cell: Any) -> object:
    """A cell's value as a person sees it in the commonest formats."""
    value = cell.value
    if isinstance(value, datetime) and value.time() == time():
        return value.date()
    if isinstance(value, float | int) and "%" in cell.number_format:
        return f"{100 * value:.10g}%"
    return f"{value:.15g}" if isinstance(value, float) else value
