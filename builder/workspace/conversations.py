"""One row of examples, in any of the formats that people have, to the turns of a conversation."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant",
         "user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
"""Names of roles, and who speaks under them."""
PAIRS = (("instruction", "output"), ("prompt", "reply"), ("prompt", "completion"), ("question", "answer"),
         ("question", "reply"))
"""Keys of question and reply in rows that are no list of turns."""
LISTS = ("messages", "conversations")
"""Keys of a list of turns."""
TEXT = ("text", "input_text", "output_text")
"""Types of the parts of a message that are text."""
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)


class Turn(NamedTuple):
    """Who says what."""

    role: str
    """system, user or assistant."""
    content: str
    learnt: bool = True
    """Whether a reply is an example; OpenAI's weight 0 says that it is none."""


class Unfit(Exception):
    """Why a row is no example, and what to do; without its place."""


def turns_of(row: Mapping[str, Any]) -> list[Turn]:
    """All turns of a row as they stand; Unfit where something in them is no text or nobody known says it."""
    key = next((key for key in LISTS if key in row), None)
    if key:
        return _listed(row[key])
    for asked, answered in PAIRS:
        if asked in row and answered in row:
            if isinstance(row[asked], list) or isinstance(row[answered], list):  # as TRL writes conversations
                return [*_listed(row[asked], "user"), *_listed(row[answered], "assistant")]
            more = _text(row.get("input") or "", "input")
            question = _text(row[asked], asked) + (f"\n\n{more}" if more else "")
            return [*_earlier(row.get("history") or []), Turn("user", question),
                    Turn("assistant", _text(row[answered], answered))]
    raise Unfit(f"keys {', '.join(map(str, row)) or '(none)'} fit no known format; call the two question and reply, or "
                'write {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}')


def conversation(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The turns from the first question to the last reply, user and assistant in turn, without system messages.

    A greeting before the first question and thanks behind the last reply are no part of it; questions that follow
    each other are one. Empty where the last reply has weight 0, which says that it is not to be learnt. Unfit as
    `turns_of`, and where two replies follow each other or a turn is empty.
    """
    turns = [turn for turn in turns_of(row) if turn.role != "system"]
    while turns and turns[0].role == "assistant":
        turns = turns[1:]
    while turns and turns[-1].role == "user":
        turns = turns[:-1]
    if not turns:
        raise Unfit("a conversation is user and assistant in turn, ending with the reply; this one has no "
                    "question that is replied to; correct or remove the line")
    if not turns[-1].learnt:
        return []
    made: list[tuple[str, str]] = []
    for turn in turns:
        said = _THOUGHT.sub("", turn.content) if turn.role == "assistant" else turn.content
        if not said.strip():
            raise Unfit("a turn is empty; fill or remove the line")
        if turn.role == "assistant" and "<think>" in said:
            raise Unfit("a reply has a thought that does not end (<think>); remove it")
        if made and made[-1][0] == turn.role:
            if turn.role == "assistant":
                raise Unfit("a conversation is user and assistant in turn; here two replies follow each other; join or "
                            "remove one")
            made[-1] = turn.role, f"{made[-1][1]}\n\n{said}"
        else:
            made.append((turn.role, said))
    return made


def _listed(turns: Any, alone: str = "") -> list[Turn]:
    """A list of messages; a text in its place is said by `alone`."""
    if isinstance(turns, str) and alone:
        return [Turn(alone, turns)]
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise Unfit("messages must be a list of objects with role and content; correct the line")
    return [_turn(turn) for turn in turns]


def _turn(turn: Mapping[str, Any]) -> Turn:
    name = turn.get("role", turn.get("from"))
    if turn.get("tool_calls") or turn.get("function_call") or name in ("tool", "function", "function_call",
                                                                        "observation"):
        raise Unfit("calls a tool, which is no reply to learn; remove the line")
    role = ROLES.get(str(name))
    if role is None:
        raise Unfit(f"role {name!r} is unknown; write user, assistant or system")
    weight = turn.get("weight", 1)
    if weight not in (0, 1):
        raise Unfit(f"weight {weight!r} is neither 0 nor 1; correct it")
    content = turn.get("content", turn.get("value"))
    return Turn(role, _text("" if content is None else content, "content"), bool(weight))


def _text(value: Any, name: str) -> str:
    """A text, or the text parts of a message."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(_part(part) for part in value)
    kind = {dict: "an object", bool: "true or false", int: "a number", float: "a number"}.get(type(value), "nothing")
    raise Unfit(f"{name} is {kind}, not text; put it in quotation marks, or remove the line")


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in TEXT and isinstance(part.get("text"), str):
        return str(part["text"])
    raise Unfit(f"a message has a part of type {kind or 'unknown'}, which is no text; remove the part or the line")


def _earlier(history: Any) -> list[Turn]:
    """Alpaca's earlier turns: pairs of question and reply."""
    if not isinstance(history, list) or not all(
            isinstance(pair, list) and len(pair) == 2 and all(isinstance(said, str) for said in pair)
            for pair in history):
        raise Unfit("history must be a list of pairs of question and reply; correct the line")
    return [Turn(role, said) for pair in history for role, said in zip(("user", "assistant"), pair, strict=True)]
