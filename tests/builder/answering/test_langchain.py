import threading
import time
from copy import copy

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from builder.answering.langchain import AssistantChatModel
from builder.answering.opening import open_assistant
from builder.model.engine import Reading
from knowledge.errors import UserError


@pytest.fixture(scope="module")
def opened(built):
    return open_assistant(built)


class Shared:
    @pytest.fixture(autouse=True)
    def _real(self, opened):
        type(self).kept = opened

    @property
    def chat_model_class(self):
        return AssistantChatModel

    @property
    def chat_model_params(self):
        return {"assistant": self.kept, "system": "fine-tune-only"}


class TestUnit(Shared, ChatModelUnitTests):
    pass


class TestIntegration(Shared, ChatModelIntegrationTests):
    pass


def test_a_reply_names_its_sources(opened):
    reply = AssistantChatModel(assistant=opened).invoke("When do parcels leave the warehouse?")
    assert reply.response_metadata["sources"][0]["document"] == "documents/house.md"
    assert reply.response_metadata["abstained"] is False


def test_a_stream_is_the_reply_in_pieces(opened):
    model = AssistantChatModel(assistant=opened, system="prompt-only")
    pieces = list(model.stream("Good morning!"))
    assert "".join(str(piece.content) for piece in pieces).strip() == model.invoke("Good morning!").content
    assert len(pieces) > 2


def test_earlier_turns_are_history_and_a_system_message_is_not(opened):
    model = AssistantChatModel(assistant=opened, system="prompt-only")
    turns = [HumanMessage("Good morning!"), AIMessage("Hello!"), HumanMessage("Who are you?")]
    assert model.invoke([SystemMessage("Be a pirate."), *turns]).content == model.invoke(turns).content
    with pytest.raises(UserError, match="human message"):
        model.invoke([*turns, AIMessage("I am a lamp.")])


def test_a_stream_that_is_left_stops_the_reply(opened):
    class Slow:
        slots, made, ended = 1, 0, threading.Event()

        def generate(self, messages, tuned, decoding, emit=None):
            reading = Reading(emit)
            while self.made < 10_000 and not reading.feed(f"word{self.made} "):
                self.made += 1
                time.sleep(0.001)
            self.ended.set()
            return reading.whole(1)

    assistant = copy(opened)
    assistant.engine = Slow()
    model = AssistantChatModel(assistant=assistant, system="prompt-only")
    pieces = model.stream("Good morning!")
    next(pieces)
    pieces.close()
    assert Slow.ended.wait(20) and assistant.engine.made < 10_000
