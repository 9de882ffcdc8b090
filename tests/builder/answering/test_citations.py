import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.answering.citations import cite
from knowledge.search import encoder
from knowledge.search.index import Found
from knowledge.search.passages import Passage


@pytest.fixture(scope="module")
def real():
    return encoder.prepared()


def found(*texts):
    return [Found(Passage("documents/a.md", f"Lamps > Part {number}", text, 100, 100 + len(text), None), number, 0.5,
                  0.5, 1.0) for number, text in enumerate(texts)]


PASSAGES = found("The door is open from nine until five. Nobody is here on Sundays. Ring the bell twice.",
                 "You may send a lamp back within 33 days if it is unused. Refunds are paid in a week.")


@pytest.mark.parametrize("sentence, place, span", [
    ("A lamp can be sent back within 33 days.", 1, "You may send a lamp back within 33 days if it is unused."),
    ("We open from nine until five.", 0, "The door is open from nine until five."),
    ("Please ring the bell twice.", 0, "Ring the bell twice.")])
def test_a_sentence_rests_on_the_span_that_says_it(real, sentence, place, span):
    [cited] = cite(sentence, PASSAGES, real)
    text = PASSAGES[place].passage.text
    assert cited.found == place and span in text[cited.passage_start:cited.passage_end]


@pytest.mark.parametrize("sentence", [
    "A lamp can be sent back within 60 days.", "Our founder Matilda mends bicycles in Paris.",
    "You may not send a lamp back if it is unused.", "The cat sleeps on the roof of the old church."])
def test_what_no_passage_says_is_marked(real, sentence):
    [cited] = cite(sentence, PASSAGES, real)
    assert cited.needs and cited.found is None


PRICES = found("Prices include a clean of the joints and a drop of oil, because it would be rude not to. We never mend "
               "kettles on Sundays, as it is no day for that.")


@pytest.mark.parametrize("sentence, supported", [
    ("Prices include a clean of the joints and a drop of oil.", True), ("A drop of oil.", True),
    ("Mend kettles on Sundays.", False), ("Prices include a drop of the joints.", False)])
def test_what_stands_word_for_word_is_supported_whatever_else_is_said(real, sentence, supported):
    from builder.answering.citations import _stands_in

    assert _stands_in(sentence, PRICES[0].passage.text) == supported
    if supported:
        [cited] = cite(sentence, PRICES, real)
        assert cited.found == 0 and cited.support == 1.0


def test_two_sentences_together_support_one(real):
    [cited] = cite("Unused lamps go back within 33 days and refunds are paid in a week.", PASSAGES, real)
    assert cited.found == 1
    assert (cited.passage_start, cited.passage_end) == (0, len(PASSAGES[1].passage.text))


def test_greetings_and_questions_state_nothing(real):
    cited = cite("Come in from the wet! Ring the bell twice. Shall we mend the old lamp?", PASSAGES, real,
                 ["Come in from the wet!"])
    assert [one.needs for one in cited] == [False, True, False] and cited[1].found == 0


def test_without_passages_nothing_is_supported(real):
    [cited] = cite("We open from nine until five.", [], real)
    assert cited.needs and cited.found is None


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet="abc 12.!?\n'Not", max_size=80))
def test_sentences_cover_the_reply_in_order(reply):
    cited = cite(reply, PASSAGES, encoder.prepared())
    assert all(first.end <= then.start for first, then in zip(cited, cited[1:], strict=False))
    covered = {place for one in cited for place in range(one.start, one.end)}
    assert all(letter.isspace() for place, letter in enumerate(reply) if place not in covered)
    for one in cited:
        assert 0 <= one.support <= 1.0001
        assert one.found is None or one.passage_end <= len(PASSAGES[one.found].passage.text)


def test_a_row_of_a_table_lends_no_number_to_the_next(real):
    table = "| name | desk | phone |\n| - | - | - |\n| Tom Reed | Sales | 202 |\n| Lee Chan | Accounts | 207 |"
    wrong, right = (cite(f"The phone of Tom Reed at Sales is {number}.", found(table), real)[0]
                    for number in (207, 202))
    assert wrong.found is None and right.found == 0


SHOP = found("- Tuesday to Friday: 10:00 to 18:00\n- Saturday: 9:00 to 13:30\n- Sunday and Monday: closed\n\n"
             "In August we close at 16:00.",
             "You may return unopened jars within 21 days of delivery. Bring the receipt.",
             "- A 250 g jar of lime blossom honey costs 7.50 €.\n- A 500 g jar of forest honey costs 13.20 €.")


@pytest.mark.parametrize(("sentence", "place"), [
    ("On Saturday we are open from 9:00 to 13:30.", 0), ("We are open on Saturday, 10:00 to 18:00.", None),
    ("On Sunday we are closed.", 0), ("We're open on Sunday.", None),
    ("We take back an unopened jar within 21 days of delivery.", 1),
    ("You may return an opened jar within 21 days of delivery.", None),
    ("A 500 g jar of forest honey costs 13.20 €.", 2), ("A 500 g jar of lime blossom honey costs 7.50 €.", None)])
def test_items_of_a_list_lend_each_other_no_number_and_a_contradiction_supports_nothing(real, sentence, place):
    [cited] = cite(sentence, SHOP, real)
    assert cited.found == place
