"""examples, preferences and questions: how the assistant speaks and how it is judged; read and checked."""

import codecs
import csv
import io
import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from knowledge.errors import UserError
from knowledge.files import hash_bytes

LONGEST_LINE = 1_000_000
"""Characters; a longer line is a damaged file, not a conversation."""

ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant",
         "user": "user", "assistant": "assistant", "system": "system"}
PAIRS = (("instruction", "output"), ("prompt", "reply"), ("prompt", "completion"), ("question", "answer"),
         ("question", "reply"))
"""Keys of question and reply in rows that are no list of turns."""


@dataclass(frozen=True)
class Example:
    """One conversation that shows the voice: the last user's turn and the reply to learn."""

    question: str
    reply: str
    history: tuple[tuple[str, str], ...]
    """Earlier turns as (role, content); no system message."""
    line: int

    @property
    def sha256(self) -> str:
        """Of what it says, wherever it stands."""
        return hash_bytes(json.dumps([self.question, self.reply, self.history]))


@dataclass(frozen=True)
class Choice:
    """An example whose reply is better than another one."""

    better: Example
    worse: str


@dataclass(frozen=True)
class Question:
    """One question that judges; `facts` holds, for each fact, the spellings that count."""

    question: str
    answer: str
    facts: tuple[tuple[str, ...], ...]
    forbidden: tuple[str, ...]
    source: str
    offset: int | None
    answerable: bool
    paraphrases: tuple[str, ...]
    group: str
    line: int


def read_examples(path: Path) -> list[Example]:
    """Read examples: OpenAI messages, ShareGPT, Alpaca, or a CSV of question and reply.

    UserError names the line that fits none of them. A missing or empty file is no examples.
    """
    try:
        data = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); check the permissions") from None
    return parse_examples(data, str(path))


def parse_examples(data: bytes, name: str) -> list[Example]:
    """The examples in a file's bytes, which its name's ending tells: .csv, .json (a list), or else JSON Lines.

    UserError as `read_examples`. Lines are counted from 1, of a list its objects.
    """
    file = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="" if name.endswith(".csv") else None)
    listed = name.endswith(".json") and data.lstrip(codecs.BOM_UTF8).lstrip().startswith(b"[")
    rows = (_csv_rows if name.endswith(".csv") else _listed_rows if listed else _json_rows)(file, name)
    return [_example(row, f"{name}:{line}", line) for line, row in rows]


def as_line(example: Example, old: str = "") -> str:
    """An example as a line of examples.jsonl; the system message and further keys of the `old` line stay."""
    row = json.loads(old) if old.strip() else {}
    pair = next((keys for keys in PAIRS if set(keys) <= set(row)), ())
    known = {"messages", "conversations"} if {"messages", "conversations"} & set(row) else {*pair, "input"}
    turns = [turn for turn in (_turns(row, "") if row else []) if turn[0] == "system"]
    turns += [*example.history, ("user", example.question), ("assistant", example.reply)]
    messages = [{"role": role, "content": content} for role, content in turns]
    return json.dumps({"messages": messages} | {key: row[key] for key in row if key not in known},
                      ensure_ascii=False) + "\n"


def read_preferences(path: Path) -> list[Choice]:
    """Read preferences: {"messages": […], "chosen": "…", "rejected": "…"}, or a prompt in place of the messages."""
    return [_choice(row, f"{path}:{line}", line) for line, row in _json_lines(path)]


def read_questions(path: Path) -> list[Question]:
    """Read the questions that judge; all keys but `question` are optional."""
    return [as_question(row, f"{path}:{line}", line) for line, row in _json_lines(path)]


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a JSONL file, with their line numbers; none of one that isn't there."""
    if not path.exists():
        return
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from _json_rows(file, str(path))
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); check the permissions") from None


def _json_rows(file: TextIO, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects, one a line, with their line numbers; blank lines are passed over."""
    try:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            if len(text) > LONGEST_LINE:
                raise UserError(f"{name}:{line}: longer than {LONGEST_LINE:,} characters; split or remove it")
            yield line, _object(_loaded(text, f"{name}:{line}", "mend or remove the line"), f"{name}:{line}")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 text ({error.reason}); save it as UTF-8") from None


def _listed_rows(file: TextIO, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of one list, with their numbers."""
    try:
        rows = _loaded(file.read(), name, "mend the file")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 text ({error.reason}); save it as UTF-8") from None
    for number, row in enumerate(rows, 1):
        yield number, _object(row, f"{name}:{number}")


def _loaded(text: str, place: str, advice: str) -> Any:
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()  # JSON can write half a character, as \ud83d alone
    except (ValueError, RecursionError) as error:
        if isinstance(error, UnicodeEncodeError):
            reason = "holds half a character"
        else:
            line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) and error.lineno > 1 else ""
            reason = getattr(error, "msg", "nested too deeply") + line
        raise UserError(f"{place}: broken JSON ({reason}); {advice}") from None
    return value


def _object(row: Any, place: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise UserError(f"{place}: not a JSON object; write one {{…}} a line")
    return row


def _csv_rows(file: TextIO, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a CSV with a header, which may be in capitals, with their line numbers."""
    try:
        reader = csv.DictReader(file)
        reader.fieldnames = [key.strip().lower() for key in reader.fieldnames or []]
        for row in reader:
            yield reader.line_num, dict(row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{name}: not a UTF-8 CSV ({error}); save it as CSV UTF-8") from None


def _turns(row: dict[str, Any], place: str) -> list[tuple[str, str]]:
    """The conversation of a row as (role, content), whatever format its keys tell."""
    if "messages" in row or "conversations" in row:
        turns = row.get("messages", row.get("conversations"))
        if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
            raise UserError(f"{place}: messages must be a list of objects with role and content; correct the line")
        return [(ROLES.get(str(turn.get("role", turn.get("from"))), ""),
                 str(turn.get("content", turn.get("value")) or "")) for turn in turns]
    for asked, answered in PAIRS:
        if asked in row and answered in row:
            more = str(row.get("input") or "")
            user = str(row[asked] or "") + (f"\n\n{more}" if more else "")
            return [("user", user), ("assistant", str(row[answered] or ""))]
    raise UserError(f"{place}: keys {', '.join(map(str, row)) or '(none)'} fit no known format; call the "
                    'two question and reply, or write {"messages": [{"role": "user", "content": "…"}, '
                    '{"role": "assistant", "content": "…"}]}')


def _example(row: dict[str, Any], place: str, line: int) -> Example:
    turns = [turn for turn in _turns(row, place) if turn[0] != "system"]
    roles = [role for role, _ in turns]
    if len(turns) < 2 or roles != ["user", "assistant"] * (len(turns) // 2):
        raise UserError(f"{place}: a conversation is user and assistant in turn, ending with the reply; correct the "
                        "line")
    if not all(content.strip() for _, content in turns):
        raise UserError(f"{place}: a turn is empty; fill or remove the line")
    return Example(turns[-2][1].strip(), turns[-1][1].strip(), tuple(turns[:-2]), line)


def _choice(row: dict[str, Any], place: str, line: int) -> Choice:
    better, worse = (_said(row.get(key)) for key in ("chosen", "rejected"))
    if not better.strip() or not worse.strip():
        raise UserError(f"{place}: needs a chosen and a rejected reply; fill or remove the line")
    if better.strip() == worse.strip():
        raise UserError(f"{place}: chosen and rejected are the same; correct or remove the line")
    turns = row.get("messages", row.get("prompt"))
    if isinstance(turns, str):
        turns = [{"role": "user", "content": turns}]
    if not isinstance(turns, list):
        raise UserError(f"{place}: messages are missing; write the conversation that the two replies answer")
    return Choice(_example({"messages": [*turns, {"role": "assistant", "content": better}]}, place, line),
                  worse.strip())


def _said(reply: Any) -> str:
    """A reply as text; other tools write it as a list of one message."""
    last = reply[-1] if isinstance(reply, list) and reply else reply
    return str((last.get("content") if isinstance(last, dict) else last) or "")


def as_question(row: dict[str, Any], place: str, line: int) -> Question:
    """One line of questions.jsonl as a question; UserError names `place` where it is none."""
    text = row.get("question")
    if not isinstance(text, str) or not text.strip():
        raise UserError(f"{place}: question is missing or empty; every line needs one")
    for key in ("facts", "forbidden", "paraphrases"):
        if not isinstance(row.get(key, []), list):
            raise UserError(f"{place}: {key} must be a list; write \"{key}\": [\"…\"]")
    answerable = row.get("answerable", True)
    if not isinstance(answerable, bool):
        raise UserError(f"{place}: answerable must be true or false; correct it")
    offset = row.get("offset")
    if offset is not None and (not isinstance(offset, int) or offset < 0):
        raise UserError(f"{place}: offset must be a character position in the document's text; correct it")
    facts = tuple(tuple(map(str, fact)) if isinstance(fact, list) else (str(fact),) for fact in row.get("facts", []))
    return Question(text.strip(), str(row.get("answer") or ""), facts, tuple(map(str, row.get("forbidden", []))),
                    str(row.get("source") or ""), offset, answerable,
                    tuple(map(str, row.get("paraphrases", []))), str(row.get("group") or f"line {line}"), line)


def hold_out(examples: Sequence[Example], seed: int, learnt: Collection[str] = ()
             ) -> tuple[list[Example], list[Example]]:
    """Examples to train on and examples kept apart, chosen by what each one says.

    So a line that comes or goes moves no other one, and two that say the same stay together. `learnt` are the hashes
    of those that an earlier training saw: they are never kept apart.
    """
    counts = Counter(example.sha256 for example in examples)
    apart, wanted = set[str](), kept_apart(len(examples))
    for sha256 in sorted(counts.keys() - set(learnt), key=lambda sha256: hash_bytes(str(seed), sha256)):
        if wanted <= 0:
            break
        apart.add(sha256)
        wanted -= counts[sha256]
    return ([example for example in examples if example.sha256 not in apart],
            [example for example in examples if example.sha256 in apart])


def kept_apart(count: int) -> int:
    """Of so many examples how many are kept apart: 15 %, at least 8 of 40 or more; few are all trained on."""
    return max(8, round(0.15 * count)) if count >= 40 else 0
