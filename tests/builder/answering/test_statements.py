"""What one sentence says of another: amounts, names, words and what is denied, each changed in turn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.answering.statements import Statement, clauses, english, same_words, says
from knowledge.search.encoder import prepared
from knowledge.search.late_interaction import NO_TOKENS

SENTENCES = ("The pool opens at 6.30 on weekdays and costs £4.20 for adults.",
             "A loan can be renewed twice online, unless somebody else has reserved the item.",
             "Campfires are allowed in the stone rings only, and never when the red flag is up.",
             "Ring Dr Oyelaran before you give your dog any tablets.",
             "Orders above £50 are paid half in advance, at least three days before the party.")


def said(theirs, ours, heading="", before="", alike=(), tokens=True):
    texts = [theirs, ours, before or "-"]
    made = prepared().encode_documents(texts)[1] if tokens else [NO_TOKENS] * 3
    earlier = Statement(before, made[2]) if before else None
    return says(Statement(theirs, made[0], heading, earlier, english(theirs)), Statement(ours, made[1]), alike) > 0


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_says_itself_and_nothing_of_another(sentence):
    assert said(sentence, sentence) and said(sentence, sentence, tokens=False)
    assert not any(said(other, sentence) for other in SENTENCES if other != sentence)


@pytest.mark.parametrize("theirs, ours, says_it", [
    (SENTENCES[0], "On weekdays the pool opens at half past six.", True),
    (SENTENCES[0], "From Monday to Friday the pool opens at half past six.", True),
    (SENTENCES[0], "The pool opens at half past seven on weekdays.", False),
    (SENTENCES[0], "The pool opens at 6.30 on Saturdays.", False),
    (SENTENCES[0], "Adults pay £4.20 for the pool.", True), (SENTENCES[0], "Adults pay £2.40 for the pool.", False),
    (SENTENCES[0], "The pool closes at 6.30 on weekdays.", False),
    (SENTENCES[1], "You can renew a loan twice online.", True),
    (SENTENCES[1], "You can't renew a loan twice online.", False),
    (SENTENCES[1], "A loan can be cancelled twice online.", False),
    (SENTENCES[1], "A loan can be renewed twice online even if somebody else has reserved the item.", False),
    (SENTENCES[2], "You may make campfires in the stone rings only.", True),
    (SENTENCES[2], "Campfires are allowed when the red flag is up.", False),
    (SENTENCES[2], "Campfires are forbidden in the stone rings.", False),
    (SENTENCES[3], "Call Dr Oyelaran before giving your dog tablets.", True),
    (SENTENCES[3], "Ring Dr Adeyemi before you give your dog any tablets.", False),
    (SENTENCES[3], "Ring Dr Oyelaran after you give your dog any tablets.", False),
    (SENTENCES[4], "For orders above £50 you pay half in advance.", True),
    (SENTENCES[4], "For orders below £50 you pay half in advance.", False),
    (SENTENCES[4], "Orders above £50 are paid in advance, at least eight days before the party.", False)])
def test_what_is_changed_is_no_longer_said(theirs, ours, says_it):
    assert said(theirs, ours) == says_it


def test_heading_and_the_sentence_before_lend_no_amounts_and_no_words():
    assert not said("It costs £3 and is paid at the desk.", "The locker token costs £3.", heading="Lockers > Token")
    assert not said("It is kept at the shop.", "It is kept at the shop for 9 days.", heading="After 9 days")


def test_a_brands_own_word_stands_for_the_usual_one():
    alike = same_words(["call an umbrella a brolly", "say we", "use short words and never guess"])
    assert alike == [frozenset({"umbrella", "brolly"})]
    for theirs, ours in (("An umbrella is dried overnight.", "A brolly is dried overnight."),):
        assert said(theirs, ours, alike=alike) and not said(theirs, ours)


def test_the_language_is_told_by_the_commonest_words():
    assert all(map(english, SENTENCES[1:])) and english("")
    assert not english("Der Laden öffnet montags um 9:30 Uhr und schließt am Abend um sechs.")


def test_other_languages_are_compared_by_words_and_numbers_alone():
    theirs = "Der Laden öffnet montags um 9:30 Uhr und schließt am Abend um sechs."
    assert said(theirs, "Montags öffnet der Laden um 9:30 Uhr.")
    assert not said(theirs, "Montags öffnet der Laden um 8:30 Uhr.")
    assert not said(theirs, "Hunde dürfen im Zelt schlafen.")


def test_clauses_are_parts_that_state_something():
    assert clauses("Bring the card, and arrive between 8 and 9 at the desk.") == [
        "Bring the card", "arrive between 8 and 9 at the desk."]
    assert clauses("Please ring the bell.") == []


@given(st.text(max_size=60), st.text(alphabet="abc 12.£'Not,;|\n", max_size=60))
def test_any_text_is_compared(theirs, ours):
    share = says(Statement(theirs, NO_TOKENS), Statement(ours, NO_TOKENS))
    assert 0 <= share <= 1
