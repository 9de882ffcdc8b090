"""Passages one can find again: by vectors, tokens and words, fused, in a folder that describes itself."""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from knowledge.errors import UserError
from knowledge.files import Tick, read_json, silent, write_json, write_text
from knowledge.reading.documents import VERSION as CONVERTED
from knowledge.reading.documents import Document, Failure
from knowledge.search.bm25 import WordSearch
from knowledge.search.encoder import Encoder
from knowledge.search.filter import Filter, kinds
from knowledge.search.late_interaction import NO_TOKENS, Rows, TokenRows
from knowledge.search.message import Spelling
from knowledge.search.passages import VERSION as CUT
from knowledge.search.passages import Passage, split
from knowledge.search.vectors import Vectors
from knowledge.text.words import stems, usual_words, words_of

VERSION = f"{CONVERTED}.{CUT}.3"
"""Of what an index holds; a new one makes it be made again."""
POOL = 50
"""How many passages each of the two searches may put forward."""
SHARES = (0.3, 0.5, 0.2)
"""What nearness, tokens and words count in a passage's score; chosen on questions that judge nothing."""
WITHOUT_TOKENS = (0.6, 0.0, 0.4)
"""The same for an encoder that tells no tokens apart."""
RERANKED = 20
"""How many passages a cross-encoder reads, where there is one."""
LANGUAGES = 4
"""That words of one index are stemmed in, at most; a question's words are stemmed in each."""
SPOKEN = 0.05
"""Of the text that a language must make up to be one of them."""
STEP = 128
SAME = 0.9
"""The share of stems in common from which two passages are shown as one."""


class Reranker(Protocol):
    """Whatever reads a question and a text together, such as `cross_encoder.CrossEncoder`."""

    sha256: str

    def scores(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """How well each text answers the question, (texts,), the higher the better."""


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
    tokens: float = 0.0
    """The mean cosine of the question's tokens to their nearest here, 0 where the encoder tells none apart."""
    cross: float = 0.0
    """A cross-encoder's own score, 0 without one."""
    also: tuple[int, ...] = ()
    """Passages further behind that say the same."""


def build(documents: Sequence[Document], failures: Sequence[Failure], encoder: Encoder, folder: Path,
          most: int = 110, earlier: "Index | None" = None, tick: Tick = silent) -> None:
    """Write the index of `documents` into the empty `folder`.

    What an `earlier` index of the same encoder holds is taken over: the passages of documents that didn't change, and
    the vectors and words of passages that didn't. The question of a question-and-answer pair has a vector of its own.
    """
    if earlier and earlier.settings["encoder"] != encoder.sha256:
        earlier = None
    passages = _passages(documents, encoder, most, earlier)
    if not passages:
        raise UserError("documents/: contains no text to index; add documents, then run the command again")
    owners = [*range(len(passages)), *(number for number, one in enumerate(passages) if one.question)]
    texts = [passage.indexed for passage in passages]
    texts += [passages[number].question for number in owners[len(passages):]]
    known = earlier.known(texts) if earlier else [None] * len(texts)
    rows, tokens = _encoded(texts, known, encoder, earlier, tick)
    vectors = Vectors.build(rows)
    vectors.save(folder)
    TokenRows.save(tokens[:len(passages)], folder)
    np.save(folder / "owners.npy", np.array(owners, dtype=np.int64), allow_pickle=False)
    before = [earlier.owner(row) if earlier and row is not None else None for row in known[:len(passages)]]
    languages = _languages(documents)
    spoken = [languages.get(passage.document, "en") for passage in passages]
    if earlier and earlier.words.languages != tuple(sorted(set(spoken))):
        before = [None] * len(passages)
    WordSearch.build(texts[:len(passages)], earlier.words if earlier else None, before, spoken).save(folder / "words")
    counts = Counter(word for text in texts[:len(passages)] for _, _, word in words_of(text))
    write_json(folder / "spelling.json", counts)
    write_text(folder / "passages.jsonl",
               "".join(json.dumps(vars(passage), ensure_ascii=False) + "\n" for passage in passages))
    write_json(folder / "index.json", {
        "encoder": encoder.sha256, "dimensions": vectors.dimensions, "passage_tokens": most, "version": VERSION,
        "passages": len(passages), "kind": vectors.kind, "why": vectors.why,
        "documents": {document.path: {
            "sha256": document.sha256, "title": document.title, "language": document.language,
            "tags": list(document.tags), "date": document.date, "flags": list(document.flags),
            "left_out": list(document.left_out)} for document in documents},
        "languages": sorted(set(spoken)),
        "failed": [asdict(failure) for failure in failures]})


def _languages(documents: Sequence[Document]) -> dict[str, str]:
    """The language that each document's words are stemmed in: its own, where enough of the text is in that one.

    What is told of a short or odd document may be wrong, so a rare language gives way to the commonest; without any
    that is told, English.
    """
    letters: Counter[str] = Counter()
    for document in documents:
        letters[document.language] += len(document.text) if document.language else 0
    whole = sum(letters.values())
    common = [language for language, many in letters.most_common(LANGUAGES) if many >= SPOKEN * whole > 0]
    return {document.path: document.language if document.language in common else common[0] if common else "en"
            for document in documents}


def _passages(documents: Sequence[Document], encoder: Encoder, most: int, earlier: "Index | None") -> list[Passage]:
    kept: dict[str, list[Passage]] = {}
    if earlier and earlier.settings["passage_tokens"] == most:
        for passage in earlier.passages:
            kept.setdefault(passage.document, []).append(passage)
    limit = encoder.most_tokens
    made: list[Passage] = []
    for document in documents:
        before = earlier.settings["documents"].get(document.path) if earlier else None
        same = document.path in kept and before and (before["sha256"], before["title"]) == (
            document.sha256, document.title)
        made += kept[document.path] if same else split(document, encoder.count, most, limit)
    return made


def _encoded(texts: Sequence[str], known: Sequence[int | None], encoder: Encoder, earlier: "Index | None",
             tick: Tick) -> tuple[NDArray[np.float32], list[Rows]]:
    """The texts' unit vectors and their tokens' rows, encoding only those that aren't known, the longest first."""
    rows = np.zeros((len(texts), encoder.dimensions), dtype=np.float32)
    parts: list[Rows] = [NO_TOKENS.rows] * len(texts)
    old = {number: row for number, row in enumerate(known) if row is not None}
    if earlier and old:
        rows[list(old)] = earlier.vectors(np.array(list(old.values())))
        for number, row in old.items():
            parts[number] = earlier.tokens_of(row)
    new: dict[str, list[int]] = {}
    for number, text in enumerate(texts):
        if known[number] is None:
            new.setdefault(text, []).append(number)
    waiting = sorted(new, key=len, reverse=True)
    for first in range(0, len(waiting), STEP):
        chosen = waiting[first:first + STEP]
        for text, row, tokens in zip(chosen, *encoder.encode_documents(chosen), strict=True):
            rows[new[text]] = row
            for number in new[text]:
                parts[number] = tokens.rows
        tick(min(first + STEP, len(waiting)), len(waiting), "passages")
    return rows, parts


class Index:
    """An index folder, open for searching."""

    def __init__(self, passages: Sequence[Passage], vectors: Any, owners: NDArray[np.int64], tokens: TokenRows,
                 words: WordSearch, encoder: Encoder, settings: dict[str, Any],
                 reranker: Reranker | None = None, folder: Path | None = None) -> None:
        """Use `Index.open`."""
        self._folder = folder
        self._reranker = reranker
        self.passages, self.words, self.encoder, self.settings = tuple(passages), words, encoder, settings
        self._vectors, self._owners, self._tokens = vectors, owners, tokens
        places = {path: place for place, path in enumerate(settings["documents"])}
        self._documents = np.array([places[passage.document] for passage in self.passages], dtype=np.int64)

    @cached_property
    def spelling(self) -> Spelling:
        """What mends a question's typos: a word is known where the index holds it, or the encoder as one token."""
        counts = read_json(self._folder / "spelling.json") if self._folder else {}
        return Spelling(counts, lambda word: bool(stems(word, self.words.languages)) and (
            self.words.holds(word) or self.encoder.count(word) < 2), usual_words(self.words.languages))

    @classmethod
    def open(cls, folder: Path, encoder: Encoder, store: Any = None, reranker: Reranker | None = None) -> "Index":
        """Open a folder that `build` wrote; UserError when it is damaged or of another encoder.

        `store`, called with all rows and the encoder, makes what is searched in the place of our `Vectors`.
        `reranker` puts the first passages in its own order.
        """
        settings = read_json(folder / "index.json")
        if settings["encoder"] != encoder.sha256:
            raise UserError(f"{folder}: was made with a different encoder; run `twofold index` again")
        if settings.get("version") != VERSION:
            raise UserError(f"{folder}: was made by another version of Twofold; run `twofold index` again")
        try:
            lines = (folder / "passages.jsonl").read_text(encoding="utf-8").split("\n")
            passages = [Passage(**fields) for fields in json.loads(f"[{','.join(lines[:-1])}]")]  # one call, not many
            owners = np.load(folder / "owners.npy", allow_pickle=False)
            vectors = Vectors.open(folder)
            words, tokens = WordSearch.open(folder / "words", settings["languages"]), TokenRows.open(folder)
            if {len(passages), len(words), len(tokens)} != {settings["passages"]} or len(vectors) != len(owners):
                raise ValueError(f"{len(passages)} passages, {len(vectors)} vectors")
            return cls(passages, store(vectors.rows(), encoder) if store else vectors, owners, tokens, words, encoder,
                       settings, reranker, folder)
        except (OSError, ValueError, EOFError, KeyError, TypeError) as error:
            raise UserError(f"{folder}: damaged ({error}); delete it and run `twofold index` again") from None

    def vectors(self, numbers: Any = slice(None)) -> NDArray[np.float32]:
        """Unit vectors, (rows, dimensions): first one for each passage, then the pairs' questions."""
        rows: NDArray[np.float32] = self._vectors.rows(numbers)
        return rows

    @property
    def reranker(self) -> str:
        """The hash of the cross-encoder; empty without one."""
        return self._reranker.sha256 if self._reranker else ""

    @property
    def kind(self) -> str:
        """How vectors are searched: flat, hnsw, ivf-pq or langchain."""
        return str(self._vectors.kind)

    def owner(self, row: int) -> int:
        """The number of the passage that a vector belongs to."""
        return int(self._owners[row])

    def tokens_of(self, row: int) -> Rows:
        """The tokens' rows of the passage that a vector belongs to."""
        return self._tokens.part(self.owner(row))

    def known(self, texts: Sequence[str]) -> list[int | None]:
        """For each text the number of its vector here, if it has one."""
        rows = {self.passages[owner].question: row for row, owner in enumerate(self._owners)
                if row >= len(self.passages)}
        rows |= {one.indexed: number for number, one in enumerate(self.passages)}
        return [rows.get(text) for text in texts]

    def search(self, question: str, count: int, leave_out: Collection[int] = (),
               where: Filter | None = None) -> list[Found]:
        """The best `count` passages; those numbered in `leave_out` don't exist.

        Nearness and words each put candidates forward. Their scores, and how near the question's tokens come to the
        candidates', are scaled to 0 to 1 and added up by SHARES, so that an encoder's own scale doesn't matter: the
        convex combination of Bruch, Gai and Ingber (2023), which found more than reciprocal ranks did, here as there.
        A cross-encoder, where there is one, orders the first of them anew. A passage that says the same as a better
        one is folded into it.
        """
        ranked = self._fused(question, self._allowed(leave_out, where))
        if self._reranker is not None and ranked:
            first = ranked[:RERANKED]
            scores = self._reranker.scores(question, [hit.passage.indexed for hit in first])
            read = [replace(one, cross=float(score)) for one, score in zip(first, scores, strict=True)]
            ranked = [*sorted(read, key=lambda one: -one.cross), *ranked[RERANKED:]]
        return self._folded(ranked, count)

    def _fused(self, question: str, allowed: NDArray[np.bool_] | None) -> list[Found]:
        """All candidates, best first."""
        vector, asked = self.encoder.encode_question(question)
        cosine = self._nearest(vector, allowed)
        words = self.words.scores(question)
        if allowed is not None:
            words[~allowed] = 0
        near = list(cosine)[:POOL]
        candidates = list(dict.fromkeys([*near, *_highest(words)]))
        missing = np.array([number for number in candidates if number not in cosine], dtype=np.int64)
        for number, value in zip(missing, self.vectors(missing) @ vector if len(missing) else (), strict=True):
            cosine[int(number)] = float(value)
        tokens = self._tokens.closeness(asked, asked.weights(self.words.rarity), candidates)
        parts = (_scaled(np.array([cosine[number] for number in candidates]), cosine[near[-1]] if near else 0.0),
                 _scaled(tokens, tokens.min(initial=1.0)), _scaled(words[candidates], 0.0))
        shares = SHARES if self._tokens else WITHOUT_TOKENS
        total = sum((share * part for share, part in zip(shares, parts, strict=True)), np.zeros(len(candidates)))
        made = [Found(self.passages[number], number, float(total[place]), cosine[number], float(words[number]),
                      float(tokens[place])) for place, number in enumerate(candidates)]
        return sorted(made, key=lambda one: (-one.score, -one.cosine, one.number))

    def _nearest(self, vector: NDArray[np.float32], allowed: NDArray[np.bool_] | None) -> dict[int, float]:
        """Cosines of the passages nearest to a vector, by their text or their question, best first."""
        rows, cosines = self._vectors.search(vector, 2 * POOL if len(self._owners) > len(self.passages) else POOL,
                                             None if allowed is None else allowed[self._owners])
        nearest: dict[int, float] = {}
        for number, value in zip(self._owners[rows], cosines, strict=True):
            nearest.setdefault(int(number), float(value))
        return nearest

    def _allowed(self, leave_out: Collection[int], where: Filter | None) -> NDArray[np.bool_] | None:
        if where is None and not leave_out:
            return None
        allowed = np.ones(len(self.passages), dtype=bool)
        if where is not None:
            allows = [where.allows(path, settings) for path, settings in self.settings["documents"].items()]
            allowed &= np.array(allows, dtype=bool)[self._documents]
            if not allowed.any():
                raise UserError(f"no document fits the filter; there are {kinds(self.settings['documents'])}")
        allowed[list(leave_out)] = False
        return allowed

    def _folded(self, ranked: Sequence[Found], count: int) -> list[Found]:
        """The first `count` that say something new, each with those that say the same."""
        kept: dict[int, list[int]] = {}
        new: list[Found] = []
        for hit in ranked:
            twin = next((other for other in kept if self.words.alike(other, hit.number) >= SAME), None)
            if twin is not None:
                kept[twin].append(hit.number)
            elif len(kept) < count:
                kept[hit.number] = []
                new.append(hit)
            else:
                break
        return [replace(one, also=tuple(kept[one.number])) for one in new]


def _scaled(values: NDArray[Any], least: float) -> NDArray[np.float64]:
    """The values from `least` on, as shares of the way to the highest; 0 below."""
    above = np.maximum(values.astype(np.float64) - least, 0)
    return np.asarray(above / max(above.max(initial=0.0), 1e-6))


def _highest(scores: NDArray[np.float32]) -> list[int]:
    """The numbers of the POOL highest scores above 0, best first; equal ones in order."""
    above = np.flatnonzero(scores > 0)
    if len(above) > POOL:
        least = np.partition(scores[above], len(above) - POOL)[len(above) - POOL]
        above = above[scores[above] >= least]
    order: list[int] = above[np.argsort(-scores[above], kind="stable")][:POOL].tolist()
    return order
