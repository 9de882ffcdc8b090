import json

import pytest

from builder.audit import audit
from builder.workspace import Workspace


def add(path, row):
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def example(question, reply):
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]}


def kinds(folder):
    return {(one.kind, one.file, one.line): one for one in audit(Workspace(folder))}


def test_a_sound_workspace_has_only_to_grow(written):
    assert {one.kind for one in audit(Workspace(written))} == {"few examples", "few questions"}


@pytest.mark.parametrize(("row", "kind", "severity"), [
    (example("Well?", "No greeting here."), "example breaks the voice", "warning"),
    (example("Thank you so much!", "Hello! You are most welcome. Shine on!"), "duplicate example", "warning"),
    (example("Who?", "Hello! Write to anna.b@lamps.net today. Shine on!"), "personal data", "warning"),
    (example("Which card?", "Hello! It was 4111 1111 1111 1111, thanks. Shine on!"), "personal data", "warning")])
def test_a_bad_example_is_found_with_its_line(written, row, kind, severity):
    add(written / "examples.jsonl", row)
    assert kinds(written)[kind, "examples.jsonl", 11].severity == severity


def test_a_question_that_was_trained_on_is_an_error(written):
    add(written / "questions.jsonl", {"question": "How wide can linen shades be?"})
    assert kinds(written)["leak", "questions.jsonl", 5].severity == "error"


def test_a_fact_that_no_document_holds_is_found(written):
    add(written / "questions.jsonl", {"question": "What is the price?", "facts": ["99 crowns"]})
    add(written / "questions.jsonl", {"question": "And where?", "source": "documents/none.md"})
    found = kinds(written)
    assert ("fact not in the documents", "questions.jsonl", 5) in found
    assert ("unknown source", "questions.jsonl", 6) in found


def test_an_unreadable_document_is_found(written):
    (written / "documents" / "broken.pdf").write_bytes(b"%PDF-nonsense")
    assert ("unreadable document", "documents/broken.pdf", None) in kinds(written)


def test_missing_halves_are_said(written):
    (written / "examples.jsonl").unlink()
    assert ("no examples", "examples.jsonl", None) in kinds(written)
    (written / "documents" / "house.md").unlink()
    assert kinds(written)["nothing to build", "documents/", None].severity == "error"
