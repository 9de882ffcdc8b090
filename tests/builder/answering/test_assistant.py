import time
from dataclasses import replace
from threading import Barrier

import pytest

from builder.answering.assistant import Assistant, Reply, answer_at_once
from builder.answering.citations import Citation
from builder.answering.opening import open_assistant
from builder.answering.systems import SYSTEMS, system_named
from builder.model.engine import Generated
from builder.model.prompt import render
from builder.workspace.brand import Brand
from knowledge.errors import UserError
from knowledge.search.index import Found
from knowledge.search.passages import Passage
from knowledge.search.retriever import Finding
from tests.fakes import LetterEncoder

BRAND = Brand(name="Lamp House", persona="You answer for a shop.", abstain="That is not in my notes.")
FOUND = Found(Passage("documents/a.md", "Hours", "Open from nine.", 0, 15, None), 0, 0.03, 0.8, 2.0)


class Recorder:
    """An engine that keeps what it is asked and says whether it was tuned."""

    slots = 1

    def __init__(self):
        self.asked = []

    def generate(self, messages, tuned, decoding, emit=None):
        self.asked.append((messages, tuned))
        if emit:
            emit("yes")
        return Generated("yes", 1, 10, 0.0, "stop")


class Finder:
    """A retriever that always finds the same."""

    encoder = LetterEncoder()

    def __init__(self, finding):
        self.finding = finding

    def find(self, question, earlier=(), where=None):
        return self.finding


def composed(found=(FOUND,), answerable=True, adapted=True, retrieves=True):
    engine = Recorder()
    return Assistant(BRAND, engine, Finder(Finding(tuple(found), 0.7, answerable)) if retrieves else None,
                     adapted), engine


def test_four_systems_are_two_switches():
    assistant, engine = composed()
    for system in SYSTEMS:
        assistant.answer("When?", system)
    assert [tuned for _, tuned in engine.asked] == [False, False, True, True]
    plain, noted = render(BRAND, "When?", []), render(BRAND, "When?", [("Hours", "Open from nine.")])
    assert [messages for messages, _ in engine.asked] == [plain, noted, plain, noted]


def test_with_nothing_found_the_rag_prompt_is_the_prompt_only_prompt():
    assistant, engine = composed(found=())
    for name in ("prompt-only", "rag-only"):
        assistant.answer("When?", system_named(name))
    assert engine.asked[0][0] == engine.asked[1][0]


def test_rag_and_hybrid_see_the_same_and_abstain_alike():
    assistant, engine = composed(answerable=False)
    replies = [assistant.answer("When?", system_named(name)) for name in ("rag-only", "hybrid")]
    assert [reply.text for reply in replies] == [BRAND.abstain] * 2
    assert all(reply.abstained and reply.found == (FOUND,) and reply.probability == 0.7 for reply in replies)
    assert engine.asked == []
    assert not assistant.answer("When?", system_named("fine-tune-only")).abstained


def test_an_abstention_is_streamed_too():
    shown = []
    composed(answerable=False)[0].answer("When?", system_named("hybrid"), shown.append)
    assert shown == [BRAND.abstain]


@pytest.mark.parametrize(("adapted", "retrieves", "names"), [
    (False, False, ["prompt-only"]), (False, True, ["prompt-only", "rag-only"]),
    (True, False, ["prompt-only", "fine-tune-only"])])
def test_a_missing_half_takes_its_systems_with_it(adapted, retrieves, names):
    assistant, _ = composed(adapted=adapted, retrieves=retrieves)
    assert [system.name for system in assistant.systems] == names
    with pytest.raises(UserError, match="run `twofold build`"):
        assistant.answer("When?", system_named("hybrid"))


class Slow(Recorder):
    """An engine that says its first word only once all systems have begun, and goes on for so many words."""

    def __init__(self, words):
        super().__init__()
        self.begun, self.words, self.stopped = Barrier(len(SYSTEMS)), words, 0

    def generate(self, messages, tuned, decoding, emit=None):
        self.begun.wait(30)
        for _ in range(self.words):
            time.sleep(0.001)
            if emit("word "):
                self.stopped += 1
                break
        return Generated("word", 1, 10, 0.0, "stop")


def test_systems_asked_at_once_run_side_by_side_and_each_reply_is_as_asked_alone():
    assistant, _ = composed()
    assistant.engine = Slow(3)
    replies = [said for _, said in answer_at_once(assistant, "When?", SYSTEMS) if isinstance(said, Reply)]
    assert sorted(reply.system for reply in replies) == sorted(system.name for system in SYSTEMS)
    assistant, _ = composed()
    pieces = list(answer_at_once(assistant, "When?", SYSTEMS))
    for system in SYSTEMS:
        text, reply = [said for other, said in pieces if other == system]
        assert (text, reply.text) == ("yes", assistant.answer("When?", system).text)


def test_when_the_reader_stops_no_further_word_is_made():
    assistant, _ = composed()
    assistant.engine = Slow(1_000_000)
    said = answer_at_once(assistant, "When?", SYSTEMS)
    next(said)
    said.close()
    for _ in range(100):
        if assistant.engine.stopped == len(SYSTEMS):
            break
        time.sleep(0.05)
    assert assistant.engine.stopped == len(SYSTEMS)


def test_a_fault_of_one_system_comes_after_the_replies_of_the_others():
    assistant, engine = composed()
    works = engine.generate

    def generate(messages, tuned, decoding, emit=None):
        if tuned:
            raise UserError("llama.cpp refused the request")
        return works(messages, tuned, decoding, emit)

    engine.generate = generate
    replies = []
    with pytest.raises(UserError, match="refused"):
        for system, said in answer_at_once(assistant, "When?", SYSTEMS):
            replies += [system.name] if isinstance(said, Reply) else []
    assert sorted(replies) == ["prompt-only", "rag-only"]


@pytest.mark.parametrize("question", ["", "  \n", "\x00\x1b", "x" * 50_000])
def test_a_question_that_cannot_be_asked_is_one_line(question):
    with pytest.raises(UserError) as caught:
        composed()[0].answer(question, SYSTEMS[0])
    assert "\n" not in str(caught.value)


def test_an_unknown_system_is_named():
    with pytest.raises(UserError, match="there are prompt-only"):
        system_named("rag")


def test_the_built_workspace_answers_as_four(really_built):
    assistant = open_assistant(really_built)
    assert [system.name for system in assistant.systems] == [system.name for system in SYSTEMS]
    replies = {system.name: assistant.answer("When do parcels leave the warehouse?", system) for system in SYSTEMS}
    assert all(reply.text for reply in replies.values())
    assert replies["rag-only"].found == replies["hybrid"].found
    assert "Parcels leave" in replies["hybrid"].found[0].passage.text
    again = assistant.answer("When do parcels leave the warehouse?", system_named("hybrid"))
    assert again.text == replies["hybrid"].text


def test_the_model_gets_the_questions_that_can_be_answered_and_the_reply_names_the_others():
    engine = Recorder()
    finding = Finding((FOUND,), 0.7, True, ("When?", "And gift cards?"), ("When?",), ("And gift cards?",))
    assistant = Assistant(BRAND, engine, Finder(finding), True)
    reply = assistant.answer("Hello, When? And gift cards?", system_named("hybrid"))
    assert engine.asked[0][0] == render(BRAND, "When?", [("Hours", "Open from nine.")])
    assert (reply.unanswered, reply.searched) == (("And gift cards?",), ("When?", "And gift cards?"))


def test_a_reply_that_nothing_supports_is_unsupported():
    assistant, _ = composed()
    said = assistant.answer("When?", system_named("rag-only"))
    loose = replace(said, citations=(Citation(0, 3, True, None, 0, 0, 0.1), Citation(3, 5, False, None, 0, 0, 0.0)))
    assert loose.unsupported and not replace(loose, abstained=True).unsupported
    assert not replace(loose, citations=(Citation(0, 3, True, 0, 0, 3, 0.9), *loose.citations)).unsupported
    assert not replace(loose, citations=loose.citations[1:]).unsupported
