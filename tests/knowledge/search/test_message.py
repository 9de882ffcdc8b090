"""Messages as people write them: letters, typos, several questions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.reading.documents import Document
from knowledge.search import answerable, index
from knowledge.search.message import Spelling, bare, questions
from knowledge.search.retriever import Retriever
from tests.fakes import LetterEncoder

ASKED = "How long does a repair take?"


@pytest.mark.parametrize("message", [
    ASKED, f"Hello, {ASKED}", f"Dear team,\n\n{ASKED}\n\nKind regards\nPat Miller", f"Hi there! {ASKED} Thanks!",
    f"Good morning,\nI hope you are well. {ASKED} Many thanks in advance.\nPat", f"A quick question: {ASKED}",
    f"Dear Sirs,\n\n{ASKED}\n\nMany thanks and kind regards\nPat Miller", f"{ASKED}\n\nThanks\npat",
    f"Hey,\n{ASKED}\nThank you so much, looking forward to your reply.\nBest wishes,\nPat M. Miller"])
def test_politeness_is_no_part_of_a_question(message):
    assert bare(message) == ASKED and questions(message) == [ASKED]


@pytest.mark.parametrize("message", ["Thanks!", "Hello", "Kind regards", "Hi Dear"])
def test_a_message_of_politeness_alone_stays(message):
    assert questions(message) == [message]


@pytest.mark.parametrize("message, parts", [
    (f"{ASKED} And do you sell gift cards?", [ASKED, "And do you sell gift cards?"]),
    ("My lamp is from 1960. Can you mend it? It is of brass. What does that cost? No hurry.",
     ["My lamp is from 1960. Can you mend it?", "It is of brass. What does that cost? No hurry."]),
    ("I want to send a lamp back", ["I want to send a lamp back"])])
def test_each_question_is_one_with_what_stands_before_it(message, parts):
    assert questions(message) == parts


@given(st.text(max_size=80))
def test_no_message_becomes_nothing(message):
    parts = questions(message)
    assert parts and len(parts) <= 4
    assert all(part in message or " " in part for part in parts) or not message.strip()


def spelling(known=()):
    return Spelling({"repair": 3, "umbrella": 9, "umbrellas": 1, "ferrule": 2, "of": 5}, known.__contains__,
                    ["what", "how", "does"])


@pytest.mark.parametrize("text, mended", [
    ("Waht does a reapir of my umbrela cost?", "Waht does a repair of my umbrella cost?"),
    ("ferule, FERRUL and ferrrule", "ferrule, ferrule and ferrule"), ("The umbrllea's tip", "The umbrllea's tip"),
    ("repair umbrellas", "repair umbrellas"), ("xyzzy ab 12345 AD-77B", "xyzzy ab 12345 AD-77B")])
def test_typos_become_the_nearest_word_of_the_index(text, mended):
    assert spelling().mended(text) == mended


def test_a_word_that_is_known_elsewhere_is_no_typo():
    assert spelling({"repaid"}).mended("I repaid it") == "I repaid it"
    assert spelling().mended("I repaid it") == "I repair it"


class PiecesEncoder(LetterEncoder):
    """Knows no word as one token, so that a word which the index lacks may be a typo."""

    def count(self, text):
        return 2 * len(text.split())


@pytest.fixture(scope="module")
def retriever(tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    topics = ["Repairs take nine days.", "Returns are free within thirty days.", "The shop opens at eight.",
              "Covers are washed with olive soap.", "Handles are made from cherry wood.", "Classes begin in October.",
              "Frames carry eight steel ribs.", "Parcels travel by tram.", "Moths hate cedar rings.",
              "The founder was called Matilda."]
    documents = [Document(f"documents/{number}.md", f"# Topic {number}\n\n{text}\n", (), str(number))
                 for number, text in enumerate(topics)]
    index.build(documents, [], PiecesEncoder(), folder)
    opened = index.Index.open(folder, PiecesEncoder())
    learned = answerable.fit(opened)
    return Retriever(opened, learned)


def test_typos_find_what_the_right_word_finds(retriever):
    right = retriever.find("Who washes covers with olive soap?")
    wrong = retriever.find("Who washes covrs with oliev soap?")
    assert wrong.found[0].number == right.found[0].number and wrong.probability == pytest.approx(right.probability)
    assert wrong.searched == ("Who washes covers with olive soap?",)


def test_each_question_of_a_message_is_searched(retriever):
    finding = retriever.find("Which soap washes covers? What wood are handles made from?")
    assert {hit.number for hit in finding.found[:2]} == {3, 4}
    assert len(finding.searched) == 2
    assert set(finding.answered) | set(finding.unanswered) <= {"Which soap washes covers?",
                                                               "What wood are handles made from?"}


def test_a_short_question_leans_on_the_one_before_it_in_the_message(retriever):
    finding = retriever.find("Which soap washes covers? And handles?")
    assert finding.searched[1] == "Which soap washes covers? And handles?"
