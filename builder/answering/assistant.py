"""A question to a reply: the one composition that answers as four systems."""

import queue
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from builder.answering.citations import Citation, cite
from builder.answering.statements import same_words
from builder.answering.systems import SYSTEMS, System
from builder.model.engine import Decoding, Emit, Engine
from builder.model.prompt import Message, render
from builder.workspace.brand import Brand
from knowledge.errors import UserError
from knowledge.search.answerable import Confidence
from knowledge.search.filter import Filter
from knowledge.search.index import Found
from knowledge.search.retriever import Finding, Retriever

LONGEST_QUESTION = 4000
"""Characters."""
NO_GATE = nullcontext()
NOTHING = Finding((), 0.0, True)
"""What a system that doesn't look finds; it answers all the same."""


@dataclass(frozen=True)
class Reply:
    """A reply, what it rests on, and what it cost."""

    question: str
    system: str
    text: str
    abstained: bool
    probability: float | None
    """That what was found answers the question; None for a system that doesn't look."""
    found: tuple[Found, ...]
    tokens: int
    prompt_tokens: int
    seconds: float
    finish: str
    """stop, length, loop, cancelled, abstained or elsewhere."""
    citations: tuple[Citation, ...] = ()
    """For each sentence what supports it; empty where nothing was looked up."""
    searched: tuple[str, ...] = ()
    """What was searched for, where documents were."""
    unanswered: tuple[str, ...] = ()
    """Questions of the message that the documents don't answer, where they answer others."""

    @property
    def unsupported(self) -> bool:
        """Whether it states something, and no passage that was found supports any sentence of it."""
        stated = [citation for citation in self.citations if citation.needs]
        return bool(stated) and not self.abstained and all(citation.found is None for citation in stated)

    @property
    def confidence(self) -> Confidence | None:
        """The probability in a word; None for a system that doesn't look."""
        return None if self.probability is None else Confidence.of(self.probability)


class Assistant:
    """A brand with its engine and its retriever; either half may be missing."""

    def __init__(self, brand: Brand, engine: Engine, retriever: Retriever | None, adapted: bool,
                 fixed: Sequence[str] = ()) -> None:
        """`adapted` says whether the engine holds the brand's adapter; `fixed` are phrases that all replies share."""
        self.fixed = tuple(fixed)
        self.brand, self.engine, self.retriever, self.adapted = brand, engine, retriever, adapted
        self.alike = same_words(brand.voice.do)

    @property
    def systems(self) -> tuple[System, ...]:
        """The systems that the built halves allow."""
        return tuple(system for system in SYSTEMS
                     if (self.adapted or not system.tuned) and (self.retriever or not system.retrieves))

    def answer(self, question: str, system: System, emit: Emit | None = None, history: Sequence[Message] = (),
               earlier: Sequence[str] = (), where: Filter | None = None, shots: Sequence[Message] = (),
               finding: Finding | None = None, drawn: tuple[float, int] | None = None) -> Reply:
        """Answer as one system; `emit` gets the reply piece by piece. UserError for a question that can't be asked.

        The model sees `history`; `earlier` are questions before this one that count for search alone, as those in
        `history` do. `where` says which documents are searched. An experiment may show the model turns of other
        conversations, `shots`, give a system that retrieves another `finding` than search makes, or have the reply
        `drawn` at a temperature with a seed, where it else is the likeliest.
        """
        question = checked(question)
        if system not in self.systems:
            missing = "has no adapter" if system.tuned and not self.adapted else "has no index"
            raise UserError(f"{system.name}: this workspace {missing}; run `twofold build` on it")
        start = time.perf_counter()
        asked = [*earlier, *(turn["content"] for turn in history if turn["role"] == "user")]
        if not (system.retrieves and self.retriever):
            finding = NOTHING
        elif finding is None:
            finding = self.retriever.find(question, earlier=asked, where=where)
        probability = finding.probability if system.retrieves else None
        if not finding.answerable:
            if emit:
                emit(self.brand.abstain)
            return Reply(question, system.name, self.brand.abstain, True, probability, finding.found, 0, 0,
                         time.perf_counter() - start, "abstained")
        passages = [(hit.passage.heading, hit.passage.shown) for hit in finding.found]
        put = " ".join(finding.answered) if finding.unanswered else question  # what can't be answered invites invention
        messages = render(self.brand, put, passages, [*shots, *history])
        before = time.perf_counter() - start
        decoding = Decoding(self.brand.model.reply_tokens, *(drawn or ()))
        made = self.engine.generate(messages, system.tuned, decoding, emit)
        start = time.perf_counter()
        cited = cite(made.text, finding.found, self.retriever.encoder, self.fixed, self.alike) if (
            system.retrieves and self.retriever) else ()
        return Reply(question, system.name, made.text, False, probability, finding.found, made.tokens,
                     made.prompt_tokens, before + made.seconds + time.perf_counter() - start, made.finish, cited,
                     finding.searched, finding.unanswered)


def answer_at_once(assistant: Assistant, question: str, systems: Sequence[System],
                   gate: AbstractContextManager[Any] = NO_GATE, earlier: Sequence[str] = (),
                   history: Sequence[Message] = ()) -> Generator[tuple[System, str | Reply], None, None]:
    """Several systems on one question at the same time: each piece of text as it comes, and each reply when whole.

    `gate` is what a reply passes through; `earlier` and `history` are as in Assistant.answer. Where the
    reader stops, no further word is made. The first UserError is raised once the others are whole.
    """
    said: queue.SimpleQueue[tuple[System, str | Reply | Exception]] = queue.SimpleQueue()
    stop = threading.Event()

    def run(system: System) -> None:
        def emit(piece: str) -> bool:
            said.put((system, piece))
            return stop.is_set()

        try:
            with gate:
                said.put((system, assistant.answer(question, system, emit, history, earlier)))
        except Exception as error:
            said.put((system, error))

    for system in systems:
        threading.Thread(target=run, args=(system,), daemon=True).start()
    left, fault = len(systems), None
    try:
        while left:
            system, piece = said.get()
            left -= not isinstance(piece, str)
            if isinstance(piece, Exception):
                fault = fault or piece
            else:
                yield system, piece
    finally:
        stop.set()
    if fault:
        raise fault


def checked(question: str) -> str:
    """The question without control characters; UserError where it can't be asked."""
    text = "".join(letter for letter in question if letter.isprintable() or letter in "\n\t").strip()
    if not text:
        raise UserError("the question is empty; write what you want to know")
    if len(text) > LONGEST_QUESTION:
        raise UserError(f"the question has {len(text):,} characters, and {LONGEST_QUESTION:,} are allowed; shorten it")
    return text
