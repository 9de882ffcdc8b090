"""Documents that can't be read, hide text or stand twice; questions that no document can answer as they are keyed."""

from collections.abc import Iterator

from builder.curation.audit.finding import INVENTS, KNOW, PROOF, QUESTIONS, Finding, Material
from builder.scoring.text import places
from knowledge.reading.documents import Failure


def check(material: Material) -> Iterator[Finding]:
    """Everything about the documents, and the questions held against them."""
    yield from map(_unread, material.failures)
    first: dict[str, str] = {}
    for document in material.documents:
        for flag in document.flags:
            yield Finding("hidden text", document.path, None, "warning", flag, "remove it, unless you wrote it",
                          INVENTS)
        for line in document.left_out:
            yield Finding("left out of a document", document.path, None, "note", line,
                          "look whether an answer needs it; then put it into the text", KNOW)
        if document.sha256 in first:
            yield Finding("duplicate document", document.path, None, "note",
                          f"is a copy of {first[document.sha256]}, so "
                          "both take a place among the passages found", "remove one of them", KNOW)
        first.setdefault(document.sha256, document.path)
    yield from _judged(material)


def _unread(failure: Failure) -> Finding:
    """A document that can't be read; most reasons say themselves what to do."""
    message, _, advice = failure.reason.rpartition("; ")
    return Finding("unreadable document", failure.document, None, "warning", message or advice,
                   advice if message else "repair the file, or remove it", INVENTS)


def _judged(material: Material) -> Iterator[Finding]:
    """Keyed facts that no document holds: no assistant could earn them."""
    texts = {document.path: document.text for document in material.documents}
    whole = "\n\n".join(texts.values())
    for question in material.questions:
        if question.source and question.source not in texts:
            yield Finding("unknown source", QUESTIONS, question.line, "warning",
                          f"{question.source} is not a readable document", "correct the source", PROOF)
        elif question.offset is not None and question.source and question.offset >= len(texts[question.source]):
            yield Finding("unknown source", QUESTIONS, question.line, "warning",
                          f"offset {question.offset} is beyond the end of {question.source}", "correct the offset",
                          PROOF)
        for fact in question.facts if question.answerable and material.documents else ():
            if not any(places(spelling, texts.get(question.source, whole)) for spelling in fact):
                shown = fact[0] if fact else ""
                yield Finding("fact not in the documents", QUESTIONS, question.line, "warning",
                              f"{shown!r} is not in {question.source or 'the documents'}",
                              "correct the fact, or add the spelling that the document uses", PROOF)
