"""Documents to drafts of questions, which count only once a person has accepted them."""

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

from builder.model.prompt import Message
from builder.scoring.facts import content_words
from builder.scoring.quantities import MONTHS, SMALL, Quantity, spans
from builder.scoring.text import places, plain
from builder.workspace.examples import Question, as_question, read_questions
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from knowledge.files import hash_bytes, read_json, write_json, write_text
from knowledge.reading.documents import Document, read_documents
from knowledge.search.passages import Passage, about_tokens, split
from knowledge.text.sentences import sentences

LONGEST, SHORTEST = 30, 5
"""Words of a sentence that makes a question: shorter ones say too little, longer ones ask too much."""
FEWEST = 6
"""Words of a question, below which its heading is put before it."""
ALIKE = 0.6
"""The share of content words in common, Jaccard's, from which two questions are the same."""
ANSWERED = 0.4
"""The share of a question's content words that an example must hold to train on it, if its reply states all the facts.
On the support template, each paraphrase with the reference answer as an example: at 0.4 recall 0.43 without a false
alarm in 7,080 pairs, at 0.3 0.58 with 3. It finds by words a part of what the audit finds by meaning."""
EXHAUSTED = (f"A draft is made of a sentence of {SHORTEST} to {LONGEST} words, outside tables and without markup, in "
             "which exactly one amount, time or date is recognised. All such sentences are used, discarded, or too "
             "similar to a test question or a training example.")
REWORD = "Ask the same question in other words. Write one question only.\n\n"
_TIMES = ("second", "minute", "hour", "day", "week", "month", "year")
_LENGTHS = ("kilometre", "metre", "centimetre", "millimetre", "mile", "inch", "foot")
_ASKS = {"pound": "how much", "euro": "how much", "dollar": "how much", "penny": "how much", "cent": "how much",
         "crown": "how much", "franc": "how much", "percent": "what percentage", "clock": "what time",
         "weekday": "which day", **dict.fromkeys(_TIMES, "how long"), **dict.fromkeys(_LENGTHS, "what length"),
         **dict.fromkeys(("gram", "kilogram"), "what weight"), **dict.fromkeys(MONTHS, "which date")}
"""What stands in a question for a quantity of this unit; "how many" and the unit for all others."""
_SMALL = [*SMALL, "twenty"]
_LEANS = re.compile(r"(?:it|they|he|she|this|that|these|those|both|such|there|here|its|their|his|her)\b", re.IGNORECASE)
_CUT = re.compile(r"[,;:]\s| and | but ")
"""Where a question ends early: what comes after its quantity seldom belongs to it."""
_MARKER = re.compile(r"(?:(?:[-*+•]|\d{1,3}[.)])\s+)+")
"""What a list's item begins with, which is no part of its sentence."""
_MARKUP = re.compile(r"[|`#*_<>\[\]{}]|https?:")

KEYS = {field.name for field in fields(Question)} - {"line"}
"""What a line of questions.jsonl holds."""

Reword = Callable[[list[list[Message]]], list[str]]
"""Conversations to a model's replies."""


@dataclass(frozen=True)
class Draft:
    """A question as questions.jsonl would hold it."""

    question: str
    answer: str
    facts: tuple[tuple[str, ...], ...]
    source: str
    offset: int
    group: str
    paraphrases: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What it is known by once it was refused: where its fact stands."""
        return hash_bytes(self.source, str(self.offset), self.facts[0][0])[:16]

    def edited(self, question: str, fact: str) -> "Draft":
        """As a person left it, the fact's spellings apart by |; what is empty stays as it was drafted."""
        return replace(self, question=question.strip() or self.question, facts=facts_of(fact) or self.facts)


def draft(workspace: Workspace, count: int, reword: Reword | None = None) -> list[Draft]:
    """At most `count` drafts, spread over the documents: each asks for the one amount, time or date of a sentence.

    None that was refused before, none that is like a question that is there already, and none that training sees: that
    is like an example's question, or has its answer. With `reword` a model offers other wordings, of which those are
    kept that ask for as much and give nothing away. UserError where there are no documents.
    """
    documents, _ = read_documents(workspace.folder)
    if not documents:
        raise UserError(f"{workspace.folder / 'documents'}: has nothing to ask about; add files")
    known = [set(content_words(question.question)) for question in workspace.questions]
    trained = _training(workspace)
    refused = set(_refused(workspace))
    asked = {(question.source, question.offset) for question in workspace.questions}
    made: list[Draft] = []
    for one in _spread([one for document in documents for one in _drafts(document)]):
        words = set(content_words(one.question))
        if one.key in refused or (one.source, one.offset) in asked or trained(
                one.question, one.facts) or any(_alike(words, other) for other in known):
            continue
        known.append(words)
        made.append(one)
        if len(made) == count:
            break
    return _reworded(made, reword) if reword else made


def accept(workspace: Workspace, one: Draft) -> None:
    """Add a draft, as it is or edited, to questions.jsonl; UserError where it is there or training sees it."""
    _add_one(workspace, asdict(one) | {"answerable": True}, "the draft")


def append_question(workspace: Workspace, question: str, fact: str, answerable: bool) -> None:
    """Add a question that a person wrote, the fact's spellings apart by |; UserError as `accept`.

    One that the documents answer needs a fact, or nothing could judge a reply; one that they don't answer has none.
    """
    facts = facts_of(fact)
    if not question.strip():
        raise UserError("the question is empty; write one")
    if answerable != bool(facts):
        raise UserError("write a fact that a correct answer must contain, or tick that the documents don't answer it"
                        if answerable else
                        "a question that the documents don't answer has no facts; leave the field empty")
    _add_one(workspace, {"question": question.strip(), "facts": facts, "answerable": answerable}, "the question")


def import_questions(workspace: Workspace, name: str, data: bytes) -> tuple[int, list[str]]:
    """Add the questions of a file: lines as questions.jsonl has them, or what `questions_from` reads; else as `add`."""
    from builder.evaluation.interchange.imports import questions_from

    ending = PurePath(name).suffix.lower()
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"questions{ending}"
        file.write_bytes(data)
        try:
            rows = questions_from(file) if ending != ".jsonl" or b'"input"' in data else [
                asdict(question) | {"group": "" if question.group == f"line {question.line}" else question.group}
                for question in read_questions(file)]
        except UserError as error:
            raise UserError(str(error).replace(str(file), name)) from None
    return add(workspace, rows, name)


def add(workspace: Workspace, rows: Sequence[dict[str, Any]], place: str) -> tuple[int, list[str]]:
    """Add questions that a person wrote elsewhere; how many were added, and for each of the others why it was not.

    UserError, and nothing is added, where one of them is no question.
    """
    with workspace.alone():
        now = Workspace(workspace.folder)
        asked, trained = {plain(question.question) for question in now.questions}, _training(now)
        lines, left = [], []
        for number, row in enumerate(rows, 1):
            where = f"{place}, question {number}"
            kept = {key: value for key, value in row.items() if key in KEYS and value not in (None, "", [], ())}
            try:
                line = (json.dumps(kept, ensure_ascii=False) + "\n").encode().decode()
            except (TypeError, ValueError):
                raise UserError(f"{where}: contains half a character or something that is not text; type "
                                "it again") from None
            question = as_question(json.loads(line), where, number)
            said = plain(question.question)
            if why := "is already there" if said in asked else trained(question.question, question.facts):
                left.append(f"{question.question}: {why}")
            else:
                asked.add(said)
                lines.append(line)
        file = workspace.folder / "questions.jsonl"
        before = file.read_text(encoding="utf-8") if lines and file.exists() else ""
        if lines:
            write_text(file, before + "\n" * (before[-1:] not in ("", "\n")) + "".join(lines))
    return len(lines), left


def _add_one(workspace: Workspace, row: dict[str, Any], place: str) -> None:
    _, left = add(workspace, [row], place)
    if left:
        raise UserError(f"{left[0]}; ask something else")


def _training(workspace: Workspace) -> Callable[[str, Sequence[Sequence[str]]], str]:
    """Tells of a question and its facts why training sees it; "" where it doesn't."""
    trained = [*(("example", example) for example in workspace.examples),
               *(("preference", choice.better) for choice in workspace.preferences)]
    seen = [(kind, one, set(content_words(one.question)), set(content_words(one.reply))) for kind, one in trained]

    def why(question: str, facts: Sequence[Sequence[str]]) -> str:
        words = set(content_words(question))
        for kind, one, asked, said in seen:
            where = f"the {kind} on line {one.line}"
            if _alike(words, asked):
                return f"is like {where}, which is used for training"
            if words and facts and len(words & (asked | said)) >= ANSWERED * len(words) and all(
                    any(places(spelling, one.reply) for spelling in fact) for fact in facts):
                return f"asks for “{facts[0][0]}”, which {where} teaches"
        return ""

    return why


def judging(workspace: Workspace) -> Callable[[str], int | None]:
    """Tells of a question the line of the one of questions.jsonl that it is like, paraphrases counted, or None.

    What judges never trains, so no example may ask it.
    """
    wordings = [(judge.line, plain(wording), set(content_words(wording))) for judge in workspace.questions
                for wording in (judge.question, *judge.paraphrases)]

    def judged(question: str) -> int | None:
        said, words = plain(question), set(content_words(question))
        return next((line for line, other, others in wordings if said == other or _alike(words, others)), None)

    return judged


def refuse(workspace: Workspace, one: Draft) -> None:
    """Never offer a draft again."""
    with workspace.alone():
        write_json(workspace.built / "refused.json", sorted({*_refused(workspace), one.key}))


def _refused(workspace: Workspace) -> list[str]:
    file = workspace.built / "refused.json"
    return list(read_json(file)) if file.exists() else []


def _drafts(document: Document) -> Iterator[Draft]:
    """A draft for each sentence of a document that states one quantity and stands on its own."""
    for passage in split(document, about_tokens):
        for start, end in sentences(passage.text):
            if marker := _MARKER.match(passage.text, start, end):
                start = marker.end()
            sentence = " ".join(passage.text[start:end].split())
            found = spans(sentence)
            words = sentence.split()
            if len(found) != 1 or not SHORTEST <= len(words) <= LONGEST or _MARKUP.search(sentence):
                continue
            yield _asked(sentence, found[0], passage, passage.start + start)


def _asked(sentence: str, found: tuple[Quantity, int, int], passage: Passage, offset: int) -> Draft:
    """The sentence with its quantity asked for, under its heading where it leans on what stands before it."""
    (unit, _), start, end = found
    said = sentence[start:end].strip(" .,;")
    asks = _ASKS.get(unit, f"how many {unit}s")
    rest = _CUT.split(sentence[start + len(sentence[start:end].rstrip(" .,;")):], maxsplit=1)[0]
    body = (sentence[:start] + asks + rest).rstrip(" .!;:,") + "?"
    heading = passage.heading.split(" > ")[-1].rstrip("?")
    leans = _LEANS.match(sentence) or len(body.split()) < FEWEST
    question = f"{heading}: {body}" if leans and heading else body
    return Draft(question[0].upper() + question[1:], sentence, (_spellings(said),), passage.document, offset,
                 passage.heading or passage.document)


def facts_of(said: str) -> tuple[tuple[str, ...], ...]:
    """The one fact that a person wrote, its spellings apart by |; none where nothing is written."""
    spellings = tuple(spelling.strip() for spelling in said.split("|") if spelling.strip())
    return (spellings,) if spellings else ()


def _spellings(said: str) -> tuple[str, ...]:
    """A quantity as it stands, and with its number in figures or in words where it is a small one."""
    number = re.search(r"\b(?:\d+|" + "|".join(_SMALL) + r")\b(?!-)", said, re.IGNORECASE)
    if not number:
        return (said,)
    word = number.group().lower()
    other = _SMALL[int(word)] if word.isdigit() and int(word) < len(_SMALL) else (
        str(_SMALL.index(word)) if word in _SMALL else "")
    plain = said[:number.start()].strip() == "" and not re.search(r"\d[.,:]\d", said)
    return (said, said[:number.start()] + other + said[number.end():]) if other and plain else (said,)


def _spread(drafts: Sequence[Draft]) -> Iterator[Draft]:
    """All drafts, each heading's first before any heading's second; the headings in an order that is the same again."""
    groups: dict[tuple[str, str], list[Draft]] = {}
    for one in drafts:
        groups.setdefault((one.source, one.group), []).append(one)
    order = sorted(groups)
    random.Random(0).shuffle(order)
    for round_number in range(max(map(len, groups.values()), default=0)):
        yield from (groups[name][round_number] for name in order if round_number < len(groups[name]))


def _alike(words: set[str], others: set[str]) -> bool:
    return bool(words | others) and len(words & others) / len(words | others) >= ALIKE


def _reworded(drafts: Sequence[Draft], reword: Reword) -> list[Draft]:
    """The drafts with a model's other wording, where that is a question like it and gives nothing away."""
    replies = reword([[{"role": "user", "content": REWORD + one.question}] for one in drafts])
    return [replace(one, paraphrases=(said,)) if (said := _usable(one, reply)) else one
            for one, reply in zip(drafts, replies, strict=True)]


def _usable(one: Draft, reply: str) -> str:
    line = next(iter(reply.strip().splitlines()), "").strip(' "“”')
    words, wanted = set(content_words(line)), set(content_words(one.question))
    shares = len(words & wanted) / max(1, len(wanted))
    gives_away = any(content_words(spelling) and set(content_words(spelling)) <= words for spelling in one.facts[0])
    other = line.casefold() != one.question.casefold()
    return line if line.endswith("?") and line.count("?") == 1 and shares >= 0.4 and other and not gives_away else ""
