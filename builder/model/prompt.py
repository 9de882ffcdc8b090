"""Brand, question and found passages to messages: the only text the model ever sees, in training and in answering."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from builder.workspace.brand import Brand
from knowledge.errors import UserError

ASKED = "Answer in one or two sentences, with what the text above says:"
"""Stands between passages and question. Of eleven wordings the one by which the base model alone came closest to the
examples' replies; numbered notes made it write lists."""

Message = dict[str, str]
"""One turn: its role (system, user or assistant) and its content."""


def render(brand: Brand, question: str, passages: Sequence[tuple[str, str]],
           history: Sequence[Message] = ()) -> list[Message]:
    """The messages for one question; `passages` are (heading, text), best first.

    What never changes, the brand, stands first, so that an engine can keep its work on it; the passages next,
    the best one nearest the question; the question last. Without passages the user's turn is the question
    alone, so that a system that found nothing sees what a system that doesn't look sees.
    """
    notes = [f"{heading}\n{text}" if heading else text for heading, text in reversed(passages)]
    asked = "\n\n".join([*notes, f"{ASKED} {question}"]) if notes else question
    turns = [{"role": "system", "content": _voice(brand)}, *history, {"role": "user", "content": asked}]
    return [{"role": turn["role"], "content": _plain(turn["content"])} for turn in turns]


def to_prompt(messages: Sequence[Message], template: str) -> str:
    """The messages as one text, by the model's own chat template, ready for the reply.

    The template comes from a model file and so is run in jinja2's sandbox. Raises UserError when it fails.
    """
    from jinja2 import TemplateError

    try:
        return str(_compiled(template).render(messages=list(messages), add_generation_prompt=True,
                                              bos_token="", eos_token=""))
    except TemplateError as error:
        raise UserError(f"the model's chat template can't be used ({error}); set model.base to another model") from None


@cache
def _compiled(template: str) -> Any:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(template)


def _voice(brand: Brand) -> str:
    """The system message: who speaks and how, short enough for a small model to heed."""
    voice = brand.voice
    lines = [f"You are the assistant of {brand.name}. {brand.persona.strip()}"]
    if voice.do:
        lines.append(f"Always: {'; '.join(voice.do)}.")
    if voice.dont:
        lines.append(f"Never: {'; '.join(voice.dont)}.")
    if voice.required:
        lines.append("Every reply holds: " + " ".join(f'"{phrase}"' for phrase in voice.required))
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Text as data: what looks like a control token of a chat template is broken, so that it ends no turn."""
    return text.replace("<|", "< |").replace("|>", "| >")
