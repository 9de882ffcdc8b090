"""The joint to LangChain, each way: our parts as LangChain's, and LangChain's embeddings and stores in our places."""

import json
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance
from pydantic import ConfigDict

from knowledge.errors import UserError
from knowledge.files import make_folder, write_text
from knowledge.search.encoder import Encoder
from knowledge.search.retriever import Retriever
from knowledge.search.vectors import Rows, Vectors

Filter = dict[str, Any] | Callable[[Document], bool] | None
"""Metadata that a document must hold, or a function that takes it."""


class PassageRetriever(BaseRetriever):
    """Found passages as LangChain documents; the metadata says where each stands and how sure one may be."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    retriever: Retriever
    k: int | None = None
    """How many passages; None for the retriever's own count."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun,
                                k: int | None = None, **_: Any) -> list[Document]:
        finding = self.retriever.find(query, k or self.k)
        return [Document(page_content=hit.passage.shown, metadata={
            "source": hit.passage.document, "heading": hit.passage.heading, "start": hit.passage.start,
            "end": hit.passage.end, "page": hit.passage.page, "score": hit.score, "answerable": finding.probability})
                for hit in finding.found]


class EncoderEmbeddings(Embeddings):
    """Our encoder as LangChain embeddings."""

    def __init__(self, encoder: Encoder) -> None:
        """Any encoder of ours."""
        self._encoder = encoder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A unit vector for each text."""
        return self._encoder.encode(texts).tolist() if texts else []

    def embed_query(self, text: str) -> list[float]:
        """The unit vector of a question."""
        return self._encoder.encode([text])[0].tolist()  # type: ignore[no-any-return]


class PassageVectorStore(VectorStore):
    """Our vectors as a LangChain store; what is searched is built anew by the first search after a change."""

    def __init__(self, embedding: Embeddings) -> None:
        """An empty store."""
        self._embedding = embedding
        self._kept: dict[str, tuple[Document, Rows]] = {}
        self._lock = Lock()
        self._built: tuple[list[Document], Vectors] | None = None

    @property
    def embeddings(self) -> Embeddings:
        """What turns texts into vectors here."""
        return self._embedding

    @classmethod
    def from_texts(cls, texts: list[str], embedding: Embeddings, metadatas: list[dict[str, Any]] | None = None,
                   *, ids: list[str] | None = None, **kwargs: Any) -> "PassageVectorStore":
        """A store of these texts."""
        store = cls(embedding)
        store.add_texts(texts, metadatas, ids=ids, **kwargs)
        return store

    def add_documents(self, documents: list[Document], ids: Sequence[str | None] | None = None,
                      **_: Any) -> list[str]:
        """Add documents, or replace those of the same id; `ids` go before the documents' own. Returns the ids."""
        names = [one or str(uuid.uuid4()) for one in ids or [document.id for document in documents]]
        if len(names) != len(documents):
            raise ValueError(f"{len(documents)} documents, but {len(names)} ids")
        rows = unit(self._embedding.embed_documents([document.page_content for document in documents]))
        with self._lock:
            self._kept |= {name: (_copy(document, name), row)
                           for name, document, row in zip(names, documents, rows, strict=True)}
            self._built = None
        return names

    def delete(self, ids: list[str] | None = None, **_: Any) -> bool:
        """Forget the documents of these ids, or all; an id that isn't there is no error."""
        with self._lock:
            for one in list(self._kept) if ids is None else ids:
                self._kept.pop(one, None)
            self._built = None
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents of these ids, as far as they are there."""
        return [_copy(self._kept[one][0], one) for one in ids if one in self._kept]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The `k` nearest documents; `filter` as in `Filter`."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:
        """The `k` documents nearest to a vector."""
        return [document for document, _, _ in self._search(embedding, k, **kwargs)]

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """The `k` nearest documents with their cosines."""
        found = self._search(self._embedding.embed_query(query), k, **kwargs)
        return [(document, cosine) for document, cosine, _ in found]

    def max_marginal_relevance_search(self, query: str, *others: Any, **kwargs: Any) -> list[Document]:
        """Of the `fetch_k` nearest, `k` that are near the question and unlike each other."""
        return self.max_marginal_relevance_search_by_vector(self._embedding.embed_query(query), *others, **kwargs)

    def max_marginal_relevance_search_by_vector(self, embedding: list[float], k: int = 4, fetch_k: int = 20,
                                                lambda_mult: float = 0.5, **kwargs: Any) -> list[Document]:
        """The same for a vector."""
        found = self._search(embedding, fetch_k, **kwargs)
        chosen = maximal_marginal_relevance(np.array(embedding), [hit[2].tolist() for hit in found], lambda_mult, k)
        return [found[number][0] for number in chosen]

    def save(self, folder: Path | str) -> None:
        """Write the documents and vectors into a new folder: JSON and numbers, nothing that can be run."""
        documents, vectors = self._ready()
        if Path(folder).exists():
            raise UserError(f"{folder}: already exists; give a new folder")
        try:
            lines = [json.dumps(document.model_dump(include={"id", "page_content", "metadata"}), allow_nan=False) + "\n"
                     for document in documents]
        except (TypeError, ValueError) as error:
            raise UserError(f"this metadata can't be written as JSON ({error}); give text, numbers, lists or "
                            "dicts") from None

        def fill(made: Path) -> None:
            write_text(made / "documents.jsonl", "".join(lines))
            if documents:
                vectors.save(made)

        make_folder(Path(folder), fill)

    @classmethod
    def load(cls, folder: Path | str, embedding: Embeddings) -> "PassageVectorStore":
        """Open what `save` wrote, with the embeddings it was made with; UserError when it is damaged."""
        folder, store = Path(folder), cls(embedding)
        try:
            lines = (folder / "documents.jsonl").read_text(encoding="utf-8").splitlines()
            documents = [Document(**json.loads(line)) for line in lines]
            if documents:
                vectors = Vectors.open(folder)
                store._kept = {str(document.id): (document, row)
                               for document, row in zip(documents, vectors.rows(), strict=True)}
                store._built = documents, vectors
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{folder}: damaged ({one_line(error)}); delete it and save the store again") from None
        return store

    def _ready(self) -> tuple[list[Document], Vectors]:
        with self._lock:
            if self._built is None:
                rows = [row for _, row in self._kept.values()]
                self._built = ([document for document, _ in self._kept.values()],
                               Vectors.build(np.stack(rows) if rows else np.zeros((0, 1), np.float32)))
            return self._built

    def _search(self, embedding: list[float], k: int, filter: Filter = None,
                **_: Any) -> list[tuple[Document, float, Rows]]:
        documents, vectors = self._ready()
        if not documents:
            return []
        fits = filter if callable(filter) else lambda one: (filter or {}).items() <= one.metadata.items()
        allowed = np.array([bool(fits(_copy(document, document.id))) for document in documents]) if filter else None
        numbers, cosines = vectors.search(unit([embedding])[0], k, allowed)
        return [(_copy(documents[number], documents[number].id), float(cosine), row)
                for number, cosine, row in zip(numbers, cosines, vectors.rows(numbers), strict=True)]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return lambda cosine: min(1.0, max(0.0, cosine))


def unit(rows: Sequence[Sequence[float]]) -> Rows:
    """Rows divided by their length."""
    made = np.array(rows, dtype=np.float32).reshape(len(rows), -1 if len(rows) else 0)
    return np.asarray(made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def _copy(document: Document, name: str | None) -> Document:
    return Document(id=name, page_content=document.page_content, metadata=dict(document.metadata))


def one_line(error: Exception) -> str:
    """A stranger's error as one short line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
