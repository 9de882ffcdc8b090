"""Other people's LangChain parts in our place: embeddings as an encoder, a vector store as the vectors."""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from knowledge.errors import UserError
from knowledge.files import hash_bytes
from knowledge.search.encoder import Encoder
from knowledge.search.langchain import EncoderEmbeddings, one_line, unit
from knowledge.search.late_interaction import NO_TOKENS, Tokens
from knowledge.search.vectors import Numbers, Rows, compare


class EmbeddingsEncoder:
    """LangChain embeddings as an encoder of ours; texts may leave this computer if theirs do so."""

    most_tokens = 256
    languages: frozenset[str] | None = None

    def __init__(self, embeddings: Embeddings, name: str) -> None:
        """Ask the embeddings for one vector, to learn how long theirs are and to notice later that they changed."""
        self._embeddings = embeddings
        probe = self.encode(["When is the door open?"])[0]
        self.dimensions = len(probe)
        # the places of the largest numbers: another model has others, the same model's rounding doesn't move them
        largest = sorted(np.argsort(-np.abs(probe), kind="stable")[:8].tolist())
        self.sha256 = hash_bytes(name, str(self.dimensions), str(largest))

    def encode(self, texts: Sequence[str]) -> Rows:
        """Unit vectors of questions, (texts, dimensions)."""
        return unit([self._embeddings.embed_query(text) for text in texts])

    def encode_question(self, text: str) -> tuple[Rows, Tokens]:
        """The unit vector of a question, (dimensions,); LangChain knows no tokens."""
        return self.encode([text])[0], NO_TOKENS

    def encode_documents(self, texts: Sequence[str]) -> tuple[Rows, list[Tokens]]:
        """Unit vectors of passages, (texts, dimensions), without tokens."""
        return unit(self._embeddings.embed_documents(list(texts))), [NO_TOKENS] * len(texts)

    def count(self, text: str) -> int:
        """About how many tokens: LangChain doesn't tell; English has some 1.3 for each word."""
        return round(1.3 * len(text.split()))


class StoreSearch:
    """A LangChain store in the place of our `Vectors`: it puts candidates forward, our cosines decide."""

    kind = "langchain"

    def __init__(self, store: type[VectorStore], rows: Rows, encoder: Encoder, **settings: Any) -> None:
        """Make a store by its `from_texts`, of numbers and unit rows, (rows, dimensions); it gets none of our text."""
        self._rows = rows
        self.why = f"langchain: {len(rows):,} vectors are searched by {store.__name__}; their cosines are our own"
        names = [str(number) for number in range(len(rows))]
        try:
            self._store = store.from_texts(names, _Given(rows, encoder), ids=names, **settings,
                                           metadatas=[{"number": number} for number in range(len(rows))])
        except Exception as error:  # a stranger's: its errors share no base
            raise UserError(f"{store.__name__}: failed ({one_line(error)}); check its settings") from None

    def __len__(self) -> int:
        """How many rows."""
        return len(self._rows)

    def rows(self, numbers: Any = slice(None)) -> Rows:
        """The rows of these numbers, or all."""
        return np.asarray(self._rows[numbers])

    def search(self, query: Rows, count: int, allowed: Any = None) -> tuple[Numbers, Rows]:
        """As `Vectors.search`; where the store finds too few that are allowed, all are compared."""
        every = np.arange(len(self)) if allowed is None else np.flatnonzero(allowed)
        count = min(count, len(every))
        if count < 1:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        wide = min(len(self), 4 * count * -(-len(self) // len(every)))
        found = self._store.similarity_search_by_vector(query.tolist(), k=wide)
        # a store that outlives us may still hold rows of a longer index
        numbers = np.intersect1d([int(document.metadata["number"]) for document in found], every).astype(np.int64)
        numbers, cosines = compare(self._rows, numbers if len(numbers) >= count else every, query)
        return numbers[:count], cosines[:count]


class _Given(EncoderEmbeddings):
    """Embeddings that know the vectors of numbered rows, so that a store doesn't encode them again."""

    def __init__(self, rows: Rows, encoder: Encoder) -> None:
        self._rows, self._encoder = rows, encoder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._rows[[int(text) for text in texts]].tolist()  # type: ignore[no-any-return]


def named(setting: str, part: type) -> Any:
    """The class that "langchain:package.module:Class" names, a kind of `part`; its package's own code is run."""
    where, _, name = setting.removeprefix("langchain:").partition(":")
    if not name.isidentifier() or not all(piece.isidentifier() for piece in where.split(".")):
        raise UserError(f"{setting}: write langchain:package.module:Class")
    try:
        found = getattr(importlib.import_module(where), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{setting}: not found ({one_line(error)}); install its package or correct the name") from None
    if not (isinstance(found, type) and issubclass(found, part)):
        raise UserError(f"{setting}: is not a LangChain {part.__name__}; name a class of that kind")
    return found


def named_store(setting: str) -> Any:
    """The store class that "langchain:package.module:Class" names."""
    return named(setting, VectorStore)


def open_embeddings(setting: str, settings: dict[str, Any]) -> EmbeddingsEncoder:
    """The encoder that "langchain:package.module:Class" names, made with `settings`."""
    kind = named(setting, Embeddings)
    try:
        return EmbeddingsEncoder(kind(**settings), setting)
    except Exception as error:  # a stranger's: its errors share no base
        raise UserError(f"{setting}: failed ({one_line(error)}); check its settings") from None
