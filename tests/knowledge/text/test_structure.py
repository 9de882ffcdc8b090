from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.text.sentences import sentences
from knowledge.text.structure import blocks


def kinds(text):
    return [(block.kind, text[block.start:block.end]) for block in blocks(text)]


def test_headings_lists_tables_and_code_are_told_apart():
    text = "# Title\n\nA paragraph.\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\n# code\n\nmore\n```\n"
    assert [kind for kind, _ in kinds(text)] == ["heading", "paragraph", "list", "table", "code"]


def test_a_table_keeps_its_caption_and_header_row_as_its_lead():
    table = blocks("Prices in pounds:\n\n| part | price |\n|---|---|\n| rib | 4 |\n| cap | 2 |\n")[0]
    assert table.lead == "Prices in pounds:\n| part | price |\n|-|-|"
    assert len(table.parts) == 2


TABLE = "| part | price |\n|---|---|\n| rib | 4 |\n"


def test_a_numbered_caption_belongs_to_its_table_above_or_below():
    above, below = "Plain words.\nTable 3: Prices. With tax.", "*Table 4.* Weights."
    found = blocks(f"{above}\n\n{TABLE}\n{TABLE}\n{below}\nMore words.\n")
    assert [block.kind for block in found] == ["paragraph", "table", "table", "paragraph"]
    assert [block.lead.split("\n")[0] for block in found[1:3]] == ["Table 3: Prices. With tax.", "*Table 4.* Weights."]


def test_a_table_longer_than_the_parser_is_given_stays_one():
    [table] = blocks(TABLE + "| cap of some lamp or other | 2 |\n" * 10_000)
    assert len(table.parts) == 10_001 and table.lead.startswith("| part | price |")


def test_a_fence_may_be_indented_and_a_heading_underlined():
    text = "Lamps\n=====\n\n   ```\n   # no heading\n   ```\n\n\\# none\n"
    assert [(block.kind, block.name) for block in blocks(text)] == [
        ("heading", "Lamps"), ("code", ""), ("paragraph", "")]


def test_the_sentence_that_introduces_a_list_leaves_its_paragraph():
    text = "We mend much. Bring along:\n\n- the umbrella\n- its parts\n"
    assert kinds(text) == [("paragraph", "We mend much."), ("list", "Bring along:\n\n- the umbrella\n- its parts")]


def test_questions_in_bold_or_after_q_are_headings():
    text = "Q: How much is it?\nA: Ten pounds.\n\n**Is it open?**\n\nAlways.\n"
    assert [block.name for block in blocks(text) if block.kind == "heading"] == ["How much is it?", "Is it open?"]
    assert [part for kind, part in kinds(text) if kind == "paragraph"] == ["Ten pounds.", "Always."]


def test_an_indented_fence_and_an_escaped_heading():
    text = "- step\n\n  ```\n  # no heading\n  ```\n\n# A \\*star\\* and [a link](x.html)\n"
    assert [block.name for block in blocks(text) if block.kind == "heading"] == ["A *star* and a link"]


def test_a_long_text_is_parsed_in_parts_without_losing_any():
    text = "".join(f"# Part {number}\n\nSome words about {number}.\n\n" for number in range(20_000))
    found = blocks(text)
    assert len(found) == 40_000 and found[-1].end == len(text.rstrip())


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab .?!\n#-`|*>1é:\\[]()\tQA_", max_size=300))
def test_blocks_cover_every_letter_in_order(text):
    found = blocks(text)
    assert all(first.end <= then.start for first, then in zip(found, found[1:], strict=False))
    covered = {place for block in found for place in range(block.start, block.end)}
    left = [letter for place, letter in enumerate(text) if place not in covered and letter.isalnum()]
    assert set(left) <= {"A"}  # the mark of an answer


def test_sentences_end_where_people_end_them():
    text = "Dr. Lee came at 7.9 km/h. It cost £5.80! Was it No. 5? Yes. e.g. this one. See Fig. 3 for more."
    assert [text[start:end] for start, end in sentences(text)] == [
        "Dr. Lee came at 7.9 km/h.", "It cost £5.80!", "Was it No. 5?", "Yes. e.g. this one.", "See Fig. 3 for more."]


def test_list_items_and_rows_are_sentences_of_their_own():
    text = "Bring:\n- the umbrella\n- its parts\n\nThen wait\nfor the whole of the long afternoon that follows it."
    assert [text[start:end] for start, end in sentences(text)] == [
        "Bring:", "- the umbrella", "- its parts",
        "Then wait\nfor the whole of the long afternoon that follows it."]


@given(st.text(alphabet="abc. \n!?-1|A", max_size=200))
def test_sentences_lose_nothing(text):
    spans = sentences(text)
    assert all(first[1] <= then[0] for first, then in zip(spans, spans[1:], strict=False))
    assert "".join(text[start:end] for start, end in spans).split() == [] or \
        sum(end - start for start, end in spans) <= len(text)
    covered = {place for start, end in spans for place in range(start, end)}
    assert all(letter.isspace() for place, letter in enumerate(text) if place not in covered)
