import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from knowledge.reading.documents import Document
from knowledge.search.passages import split


def count(text):
    return len(text.split())


def cut(text, most=20, pages=(), path="documents/care-guide.md"):
    return split(Document(path, text, pages, ""), count, most)


def test_a_heading_travels_with_its_text():
    passages = cut("# Shop\n\nOpen daily.\n\n## Delivery\n\nWithin two days.\n\n### Abroad\n\nWithin ten.\n\n"
                   "## Care\n\nWipe.")
    assert [(passage.heading, passage.text) for passage in passages] == [
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
    assert [passage.page for passage in passages] == [1, 2]


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab .?!\n#-`é", max_size=400), st.integers(3, 30))
def test_every_word_lands_in_one_passage_and_offsets_hold(text, most):
    document = Document("documents/x.md", text, (), "")
    passages = split(document, count, most)
    assert all(document.text[passage.start:passage.end] == passage.text for passage in passages)
    assert all(first.end <= then.start for first, then in zip(passages, passages[1:], strict=False))
    kept = "\n".join(passage.indexed for passage in passages)
    assert [word for word in re.findall(r"[^\W_]+", text) if word not in kept] == []


def test_each_piece_of_a_table_carries_its_caption_and_header_row():
    rows = "".join(f"| part {number} | {number} pounds |\n" for number in range(12))
    passages = cut(f"## Prices\n\nWhat parts cost:\n\n| part | price |\n|---|---|\n{rows}", 30)
    assert len(passages) > 1
    assert all(passage.shown.startswith("What parts cost:\n") for passage in passages)
    assert all("| part | price |" in passage.shown for passage in passages)
    assert sum(passage.text.count("pounds") for passage in passages) == 12


def test_a_list_is_cut_between_its_items():
    items = "".join(f"- item {number} of the many that we keep\n" for number in range(10))
    passages = cut(f"We keep:\n\n{items}", 30)
    assert all(line.startswith("- item") for passage in passages for line in passage.text.splitlines() if line.strip()
               and not line.startswith("We keep"))
    assert all(passage.shown.startswith("We keep:") for passage in passages)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab .?!\n#-`|é", max_size=600), st.integers(5, 40), st.integers(20, 60))
@example("????????????????`    ?", 18, 20)
def test_no_passage_is_longer_than_the_encoder_reads(text, most, limit):
    letters = len  # the strictest count: every letter is a token
    passages = split(Document("documents/x.md", text, (), ""), letters, most, limit)
    assert all(letters(passage.indexed) <= limit + 3 for passage in passages)


def test_a_word_without_end_and_a_heading_without_end_are_cut():
    passages = split(Document("documents/x.md", f"# {'long ' * 39}\n\n{'x' * 5000}", (), ""), len, 50, 100)
    assert all(len(passage.indexed) <= 102 for passage in passages)
    assert sum(len(passage.text) for passage in passages) == 5000
