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
    ("a.csv", b"size,price\nS,5\n", "size: S\nprice: 5\n"),
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
