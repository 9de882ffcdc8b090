"""The assistant as a LangChain chat model: one system of one workspace."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from langchain.chat_models import BaseChatModel
from langchain.messages import AIMessage, AIMessageChunk
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict

from builder.answering.assistant import Assistant, Reply, answer_at_once
from builder.answering.systems import system_named
from builder.model.prompt import Message
from knowledge.errors import UserError

ROLES = {"human": "user", "ai": "assistant"}


class AssistantChatModel(BaseChatModel):
    """Answers the last human message as one system; sources and abstention are in response_metadata.

    The brand is the system message: one in the conversation is left out, as in training.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)
    assistant: Assistant
    system: str = "hybrid"

    @property
    def _llm_type(self) -> str:
        return "twofold"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"system": self.system, "brand": self.assistant.brand.name}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return {**super()._get_ls_params(stop=stop, **kwargs), "ls_model_name": kwargs.get("model", self.system)}

    def _generate(self, messages: list[BaseMessage], stop: list[str] | None = None,
                  run_manager: CallbackManagerForLLMRun | None = None, **_: Any) -> ChatResult:
        question, history = _turns(messages)
        reply = self.assistant.answer(question, system_named(self.system), None, history)
        message = AIMessage(_until(reply.text, stop), response_metadata=_facts_of(reply), usage_metadata=_usage(reply))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(self, messages: list[BaseMessage], stop: list[str] | None = None,
                run_manager: CallbackManagerForLLMRun | None = None, **_: Any) -> Iterator[ChatGenerationChunk]:
        question, history = _turns(messages)
        text, reply = "", None
        with closing(answer_at_once(self.assistant, question, [system_named(self.system)],
                                    history=history)) as pieces:
            for _system, piece in pieces:
                if isinstance(piece, Reply):
                    reply = piece
                    continue
                shown = _until(text + piece, stop)[len(text):]
                text += piece
                if shown:
                    chunk = ChatGenerationChunk(message=AIMessageChunk(content=shown))
                    if run_manager:
                        run_manager.on_llm_new_token(shown, chunk=chunk)
                    yield chunk
        assert reply is not None  # answer_at_once raises or ends with it
        yield ChatGenerationChunk(message=AIMessageChunk(content="", response_metadata=_facts_of(reply),
                                                         usage_metadata=_usage(reply), chunk_position="last"))


def _turns(messages: Sequence[BaseMessage]) -> tuple[str, list[Message]]:
    """The last human message, and the turns before it that alternate as in training."""
    turns = [{"role": ROLES[message.type], "content": str(message.text)}
             for message in messages if message.type in ROLES]
    if not turns or turns[-1]["role"] != "user":
        raise UserError("the conversation must end with a human message; add one")
    return turns[-1]["content"], turns[:-1]


def _until(text: str, stop: list[str] | None) -> str:
    ends = [text.find(mark) for mark in stop or [] if mark in text]
    return text[: min(ends)] if ends else text


def _facts_of(reply: Reply) -> dict[str, Any]:
    return {"model_name": f"twofold:{reply.system}", "abstained": reply.abstained, "answerable": reply.probability,
            "finish_reason": reply.finish,
            "sources": [{"document": hit.passage.document, "heading": hit.passage.heading,
                         "start": hit.passage.start, "end": hit.passage.end} for hit in reply.found]}


def _usage(reply: Reply) -> Any:
    return {"input_tokens": reply.prompt_tokens, "output_tokens": reply.tokens,
            "total_tokens": reply.prompt_tokens + reply.tokens}
