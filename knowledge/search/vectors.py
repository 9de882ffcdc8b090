"""Unit vectors one can search: FAISS puts candidates forward, the vectors themselves decide."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import faiss as library
import numpy as np
from numpy.typing import NDArray

from knowledge.errors import UserError
from knowledge.files import write_json

faiss: Any = library  # its own type hints lack these classes and keywords
Rows = NDArray[np.float32]
Numbers = NDArray[np.int64]

FLAT = 30_000
"""Up to here rows are compared one by one: exact, and quicker than the encoder that made the question's vector."""
GRAPH = 1_000_000
"""Up to here a graph of all rows is kept in memory."""
LINKS, BUILD_EFFORT, EFFORT = 32, 120, 128
"""Of the graph (HNSW's M, efConstruction and efSearch)."""
PROBED = 32
"""One cluster in so many is looked into for a question."""
POOL = {"flat": 1, "hnsw": 4, "ivf-pq": 16}
"""Candidates for each row asked for; the coarser the codes, the more."""
CHUNK = 1024
"""Rows gathered at once, few enough to stay in the processor's cache."""


class Vectors:
    """Numbered unit vectors; searches may run at the same time in several threads, each on one core."""

    def __init__(self, rows: Rows, candidates: Any, kind: str, why: str) -> None:
        """Use `Vectors.build` or `Vectors.open`."""
        self._rows, self._candidates, self.kind, self.why = rows, candidates, kind, why

    @classmethod
    def build(cls, vectors: Rows, seed: int = 0, kind: str | None = None) -> "Vectors":
        """Make float32 unit rows, (rows, dimensions), searchable; `kind` is chosen by their number unless given.

        The same rows and seed give the same flat structure or graph. An "ivf-pq" needs at least 256 rows.
        """
        rows = np.ascontiguousarray(vectors, dtype=np.float32)
        kind = kind or _kind(len(rows))
        make = {"flat": _flat, "hnsw": _graph, "ivf-pq": _clusters}[kind]
        return cls(rows, make(rows, seed), kind, _why(kind, *rows.shape))

    def save(self, folder: Path) -> None:
        """Write vectors.npy, vectors.json and, unless flat, vectors.faiss into a folder that has none of them."""
        np.save(folder / "vectors.npy", self._rows, allow_pickle=False)
        digest = ""
        if self.kind != "flat":
            written = faiss.serialize_index(self._candidates)
            # through our own write, since faiss reports a full disk as a bug of its own
            (folder / "vectors.faiss").write_bytes(written)
            digest = hashlib.sha256(written).hexdigest()
        write_json(folder / "vectors.json", {"kind": self.kind, "why": self.why, "rows": len(self), "faiss": digest})

    @classmethod
    def open(cls, folder: Path) -> "Vectors":
        """Open what `save` wrote, the rows mapped from disk; UserError when a file is damaged."""
        try:
            settings = json.loads((folder / "vectors.json").read_text(encoding="utf-8"))
            rows = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
            if rows.dtype != np.float32 or rows.ndim != 2 or len(rows) != settings["rows"]:
                raise ValueError(f"vectors.npy doesn't hold {settings['rows']} rows of float32")
            kind = settings["kind"]
            if kind not in POOL:
                raise ValueError(f"unknown kind {kind}")
            candidates = _flat(rows) if kind == "flat" else _read(folder / "vectors.faiss", settings["faiss"])
            if (candidates.ntotal, candidates.d) != rows.shape:
                raise ValueError("vectors.faiss is of other rows")
            return cls(rows, candidates, kind, settings["why"])
        except (OSError, ValueError, EOFError, KeyError, TypeError, RuntimeError) as error:
            raise UserError(f"{folder}: damaged ({error}); delete it and run `twofold index` again") from None

    def __len__(self) -> int:
        """How many rows."""
        return len(self._rows)

    @property
    def dimensions(self) -> int:
        """Numbers in a row."""
        return int(self._rows.shape[1])

    def rows(self, numbers: Any = slice(None)) -> Rows:
        """The rows of these numbers, or all."""
        return np.asarray(self._rows[numbers])

    def search(self, query: Rows, count: int, allowed: NDArray[np.bool_] | None = None) -> tuple[Numbers, Rows]:
        """Numbers and exact cosines of the `count` rows nearest to a unit vector, best first, ties by lower number.

        `allowed`, one bool for each row, leaves the others out. Fewer than `count` come back only where fewer exist.
        """
        query = np.asarray(query, dtype=np.float32).reshape(self.dimensions)
        open_rows = len(self) if allowed is None else int(np.count_nonzero(allowed))
        count = min(count, open_rows)
        if count < 1:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if allowed is None or open_rows > FLAT:
            wanted = min(POOL[self.kind] * count + 1, open_rows)
            numbers, cosines = compare(self._rows, self._propose(query, wanted, allowed, open_rows), query)
            # a tie that reaches the last candidate may go on beyond it
            if len(numbers) == open_rows or len(numbers) == wanted and cosines[count - 1] - cosines[-1] > 1e-6:
                return numbers[:count], cosines[:count]
        every = np.arange(len(self)) if allowed is None else np.flatnonzero(allowed)
        numbers, cosines = compare(self._rows, every, query)
        return numbers[:count], cosines[:count]

    def _propose(self, query: Rows, wanted: int, allowed: NDArray[np.bool_] | None, open_rows: int) -> Numbers:
        """Up to `wanted` rows that FAISS finds near."""
        selector = None
        if allowed is not None:
            selector = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        # the fewer rows are allowed, the further one has to look for as many
        share = len(self) / open_rows
        if self.kind == "hnsw":
            effort = int(max(EFFORT, wanted) * share)
            parameters = faiss.SearchParametersHNSW(efSearch=effort, sel=selector)
        elif self.kind == "ivf-pq":
            lists = self._candidates.nlist
            parameters = faiss.SearchParametersIVF(nprobe=min(lists, int(lists / PROBED * share) + 8), sel=selector)
        else:
            parameters = faiss.SearchParameters(sel=selector)
        found: Numbers = self._candidates.search(query[None], wanted, params=parameters)[1][0]
        return found[found >= 0]


def compare(rows: Rows, numbers: Numbers, query: Rows) -> tuple[Numbers, Rows]:
    """The numbers and their rows' exact cosines, best first; a row's cosine doesn't depend on those beside it."""
    cosines = np.concatenate([np.vecdot(rows[numbers[first:first + CHUNK]], query)
                              for first in range(0, len(numbers), CHUNK)] or [np.empty(0, np.float32)])
    order = np.lexsort((numbers, -cosines))
    return numbers[order], cosines[order]


def _kind(count: int) -> str:
    if count < FLAT:
        return "flat"
    return "hnsw" if count <= GRAPH else "ivf-pq"


def _why(kind: str, count: int, dimensions: int) -> str:
    whole = f"{count:,} vectors of {dimensions} numbers"
    if kind == "flat":
        return f"flat: {whole} are compared one by one, which is exact and takes a few milliseconds at most"
    if kind == "hnsw":
        return (f"hnsw: {whole} would be {_megabytes(4 * count * dimensions)} to read for each question; "
                "a graph of neighbours looks at a few hundred of them")
    return (f"ivf-pq: a graph over {whole} would keep {_megabytes(count * (2 * dimensions + 8 * LINKS))} in memory; "
            f"codes in {_lists(count):,} clusters keep {_megabytes(count * (_pieces(dimensions) + 8))}")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def _flat(rows: Rows, seed: int = 0) -> Any:
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    return index


def _graph(rows: Rows, seed: int) -> Any:
    """Malkov and Yashunin's graph (2016) over float16 rows; by one thread, since two would race for its links."""
    index = faiss.index_factory(rows.shape[1], f"HNSW{LINKS}_SQfp16", faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = BUILD_EFFORT
    index.hnsw.rng = faiss.RandomGenerator(seed)
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        index.train(rows)
        index.add(rows)
    finally:
        faiss.omp_set_num_threads(threads)
    return index


def _clusters(rows: Rows, seed: int) -> Any:
    """Jégou, Douze and Schmid's product codes in inverted lists (2011); "np": without an order of codes for Hamming."""
    index = faiss.index_factory(rows.shape[1], f"IVF{_lists(len(rows))},PQ{_pieces(rows.shape[1])}x8np",
                                faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = index.pq.cp.seed = seed
    # of FAISS' 256: a quarter of the time, the same recall
    index.cp.max_points_per_centroid = index.pq.cp.max_points_per_centroid = 64
    index.train(rows)
    index.add(rows)
    return index


def _lists(count: int) -> int:
    return int(4 * math.sqrt(count))


def _pieces(dimensions: int) -> int:
    """Bytes of a code: an eighth of the dimensions, or the next fewer that divide them."""
    return next(pieces for pieces in range(max(dimensions // 8, 1), 0, -1) if dimensions % pieces == 0)


def _read(path: Path, digest: str) -> Any:
    """A structure as it was written: FAISS trusts what it reads, so it is shown nothing that changed."""
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != digest:
            raise ValueError(f"{path.name} is not what was written")
    return faiss.deserialize_index(np.memmap(path, dtype=np.uint8, mode="r"))
