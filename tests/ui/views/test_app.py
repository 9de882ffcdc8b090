"""The pages that show replies: what they show, and that text of others is never read as markup."""

import itertools
import time
from threading import BoundedSemaphore

import pytest
from markdown_it import MarkdownIt

from builder.answering.systems import SYSTEMS
from tests.ui.fake_assistant import HOSTILE, PASSAGE, FakeAssistant
from ui.parts import session
from ui.parts.show import plain


def texts(test):
    return [element.value for element in test.text]


def read_as_markdown(test):
    """Everything on the page that Streamlit reads as Markdown."""
    kinds = (test.markdown, test.caption, test.title, test.header, test.error, test.info)
    labels = [element.label for element in (*test.expander, *test.button, *test.pills)]
    return [element.value for kind in kinds for element in kind] + labels


def rendered(markdown):
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown)


def test_the_chat_begins_with_three_questions_and_says_that_it_is_an_ai(app):
    test = app()
    assert not test.exception
    assert [button.label for button in test.button if "starter" in str(button.key)] == [
        plain(question) for question in ("How long?", "Where to?", "Which?")]
    assert any("You are talking to an AI" in caption.value for caption in test.caption)
    assert test.pills(key="system").value == "hybrid"


def test_a_starter_is_answered_with_its_sources(app):
    test = app()
    test.button(key="starter 1").click().run()
    assert not test.exception
    assert texts(test)[:2] == ["Where to?", f"hybrid says {HOSTILE}"]
    assert PASSAGE.text in texts(test)
    assert "page 2" in test.expander[0].label
    assert not [button for button in test.button if "starter" in str(button.key)]


def test_each_sentence_shows_what_it_rests_on(app):
    test = app()
    test.chat_input[0].set_value("cited").run()
    assert not test.exception
    assert test.expander[0].label == "1 of 2 sentences supported by a passage"
    assert any("No passage says this" in one.value for one in test.expander[0].caption)
    assert any(":primary-background[You have 3]" in one.value.replace("\\", "") for one in test.expander[0].markdown)


def test_the_history_stays_until_it_is_cleared(app):
    test = app()
    test.chat_input[0].set_value("first").run()
    test.pills(key="system").set_value("prompt-only").run()
    test.chat_input[0].set_value("second").run()
    assert [text for text in texts(test) if "says" in text or text in ("first", "second")] == [
        "first", f"hybrid says {HOSTILE}", "second", f"prompt-only says {HOSTILE}"]
    next(button for button in test.button if button.label == "Clear").click().run()
    assert "first" not in texts(test) and not test.exception


def test_an_abstention_says_so_with_its_probability(app):
    test = app()
    test.chat_input[0].set_value("unknown").run()
    assert "Not in my notes." in texts(test)
    assert any("confidence: low" in caption.value for caption in test.caption)


def test_only_systems_that_can_answer_are_offered(app):
    assert app(retriever=False, adapted=False).pills(key="system").options == ["prompt-only"]


def test_a_users_error_is_one_line_and_no_traceback(app):
    test = app()
    test.chat_input[0].set_value("too long").run()
    assert not test.exception
    assert [error.value for error in test.error] == [
        plain("the prompt leaves no room; `lower` retrieval.found in brand.yaml")]


def test_without_a_workspace_a_new_one_is_offered(app, folder):
    (folder / "brand.yaml").unlink()
    test = app("views/home.py")
    assert not test.exception and not test.error
    assert "You have no assistant yet" in test.caption[0].value
    assert [button.label for button in test.button] == ["Create"]


def test_a_brand_that_cannot_be_read_is_one_line_on_every_page(app, folder):
    (folder / "brand.yaml").write_text("name: [\n")
    for page in ("views/chat.py", "views/compare.py", "views/report.py", "views/home.py"):
        test = app(page)
        assert not test.exception
        assert len(test.error) == 1 and "brand" in test.error[0].value


def test_the_four_systems_answer_side_by_side_and_share_their_sources(app):
    test = app("views/compare.py")
    test.text_input(key="written").set_value("How long?")
    test.button[0].click().run()
    assert not test.exception
    assert [text for text in texts(test) if "says" in text] == [f"{system.name} says {HOSTILE}" for system in SYSTEMS]
    assert sum(text == PASSAGE.text for text in texts(test)) == 1
    assert any("rag-only and hybrid" in caption.value for caption in test.caption)
    assert sum("No documents were used" in caption.value for caption in test.caption) == 2


def test_systems_that_lack_a_half_say_why(app):
    test = app("views/compare.py", retriever=False, adapted=False)
    test.text_input(key="written").set_value("How long?")
    test.button[0].click().run()
    assert sum("Not trained yet" in caption.value for caption in test.caption) == 2
    assert sum("The documents are not indexed yet" in caption.value for caption in test.caption) == 2
    assert [text for text in texts(test) if "says" in text] == [f"prompt-only says {HOSTILE}"]


def test_hostile_text_is_never_read_as_markdown(app):
    chat, compare = app(), app("views/compare.py")
    chat.chat_input[0].set_value(HOSTILE).run()
    compare.text_input(key="written").set_value(HOSTILE)
    compare.button[0].click().run()
    for test in (chat, compare):
        assert HOSTILE in " ".join(texts(test))
        pieces = read_as_markdown(test)
        assert pieces
        for piece in pieces:
            html = rendered(piece)
            assert "<img" not in html and "<a " not in html and "evil.example/" not in piece


class Ended(BaseException):
    """What Streamlit raises from a drawing call when the reader has gone on."""


class GonePlace:
    """A place on a page that is left as soon as the reply's second piece is drawn."""

    def caption(self, text):
        pass

    def text(self, text, width):
        if text == "one two ":
            raise Ended


class EndlessAssistant(FakeAssistant):
    """Stops only when `emit` says so."""

    def answer(self, question, system, emit=None, history=(), earlier=()):
        for piece in itertools.chain(("one ", "two "), itertools.repeat("three ")):
            if emit(piece):
                raise AssertionError("nobody waits for this reply")
            time.sleep(0.001)


def test_a_run_that_ends_stops_the_engine_and_frees_its_slot(folder):
    now = session.Opened(EndlessAssistant(session.Workspace(folder).brand), "", "", BoundedSemaphore(1))
    for _ in range(2):
        with pytest.raises(Ended):
            now.answer("How long?", SYSTEMS[0], GonePlace())
    assert now.gate.acquire(timeout=30)


def test_questions_that_wait_are_all_answered_in_their_order(app):
    test = app()
    test.session_state["asked"] = ["first", "second", "first"]
    test.run()
    said = [text for text in texts(test) if text in ("first", "second")]
    assert said == ["first", "second", "first"] and not test.session_state["asked"]
    assert [turn.question for turn in test.session_state["turns"]] == said


@pytest.mark.parametrize("asked", ["x" * 4001, "word " * 2000 + "word"])
def test_a_question_over_the_limit_is_told_and_stays_in_sight(app, asked):
    test = app()
    test.chat_input[0].set_value(asked).run()
    assert "4,000 are allowed; shorten it" in test.error[0].value.replace("\\", "") and asked in texts(test)
    compare = app("views/compare.py")
    compare.text_input(key="written").set_value(asked)
    compare.button[0].click().run()
    assert "4,000 are allowed; shorten it" in compare.error[0].value.replace("\\", "") and not compare.exception


@pytest.mark.parametrize("asked", [" ", "\n\t "])
def test_a_blank_question_is_told_and_is_no_turn(app, asked):
    for before in ((), ("first",)):
        test = app()
        for question in (*before, asked):
            test.chat_input[0].set_value(question).run()
        assert "the question is empty" in test.error[0].value and len(test.session_state["turns"]) == len(before)
        assert not test.run().error
    compare = app("views/compare.py")
    compare.text_input(key="written").set_value(asked)
    compare.button[0].click().run()
    assert "the question is empty" in compare.error[0].value and not compare.exception
