"""What people said is kept until somebody decides, and what judges never trains, whichever way it came."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.answering.systems import SYSTEMS
from builder.curation import feedback
from builder.curation.feedback import Item
from builder.curation.votes import shuffled, tally
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from knowledge.search.retriever import Finding


@pytest.fixture
def here(written):
    return Workspace(written)


def test_votes_are_kept_newest_first_and_a_changed_vote_takes_the_place_of_the_first(here):
    assert feedback.items(here) == []
    feedback.record(here, Item("1", "up", "When?", "At nine.", system="hybrid", release="r001"))
    feedback.record(here, Item("2", "down", "Where?", "Here."))
    feedback.record(here, Item("1", "down", "When?", "At nine.", "At ten.", system="hybrid", release="r001"))
    kept = {one.key: one for one in feedback.items(here)}
    assert {key: (one.kind, one.better, one.state) for key, one in kept.items()} == {
        "1": ("down", "At ten.", "open"), "2": ("down", "", "open")}
    assert kept["1"].at and kept["1"].release == "r001"
    feedback.forget(here, "2")
    assert [one.key for one in feedback.items(here)] == ["1"]


def test_what_was_decided_on_is_neither_changed_nor_taken_back(here):
    item = Item("1", "up", "When?", "At nine.")
    feedback.record(here, item)
    feedback.decide(here, item, "refused")
    feedback.record(here, Item("1", "down", "When?", "At nine.", "Never."))
    feedback.forget(here, "1")
    assert feedback.items(here) == []
    assert [(one.kind, one.state) for one in feedback.items(here, state=None)] == [("up", "refused")]


def test_private_things_are_flagged_and_can_be_left_out_but_the_brands_own_are_not(here):
    item = Item("1", "up", "I am jo@lamps.org, call 07911 123456", "Ring 01632 960147", "or nell@house.example",
                others={"hybrid": "IBAN GB82 WEST 1234 5698 7654 32"})
    own = feedback.made_public(here.brand, None) + "\nRing us on 01632 960147"
    assert feedback.private_in(item.texts, own) == ["a telephone number", "an IBAN", "an e-mail address"]
    clean = item.saying(*feedback.without_private(item.texts, own))
    assert feedback.private_in(clean.texts, own) == []
    assert clean.question == "I am [e-mail address], call [telephone number]" and clean.reply == item.reply
    assert clean.others == {"hybrid": "IBAN [IBAN]"} and (clean.key, clean.kind) == ("1", "up")


def test_accepted_feedback_becomes_what_the_next_build_reads(here):
    item = Item("1", "down", "Do you sell candles?", "Yes.", "Hello! We sell lamps only. Shine on!")
    for key in "123":
        feedback.record(here, Item(key, "down", item.question, item.reply, item.better))
    one, two, three = feedback.items(here)
    feedback.as_example(here, one, item.question, item.better)
    feedback.as_preference(here, two, item.question, item.better, item.reply)
    feedback.as_question(here, three, "How many colours of cable are there?", "Five.", ["5 | five"])
    now = Workspace(here.folder)
    assert (now.examples[-1].question, now.examples[-1].reply) == (item.question, item.better)
    assert [(pair.better.reply, pair.worse) for pair in now.preferences] == [(item.better, item.reply)]
    assert now.questions[-1].facts == (("5", "five"),) and now.questions[-1].answerable
    assert feedback.items(here) == []
    assert {one.state for one in feedback.items(here, state=None)} == {"example", "preference", "question"}


def test_what_is_accepted_as_a_question_can_become_no_example_and_the_other_way_round(here):
    asked, other = "How many candles fit into the small lantern?", "Which oil does the old lantern want?"
    item = Item("1", "up", asked, "Two.")
    feedback.record(here, item)
    feedback.as_question(here, item, asked, "Two.")
    again = Item("2", "up", asked, "Two.")
    feedback.record(here, again)
    for refused in (lambda: feedback.as_example(Workspace(here.folder), again, asked, "Two."),
                    lambda: feedback.as_preference(Workspace(here.folder), again, asked, "Two.", "Nine.")):
        with pytest.raises(UserError, match="like the test question"):
            refused()
    feedback.as_example(Workspace(here.folder), again, other, "Hello! Lamp oil. Shine on!")
    third = Item("3", "up", other, "Two.")
    feedback.record(here, third)
    with pytest.raises(UserError, match="is used for training"):
        feedback.as_question(Workspace(here.folder), third, other, "Lamp oil.")
    assert [one.key for one in feedback.items(here)] == ["3"]


def test_a_preference_trains_so_its_question_cannot_judge(here):
    item = Item("1", "down", "Which wick is the thickest one?", "The red.", "Hello! The blue one. Shine on!")
    feedback.record(here, item)
    feedback.as_preference(here, item, item.question, item.better, item.reply)
    with pytest.raises(UserError, match="is used for training"):
        feedback.as_question(Workspace(here.folder), item, item.question, "The blue.")


@pytest.mark.parametrize("reply", ["", " \n", "Yes, candles.\nMany!", " Yes,  candles. Many! "])
def test_a_reply_that_was_voted_down_or_is_empty_trains_nothing_whoever_asks(here, reply):
    item = Item("1", "down", "Do you sell candles?", "Yes, candles. Many!")
    feedback.record(here, item)
    before = [path.read_bytes() for path in sorted(here.folder.glob("*.jsonl"))]
    problem = "reply that was voted down" if reply.strip() else "the reply is empty"
    for refused in (lambda: feedback.as_example(here, item, item.question, reply),
                    lambda: feedback.as_preference(here, item, item.question, reply, "Perhaps.")):
        with pytest.raises(UserError, match=problem):
            refused()
    if reply.strip():
        with pytest.raises(UserError, match=problem):
            feedback.as_question(here, item, item.question, reply)
    assert [path.read_bytes() for path in sorted(here.folder.glob("*.jsonl"))] == before
    assert [one.key for one in feedback.items(here)] == ["1"]


def test_what_was_voted_down_is_not_proposed_but_a_better_reply_and_a_liked_one_are():
    assert [Item("1", kind, "When?", "At nine.", better).proposed for kind, better in (
        ("down", ""), ("down", "At ten."), ("up", ""), ("choice", ""))] == ["", "At ten.", "At nine.", "At nine."]


def test_many_writers_lose_nothing(here):
    code = ("import sys; from pathlib import Path; from builder.curation import feedback\n"
            "from builder.workspace.folder import Workspace\n"
            "here = Workspace(Path(sys.argv[1]))\n"
            "for number in range(20): feedback.record(here, feedback.Item(f'{sys.argv[2]}-{number}', 'up', 'q', 'r'))")
    runs = [subprocess.Popen([sys.executable, "-c", code, str(here.folder), str(number)]) for number in range(3)]
    assert [run.wait() for run in runs] == [0, 0, 0]
    assert len(feedback.items(here)) == 60


def test_a_damaged_file_is_one_line(here):
    (here.folder / feedback.NAME).write_bytes(b"no database, but long enough to be looked at" * 40)
    with pytest.raises(UserError, match="feedback.sqlite: can't be used"):
        feedback.items(here)


class Topics:
    """An encoder that knows three subjects, and finds an answer to one of them."""

    words = ("parking", "dog", "gift")

    def encode(self, texts):
        made = np.array([[float(word in text) + 0.05 * (len(text) % 3) for word in self.words] for text in texts])
        return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


class Searching:
    """A retriever over nothing; it answers about gifts alone."""

    encoder = Topics()

    def find(self, question):
        return Finding((), 0.9 if "gift" in question else 0.1, "gift" in question)


def test_questions_without_an_answer_are_grouped_by_meaning_and_those_answered_by_now_are_left_out(here):
    asked = ["Is there parking?", "Can I bring a dog?", "Where is parking?", "Is parking free?", "May a dog come?",
             "Do you wrap a gift?"]
    for number, question in enumerate(asked):
        feedback.record(here, Item(str(number), "unanswered", question))
    found = feedback.lacks(here, Searching())
    assert [{item.question for item in lack.items} for lack in found] == [
        {question for question in asked if word in question} for word in ("parking", "dog")]
    assert all(lack.question in {item.question for item in lack.items} for lack in found)
    assert feedback.items(here) == []


def choice(question, won, shown=tuple(one.name for one in SYSTEMS)):
    return Item("", "choice", question, system=won, others={name: "reply" for name in shown})


def test_a_tally_counts_wins_and_says_what_each_half_won():
    found = tally([choice(f"question {number}", "hybrid" if number % 4 else "rag-only") for number in range(24)])
    assert (found.choices, found.undecided, found.questions) == (24, 0, 24)
    assert found.wins["hybrid"].value == 0.75 and found.wins["prompt-only"].value == 0.0
    assert found.wins["hybrid"].low < 0.75 < found.wins["hybrid"].high and found.wins["prompt-only"].high > 0.1
    tuning, retrieval = found.halves
    assert tuning.difference.value == pytest.approx(0.5) and "people preferred" in tuning.said
    assert retrieval.difference.value == 1.0 and retrieval.difference.p < 0.001


def test_choices_for_none_and_choices_at_random_show_nothing():
    found = tally([choice(f"question {number}", "") for number in range(10)])
    assert found.undecided == 10 and all("no preference shown" in half.said for half in found.halves)
    assert all("are needed" in half.said for half in tally([choice("one", "hybrid")]).halves)
    assert tally([]).wins == {}


def test_a_half_counts_only_where_as_many_replies_had_it_as_had_it_not():
    shown = ("prompt-only", "rag-only", "hybrid")
    found = tally([choice(f"question {number}", "hybrid", shown) for number in range(9)])
    assert all(half.difference is None for half in found.halves)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["", *(one.name for one in SYSTEMS)])), max_size=30))
def test_the_shares_of_wins_and_undecided_choices_add_up(drawn):
    found = tally([choice(f"question {number}", won) for number, won in drawn])
    if drawn:
        assert sum(win.value for win in found.wins.values()) + found.undecided / len(drawn) == pytest.approx(1)
    counted = {name: sum(won == name for _, won in drawn) for name in found.wins}
    assert {name: one.value * len(drawn) for name, one in found.wins.items()} == pytest.approx(counted)


def test_the_order_of_a_blind_choice_is_the_same_for_one_seed_only():
    orders = {tuple(one.name for one in shuffled(SYSTEMS, str(seed))) for seed in range(50)}
    assert len(orders) > 10 and shuffled(SYSTEMS, "a") == shuffled(SYSTEMS, "a")
    assert all(set(order) == {one.name for one in SYSTEMS} for order in orders)
