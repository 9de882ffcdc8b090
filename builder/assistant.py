"""The one composition that answers as four systems; knows nothing of weights, vectors or pages."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.brand import Brand
from builder.engine import Decoding, Engine
from builder.render import Message, render
from builder.workspace import Workspace
from knowledge.errors import UserError
from knowledge.index import Found
from knowledge.retriever import Finding, Retriever

LONGEST_QUESTION = 4_000
"""Characters; more is a document, not a question, and would push the passages out of the prompt."""


@dataclass(frozen=True)
class System:
    """One way of answering: are the weights tuned, and is the index consulted?"""

    name: str
    tuned: bool
    retrieves: bool


SYSTEMS = (
    System("prompt-only", tuned=False, retrieves=False),
    System("rag-only", tuned=False, retrieves=True),
    System("fine-tune-only", tuned=True, retrieves=False),
    System("hybrid", tuned=True, retrieves=True),
)


@dataclass(frozen=True)
class Reply:
    """What a system said, and what it rests on."""

    question: str
    system: str
    text: str
    abstained: bool
    answerable: float | None
    """Probability that the found passages answer; None where nothing was looked up."""
    found: tuple[Found, ...]
    tokens: int
    prompt_tokens: int
    seconds: float
    finish: str
    """Why it ended: stop, length, loop, cancelled, or abstained."""


NOTHING = Finding((), 0.0, True)
"""What a system that doesn't retrieve has found: no passages, and no reason to abstain."""


@dataclass(frozen=True)
class Assistant:
    """Finds passages, abstains or renders the prompt, and generates the reply."""

    brand: Brand
    engine: Engine
    retriever: Retriever | None = None
    adapted: bool = False
    """Whether the engine holds an adapter."""

    @property
    def systems(self) -> tuple[System, ...]:
        """The systems that can answer with what is built."""
        return tuple(system for system in SYSTEMS
                     if (self.adapted or not system.tuned) and (self.retriever or not system.retrieves))

    def answer(self, question: str, system: System, emit: Callable[[str], bool | None] | None = None,
               history: Sequence[Message] = ()) -> Reply:
        """Answer as `system`; `emit` gets the text piece by piece as it comes and may return True to stop it.

        Raises UserError for an empty or overlong question, or a system whose half isn't built.
        """
        question = checked(question)
        if system not in self.systems:
            half = "documents" if system.retrieves and not self.retriever else "examples"
            raise UserError(f"{system.name}: its half isn't built; add {half} and run `twofold build`, "
                            f"or ask {' or '.join(other.name for other in self.systems)}")
        start = time.perf_counter()
        finding = self.retriever.find(question) if self.retriever and system.retrieves else NOTHING
        certainty = finding.probability if system.retrieves else None
        if not finding.answerable:
            if emit:
                emit(self.brand.abstain)
            return Reply(question, system.name, self.brand.abstain, True, certainty, finding.found, 0, 0,
                         time.perf_counter() - start, "abstained")
        messages = render(self.brand, question, [found.passage for found in finding.found], history)
        made = self.engine.generate(messages, system.tuned, Decoding(self.brand.model.reply_tokens), emit)
        return Reply(question, system.name, made.text, False, certainty, finding.found, made.tokens,
                     made.prompt_tokens, time.perf_counter() - start, made.finish)


def checked(question: str) -> str:
    """The question stripped; UserError when it is empty or longer than LONGEST_QUESTION."""
    question = question.strip()
    if not question:
        raise UserError("the question is empty; write one")
    if len(question) > LONGEST_QUESTION:
        raise UserError(f"the question has {len(question):,} characters, more than {LONGEST_QUESTION:,}; "
                        "shorten it, or put its text into documents/")
    return question


def system_named(name: str) -> System:
    """The system of this name; UserError lists the names."""
    for system in SYSTEMS:
        if system.name == name:
            return system
    raise UserError(f"{name}: no such system; choose {', '.join(system.name for system in SYSTEMS)}")


def open_assistant(workspace: Workspace, slots: int = 1) -> Assistant:
    """The assistant of a workspace's live parts; `slots` is how many replies are made at once."""
    state, brand = workspace.live(), workspace.brand
    return Assistant(brand, open_engine(brand, state.adapter, slots), open_retriever(workspace, state.index),
                     state.adapter is not None)


def open_engine(brand: Brand, adapter: Path | None, slots: int) -> Engine:
    """The engine that brand.yaml asks for, with the adapter's folder where there is one."""
    from builder import weights

    base = weights.prepared(brand.model.base, brand.model.precision)
    if brand.model.engine == "transformers":
        from builder.reference import TransformersEngine

        return TransformersEngine(base, adapter)
    from builder.engine import LlamaEngine

    return LlamaEngine(base, adapter / "adapter.gguf" if adapter else None, brand.model.precision, slots,
                       brand.model.context)


def open_retriever(workspace: Workspace, index: Path | None) -> Retriever | None:
    """The retriever over an index folder, or None where no index is built."""
    if index is None:
        return None
    from knowledge import encoder
    from knowledge.answerable import Answerability
    from knowledge.index import Index

    settings = workspace.brand.retrieval
    opened = Index.open(index, encoder.OnnxEncoder.open(encoder.prepared(settings.encoder)))
    return Retriever(opened, Answerability.open(index), settings.found)
