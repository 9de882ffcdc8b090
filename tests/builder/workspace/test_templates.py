"""The built-in support bot: a workspace that works, and whose judging questions nothing gives away."""

import re
from functools import cache
from pathlib import Path

import pytest
from tokenizers import Tokenizer

import builder
from builder.model.prepare import prepared
from builder.model.prompt import render
from builder.scoring.facts import content_words
from builder.scoring.form import count_words
from builder.scoring.text import places, plain
from builder.workspace.examples import Example, Question
from builder.workspace.folder import Workspace
from knowledge.reading.documents import Document, read_documents
from knowledge.text.structure import blocks

SUPPORT = Path(builder.__file__).parent / "workspace" / "templates" / "support"
BRAND = Workspace(SUPPORT).brand
GREETING, FAREWELL = BRAND.voice.required


@cache
def examples() -> list[Example]:
    return Workspace(SUPPORT).examples


@cache
def questions() -> list[Question]:
    return Workspace(SUPPORT).questions


@cache
def documents() -> dict[str, Document]:
    read, failures = read_documents(SUPPORT)
    assert failures == []
    return {document.path: document for document in read}


def answerable() -> list[Question]:
    return [question for question in questions() if question.answerable]


def wordings(question: Question) -> tuple[str, ...]:
    return (question.question, *question.paraphrases)


def section_from(question: Question) -> str:
    """The source's text from the question's offset to the end of its section (700 characters where none is marked)."""
    text = documents()[question.source].text[question.offset :]
    return text[: next((block.start for block in blocks(text) if block.kind == "heading"), 700)]


def holds_all_facts(question: Question, text: str) -> bool:
    return all(any(places(spelling, text) for spelling in fact) for fact in question.facts)


def overlap(left: str, right: str) -> float:
    """Jaccard of content words; 0 for two texts without any."""
    one, other = set(content_words(left)), set(content_words(right))
    return len(one & other) / len(one | other) if one | other else 0.0


def test_it_has_the_promised_number_of_examples_and_questions():
    assert len(examples()) == 120
    assert len(answerable()) == 60
    assert len(questions()) == 80


def test_every_document_is_read_and_every_format_is_there():
    endings = {Path(path).suffix for path in documents()}
    assert endings == {".md", ".html", ".pdf", ".docx", ".csv", ".txt"}
    assert len(documents()) >= 12
    assert any(path.count("/") > 1 for path in documents()), "a folder within the folder shows that any depth is read"
    assert [len(document.pages) for document in documents().values() if document.pages] == [2]


def test_the_voice_is_short_enough_for_a_small_model():
    system = render(BRAND, "Hello", [])[0]["content"]
    tokenizer = Tokenizer.from_file(str(prepared().tokenizer))
    assert len(tokenizer.encode(system).ids) < 110


@pytest.mark.parametrize("text", [BRAND.abstain, *(example.reply for example in examples()),
                                  *(question.answer for question in answerable())])
def test_every_reply_keeps_the_rules_of_the_brand(text):
    assert text.startswith(GREETING)
    assert text.endswith(FAREWELL)
    assert not [phrase for phrase in BRAND.voice.banned if places(phrase, text)]
    assert count_words(text) <= BRAND.voice.words
    assert "umbrella" not in text.lower(), "the brand says brolly"


def test_no_two_replies_are_alike():
    bodies = [example.reply[len(GREETING) : -len(FAREWELL)] for example in examples()]
    pairs = [(one, other) for number, one in enumerate(bodies) for other in bodies[:number]]
    alike = [pair for pair in pairs if overlap(*pair) > 0.5]
    assert alike == []


@pytest.mark.parametrize("question", answerable(), ids=lambda question: f"line-{question.line}")
def test_the_facts_of_a_question_stand_in_its_section_and_in_its_answer(question):
    assert 1 <= len(question.facts) <= 3
    assert question.offset is not None
    first = documents()[question.source].text[question.offset :].split(maxsplit=1)[0]
    assert first[0].isupper() or first[0] == "£", "the offset is where a sentence starts"
    assert any(places(spelling, re.split(r"[.!?]\s", section_from(question))[0])
               for fact in question.facts for spelling in fact), "the sentence at the offset holds a fact"
    assert holds_all_facts(question, section_from(question))
    assert holds_all_facts(question, question.answer)


def test_the_questions_rest_on_every_document():
    assert {question.source for question in answerable()} == set(documents())


def test_every_question_has_two_other_wordings_and_none_is_said_twice():
    assert {len(question.paraphrases) for question in questions()} == {2}
    said = [plain(wording) for question in questions() for wording in wordings(question)]
    assert len(said) == len(set(said))


@pytest.mark.parametrize("question", answerable(), ids=lambda question: f"line-{question.line}")
def test_no_example_gives_a_judged_answer_away(question):
    bodies = [example.reply[len(GREETING) : -len(FAREWELL)] for example in examples()]
    assert [body for body in bodies if holds_all_facts(question, body)] == []


def test_no_example_asks_what_a_judging_question_asks():
    asked = [(example.question, wording) for example in examples() for question in questions()
             for wording in wordings(question)]
    assert [pair for pair in asked if plain(pair[0]) == plain(pair[1])] == []
    assert [pair for pair in asked if overlap(*pair) >= 0.6] == []


def test_no_document_holds_the_wording_of_an_unanswerable_question():
    everything = plain("\n".join(document.text for document in documents().values()))
    unanswerable = [wording for question in questions() if not question.answerable for wording in wordings(question)]
    assert len(unanswerable) == 60
    assert [wording for wording in unanswerable if plain(wording).rstrip("?.") in everything] == []
