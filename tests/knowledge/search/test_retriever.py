import pytest

from knowledge.search.answerable import Confidence
from knowledge.search.retriever import Finding, standalone


@pytest.mark.parametrize(("probability", "word"), [(0.0, "low"), (0.4999, "low"), (0.5, "medium"), (0.7999, "medium"),
                                                   (0.8, "high"), (1.0, "high")])
def test_confidence_is_the_probability_in_a_word(probability, word):
    assert Finding((), probability, True).confidence == Confidence(word)


@pytest.mark.parametrize("question", ["and on Sundays?", "What about Sundays?", "How much is it?", "And then?",
                                      "Are those washable?", "Why?"])
def test_a_question_that_leans_is_searched_with_the_one_before(question):
    assert standalone(question, ["When is the workshop open?"]) == f"When is the workshop open? {question}"


@pytest.mark.parametrize("question", ["How long may I keep a lamp before I return it?", "When do parcels leave?",
                                      "Do you mend lamps of other makes?"])
def test_a_question_that_stands_by_itself_is_searched_alone(question):
    assert standalone(question, ["When is the workshop open?"]) == question


def test_a_chain_leans_on_the_last_that_stands():
    assert standalone("And on Mondays?", ["When is the workshop open?", "and on Sundays?"]).startswith("When is")
    assert standalone("And on Mondays?", []) == "And on Mondays?"
