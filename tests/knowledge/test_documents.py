"""Each format becomes text with headings; a bad file is a line in the report and stops nothing."""

import io

import docx
import pytest

from knowledge.documents import read_documents


def word(text):
    made, data = docx.Document(), io.BytesIO()
    made.add_heading("Returns", 1)
    made.add_paragraph(text)
    made.save(data)
    return data.getvalue()


@pytest.mark.parametrize("name, data, expected", [
    ("a.md", b"# Returns\r\n\r\nIn 30 days.", "# Returns\n\nIn 30 days."),
    ("a.txt", "caf\u00e9".encode("utf-8-sig"), "café"),
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


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "secret.md").write_text("secret")
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "link.md").symlink_to(tmp_path / "secret.md")
    (tmp_path / "documents" / "round").symlink_to(tmp_path / "documents")
    assert read_documents(tmp_path) == ([], [])


def test_no_folder_is_no_documents(tmp_path):
    assert read_documents(tmp_path) == ([], [])


def test_a_web_page_is_read_without_its_navigation_and_link_targets(tmp_path):
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "page.html").write_text(
        "<nav><a href='/'>Home of everything</a></nav><div class='toc'>All chapters</div>"
        "<h1>Caf\u00e9 hours</h1><p>Open late, see <a href='https://a.example/x' title='t'>our calendar</a>.</p>")
    documents, failures = read_documents(tmp_path)
    assert failures == [] and documents[0].text.strip() == "# Caf\u00e9 hours\n\nOpen late, see our calendar."


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
    import openpyxl

    book, data = openpyxl.Workbook(), io.BytesIO()
    book.active.title = "Prices"
    for row in (("part", "price"), ("rib", 4), ("cap", None)):
        book.active.append(row)
    book.save(data)
    text = one(tmp_path, "a.xlsx", data.getvalue()).text
    assert "## Prices" in text and "| part | price |" in text and "| rib | 4" in text and "NaN" not in text


def test_slides_are_sections(tmp_path):
    import pptx

    show, data = pptx.Presentation(), io.BytesIO()
    slide = show.slides.add_slide(show.slide_layouts[1])
    slide.shapes.title.text, slide.placeholders[1].text = "Returns", "Within thirty days."
    show.save(data)
    assert one(tmp_path, "a.pptx", data.getvalue()).text.split() == ["#", "Returns", "Within", "thirty", "days."]


def test_a_message_is_headed_by_its_subject(tmp_path):
    data = (b"From: Ann <ann@shop.example>\nSubject: =?utf-8?q?Caf=C3=A9_hours?=\n"
            b"Date: Tue, 03 Mar 2026 10:00:00 +0000\nContent-Type: text/plain; charset=utf-8\n\nOpen late.\n")
    document = one(tmp_path, "a.eml", data)
    assert document.text.startswith("# Café hours\n") and "Open late." in document.text
    assert (document.title, document.date) == ("Café hours", "2026-03-03")


def test_a_book_is_read(tmp_path):
    import zipfile

    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as book:
        book.writestr("mimetype", "application/epub+zip")
        book.writestr("META-INF/container.xml", '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
                      '<rootfiles><rootfile full-path="book.opf"/></rootfiles></container>')
        book.writestr("book.opf", '<package xmlns="http://www.idpf.org/2007/opf"><metadata '
                      'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Lamps</dc:title></metadata><manifest>'
                      '<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest><spine>'
                      '<itemref idref="a"/></spine></package>')
        book.writestr("a.xhtml", "<html><body><h1>Care</h1><p>Dust them weekly.</p></body></html>")
    assert "# Care" in (text := one(tmp_path, "a.epub", data.getvalue()).text) and "Dust them weekly." in text


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
    monkeypatch.setattr("knowledge.conversion.Converter.convert", None)
    assert read_documents(tmp_path)[0] == [first]
    for kept in (tmp_path / ".twofold" / "documents").iterdir():
        kept.write_text("{broken")
    monkeypatch.undo()
    assert read_documents(tmp_path)[0] == [first]
