"""What answers in a workspace, opened: its engine, its index, its assistant."""

from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path

from builder.answering.assistant import Assistant
from builder.model import prepare
from builder.model.engine import Decoding, Emit, Engine, Generated
from builder.model.llama_engine import LlamaEngine
from builder.model.prompt import Message
from builder.scoring.tone import fixed_phrases
from builder.workspace.brand import Brand
from builder.workspace.folder import Workspace
from builder.workspace.releases import unit
from knowledge.errors import UserError
from knowledge.search import encoder
from knowledge.search.filter import Filter
from knowledge.search.index import Index, Reranker
from knowledge.search.retriever import Retriever

SLOTS = 8
"""Replies made at once where nobody waits for the first word."""


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
        from builder.model.transformers_engine import TransformersEngine

        return TransformersEngine(prepare.prepared(model.base, model.precision), adapter, slots, model.context)
    tuned = adapter / "tuned.gguf" if adapter and (adapter / "tuned.gguf").is_file() else None
    if model.engine == "openvino":
        from builder.model.openvino_engine import OpenVinoEngine

        exact = prepare.prepared(model.base, "f16")
        plain = OpenVinoEngine(exact, None, slots, model.context)
        return BaseAndTuned(plain, OpenVinoEngine(exact, None if tuned else adapter, slots, model.context,
                                                  tuned)) if adapter else plain
    base = prepare.prepared(model.base, model.precision)
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
        from knowledge.search.langchain_plugins import StoreSearch, named_store

        store = partial(StoreSearch, named_store(brand.retrieval.store), **brand.retrieval.store_settings)
    return Index.open(folder, open_encoder(brand), store, open_reranker(brand))


def open_reranker(brand: Brand) -> Reranker | None:
    """The cross-encoder that brand.yaml names, if it names one."""
    if not brand.retrieval.reranker:
        return None
    from knowledge.search.cross_encoder import prepared

    return prepared(brand.retrieval.reranker)


def open_encoder(brand: Brand) -> encoder.Encoder:
    """The encoder that brand.yaml names: ours, or LangChain embeddings."""
    settings = brand.retrieval
    if settings.encoder.startswith("langchain:"):
        from knowledge.search.langchain_plugins import open_embeddings

        return open_embeddings(settings.encoder, settings.encoder_settings)
    return encoder.prepared(settings.encoder)


def filtered(folder: str, language: str, tag: str, since: str, until: str) -> Filter | None:
    """What the words of a user leave to search; UserError for a day that is none. None where all of it is searched."""
    for day in (since, until):
        try:
            date.fromisoformat(day or "2026-01-01")
        except ValueError:
            raise UserError(f"{day}: is not a date; write it as 2026-01-31") from None
    made = Filter(folder.removeprefix("documents/"), language, tag, since, until)
    return made if made != Filter() else None
