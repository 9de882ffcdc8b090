"""What is wrong with a workspace's data, before a minute is spent on training."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from builder.examples import Example, Question
from builder.scoring import places, plain
from builder.scoring.tone import habits, rules
from builder.workspace import Workspace
from knowledge.documents import Document, Failure, read_documents
from knowledge.words import stems

FEW_EXAMPLES, FEW_QUESTIONS = 50, 50
ALIKE = 0.8
"""The overlap of content words (Jaccard) from which two questions count as the same."""
SECRETS = {"an e-mail address": r"[\w.+-]+@(?![\w.-]*\bexample\b)[\w-]+\.[\w.-]+\w",  # .example is nobody's
           "a payment card number": r"\b(?:\d[ -]?){13,16}\b",
           "a key or token": r"\b(?:sk|pk|ghp|AKIA|xox[bp])[-_]?[A-Za-z0-9]{16,}\b"}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: an error spoils the result, a warning may, a note is worth knowing."""

    kind: str
    file: str
    line: int | None
    severity: str
    message: str
    next: str


def audit(workspace: Workspace) -> list[Finding]:
    """Everything wrong that can be seen without a model, the worst first; UserError where a file isn't readable."""
    documents, failures = read_documents(workspace.folder)
    examples, questions = workspace.examples, workspace.questions
    findings = [_unread(failure) for failure in failures]
    findings += [Finding("hidden text", document.path, None, "warning", flag, "remove it, unless you put it there")
                 for document in documents for flag in document.flags]
    findings += [*_missing(documents, examples, questions), *_voice(workspace, examples), *_duplicates(examples),
                 *_private(examples), *_leaks(examples, questions), *_judged(questions, documents)]
    order = ("error", "warning", "note")
    return sorted(findings, key=lambda one: (order.index(one.severity), one.file, one.line or 0))


def _unread(failure: Failure) -> Finding:
    """A document that can't be read; most reasons say themselves what to do."""
    message, _, advice = failure.reason.rpartition("; ")
    return Finding("unreadable document", failure.document, None, "warning", message or advice,
                   advice if message else "mend the file, or remove it")


def as_json(findings: list[Finding]) -> dict[str, Any]:
    """What `twofold audit --json` prints."""
    return {"findings": [asdict(one) for one in findings]}


def _missing(documents: list[Document], examples: list[Example], questions: list[Question]) -> Iterator[Finding]:
    if not documents and not examples:
        yield Finding("nothing to build", "documents/", None, "error", "there are neither documents nor examples",
                      "add files to documents/ or lines to examples.jsonl")
    elif not documents:
        yield Finding("no documents", "documents/", None, "warning", "nothing to retrieve: the assistant will invent",
                      "add what it should know to documents/")
    if not examples and documents:
        yield Finding("no examples", "examples.jsonl", None, "warning", "nothing to learn a voice from",
                      "add at least 50 questions with replies in the brand's voice")
    elif 0 < len(examples) < FEW_EXAMPLES:
        yield Finding("few examples", "examples.jsonl", None, "warning", f"{len(examples)} examples teach little",
                      f"add examples, to at least {FEW_EXAMPLES}")
    if len(questions) < FEW_QUESTIONS:
        yield Finding("few questions", "questions.jsonl", None, "warning" if questions else "note",
                      f"{len(questions)} questions show only large differences",
                      f"add questions, to at least {FEW_QUESTIONS}, some of which the documents can't answer")
    elif all(question.answerable for question in questions):
        yield Finding("no unanswerable question", "questions.jsonl", None, "warning",
                      "whether it abstains when it should is not judged",
                      'add questions that the documents can\'t answer, with "answerable": false')


def _voice(workspace: Workspace, examples: list[Example]) -> Iterator[Finding]:
    """Examples that break the voice they should teach."""
    learned = habits(examples)
    voice = workspace.brand.voice
    for example in examples:
        score = rules(example.reply, voice, learned, False)
        if score.value == 0:
            yield Finding("example breaks the voice", "examples.jsonl", example.line, "warning", score.evidence,
                          "mend the reply, or the rule in brand.yaml")
    abstention = rules(workspace.brand.abstain, voice, learned, False)
    if abstention.value == 0:
        yield Finding("abstention breaks the voice", "brand.yaml", None, "note", abstention.evidence,
                      "word `abstain` as the brand speaks")


def _duplicates(examples: list[Example]) -> Iterator[Finding]:
    first: dict[tuple[str, str], int] = {}
    replies = Counter(plain(example.reply) for example in examples)
    for example in examples:
        key = (plain(example.question), plain(example.reply))
        if key in first:
            yield Finding("duplicate example", "examples.jsonl", example.line, "warning",
                          f"says the same as line {first[key]}", "remove one of them")
        first.setdefault(key, example.line)
    for reply, count in replies.items():
        if count >= 4:
            line = next(one.line for one in examples if plain(one.reply) == reply)
            yield Finding("canned reply", "examples.jsonl", line, "note", f"{count} examples share one reply",
                          "vary the replies, or the model learns to say this always")


def _private(examples: list[Example]) -> Iterator[Finding]:
    for example in examples:
        for name, pattern in SECRETS.items():
            if re.search(pattern, f"{example.question}\n{example.reply}"):
                yield Finding("personal data", "examples.jsonl", example.line, "warning", f"holds {name}",
                              "remove it: a model may repeat what it was trained on")


def _leaks(examples: list[Example], questions: list[Question]) -> Iterator[Finding]:
    """Questions that judge and stand among the examples: what was trained on can't judge."""
    trained = [(set(stems(example.question)), example.line) for example in examples]
    for question in questions:
        for wording in (question.question, *question.paraphrases):
            asked = set(stems(wording))
            line = next((line for other, line in trained
                         if asked and len(asked & other) >= ALIKE * len(asked | other)), None)
            if line:
                yield Finding("leak", "questions.jsonl", question.line, "error",
                              f"asks what examples.jsonl:{line} trains on, so it can't judge",
                              "remove one of the two")
                break


def _judged(questions: list[Question], documents: list[Document]) -> Iterator[Finding]:
    """Keyed facts that no document holds: no assistant could earn them."""
    texts = {document.path: document.text for document in documents}
    whole = "\n\n".join(texts.values())
    seen: dict[str, int] = {}
    for question in questions:
        if question.source and question.source not in texts:
            yield Finding("unknown source", "questions.jsonl", question.line, "warning",
                          f"{question.source} is no readable document", "correct the source")
        for fact in question.facts if question.answerable and documents else ():
            if not any(places(spelling, texts.get(question.source, whole)) for spelling in fact):
                yield Finding("fact not in the documents", "questions.jsonl", question.line, "warning",
                              f"{fact[0]!r} stands nowhere in {question.source or 'the documents'}",
                              "correct the fact, or add the spelling that the document uses")
        key = plain(question.question)
        if key in seen:
            yield Finding("duplicate question", "questions.jsonl", question.line, "warning",
                          f"is line {seen[key]} again", "remove one of them")
        seen.setdefault(key, question.line)
