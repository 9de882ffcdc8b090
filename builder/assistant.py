"""A question to a reply: the one composition that answers as four systems."""

import queue
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from builder import weights
from builder.brand import Brand
from builder.citations import Citation, cite
from builder.engine import Decoding, Emit, Engine, Generated, LlamaEngine
from builder.mix import fixed_phrases
from builder.release import unit
from builder.render import Message, render
from builder.workspace import Workspace
from knowledge import encoder
from knowledge.errors import UserError
from knowledge.filter import Filter
from knowledge.index import Found, Index, Reranker
from knowledge.retriever import Finding, Retriever

LONGEST_QUESTION = 4000
"""Characters."""
SLOTS = 8
"""Replies made at once where nobody waits for the first word."""


@dataclass(frozen=True)
class System:
    """One way of answering: two switches."""

    name: str
    tuned: bool
    retrieves: bool


SYSTEMS = (System("prompt-only", False, False), System("rag-only", False, True),
           System("fine-tune-only", True, False), System("hybrid", True, True))
ELSEWHERE = "elsewhere"
"""How a reply ended that was not made here."""
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


class Assistant:
    """A brand with its engine and its retriever; either half may be missing."""

    def __init__(self, brand: Brand, engine: Engine, retriever: Retriever | None, adapted: bool,
                 fixed: Sequence[str] = ()) -> None:
        """`adapted` says whether the engine holds the brand's adapter; `fixed` are phrases that all replies share."""
        self.fixed = tuple(fixed)
        self.brand, self.engine, self.retriever, self.adapted = brand, engine, retriever, adapted

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
        passages = [(one.passage.heading, one.passage.shown) for one in finding.found]
        messages = render(self.brand, question, passages, [*shots, *history])
        before = time.perf_counter() - start
        decoding = Decoding(self.brand.model.reply_tokens, *(drawn or ()))
        made = self.engine.generate(messages, system.tuned, decoding, emit)
        start = time.perf_counter()
        cited = cite(made.text, finding.found, self.retriever.encoder, self.fixed) if (
            system.retrieves and self.retriever) else ()
        return Reply(question, system.name, made.text, False, probability, finding.found, made.tokens,
                     made.prompt_tokens, before + made.seconds + time.perf_counter() - start, made.finish, cited)


def answer_at_once(assistant: Assistant, question: str, systems: Sequence[System],
                   gate: AbstractContextManager[Any] = NO_GATE, earlier: Sequence[str] = (),
                   ) -> Generator[tuple[System, str | Reply], None, None]:
    """Several systems on one question at the same time: each piece of text as it comes, and each reply when whole.

    `gate` is what a reply passes through; `earlier` is as in Assistant.answer. Where the reader stops, no further word
    is made. The first UserError is raised once the others are whole.
    """
    said: queue.SimpleQueue[tuple[System, str | Reply | Exception]] = queue.SimpleQueue()
    stop = threading.Event()

    def run(system: System) -> None:
        def emit(piece: str) -> bool:
            said.put((system, piece))
            return stop.is_set()

        try:
            with gate:
                said.put((system, assistant.answer(question, system, emit, earlier=earlier)))
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


def system_named(name: str) -> System:
    """The system of this name; UserError where there is none."""
    for system in SYSTEMS:
        if system.name == name:
            return system
    raise UserError(f"{name}: no such system; there are {', '.join(system.name for system in SYSTEMS)}")


def open_assistant(workspace: Workspace, slots: int = 1, release: str | None = None,
                   retriever: Retriever | None = None) -> Assistant:
    """Open what answers in a workspace: the named release, else the live one, else the last build.

    A release answers with its own brand. With no build the brand answers alone. `retriever` is its own, where that is
    open already. UserError for an unknown release.
    """
    answering = unit(workspace, release)
    brand, state = answering.brand, answering.state
    engine = open_engine(brand, state.adapter, slots)
    retriever = retriever or (open_retriever(brand, state.index) if state.index else None)
    fixed = answering.fixed
    if fixed is None:
        fixed = tuple(fixed_phrases(brand, workspace.examples)) if retriever else ()
    return Assistant(brand, engine, retriever, state.adapter is not None, fixed)


def open_engine(brand: Brand, adapter: Path | None, slots: int = 1) -> Engine:
    """The engine that brand.yaml names, with the adapter folder where there is one."""
    model = brand.model
    if model.engine == "transformers":
        from builder.reference import TransformersEngine

        return TransformersEngine(weights.prepared(model.base, model.precision), adapter, slots, model.context)
    tuned = adapter / "tuned.gguf" if adapter and (adapter / "tuned.gguf").is_file() else None
    if model.engine == "openvino":
        from builder.openvino import OpenVinoEngine

        exact = weights.prepared(model.base, "f16")
        plain = OpenVinoEngine(exact, None, slots, model.context)
        return BaseAndTuned(plain, OpenVinoEngine(exact, None if tuned else adapter, slots, model.context,
                                                  tuned)) if adapter else plain
    base = weights.prepared(model.base, model.precision)
    if tuned:
        return BaseAndTuned(*(LlamaEngine(base, None, slots, model.context, file) for file in (None, tuned)))
    return LlamaEngine(base, adapter / "adapter.gguf" if adapter else None, slots, model.context)


class BaseAndTuned:
    """Two engines, of the base and of tuned weights, where no adapter is switched: twice the memory."""

    def __init__(self, plain: Engine, tuned: Engine) -> None:
        """The engine of the base, and that of the tuned weights."""
        self.slots, self._plain, self._tuned = plain.slots, plain, tuned

    def generate(self, messages: Sequence[Message], tuned: bool, decoding: Decoding,
                 emit: Emit | None = None) -> Generated:
        """Make one reply with the weights asked for; UserError when the prompt leaves no room for it."""
        return (self._tuned if tuned else self._plain).generate(messages, tuned, decoding, emit)


def open_retriever(brand: Brand, folder: Path) -> Retriever:
    """The retriever over a built index."""
    return Retriever.open(folder, open_index(brand, folder), brand.retrieval.found)


def open_index(brand: Brand, folder: Path) -> Index:
    """A built index with the encoder, store and cross-encoder that brand.yaml names."""
    store = None
    if brand.retrieval.store:
        from knowledge.foreign import StoreSearch, named_store

        store = partial(StoreSearch, named_store(brand.retrieval.store), **brand.retrieval.store_settings)
    return Index.open(folder, open_encoder(brand), store, open_reranker(brand))


def open_reranker(brand: Brand) -> Reranker | None:
    """The cross-encoder that brand.yaml names, if it names one."""
    if not brand.retrieval.reranker:
        return None
    from knowledge.cross_encoder import prepared

    return prepared(brand.retrieval.reranker)


def open_encoder(brand: Brand) -> encoder.Encoder:
    """The encoder that brand.yaml names: ours, or LangChain embeddings."""
    settings = brand.retrieval
    if settings.encoder.startswith("langchain:"):
        from knowledge.foreign import open_embeddings

        return open_embeddings(settings.encoder, settings.encoder_settings)
    return encoder.prepared(settings.encoder)


def filtered(folder: str, language: str, tag: str, since: str, until: str) -> Filter | None:
    """What the words of a user leave to search; UserError for a day that is none. None where all of it is searched."""
    for day in (since, until):
        try:
            date.fromisoformat(day or "2026-01-01")
        except ValueError:
            raise UserError(f"{day}: is no day; write it as 2026-01-31") from None
    made = Filter(folder.removeprefix("documents/"), language, tag, since, until)
    return made if made != Filter() else None
