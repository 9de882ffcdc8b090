"""Each format becomes text with headings; a bad file is a line in the report and stops nothing."""

import email.message
import io
import zipfile

import docx
import openpyxl
import pptx
import pytest

from knowledge.reading.documents import read_documents
from knowledge.search.passages import split


def word(text):
    made, data = docx.Document(), io.BytesIO()
    made.add_heading("Returns", 1)
    made.add_paragraph(text)
    made.save(data)
    return data.getvalue()


@pytest.mark.parametrize("name, data, expected", [
    ("a.md", b"# Returns\r\n\r\nIn 30 days.", "# Returns\n\nIn 30 days."),
    ("a.txt", "café".encode("utf-8-sig"), "café"),
    ("a.html", b"<h1>Returns</h1><p>In 30 days.<script>alert(1)</script></p>", "# Returns\n\nIn 30 days."),
    ("a.docx", word("In 30 days."), "# Returns\n\nIn 30 days."),
    ("a.csv", b'Question,Answer\n"How\nlong?",30 days.\n', "## How long?\n\n30 days.\n"),
    ("a.jsonl", b'{"question": "How long?", "answer": "30 days."}\n', "## How long?\n\n30 days.\n"),
    ("a.csv", b"size,price\nS,5\n", "| size | price |\n| --- | --- |\n| S | 5 |\n"),
])
def test_a_format_becomes_text_with_headings(tmp_path, name, data, expected):
    (tmp_path / "documents" / "deep").mkdir(parents=True)
    (tmp_path / "documents" / "deep" / name).write_bytes(data)
    [document], failures = read_documents(tmp_path)
    assert (document.path, document.text, failures) == (f"documents/deep/{name}", expected, [])


@pytest.mark.parametrize("name, data, reason", [
    ("a.md", b"", "no text"), ("a.md", b"a\0b", "NUL"), ("a.pdf", b"%PDF-1.4 cut", "damaged"),
    ("a.docx", b"PK no zip", "damaged"), ("a.jsonl", b'{"a": 1}\n{"b"', "line 2 is broken JSON"),
    ("a.exe", b"MZ", "not a known format"), ("a.jsonl", b"[1]", "line 1 is not a JSON object"),
])
def test_a_bad_file_is_reported_and_the_rest_is_read(tmp_path, name, data, reason):
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / name).write_bytes(data)
    (tmp_path / "documents" / "good.md").write_text("Fine.")
    documents, [failure] = read_documents(tmp_path)
    assert [document.path for document in documents] == ["documents/good.md"]
    assert reason in failure.reason and "\n" not in failure.reason and failure.document == f"documents/{name}"


def test_links_that_are_not_followed_are_named(tmp_path):
    (tmp_path / "secret.md").write_text("secret")
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "good.md").write_text("Fine.")
    (tmp_path / "documents" / "inside.md").symlink_to(tmp_path / "documents" / "good.md")
    (tmp_path / "documents" / "link.md").symlink_to(tmp_path / "secret.md")
    (tmp_path / "documents" / "none.md").symlink_to(tmp_path / "gone.md")
    (tmp_path / "documents" / "round").symlink_to(tmp_path / "documents")
    documents, failures = read_documents(tmp_path)
    assert [document.path for document in documents] == ["documents/good.md", "documents/inside.md"]
    assert [(failure.document, failure.reason.split(";")[0]) for failure in failures] == [
        ("documents/link.md", "is a link out of the folder"), ("documents/none.md", "is a link to a file that is not "
        "there"), ("documents/round", "is a link to a folder, whose files are not read")]


def test_no_folder_is_no_documents(tmp_path):
    assert read_documents(tmp_path) == ([], [])


def test_a_web_page_is_read_without_its_navigation_and_link_targets(tmp_path):
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "page.html").write_text(
        "<nav><a href='/'>Home of everything</a></nav><div class='toc'>All chapters</div>"
        "<h1>Café hours</h1><p>Open late, see <a href='https://a.example/x' title='t'>our calendar</a>.</p>")
    documents, failures = read_documents(tmp_path)
    assert failures == [] and documents[0].text.strip() == "# Café hours\n\nOpen late, see our calendar."


def one(tmp_path, name, data):
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / name).write_bytes(data)
    documents, failures = read_documents(tmp_path)
    assert failures == []
    return documents[0]


def test_front_matter_tells_about_a_document_and_is_no_text(tmp_path):
    front = "---\ntitle: Lamps\ndate: 2026-03-01\nlang: de\ntags: [price, Repair]\n---\n# Hours\n\nDaily.\n"
    document = one(tmp_path, "a.md", front.encode())
    assert (document.title, document.date, document.language, document.tags) == (
        "Lamps", "2026-03-01", "de", ("Repair", "price"))
    assert document.text == "# Hours\n\nDaily.\n"


@pytest.mark.parametrize("text, language", [
    ("The workshop mends lamps of any make, and a repair takes about nine days at our bench.", "en"),
    ("Die Werkstatt repariert Lampen aller Art, und eine Reparatur dauert bei uns etwa neun Tage.", "de"),
    ("Short.", "")])
def test_the_language_is_told(tmp_path, text, language):
    assert one(tmp_path, "a.txt", text.encode()).language == language


def test_a_workbook_keeps_its_tables(tmp_path):
    book, data = openpyxl.Workbook(), io.BytesIO()
    book.active.title = "Prices"
    for row in (("part", "price"), ("rib", 4), ("cap", None)):
        book.active.append(row)
    book.save(data)
    text = one(tmp_path, "a.xlsx", data.getvalue()).text
    assert "## Prices" in text and "| part | price |" in text and "| rib | 4" in text and "NaN" not in text


def test_slides_are_sections(tmp_path):
    show, data = pptx.Presentation(), io.BytesIO()
    slide = show.slides.add_slide(show.slide_layouts[1])
    slide.shapes.title.text, slide.placeholders[1].text = "Returns", "Within thirty days."
    show.save(data)
    assert one(tmp_path, "a.pptx", data.getvalue()).text.split() == ["#", "Returns", "-", "Within", "thirty", "days."]


def test_a_message_is_headed_by_its_subject(tmp_path):
    data = (b"From: Ann <ann@shop.example>\nSubject: =?utf-8?q?Caf=C3=A9_hours?=\n"
            b"Date: Tue, 03 Mar 2026 10:00:00 +0000\nContent-Type: text/plain; charset=utf-8\n\nOpen late.\n")
    document = one(tmp_path, "a.eml", data)
    assert document.text.startswith("# Café hours\n") and "Open late." in document.text
    assert (document.title, document.date) == ("Café hours", "2026-03-03")


def ebook(page):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as book:
        book.writestr("mimetype", "application/epub+zip")
        book.writestr("META-INF/container.xml", '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
                      '<rootfiles><rootfile full-path="book.opf"/></rootfiles></container>')
        book.writestr("book.opf", '<package xmlns="http://www.idpf.org/2007/opf"><metadata '
                      'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Lamps</dc:title></metadata><manifest>'
                      '<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest><spine>'
                      '<itemref idref="a"/></spine></package>')
        book.writestr("a.xhtml", page)
    return data.getvalue()


def test_a_book_is_read(tmp_path):
    book = one(tmp_path, "a.epub", ebook("<html><body><h1>Care</h1><p>Dust them weekly.</p></body></html>"))
    assert (book.title, book.text) == ("Lamps", "# Care\n\nDust them weekly.")


def test_another_encoding_is_told(tmp_path):
    text = "Die Öffnungszeiten der Werkstatt für Lampen sind täglich von neun bis fünf, außer an Feiertagen. " * 5
    assert one(tmp_path, "a.txt", text.encode("cp1252")).text.strip() == text.strip()


def test_a_scan_is_reported_as_such(tmp_path):
    import pypdfium2

    made, data = pypdfium2.PdfDocument.new(), io.BytesIO()
    made.new_page(200, 200)
    made.save(data)
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "scan.pdf").write_bytes(data.getvalue())
    assert "text recognition" in read_documents(tmp_path)[1][0].reason


def test_lists_of_links_are_no_text_but_links_in_text_are(tmp_path):
    links = "".join(f"<li><a href='/{number}'>Topic {number}</a></li>" for number in range(9))
    page = f"<div><ul>{links}</ul></div><h1>Hours</h1><p>Open <a href='x'>daily</a>.</p>"
    assert one(tmp_path, "a.html", page.encode()).text.strip() == "# Hours\n\nOpen daily."


def test_a_file_is_converted_once(tmp_path, monkeypatch):
    first = one(tmp_path, "a.html", b"<h1>Returns</h1>")
    monkeypatch.setattr("knowledge.reading.conversion.Converter.convert", None)
    assert read_documents(tmp_path)[0] == [first]
    for kept in (tmp_path / ".twofold" / "documents").iterdir():
        kept.write_text("{broken")
    monkeypatch.undo()
    assert read_documents(tmp_path)[0] == [first]


CAPTION = "Table 3: Prices of parts, with tax."
ROWS = [["part", "price", "delivery"], *([f"rib {number}", f"{number}.50", f"{number} days"] for number in range(60))]


def saved(made):
    data = io.BytesIO()
    made.save(data)
    return data.getvalue()


def web_table(caption):
    rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in ROWS)
    return f"<h1>Shop</h1><p>We mend.</p><table>{caption}{rows}</table><p>Welcome.</p>"


def word_table(style, below=False):
    made = docx.Document()
    made.add_paragraph("We mend.")
    if not below:
        made.add_paragraph(CAPTION, style)
    table = made.add_table(0, 3)
    for row in ROWS:
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    if below:
        made.add_paragraph(CAPTION, style)
    return saved(made)


def slide_table():
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[5])
    slide.shapes.title.text = CAPTION
    table = slide.shapes.add_table(len(ROWS), 3, 0, 0, 9000, 9000).table  # above the title
    for place, row in enumerate(ROWS):
        for column, text in enumerate(row):
            table.cell(place, column).text = text
    return saved(show)


def sheet_table():
    book = openpyxl.Workbook()
    book.active["B1"] = CAPTION
    book.active.merge_cells("B1:D1")
    for place, row in enumerate(ROWS):
        for column, text in enumerate(row):
            book.active.cell(place + 3, column + 2, text)
    return saved(book)


def mail_table():
    message = email.message.EmailMessage()
    message["Subject"] = "Prices"
    message.set_content("As a table, please.")
    message.add_alternative(web_table(f"<caption>{CAPTION}</caption>"), subtype="html")
    return message.as_bytes()


def pdf(*pages):
    """A PDF of pages that each draw with the given operators."""
    parts = [b"<</Type/Catalog/Pages 2 0 R/Outlines 4 0 R>>",
             b"<</Type/Pages/Kids[%s]/Count %d>>" % (b" ".join(b"%d 0 R" % (6 + 2 * number)
                                                     for number in range(len(pages))), len(pages)),
             b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>", b"<</First 5 0 R/Last 5 0 R/Count 1>>",
             b"<</Title(Spare parts)/Parent 4 0 R/Dest[6 0 R /Fit]>>"]
    for number, content in enumerate(pages):
        parts += [b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 500 800]/Contents %d 0 R/Resources<</Font<</F 3 0 R>>>>>>"
                  % (7 + 2 * number), b"<</Length %d>>stream\n%s\nendstream" % (len(content), content)]
    return (b"%PDF-1.4\n" + b"".join(b"%d 0 obj%s endobj\n" % (number, part) for number, part in enumerate(parts, 1))
            + b"trailer<</Root 1 0 R>>")


def written(x, y, text):
    return f"BT /F 9 Tf {x} {y} Td ({text}) Tj ET\n"


def ruled(rows, top):
    """Operators that draw a table whose every cell is a rectangle."""
    return "".join(f"{50 + 100 * column} {top - 20 * place} 100 20 re S\n"
                   + written(55 + 100 * column, top + 5 - 20 * place, text)
                   for place, row in enumerate(rows) for column, text in enumerate(row))


def pdf_table():
    foot = written(200, 20, "The lamp manual")
    return pdf((written(50, 780, "Spare parts") + written(50, 765, "We mend.") + written(50, 750, CAPTION)
                + ruled(ROWS[:34], 720) + foot + written(300, 20, "Page 1")).encode(),
               (ruled(ROWS[34:], 770) + foot + written(300, 20, "Page 2")).encode())


@pytest.mark.parametrize("name, data", [
    ("a.html", web_table(f"<caption>{CAPTION}</caption>").encode()),
    ("a.epub", ebook(web_table(f"<caption>{CAPTION}</caption>"))),
    ("above.docx", word_table("Caption")), ("below.docx", word_table("Caption", below=True)),
    ("typed.docx", word_table("Normal")), ("a.pptx", slide_table()), ("a.xlsx", sheet_table()),
    ("a.csv", "\n".join([f'"{CAPTION}"', "", *(",".join(row) for row in ROWS)]).encode()), ("a.eml", mail_table()),
    ("a.pdf", pdf_table())], ids=lambda value: value if isinstance(value, str) else "")
def test_each_piece_of_a_long_table_carries_its_caption_and_header_row(tmp_path, name, data):
    passages = split(one(tmp_path, name, data), lambda text: len(text.split()))
    pieces = [passage for passage in passages if "rib" in passage.text]
    assert len(pieces) > 3 and all("| part | price | delivery |" in piece.shown for piece in pieces)
    assert all(CAPTION.rstrip(".") in piece.indexed for piece in pieces)
    lines = [line for piece in pieces for line in piece.text.split("\n")]
    assert [line for line in lines if line.startswith("| rib")] == [f"| {' | '.join(row)} |" for row in ROWS[1:]]


def test_a_ruled_table_stands_at_its_place_on_its_page(tmp_path):
    page = (written(50, 780, "Spare parts") + written(50, 765, "Words above.") + ruled(
        [["part", "small", "large"], ["rib", "4", "5"]], 700) + written(50, 600, "Words below.")).encode()
    document = one(tmp_path, "a.pdf", pdf(page, b"100 100 50 50 re S\n" + written(50, 765, "Framed.").encode()))
    assert document.text == ("# Spare parts\n\nWords above.\n\n| part | small | large |\n| --- | --- | --- |\n"
                             "| rib | 4 | 5 |\n\nWords below.\n\nFramed.")
    assert document.text[document.pages[1]:] == "Framed."


def test_merged_cells_are_filled(tmp_path):
    rows = ("<tr><th rowspan=2>part</th><th colspan=2>price</th></tr><tr><th>small</th><th>large</th></tr>"
            "<tr><td rowspan=2>rib</td><td>4</td><td>a|b</td></tr><tr><td>5</td><td>6</td></tr>")
    assert one(tmp_path, "a.html", f"<table>{rows}</table>".encode()).text == (
        "| part | price small | price large |\n| --- | --- | --- |\n| rib | 4 | a\\|b |\n| rib | 5 | 6 |")


def test_a_sheet_may_hold_several_tables(tmp_path):
    book = openpyxl.Workbook()
    for row in (["part", None, "price"], ["rib", None, 4.5], [], ["cap", None, 0.5], [], ["Hours"], ["day", "hour"],
                ["Monday", 9]):
        book.active.append(row)
    book.active["C4"].number_format = "0%"
    assert one(tmp_path, "a.xlsx", saved(book)).text == (
        "## Sheet\n\n| part | price |\n| --- | --- |\n| rib | 4.5 |\n| cap | 50% |\n\nHours:\n\n"
        "| day | hour |\n| --- | --- |\n| Monday | 9 |")


def test_a_slide_without_a_title_is_no_part_of_the_one_before(tmp_path):
    show = pptx.Presentation()
    show.slides.add_slide(show.slide_layouts[5]).shapes.title.text = "Long\vtitle"
    show.slides.add_slide(show.slide_layouts[6]).shapes.add_textbox(0, 0, 9, 9).text_frame.text = "Words."
    assert one(tmp_path, "a.pptx", saved(show)).text == "# Long title\n\n# Slide 2\n\nWords."


def test_merged_cells_of_a_slide_are_filled(tmp_path):
    show = pptx.Presentation()
    table = show.slides.add_slide(show.slide_layouts[6]).shapes.add_table(4, 3, 0, 0, 9, 9).table
    for place, text in {(0, 0): "part", (0, 1): "price", (1, 1): "small", (1, 2): "large", (2, 0): "rib",
                        (2, 1): "4", (2, 2): "5", (3, 1): "6", (3, 2): "7"}.items():
        table.cell(*place).text = text
    for first, last in (((0, 0), (1, 0)), ((0, 1), (0, 2)), ((2, 0), (3, 0))):
        table.cell(*first).merge(table.cell(*last))
    assert one(tmp_path, "a.pptx", saved(show)).text == (
        "# Slide 1\n\n| part | price small | price large |\n| --- | --- | --- |\n| rib | 4 | 5 |\n| rib | 6 | 7 |")


def test_the_address_of_a_link_is_kept_where_its_words_say_nothing(tmp_path):
    page = b"<p>See <a href='https://a.example/x_y'>here</a> or <a href='https://a.example'>our list</a>.</p>"
    assert one(tmp_path, "a.html", page).text == "See [here](https://a.example/x_y) or our list."


@pytest.mark.parametrize("text, encoding", [
    ("café", "cp1252"), ("Öffnungszeiten: täglich, 5 €", "cp1252"), ("délais: été", "latin-1"),
    ("¿Cuánto cuesta? ¡Señor!", "cp1252"), ("営業時間は九時から五時まで", "shift_jis"),
    ("営業時間は九時から五時まで", "euc_jp"), ("Größe", "utf-16"), ("Größe", "utf-16-le"), ("Größe", "utf-16-be"),
    ("Часы работы ежедневно", "utf-16-le"), ("Часы работы ежедневно с девяти", "cp1251"), ("Größe", "utf-8-sig"),
    ("Części są dostępne w sklepie, a naprawa trwa około dziewięciu dni.", "cp1250")])
@pytest.mark.parametrize("ending", [".txt", ".md", ".csv", ".html"])
def test_encodings_are_detected(tmp_path, text, encoding, ending):
    made = {".csv": f"{text};2\na;1\n", ".html": f"<p>{text}</p>"}.get(ending, f"{text}\n")
    assert text in one(tmp_path, f"a{ending}", made.encode(encoding)).text


def test_a_web_page_may_say_its_encoding(tmp_path):
    page = "<meta charset=iso-8859-2><p>Łódź".encode("iso-8859-2")
    assert one(tmp_path, "a.html", page).text == "Łódź"


def test_one_broken_letter_makes_no_other_encoding(tmp_path):
    assert one(tmp_path, "a.txt", "Größe ".encode() * 20 + b"\xff").text.startswith("Größe Größe")
