"""examples, preferences and questions: how the assistant speaks and how it is judged; read and checked."""

import csv
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from builder.workspace.conversations import LISTS, PAIRS, Unfit, conversation, turns_of
from knowledge.errors import UserError
from knowledge.files import hash_bytes
from knowledge.reading.converted import Unreadable
from knowledge.reading.encodings import decoded
from knowledge.reading.tables import csv_rows, separator

LONGEST_LINE = 1_000_000
"""Characters; a longer line is a damaged file, not a conversation."""
_BETWEEN = re.compile(r"[\s,]*")

NAMES = ("examples.jsonl", "examples.csv", "examples.json")
"""The files that hold examples; the first that is there counts."""
LISTED = 20
"""Lines that can't be read that one message names."""


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
class Fault:
    """A line that holds no example, and why."""

    line: int
    reason: str
    """What is wrong; what to do."""


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


def examples_file(folder: Path) -> Path:
    """Where a workspace's examples are, or would be."""
    return next((folder / name for name in NAMES if (folder / name).exists()), folder / NAMES[0])


def read_examples(path: Path) -> list[Example]:
    """Read examples: OpenAI messages, TRL, ShareGPT, Alpaca, or a CSV of question and reply.

    UserError names every line that fits none of them. A missing or empty file is no examples.
    """
    return parse_examples(example_bytes(path), str(path))


def example_bytes(path: Path) -> bytes:
    """What an examples' file holds, nothing where there is none; UserError where it can't be read."""
    try:
        return path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); check the permissions") from None


def parse_examples(data: bytes, name: str) -> list[Example]:
    """The examples in a file's bytes; UserError as `read_examples`."""
    examples, faults = sorted_examples(data, name)
    if len(faults) == 1:
        raise UserError(f"{name}:{faults[0].line}: {faults[0].reason}")
    if faults:
        more = f"\n  and {len(faults) - LISTED} more" if len(faults) > LISTED else ""
        listed = "".join(f"\n  line {fault.line}: {fault.reason}" for fault in faults[:LISTED])
        raise UserError(f"{name}: {len(faults)} lines can't be read; correct them, or run `twofold audit --fix`:"
                        f"{listed}{more}")
    return examples


def sorted_examples(data: bytes, name: str) -> tuple[list[Example], list[Fault]]:
    """The examples in a file's bytes, and the lines that hold none; its name's ending tells a CSV from JSON.

    A reply of weight 0 is neither. UserError where the file as a whole is no text or no table.
    """
    examples: list[Example] = []
    faults: list[Fault] = []
    for line, row in (_table if name.lower().endswith(".csv") else _objects)(data, name):
        try:
            if isinstance(row, Unfit):
                raise row
            turns = conversation(row)
            if turns:
                examples.append(Example(turns[-2][1].strip(), turns[-1][1].strip(), tuple(turns[:-2]), line))
        except Unfit as unfit:
            faults.append(Fault(line, str(unfit)))
    return examples, faults


def is_by_line(data: bytes, name: str) -> bool:
    """Whether each line of the file is a row of its own, so that lines can be changed and taken out."""
    return not name.lower().endswith(".csv") and _first(data) in ("", "line")


def as_line(example: Example, old: str = "") -> str:
    """An example as a line of examples.jsonl; the system message and further keys of the `old` line stay."""
    row = json.loads(old) if old.strip() else {}
    pair = next((keys for keys in PAIRS if set(keys) <= set(row)), ())
    known = set(LISTS) if set(LISTS) & set(row) else {*pair, "input", "history"}
    turns = [(turn.role, turn.content) for turn in (turns_of(row) if row else []) if turn.role == "system"]
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
            if text.strip():
                try:
                    yield line, _object(text)
                except Unfit as unfit:
                    raise UserError(f"{name}:{line}: {unfit}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 text ({error.reason}); save it as UTF-8") from None


Rows = Iterator[tuple[int, dict[str, Any] | Unfit]]
"""Rows with the line at which each begins, counted from 1; Unfit where a line is none."""


def _objects(data: bytes, name: str) -> Rows:
    """JSON objects, one a line, in one list, or one after the other over several lines."""
    text, first = _decoded(data, name), _first(data)
    if first in ("", "line"):
        for line, row in enumerate(text.split("\n"), 1):
            if row.strip():
                try:
                    yield line, _object(row)
                except Unfit as unfit:
                    yield line, unfit
        return
    at = text.find("[") + 1 if first == "list" else 0
    decoder = json.JSONDecoder()
    while (begin := _BETWEEN.match(text, at)) and begin.end() < len(text) and text[begin.end()] != "]":
        line = text.count("\n", 0, begin.end()) + 1
        try:
            row, at = decoder.raw_decode(text, begin.end())
            yield line, _object(text[begin.end():at]) if isinstance(row, dict) else Unfit(
                "not a JSON object; write {…}")
        except (ValueError, RecursionError, Unfit) as error:
            yield getattr(error, "lineno", line), error if isinstance(error, Unfit) else Unfit(
                f"broken JSON ({getattr(error, 'msg', 'nested too deeply')}); correct the file from here")
            return


def _first(data: bytes) -> str:
    """What a JSON file is made of: a list, objects over several lines, or a line each; "" for nothing."""
    text = data.decode("utf-8-sig", errors="replace").lstrip()
    line = text.split("\n", 1)[0].strip()
    try:
        loaded = json.loads(line) if line else None
        listed = isinstance(loaded, list) and loaded and isinstance(loaded[0], dict)
        return "list" if listed else "line" if line else ""
    except (ValueError, RecursionError):
        return "list" if re.match(r"\[\s*[{\n]", text) else "objects" if re.match(r"\{\s*\n", text) else "line"


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 text ({error.reason}); save it as UTF-8") from None


def _object(text: str) -> dict[str, Any]:
    """The JSON object of a text; Unfit for whatever else it is."""
    if len(text) > LONGEST_LINE:
        raise Unfit(f"longer than {LONGEST_LINE:,} characters; split or remove it")
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()  # JSON can write half a character, as \ud83d alone
    except (ValueError, RecursionError) as error:
        half = isinstance(error, UnicodeEncodeError)
        reason = "holds half a character" if half else getattr(error, "msg", "nested too deeply")
        raise Unfit(f"broken JSON ({reason}); mend or remove the line") from None
    if not isinstance(value, dict):
        raise Unfit("not a JSON object; write one {…} a line")
    return value


def _table(data: bytes, name: str) -> Rows:
    """The rows of a CSV with a header, which may be in capitals; its encoding and separator are told by its text.

    A comma within the last cell may lack its quotation marks where the cell before ends a sentence.
    """
    try:
        text = decoded(data) if data.strip() else ""
        comma, rows = separator(text), csv_rows(text)
        header = [key.strip().lower() for key in next(rows, [])]
        before = rows.line_num
        for row in rows:
            line, before = before + 1, rows.line_num
            if len(row) > len(header) >= 2 and row[len(header) - 2].rstrip().endswith((".", "?", "!")):
                row[len(header) - 1:] = [comma.join(row[len(header) - 1:])]
            if len(row) > len(header):
                yield line, Unfit(f"has {len(row)} cells, but the header has {len(header)}; put a text that holds "
                                  f"“{comma}” in quotation marks")
            elif any(map(str.strip, row)):
                yield line, dict(zip(header, [*row, *[""] * (len(header) - len(row))], strict=True))
    except (Unreadable, csv.Error) as error:
        raise UserError(f"{name}: not a CSV ({error}); save it as CSV UTF-8") from None


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
    try:
        said = conversation({"messages": [*turns, {"role": "assistant", "content": better}]})
    except Unfit as unfit:
        raise UserError(f"{place}: {unfit}") from None
    return Choice(Example(said[-2][1].strip(), said[-1][1].strip(), tuple(said[:-2]), line), worse.strip())


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
