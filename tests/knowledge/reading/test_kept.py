"""Nothing that a file holds is lost without a word: it is in the text, or a line names it."""

import email.message
import io
import zipfile
from pathlib import Path

import docx
import openpyxl
import pptx
import pytest
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Pt
from pptx.chart.data import CategoryChartData, XyChartData
from pptx.enum.chart import XL_CHART_TYPE

from knowledge.reading import ocr
from knowledge.reading.documents import read_documents
from knowledge.reading.headings import Line, levels
from knowledge.reading.raised import raised
from knowledge.reading.word_numbers import Counter, Level, shown
from tests.knowledge.reading.test_documents import ebook, one, pdf, saved, written

HARD = Path(__file__).parents[4] / "shared" / "data" / "hard-inputs"
EXPECTED = {
    "csv-huge-cell": ["| 1 | Reset \"Nova\" | Hold the button for 12 seconds"],
    "docx-autonumber": ["## 2.2 Late payment", "## 3.1 Notice"],
    "docx-header": ["until 31 August 2027", "orders@brightlamp.example"],
    "docx-headings-derived": ["# Kettle K2\n", "# Mixer M3\n"],
    "docx-nested-table": ["| Family loft | 5 | Summer 240 euros; Winter 165 euros |"],
    "eml-apple-parts": ["fault code L4", "hold the dimmer for 15 seconds"],
    "eml-charset": ["opens at 8:50 on Mondays"],
    "eml-stub-plain": ["we open at 7:40 on weekdays", "Café closes at 16"],
    "epub-notes": ["at 240 degrees for 35 minutes", "fan oven 215 degrees", "Large loaves need 50 minutes"],
    "html-hidden-faq": ["Parcels take 4 working days", "until 11 in the evening"],
    "html-linklist": ["- Storm XL\n", "- Gale Pro"],
    "html-minified": ["| South | 5.20 euros | 8.90 euros |", "- Card\n", "| Phone support | No | Yes | Yes |"],
    "html-sup": ["costs £40.", "| Gold | £95 |"],
    "html-ticks": ["| Night delivery | No | No | Yes |"],
    "md-html-table": ["| Room Larch | 100 euros | 195 euros |"],
    "pdf-form": ["| Serial number: | HP-55-20931 |", "| Next service: | October 2027 |"],
    "pdf-headings": ["# Kettle K2\n", "## Guarantee\n"],
    "pdf-hyphens": ["comprehensive insurance", "filter ring", "self-service", "non-refundable", "X-Pro 3", "AD-77B",
                    "costs 89 euros"],
    "pdf-unruled": ["| Vaccination | 38 | 46 | 31 |", "| Dental cleaning |  | 150 | 60 |", "| Nail trim |  |  | 12 |"],
    "pptx-3d-chart": ["closes at 22:00", "| 2025 | 452 |"],
    "xlsx-formats": ["| 00421 | Copper kettle | 39.90 € | 1.25 kg | 2026-03-04 | 9:30 | 26:15 | 12.5% |", "33 euros"],
}
"""What the text of each kind of file that is known to be hard must hold."""


@pytest.mark.skipif(not HARD.is_dir(), reason="shared/data/hard-inputs is not there")
@pytest.mark.parametrize("kind", EXPECTED)
def test_files_that_are_known_to_be_hard(tmp_path, kind):
    (tmp_path / "documents").symlink_to(HARD / kind / "documents")
    documents, failures = read_documents(tmp_path)
    text = "\n\n".join(document.text for document in documents)
    assert failures == [] and [part for part in EXPECTED[kind] if part not in text] == []


# Word

def word(*paragraphs):
    made = docx.Document()
    for text, settings in paragraphs:
        run = made.add_paragraph().add_run(text)
        run.font.size, run.font.bold = Pt(settings.get("size", 11)), settings.get("bold")
    return saved(made)


def test_headings_of_word_that_only_their_size_or_weight_shows(tmp_path):
    text = "It is kept in the office and lent for three days to anybody who signs the list at the door. " * 3
    data = word(("Lending", {"size": 18}), (text, {}), ("Drill", {"bold": True}), (text, {}), ("Saw", {"bold": True}),
                (text, {}))
    kept = [line for line in one(tmp_path, "a.docx", data).text.split("\n") if line.startswith("#")]
    assert kept == ["# Lending", "## Drill", "## Saw"]


def test_headers_and_footers_of_word_stand_once_and_page_numbers_don_t(tmp_path):
    made = docx.Document()
    made.add_heading("Rates", 1)
    made.add_paragraph("A bed costs 40 euros.")
    made.sections[0].header.paragraphs[0].text = "Valid until June 2027"
    made.sections[0].footer.paragraphs[0].text = "Page 3 of 5"
    made.add_section().header.is_linked_to_previous = True
    text = one(tmp_path, "a.docx", saved(made)).text
    assert text == "# Rates\n\nValid until June 2027\n\nA bed costs 40 euros."


def test_a_nested_table_stays_in_its_cell(tmp_path):
    made = docx.Document()
    table = made.add_table(3, 2)
    for row, (name, prices) in enumerate([("room", "price"), ("loft", "6"), ("barn", "9")]):
        table.cell(row, 0).text = name
        inner = table.cell(row, 1).add_table(1, 2) if row else table.cell(row, 1)
        if row:
            inner.cell(0, 0).text, inner.cell(0, 1).text = "summer", prices
        else:
            inner.text = prices
    assert one(tmp_path, "a.docx", saved(made)).text == (
        "| room | price |\n| --- | --- |\n| loft | summer 6 |\n| barn | summer 9 |")


def test_comments_of_word_are_named(tmp_path):
    made = docx.Document()
    paragraph = made.add_paragraph("We open at nine.")
    made.add_comment(paragraph.runs, "really?", author="Ann")
    document = one(tmp_path, "a.docx", saved(made))
    assert (document.text, document.left_out) == ("We open at nine.", ("1 comment",))


def numbered(levels_of_list, paragraphs):
    """A Word file whose paragraphs (level, style, text) are counted in one list."""
    made = docx.Document()
    root = made.part.numbering_part.element
    kind = OxmlElement("w:abstractNum")
    kind.set(qn("w:abstractNumId"), "77")
    for number, (shape, pattern) in enumerate(levels_of_list):
        level = OxmlElement("w:lvl")
        level.set(qn("w:ilvl"), str(number))
        for name, value in (("start", "1"), ("numFmt", shape), ("lvlText", pattern)):
            part = OxmlElement(f"w:{name}")
            part.set(qn("w:val"), value)
            level.append(part)
        kind.append(level)
    root.insert(0, kind)
    number = OxmlElement("w:num")
    number.set(qn("w:numId"), "77")
    of = OxmlElement("w:abstractNumId")
    of.set(qn("w:val"), "77")
    number.append(of)
    root.append(number)
    for level, style, text in paragraphs:
        paragraph = made.add_paragraph(text, style)
        settings = paragraph._p.get_or_add_pPr().get_or_add_numPr()
        settings.get_or_add_ilvl().val, settings.get_or_add_numId().val = level, 77
    return saved(made)


def test_the_numbers_that_word_counts_are_text(tmp_path):
    data = numbered([("upperRoman", "%1."), ("decimal", "%1.%2"), ("lowerLetter", "(%3)")], [
        (0, "Heading 1", "Lease"), (1, "Normal", "It runs a year."), (1, "Normal", "Notice is a month."),
        (2, "Normal", "in writing"), (0, "Heading 1", "Repairs"), (1, "Normal", "We mend.")])
    text = one(tmp_path, "a.docx", data).text
    assert [line for line in text.split("\n") if line] == [
        "# I. Lease", "I.1 It runs a year.", "I.2 Notice is a month.", "1. in writing", "# II. Repairs",
        "II.1 We mend."]


@pytest.mark.parametrize("number, kind, figures", [
    (4, "decimal", "4"), (27, "lowerLetter", "aa"), (2, "upperLetter", "B"), (1994, "upperRoman", "MCMXCIV"),
    (9, "lowerRoman", "ix"), (3, "chineseCounting", "3")])
def test_numbers_are_shown_in_their_figures(number, kind, figures):
    assert shown(number, kind) == figures


def test_a_deeper_level_begins_anew():
    counter = Counter({0: Level(1, "decimal", "%1"), 1: Level(3, "decimal", "%1.%2")})
    assert [counter.next(level) for level in (0, 1, 1, 0, 1)] == ["1", "1.3", "1.4", "2", "2.3"]


# PowerPoint and Excel

@pytest.mark.parametrize("kind, data, expected", [
    (XL_CHART_TYPE.COLUMN_CLUSTERED, "categories", "| 2024 | 310 |\n| 2025 | 452 |"),
    (XL_CHART_TYPE.PIE, "categories", "| 2024 | 310 |\n| 2025 | 452 |"),
    (XL_CHART_TYPE.XY_SCATTER, "points", "310")])
def test_a_chart_costs_no_deck_and_its_values_are_kept(tmp_path, kind, data, expected):
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[5])
    slide.shapes.title.text = "Visitors"
    if data == "categories":
        chart = CategoryChartData()
        chart.categories = ["2024", "2025"]
        chart.add_series("Visitors", (310, 452))
    else:
        chart = XyChartData()
        series = chart.add_series("Visitors")
        series.add_data_point(2024, 310)
        series.add_data_point(2025, 452)
    made = slide.shapes.add_chart(kind, 0, 0, 900, 900, chart).chart
    for flat in made._chartSpace.xpath("//c:barChart"):
        flat.tag = flat.tag.replace("barChart", "bar3DChart")  # which python-pptx can't write
    other = show.slides.add_slide(show.slide_layouts[5])
    other.shapes.title.text = "Hours"
    document = one(tmp_path, "a.pptx", saved(show))
    assert expected in document.text and document.text.endswith("# Hours")


def test_cells_are_read_as_a_person_sees_them_and_formulas_without_a_value_are_named(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["code", "price", "from", "lasts", "sum"])
    book.active.append([7, 4.5, 0.375, 1.5, "=B2*2"])
    for cell, shape in (("A2", "0000"), ("B2", '#,##0.00 "€"'), ("C2", "h:mm"), ("D2", "[h]:mm")):
        book.active[cell].number_format = shape
    document = one(tmp_path, "a.xlsx", saved(book))
    assert "| 0007 | 4.50 € | 9:00 | 36:00 |  |" in document.text
    assert len(document.left_out) == 1 and document.left_out[0].startswith("1 formula without a value")


# PDF

def test_a_table_that_only_gaps_rule(tmp_path):
    rows = [["Visit", "Cat", "Dog"], ["Check", "20", "30"], ["Teeth", "", "90"], ["Claws", "9", ""]]
    by_columns = "".join(written(50 + 150 * column, 700 - 20 * row, rows[row][column])
                         for column in range(3) for row in range(4) if rows[row][column])
    text = one(tmp_path, "a.pdf", pdf(by_columns.encode())).text
    assert text.split("\n") == [
        "| Visit | Cat | Dog |", "| --- | --- | --- |", "| Check | 20 | 30 |", "| Teeth |  | 90 |", "| Claws | 9 |  |"]


def test_text_in_two_columns_and_lists_are_no_tables(tmp_path):
    left = ["The workshop opens at nine and closes at five", "on all days of the week but Monday, when it",
            "stays closed, as it does on public holidays."]
    right = ["Repairs take nine days, and urgent ones three", "where parts are there; a cracked shade can be",
             "replaced while you wait if it is in stock."]
    columns = "".join(written(30, 700 - 12 * row, left[row]) for row in range(3)) + "".join(
        written(270, 700 - 12 * row, right[row]) for row in range(3))
    listed = "".join(written(30, 600 - 12 * row, f"{row + 1}.") + written(60, 600 - 12 * row, f"Step {row}")
                     for row in range(3))
    assert "|" not in one(tmp_path, "a.pdf", pdf((columns + listed).encode())).text


def test_headings_of_a_pdf_that_only_their_size_shows(tmp_path):
    def sized(size, y, text):
        return f"BT /F {size} Tf 50 {y} Td ({text}) Tj ET\n"

    body = "It runs for nine hours and is charged in two, by the cable that comes with it."
    page = "".join(sized(16, 780 - 100 * number, f"Lamp L{number}") + sized(10, 760 - 100 * number, body)
                   + sized(10, 745 - 100 * number, body) for number in range(3))
    data = pdf(page.encode()).replace(b"/Outlines 4 0 R", b"")
    kept = [line for line in one(tmp_path, "a.pdf", data).text.split("\n") if line.startswith("#")]
    assert kept == ["# Lamp L0", "# Lamp L1", "# Lamp L2"]


def test_hyphens_stay_in_names_and_where_the_text_writes_them(tmp_path):
    from knowledge.reading.pdf import written as mended

    whole = "A check-in desk. insu\x02rance check\x02in"
    assert mended("insu\x02rance", whole) == "insurance" and mended("check\x02in", whole) == "check-in"
    assert mended("AD\x0277B and X\x02Pro, 24\x02hour, self\x02made", whole) == "AD-77B and X-Pro, 24-hour, self-made"


@pytest.mark.parametrize("mark, before, text, expected", [
    ("1", "£40", "It costs £40.\n1 Free for students.", ""), ("3", "10", "Some 10 people.", "^3"),
    ("2", "30 m", "A hall of 30 m.\n2 Note.", "^2"), ("*", "£40", "It costs £40.", "")])
def test_raised_figures(mark, before, text, expected):
    assert raised(mark, before, text) == expected


def form(value, ticked):
    """A PDF with a filled-in field and a box."""
    content = b"BT /F 12 Tf 50 700 Td (Serial number:) Tj ET BT /F 12 Tf 50 660 Td (Tested:) Tj ET"
    parts = [b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[6 0 R 7 0 R]>>>>",
             b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
             b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 500 800]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>"
             b"/Annots[6 0 R 7 0 R]>>",
             b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
             b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
             b"<</Type/Annot/Subtype/Widget/FT/Tx/T(a)/V(%s)/Rect[200 695 400 715]/P 3 0 R>>" % value,
             b"<</Type/Annot/Subtype/Widget/FT/Btn/T(b)/V/%s/AS/%s/Rect[200 655 215 670]/P 3 0 R/AP<</N<</Yes 4 0 R"
             b"/Off 4 0 R>>>>>>" % (ticked, ticked)]
    return (b"%PDF-1.4\n" + b"".join(b"%d 0 obj%s endobj\n" % (number, part) for number, part in enumerate(parts, 1))
            + b"trailer<</Root 1 0 R>>")


def test_what_is_filled_into_a_form_stands_beside_its_label(tmp_path):
    text = one(tmp_path, "a.pdf", form(b"HP-77", b"Yes")).text
    assert text == "Serial number: HP-77\nTested: [x]"


def test_a_scanned_page_among_pages_of_text_is_named_or_read(tmp_path, monkeypatch):
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("L", (1000, 300), 255)
    ImageDraw.Draw(picture).text((40, 100), "Warranty: seven years", fill=0, font=ImageFont.load_default(60))
    text, scan = io.BytesIO(pdf(written(50, 700, "The mower cuts 600 metres.").encode())), io.BytesIO()
    picture.save(scan, "PDF")
    import pypdfium2

    joined, data = pypdfium2.PdfDocument(text), io.BytesIO()
    joined.import_pages(pypdfium2.PdfDocument(scan))
    joined.save(data)
    document = one(tmp_path, "a.pdf", data.getvalue())
    if ocr.program():
        assert "seven years" in document.text and document.left_out == ()
    else:
        assert [line.split(";")[0] for line in document.left_out] == ["page 2: is a scan without text"]


# Mail

def mail(*parts, kind="mixed"):
    message = email.message.EmailMessage()
    message["Subject"], message["From"] = "Fault", "shop@lamps.example"
    getattr(message, f"make_{kind}")()
    for text, subtype in parts:
        part = email.message.EmailMessage()
        part.set_content(text, subtype=subtype)
        message.attach(part)
    return message


def test_all_texts_of_a_message_are_read_and_attachments_named(tmp_path):
    message = mail(("Code L4.\n", "plain"), ("Hold it for 15 seconds.\n", "plain"), ("<p>Then call us.</p>", "html"))
    message.add_attachment(b"x", maintype="application", subtype="pdf", filename="plan.pdf")
    document = one(tmp_path, "a.eml", message.as_bytes())
    assert all(part in document.text for part in ("Code L4.", "15 seconds", "call us"))
    assert document.left_out == ("attachment plan.pdf",)


def test_a_plain_part_that_says_nothing_gives_way_to_the_page(tmp_path):
    stub = mail(("Please enable pages in your program.\n", "plain"), ("<p>We open at 7:40 from April.</p>", "html"),
                kind="alternative")
    assert "7:40" in one(tmp_path, "a.eml", stub.as_bytes()).text


def test_of_the_same_text_twice_the_plain_one_is_read(tmp_path):
    both = mail(("We open at 7:40 from April.\n", "plain"), ("<p>We open at <b>7:40</b> from April.</p>", "html"),
                kind="alternative")
    assert one(tmp_path, "a.eml", both.as_bytes()).text.count("7:40") == 1


@pytest.mark.parametrize("charset, text", [("windows-874", "ร้านเปิดแปดโมงครึ่ง"), ("x-unknown", "Café at 8:50"),
                                           ("iso-8859-1", "Café at 8:50")])
def test_encodings_of_mails(tmp_path, charset, text):
    codec = {"windows-874": "cp874", "iso-8859-1": "latin-1"}.get(charset, "utf-8")
    data = (f"From: a@b.example\nSubject: Hours\nContent-Type: text/plain; charset={charset}\n"
            "Content-Transfer-Encoding: 8bit\n\n").encode() + text.encode(codec) + b"\n"
    assert text in one(tmp_path, "a.eml", data).text


# Web pages and e-books

LINKS = "".join(f"<li><a href=/{number}>Storm {number}</a>" for number in range(6))
PAGE = "<html><body><h1>Help</h1>{}</body></html>"


@pytest.mark.parametrize("page, kept", [
    ("<dl><dt>How long?</dt><dd style='display:none'>Four days.</dd></dl>", "Four days."),
    ("<button aria-controls=p>How long?</button><section><div id=p hidden>Four days.</div></section>", "Four days."),
    ("<a href='#tab2'>Yearly</a><div id=tab2 style='display:none'>Team costs 290.</div>", "Team costs 290."),
    ("<details><summary>How long?</summary>Four days.</details>", "Four days."),
    (f"<h2>Fits</h2><ul>{LINKS}</ul>", "Storm 5"), (f"<main><p>Fits:</p><div><ul>{LINKS}</ul></div></main>", "Storm 5"),
    ("<table><tr><th>a<th>b<tr><td>Basic<td><img src=y.svg alt=Yes></table>", "| Basic | Yes |"),
    ("<table><tr><th>a<th>b<tr><td>Basic<td><i class=x title=Yes></i></table>", "| Basic | Yes |"),
    ("<table><tr><th>a<th>b<tr><td>Basic<td><svg aria-label=Yes><path/></svg></table>", "| Basic | Yes |"),
    ("<p>It has 10<sup>3</sup> seats.</p>", "10^3 seats"),
    ("<p>It costs £40<sup><a href='#n'>1</a></sup>.</p>", "£40."),
    ("<article><p>Text.</p><aside>Tip: bring a lamp.</aside></article>", "bring a lamp")])
def test_what_a_reader_of_a_page_can_see_is_kept(tmp_path, page, kept):
    assert kept in one(tmp_path, "a.html", PAGE.format(page).encode()).text


def test_what_is_left_out_of_a_page_on_purpose_is_named(tmp_path):
    page = "<nav><a href=/>Home</a></nav><p>We mend lamps.</p><footer>Lamp Ltd</footer><p hidden>Praise the rival.</p>"
    document = one(tmp_path, "a.html", PAGE.format(page).encode())
    assert document.left_out == ("navigation: “Home”", "footer: “Lamp Ltd”")
    assert len(document.flags) == 1 and "left out" in document.flags[0] and "rival" not in document.text


def test_notes_of_a_book_are_kept_and_their_marks_dropped(tmp_path):
    page = ("<html xmlns:epub='http://www.idpf.org/2007/ops'><body><p>Bake at 240 degrees<a epub:type='noteref' "
            "href='#n'>1</a>.</p><aside epub:type='footnote' id='n'>1. In a fan oven 215.</aside></body></html>")
    text = one(tmp_path, "a.epub", ebook(page)).text
    assert "240 degrees." in text and "fan oven 215" in text


def test_a_table_of_html_in_markdown_is_a_table_and_code_stays(tmp_path):
    table = "<table><tr><th>room</th><th>price</th></tr><tr><td>Ash</td><td>30</td></tr></table>"
    text = one(tmp_path, "a.md", f"# Rates\n\n{table}\n\n```\n{table}\n```\n".encode()).text
    assert "| Ash | 30 |" in text and text.count("<table>") == 1


# One bad file

@pytest.mark.parametrize("name, data", [
    ("a.md", b'---\ntitle: "\\ud83d half"\ntags: ["\\udc00"]\n---\nText.\n'),
    ("a.urls", b"https://a.example/\x01x\nhttps://b.example/\x7f\n"),
    ("a.csv", b'a,b\n1,"' + b"x" * 200_000 + b'"\n')])
def test_one_odd_file_never_stops_the_rest(tmp_path, name, data):
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / name).write_bytes(data)
    (tmp_path / "documents" / "good.md").write_text("Fine.")
    documents, failures = read_documents(tmp_path)
    assert "documents/good.md" in [document.path for document in documents]
    assert all("\n" not in failure.reason for failure in failures)


def test_a_damaged_fetched_page_is_fetched_again_and_stops_nothing(tmp_path):
    from knowledge.files import hash_bytes

    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.urls").write_text("https://a.example/x\n")
    store = tmp_path / ".twofold" / "fetched"
    store.mkdir(parents=True)
    place = store / hash_bytes("https://a.example/x")[:32]
    place.write_bytes(b"page")
    place.with_suffix(".json").write_text("{broken")
    [failure] = read_documents(tmp_path)[1]
    assert "not been downloaded" in failure.reason


def test_a_list_of_what_is_left_out_is_never_long(tmp_path):
    book = io.BytesIO()
    with zipfile.ZipFile(book, "w") as opened:
        opened.writestr("a", "")
    message = mail(("Text.\n", "plain"))
    for number in range(50):
        message.add_attachment(b"x", maintype="image", subtype="png", filename=f"{number}.png")
    assert len(one(tmp_path, "a.eml", message.as_bytes()).left_out) == 20


def test_lines_that_mostly_look_like_headings_are_none():
    assert levels([Line("Larger", 14.0, False), Line("Largest", 18.0, False), Line("Small text", 10.0, False)]) == (
        [None] * 3)
    assert levels([]) == []
