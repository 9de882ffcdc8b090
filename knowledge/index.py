"""Passages one can find again: vectors in FAISS and words in BM25, fused, in a folder that describes itself."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import bm25s
import faiss
import numpy as np
from numpy.typing import NDArray

from knowledge.documents import Document, Failure
from knowledge.encoder import Encoder
from knowledge.errors import UserError
from knowledge.files import Tick, read_json, silent, write_json, write_text
from knowledge.passages import Passage, split
from knowledge.words import stems

POOL = 50
"""How many passages each of the two searches may put forward."""
STEP = 128


@dataclass(frozen=True)
class Found:
    """A passage that was found, and why."""

    passage: Passage
    number: int
    """Its place in the index."""
    score: float
    """Of the fused order; comparable within one search only."""
    cosine: float
    words: float
    """BM25."""


def build(documents: Sequence[Document], failures: Sequence[Failure], encoder: Encoder, folder: Path,
          most: int = 110, earlier: Path | None = None, tick: Tick = silent) -> None:
    """Write the index of `documents` into the empty `folder`; vectors of passages known to `earlier` are reused."""
    passages = [passage for document in documents for passage in split(document, encoder.count, most)]
    if not passages:
        raise UserError("documents/: holds no text that can be indexed; add documents, then run the command again")
    vectors = _vectors([passage.indexed for passage in passages], encoder, earlier, tick)
    store = faiss.IndexFlatIP(vectors.shape[1])
    store.add(vectors)
    # through our own write, since faiss reports a full disk as a bug of its own
    (folder / "vectors.faiss").write_bytes(faiss.serialize_index(store).tobytes())
    words = bm25s.BM25()
    words.index([stems(passage.indexed) or [""] for passage in passages], show_progress=False)
    words.save(folder / "words", show_progress=False)
    write_text(folder / "passages.jsonl",
               "".join(json.dumps(asdict(passage), ensure_ascii=False) + "\n" for passage in passages))
    write_json(folder / "index.json", {
        "encoder": encoder.sha256, "dimensions": vectors.shape[1], "passage_tokens": most, "passages": len(passages),
        "documents": {document.path: document.sha256 for document in documents},
        "failed": [asdict(failure) for failure in failures]})


def _vectors(texts: Sequence[str], encoder: Encoder, earlier: Path | None, tick: Tick) -> NDArray[np.float32]:
    """Unit vectors of the texts, encoding only those that an earlier index of the same encoder lacks."""
    known: dict[str, NDArray[np.float32]] = {}
    if earlier and read_json(earlier / "index.json")["encoder"] == encoder.sha256:
        before = Index.open(earlier, encoder)
        kept = before.vectors()
        known = {passage.indexed: kept[number] for number, passage in enumerate(before.passages)}
    new = sorted({text for text in texts if text not in known}, key=len)
    for first in range(0, len(new), STEP):
        chosen = new[first:first + STEP]
        known.update(zip(chosen, encoder.encode(chosen), strict=True))
        tick(min(first + STEP, len(new)), len(new), "passages")
    return np.stack([known[text] for text in texts]).astype(np.float32)


class Index:
    """An index folder, open for searching."""

    def __init__(self, passages: Sequence[Passage], store: Any, words: Any, encoder: Encoder,
                 settings: dict[str, Any]) -> None:
        """Use `Index.open`."""
        self.passages, self.settings = tuple(passages), settings
        self.encoder = encoder
        self._store, self._words = store, words

    @classmethod
    def open(cls, folder: Path, encoder: Encoder) -> "Index":
        """Open a folder that `build` wrote; UserError when it is damaged or of another encoder."""
        settings = read_json(folder / "index.json")
        if settings["encoder"] != encoder.sha256:
            raise UserError(f"{folder}: was made with another encoder; run `twofold index` again")
        try:
            with (folder / "passages.jsonl").open(encoding="utf-8") as lines:
                passages = [Passage(**json.loads(line)) for line in lines]
            store = faiss.read_index(str(folder / "vectors.faiss"))
            words = bm25s.BM25.load(folder / "words", show_progress=False)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise UserError(f"{folder}: damaged ({error}); delete it and run `twofold index` again") from None
        if store.ntotal != len(passages):
            raise UserError(f"{folder}: damaged ({len(passages)} passages, {store.ntotal} vectors); delete it and "
                            "run `twofold index` again")
        return cls(passages, store, words, encoder, settings)

    def vectors(self) -> NDArray[np.float32]:
        """All unit vectors, (passages, dimensions)."""
        kept: NDArray[np.float32] = self._store.reconstruct_n(0, len(self.passages))
        return kept

    def search(self, question: str, count: int, leave_out: Collection[int] = ()) -> list[Found]:
        """The best `count` passages, by reciprocal rank of both searches; those numbered in `leave_out` don't exist.

        Reciprocal rank fusion with k = 60: Cormack, Clarke and Büttcher, SIGIR 2009. Equal scores: the nearer vector.
        """
        vector = self.encoder.encode([question])
        wide = min(len(self.passages), POOL + len(leave_out))
        cosines, nearest = (row[0] for row in self._store.search(vector, wide))
        cosine = {int(number): float(value) for number, value in zip(nearest, cosines, strict=True)}
        words = self._word_scores(question)
        worded = [int(number) for number in np.argsort(-words, kind="stable")[:wide] if words[number] > 0]
        scores: dict[int, float] = {}
        for ranked in (list(cosine), worded):
            for rank, number in enumerate([number for number in ranked if number not in leave_out][:POOL], 1):
                scores[number] = scores.get(number, 0.0) + 1 / (60 + rank)
        for number in scores.keys() - cosine.keys():
            cosine[number] = float(self._store.reconstruct(number) @ vector[0])
        best = sorted(scores, key=lambda number: (-scores[number], -cosine[number], number))[:count]
        return [Found(self.passages[number], number, scores[number], cosine[number], float(words[number]))
                for number in best]

    def _word_scores(self, question: str) -> NDArray[np.float64]:
        known = [stem for stem in stems(question) if stem in self._words.vocab_dict]
        if not known:
            return np.zeros(len(self.passages))
        return np.asarray(self._words.get_scores(known), dtype=np.float64)
