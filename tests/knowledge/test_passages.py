from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.documents import Document
from knowledge.passages import split


def count(text):
    return len(text.split())


def cut(text, most=20, pages=(), path="documents/care-guide.md"):
    return split(Document(path, text, pages, ""), count, most)


def test_a_heading_travels_with_its_text():
    passages = cut("# Shop\n\nOpen daily.\n\n## Delivery\n\nWithin two days.\n\n### Abroad\n\nWithin ten.\n\n"
                   "## Care\n\nWipe.")
    assert [(one.heading, one.text) for one in passages] == [
        ("Shop", "Open daily."), ("Shop > Delivery", "Within two days."), ("Shop > Delivery > Abroad", "Within ten."),
        ("Shop > Care", "Wipe.")]


def test_a_question_and_its_answer_stay_whole_up_to_twice_the_length():
    answer = " ".join(f"Sentence number {number} is here." for number in range(7))
    assert len(cut(f"## May I?\n\n{answer}")) == 1
    assert len(cut(f"## Rules\n\n{answer}")) == 2


def test_long_text_is_cut_at_sentences():
    text = " ".join(f"This is the sentence that carries number {number}." for number in range(12))
    assert all(one.text.endswith(".") for one in cut(text))


def test_a_short_rest_joins_the_passage_before():
    text = "\n\n".join(["one two three four five six seven eight nine ten"] * 2 + ["a tail."])
    assert [count(one.text) for one in cut(text)] == [22]


def test_a_hash_in_code_is_no_heading():
    assert [one.heading for one in cut("## Setup\n\n```\n# comment\nrun\n```\n")] == ["Setup"]


def test_a_document_without_headings_is_headed_by_its_name():
    assert cut("Just text.")[0].heading == "care guide"


def test_a_pdf_passage_knows_its_page():
    text = "First page text.\n\nSecond page text."
    passages = split(Document("documents/a.pdf", text, (0, 18), ""), count, 3)
    assert [one.page for one in passages] == [1, 2]


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab .?!\n#-`é", max_size=400), st.integers(3, 30))
def test_every_word_lands_in_one_passage_and_offsets_hold(text, most):
    document = Document("documents/x.md", text, (), "")
    passages = split(document, count, most)
    assert all(document.text[one.start:one.end] == one.text for one in passages)
    assert all(first.end <= then.start for first, then in zip(passages, passages[1:], strict=False))
    covered = {place for one in passages for place in range(one.start, one.end)}
    lines = [(start, line) for start, line in _lines(text) if not line.lstrip().startswith("#")]
    missing = [text[start + at] for start, line in lines for at, letter in enumerate(line)
               if not letter.isspace() and start + at not in covered]
    assert missing == []


def _lines(text):
    start = 0
    for line in text.split("\n"):
        yield start, line
        start += len(line) + 1
