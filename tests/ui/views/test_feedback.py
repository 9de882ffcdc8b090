"""What people say in chat and compare reaches the feedback page, and from there the files that the next build reads."""

import pytest

from builder.answering.systems import SYSTEMS
from builder.curation import feedback
from builder.curation.feedback import Item
from builder.curation.votes import shuffled
from builder.pipeline.index_stage import build_index
from builder.workspace.folder import Workspace
from tests.ui.fake_assistant import HOSTILE
from ui.parts.show import plain


@pytest.fixture
def here(folder):
    return Workspace(folder)


def asked(app, question):
    test = app()
    test.chat_input[0].set_value(question).run()
    assert not test.exception
    return test, test.session_state.turns[-1].key


def button(test, label):
    return next(one for one in test.button if one.label == label)


def test_a_thumb_is_kept_with_its_reply_and_taken_back_again(app, here):
    test, key = asked(app, "How long?")
    test.feedback(key=f"vote {key}").set_value(0).run()
    kept = feedback.items(here)
    assert [(one.kind, one.question, one.reply, one.system) for one in kept] == [
        ("down", "How long?", f"hybrid says {HOSTILE}", "hybrid")]
    assert any("Saved." in caption.value for caption in test.caption)
    test.feedback(key=f"vote {key}").set_value(1).run()
    assert [one.kind for one in feedback.items(here)] == ["up"]
    test.feedback(key=f"vote {key}").set_value(None).run()
    assert feedback.items(here) == [] and not test.exception


def test_a_better_reply_is_kept_beside_the_one_it_is_for(app, here):
    test, key = asked(app, "How long?")
    test.text_area(key=f"reply {key}").set_value("Thirty days.")
    button(test, "Save").click().run()
    assert [(one.kind, one.better) for one in feedback.items(here)] == [("down", "Thirty days.")]


@pytest.mark.parametrize(("pressed", "kept"), [("Save without private data", "Write to [e-mail address]"),
                                               ("Save everything", "Write to jo@lamps.org"), ("Don't save", None)])
def test_what_is_private_is_flagged_before_it_is_kept(app, here, pressed, kept):
    test, key = asked(app, "How long?")
    test.text_area(key=f"reply {key}").set_value("Write to jo@lamps.org")
    button(test, "Save").click().run()
    assert feedback.items(here) == []
    assert flagged(test) and not told_kept(test)
    button(test, pressed).click().run()
    assert [one.better for one in feedback.items(here)] == ([kept] if kept else [])
    assert not flagged(test) and told_kept(test) == bool(kept)
    assert not [one for one in test.button if one.label == pressed]


def flagged(test):
    return any("Not saved yet" in one.value and "an e\\-mail address" in one.value for one in test.caption)


def told_kept(test):
    return any("check: Saved." in one.value for one in test.caption)


def test_a_kept_vote_is_not_called_kept_while_something_private_waits_nor_does_that_outlive_a_clean_reply(app, here):
    test, key = asked(app, "How long?")
    test.feedback(key=f"vote {key}").set_value(0).run()
    assert told_kept(test)
    test.text_area(key=f"reply {key}").set_value("Write to jo@lamps.org")
    button(test, "Save").click().run()
    assert flagged(test) and not told_kept(test)
    test.text_area(key=f"reply {key}").set_value("Write to us.")
    button(test, "Save").click().run()
    assert not flagged(test) and told_kept(test)
    assert [one.better for one in feedback.items(here)] == ["Write to us."]


def test_a_question_without_an_answer_is_kept_without_what_is_private(app, here):
    asked(app, "unknown")
    assert [one.question for one in feedback.items(here, ("unanswered",))] == ["unknown"]
    assert feedback.items(here) == []


def compared(app, question="How long?"):
    test = app("views/compare.py")
    test.text_input(key="written").set_value(question)
    test.checkbox(key="blind").set_value(True)
    button(test, "Ask all").click().run()
    assert not test.exception
    return test, [one.name for one in shuffled(SYSTEMS, test.session_state.comparison)]


def test_a_blind_comparison_hides_who_said_what_until_somebody_has_chosen(app, here):
    test, order = compared(app)
    said = [one.value.split(" says ")[0] for one in test.text if " says " in one.value]
    assert sorted(said) == sorted(order)
    marks = [one.value for one in test.markdown]
    assert all(f"**{letter}**" in marks for letter in "ABCD") and not any("hybrid" in mark for mark in marks)
    assert not [one for one in test.caption if "tokens" in one.value or "Looked up" in one.value]
    button(test, "B").click().run()
    assert not test.exception
    kept, = feedback.items(here)
    assert (kept.kind, kept.system, set(kept.others)) == ("choice", order[1], {one.name for one in SYSTEMS})
    assert kept.reply == f"{order[1]} says {HOSTILE}"
    assert "**hybrid**" in [one.value for one in test.markdown]
    assert any("1 choice on 1 question;" in one.value for one in test.caption)


def test_that_none_is_better_is_a_choice_too(app, here):
    test, _ = compared(app)
    button(test, "None is better").click().run()
    assert [(one.system, one.reply) for one in feedback.items(here)] == [("", "")] and not test.exception


def test_replies_on_which_a_page_is_left_are_not_lost_when_it_is_opened_again(app):
    test, _ = compared(app)
    test.switch_page("views/chat.py").run()
    test.switch_page("views/compare.py").run()
    assert [one for one in test.button if one.label == "A"] and not test.exception


def test_an_accepted_reply_is_an_example_and_a_refused_one_is_nothing(app, here):
    for key in "12":
        feedback.record(here, Item(key, "down", f"Do you sell candles? {HOSTILE} {key}", HOSTILE, "Lamps only."))
    test = app("views/feedback.py")
    test.button(key="example 1").click().run()
    test.button(key="refuse 2").click().run()
    assert not test.exception
    assert Workspace(here.folder).examples[-1].question == f"Do you sell candles? {HOSTILE} 1"
    assert len(Workspace(here.folder).examples) == 6
    assert any("Nothing to decide" in one.value for one in test.info)


def test_a_reply_that_was_voted_down_must_be_rewritten_before_it_trains(app, here):
    feedback.record(here, Item("1", "down", "Do you sell candles?", f"Yes, candles. {HOSTILE}"))
    test = app("views/feedback.py")
    assert test.text_area(key="reply 1").value == "" and "Write what" in test.text_area(key="reply 1").placeholder
    assert f"Yes, candles. {HOSTILE}" in [one.value for one in test.text]
    for reply, problem in (("", "the reply is empty"), (f"Yes, candles.  {HOSTILE}", "voted down")):
        for pressed in ("example 1", "preference 1"):
            test.text_area(key="reply 1").set_value(reply)
            test.button(key=pressed).click().run()
            assert len(test.error) == 1 and problem in test.error[0].value and not test.exception
    now = Workspace(here.folder)
    assert (len(now.examples), now.preferences, len(feedback.items(here))) == (5, [], 1)
    test.text_area(key="reply 1").set_value("Lamps only.")
    test.button(key="preference 1").click().run()
    assert [(preference.better.reply, preference.worse) for preference in Workspace(here.folder).preferences] == [
        ("Lamps only.", f"Yes, candles. {HOSTILE}")]


def test_the_reply_that_chat_offers_to_better_is_not_proposed_on_the_page_feedback(app, here):
    test, key = asked(app, "How long?")
    test.feedback(key=f"vote {key}").set_value(0).run()
    test.text_area(key=f"reply {key}").set_value("Write to jo@lamps.org")
    button(test, "Save").click().run()
    test.switch_page("views/feedback.py").run()
    assert test.text_area(key=f"reply {key}").value == "" and not flagged(test) and not test.exception


def test_a_liked_reply_is_an_example_by_one_click(app, here):
    feedback.record(here, Item("1", "up", "Do you sell candles?", "Lamps only."))
    test = app("views/feedback.py")
    assert test.text_area(key="reply 1").value == "Lamps only." and test.button(key="preference 1").disabled
    test.button(key="example 1").click().run()
    assert Workspace(here.folder).examples[-1].reply == "Lamps only."
    assert [one.value for one in test.success] == ["Saved as an example."]


PRIVATE = "Card 4111 1111 1111 1111, jo@lamps.org, GB82 WEST 1234 5698 7654 32."
WITHOUT = "Card [payment card number], [e-mail address], [IBAN]."


@pytest.mark.parametrize(("pressed", "kept"), [("Save without private data", WITHOUT), ("Save everything", PRIVATE),
                                               ("Don't save", None)])
def test_what_is_private_is_flagged_before_it_becomes_an_example(app, here, pressed, kept):
    feedback.record(here, Item("1", "down", "How do I pay?", "No idea."))
    test = app("views/feedback.py")
    test.text_area(key="reply 1").set_value(PRIVATE)
    test.button(key="example 1").click().run()
    assert len(Workspace(here.folder).examples) == 5 and flagged(test) and not test.success
    button(test, pressed).click().run()
    assert not test.exception and not flagged(test)
    assert [example.reply for example in Workspace(here.folder).examples[5:]] == ([kept] if kept else [])
    assert [one.value for one in test.success] == (["Saved as an example."] if kept else [])
    assert len(feedback.items(here)) == (0 if kept else 1)


def test_what_is_private_in_the_fact_of_a_question_is_flagged_and_what_the_brand_publishes_is_not(app, here):
    text = (here.folder / "brand.yaml").read_text()
    (here.folder / "brand.yaml").write_text(text.replace("Not in my notes.", "Write to nell@lamps.org"))
    for key, fact in (("1", "nell@lamps.org"), ("2", "jo@lamps.org")):
        feedback.record(here, Item(key, "up", f"Whom do I write to, part {key} of {key}?", "That depends."))
        test = app("views/feedback.py")
        test.text_input(key=f"facts {key}").set_value(fact)
        test.button(key=f"judging {key}").click().run()
        assert flagged(test) == (key == "2")
    assert [question.facts for question in Workspace(here.folder).questions] == [(("nell@lamps.org",),)]
    button(test, "Save without private data").click().run()
    assert Workspace(here.folder).questions[-1].facts == (("[e-mail address]",),)


def test_what_is_flagged_and_may_then_not_be_kept_is_told_and_waits_on(app, here):
    feedback.record(here, Item("1", "down", "How long?", "Ask [e-mail address]"))
    test = app("views/feedback.py")
    test.text_area(key="reply 1").set_value("Ask jo@lamps.org")
    test.button(key="example 1").click().run()
    button(test, "Save without private data").click().run()
    assert "voted down" in test.error[0].value and flagged(test) and not test.exception
    assert len(Workspace(here.folder).examples) == 5 and len(feedback.items(here)) == 1


def test_what_the_documents_lack_says_that_the_assistant_may_be_at_fault_and_what_judging_by_it_means(app, here):
    (here.folder / "documents").mkdir()
    (here.folder / "documents" / "house.md").write_text("## Parcels\n\nParcels leave on Tuesdays by the post van.\n")
    build_index(here, lambda name: lambda *_: None)
    feedback.record(here, Item("1", "unanswered", "Who won the chess match?"))
    test = app("views/feedback.py")
    assert any("search them first" in one.value and "I don't know" in one.value for one in test.caption)
    assert "I don't know" in test.button(key="lack 1").label
    test.button(key="lack 1").click().run()
    assert not test.exception
    assert [(question.question, question.answerable) for question in Workspace(here.folder).questions] == [
        ("Who won the chess match?", False)]


def test_a_choice_becomes_a_preference_over_the_reply_that_is_named(app, here):
    others = {one.name: f"{one.name} speaks" for one in SYSTEMS}
    feedback.record(here, Item("1", "choice", "How tall?", others["hybrid"], system="hybrid", others=others))
    test = app("views/feedback.py")
    test.selectbox(key="worse 1").set_value("rag-only").run()
    test.button(key="preference 1").click().run()
    assert not test.exception
    assert [(preference.better.reply, preference.worse) for preference in Workspace(here.folder).preferences] == [
        ("hybrid speaks", "rag-only speaks")]


def test_what_may_not_be_accepted_is_told_and_stays(app, here):
    feedback.record(here, Item("1", "up", "How wide is the linen shade?", "It is 20 centimetres wide."))
    test = app("views/feedback.py")
    test.text_input(key="facts 1").set_value("20 centimetres | twenty centimetres")
    test.button(key="judging 1").click().run()
    assert Workspace(here.folder).questions[-1].facts == (("20 centimetres", "twenty centimetres"),)
    feedback.record(here, Item("2", "up", "How wide is the linen shade?", "It is 20 centimetres wide."))
    test = app("views/feedback.py")
    test.button(key="example 2").click().run()
    assert "test questions are never used for training" in test.error[0].value.replace("\\", "") and not test.exception
    assert [one.key for one in feedback.items(here)] == ["2"] and len(Workspace(here.folder).examples) == 5


def test_hostile_feedback_is_shown_as_text(app, here):
    feedback.record(here, Item("1", "down", HOSTILE, HOSTILE, "Better.", "hybrid", HOSTILE))
    test = app("views/feedback.py")
    assert HOSTILE in [one.value for one in test.text]
    assert any(plain(HOSTILE) in one.value for one in test.caption)


def test_what_was_written_waits_while_the_reader_is_on_another_page(app, here):
    feedback.record(here, feedback.Item("k", "down", "How long?", "Two days."))
    test = app("views/feedback.py")
    test.text_area(key="reply k").set_value("Three days.")
    test.text_input(key="facts k").set_value("three days").run()
    test = test.switch_page("views/chat.py").run().switch_page("views/feedback.py").run()
    assert test.text_area(key="reply k").value == "Three days." and test.text_input(key="facts k").value == "three days"
    test.text_area(key="reply k").set_value("").run()
    test = test.switch_page("views/chat.py").run().switch_page("views/feedback.py").run()
    assert test.text_area(key="reply k").value == "" and test.text_input(key="question k").value == "How long?"
