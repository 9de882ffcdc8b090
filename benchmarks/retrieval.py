"""Our retrieval against LangChain's stock pipeline in one run: what is found, how fast, in how much memory.

Stock is the recursive splitter, the same encoder weights in sentence-transformers, and a flat FAISS index. Both sides
index the same documents; a passage is right if it holds the place where the answer begins. `make bench` runs it on
the built-in bot; `python -m benchmarks.retrieval DIR …` judges other workspaces as well.
"""

import json
import pydoc_data.topics
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from math import log2
from pathlib import Path
from typing import Any

import numpy as np

from builder.answering.opening import open_retriever
from builder.pipeline import index_stage
from builder.workspace.examples import Question
from builder.workspace.folder import Workspace, new
from knowledge.reading.documents import Document, read_documents
from knowledge.search import encoder, index
from knowledge.search.late_interaction import Tokens
from knowledge.text.structure import blocks

SIZE, OVERLAP = 1000, 200
"""Characters of stock's passages, LangChain's own defaults in its tutorials."""
PASSAGES, CHANGED = 10_000, 0.01
MANY = 100_000
QUERIES = 200
DEPTH = 10
Place = tuple[str, int]
"""A document and the character at which an answer begins."""
Row = dict[str, Any]


def silent(name: str) -> Callable[[int, int, str], None]:
    """A watch that shows nothing."""
    return lambda done, total, note: None


def answer_place(question: Question, documents: dict[str, Document]) -> Place | None:
    """Where the answer begins: at the offset, or below the heading that asks the question."""
    if question.offset is not None and question.source:
        return question.source, question.offset
    for path, document in documents.items():
        found = blocks(document.text)
        for block, after in zip(found, found[1:], strict=False):
            if block.kind == "heading" and block.name.casefold() == question.question.strip().casefold() and (
                    question.source in ("", path)):
                return path, after.start
    return None


def judged(ranked: Sequence[Sequence[bool]], right: Sequence[int]) -> tuple[float, float]:
    """Mean nDCG@10 and hit@3 of ranked hits, with how many passages are right for each question."""
    gains = [sum(hit / log2(rank + 1) for rank, hit in enumerate(hits, 1))
             / sum(1 / log2(rank + 1) for rank in range(1, min(count, DEPTH) + 1))
             for hits, count in zip(ranked, right, strict=True)]
    return float(np.mean(gains)), float(np.mean([any(hits[:3]) for hits in ranked]))


def found_rows(workspace: Workspace, name: str) -> list[Row]:
    """What is found of the questions of one workspace."""
    documents = {document.path: document for document in read_documents(workspace.folder)[0]}
    places = [(question.question, place) for question in workspace.questions
              if question.answerable and (place := answer_place(question, documents))]
    index_stage.build_index(workspace, silent, force=True)
    folder = workspace.current().index
    assert folder is not None
    retriever = open_retriever(workspace.brand, folder)
    everything = retriever.index.passages
    ours = [[any(_holds(everything[number].document, everything[number].start, everything[number].end, place)
                 for number in (one.number, *one.also)) for one in retriever.find(question, DEPTH).found]
            for question, place in places]
    counts = [sum(_holds(one.document, one.start, one.end, place) for one in everything) or 1 for _, place in places]
    stock = Stock(list(documents.values()), workspace.brand.retrieval.encoder)
    theirs = [[_holds(*stock.passages[number], place) for number in stock.find(question)]
              for question, place in places]
    their_counts = [sum(_holds(*passage, place) for passage in stock.passages) or 1 for _, place in places]
    (gain, hits), (their_gain, their_hits) = judged(ours, counts), judged(theirs, their_counts)
    return [row(f"nDCG@10 on {len(places)} questions of {name}", gain, their_gain),
            row(f"hit@3 on {len(places)} questions of {name}", hits, their_hits)]


def _holds(document: str, start: int, end: int, place: Place) -> bool:
    return document == place[0] and start <= place[1] < end


def row(what: str, ours: float, theirs: float, against: str = "LangChain stock", inverse: bool = False) -> Row:
    """One line of the table; the ratio says how many times as good ours is, `inverse` where less is better."""
    return {"what": what, "ours": ours, "theirs": theirs, "ratio": theirs / ours if inverse else ours / theirs,
            "against": against}


class Stock:
    """What LangChain's tutorials build."""

    def __init__(self, documents: Sequence[Document], name: str) -> None:
        """Cut, encode and index."""
        import faiss
        from langchain_text_splitters import RecursiveCharacterTextSplitter
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(str(encoder.source(name)), device="cpu")
        self.model.encode(["warm"])
        start = time.perf_counter()
        cutter = RecursiveCharacterTextSplitter(chunk_size=SIZE, chunk_overlap=OVERLAP, add_start_index=True)
        self.passages: list[tuple[str, int, int]] = []
        texts = []
        for document in documents:
            for piece in cutter.create_documents([document.text]):
                first = piece.metadata["start_index"]
                self.passages.append((document.path, first, first + len(piece.page_content)))
                texts.append(piece.page_content)
        self.index = faiss.IndexFlatL2(self.model.get_embedding_dimension())
        self.index.add(self.model.encode(texts, normalize_embeddings=True))
        self.seconds = time.perf_counter() - start
        self.tokens = sum(len(row) for row in self.model.tokenizer(texts).input_ids)

    def find(self, question: str) -> list[int]:
        """The numbers of the ten nearest passages."""
        numbers: list[int] = self.index.search(self.model.encode([question], normalize_embeddings=True), DEPTH)[1][0]
        return [int(number) for number in numbers if number >= 0]


def corpus(passages: int, seed: int = 0) -> list[Document]:
    """English text to index: sentences of Python's own reference, mixed anew, some 20 passages to a document."""
    text = " ".join(pydoc_data.topics.topics.values())
    told = [" ".join(one.split()) for one in re.split(r"(?<=[.!?])\s+", text)]
    told = [one for one in told if 40 <= len(one) <= 300 and one[0].isupper()]
    chance = random.Random(seed)
    made = []
    for number in range(passages // 20):
        sections = [f"## Part {section} of {number}\n\n" + " ".join(chance.sample(told, 4)) for section in range(20)]
        made.append(Document(f"documents/{number:05}.md", "\n\n".join(sections), (), str(number)))
    return made


def build_rows() -> list[Row]:
    """First build: what each side makes of the same documents from memory, in passages and in tokens a second."""
    documents = corpus(1000)
    encodes = encoder.prepared()
    encodes.encode_documents(["warm"])
    with tempfile.TemporaryDirectory() as place:
        start = time.perf_counter()
        index.build(documents, [], encodes, Path(place))
        seconds = time.perf_counter() - start
        passages = index.Index.open(Path(place), encodes).passages
    tokens = sum(encodes.count(passage.indexed) for passage in passages)
    stock = Stock(documents, "all-MiniLM-L6-v2")
    return [row("seconds to index the same documents", seconds, stock.seconds, inverse=True),
            row("passages indexed a second", len(passages) / seconds, len(stock.passages) / stock.seconds),
            row("tokens indexed a second", tokens / seconds, stock.tokens / stock.seconds)]


def change_rows() -> list[Row]:
    """A change of one passage in a hundred, against the first build of the whole workspace."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "large"
        new(folder)
        for name in ("questions.jsonl", "examples.jsonl"):
            (folder / name).unlink()
        for file in sorted((folder / "documents").rglob("*"), reverse=True):
            file.unlink() if file.is_file() else file.rmdir()
        documents = corpus(PASSAGES)
        for document in documents:
            (folder / document.path).write_text(document.text, encoding="utf-8")
        workspace = Workspace(folder)
        first = index_stage.build_index(workspace, silent)
        for document in documents[: round(PASSAGES * CHANGED / 5)]:  # five passages in each of these
            text = document.text
            for section in range(5):
                text = text.replace(f"## Part {section} of", f"## Renewed part {section} of")
            (folder / document.path).write_text(text, encoding="utf-8")
        again = index_stage.build_index(workspace, silent)
    what = f"seconds to index {PASSAGES * CHANGED:.0f} changed of {first.passages:,} passages"
    return [row(what, again.seconds, first.seconds, "the first build", inverse=True)]


class Noisy:
    """The real encoder with made-up passage vectors: a hundred thousand would take a quarter of an hour."""

    def __init__(self, real: encoder.Encoder, some: Sequence[str]) -> None:
        """`some` are texts whose real vectors the others lie around."""
        self.sha256, self.dimensions, self.most_tokens = real.sha256, real.dimensions, real.most_tokens
        self.encode, self.encode_question = real.encode, real.encode_question
        self._around, self._tokens = real.encode_documents(some)
        self._chance = np.random.default_rng(0)

    def count(self, text: str) -> int:
        """As many tokens as words, which is quicker than counting."""
        return len(text.split())

    def encode_documents(self, texts: Sequence[str]) -> tuple[encoder.Vectors, list[Tokens]]:
        """Real vectors, each moved a little, and the tokens of the texts whose vectors they were."""
        chosen = self._chance.integers(0, len(self._around), len(texts))
        rows = self._around[chosen] + self._chance.normal(0, 0.03, (len(texts), self.dimensions)).astype(np.float32)
        rows = np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)
        return rows, [self._tokens[number] for number in chosen]


def query_rows() -> list[Row]:
    """A question's way at the built-in bot's size for both sides, and at a hundred thousand passages for ours."""
    with tempfile.TemporaryDirectory() as place:
        large, small = Path(place) / "index", Path(place) / "shop"
        large.mkdir()
        real = encoder.prepared()
        index.build(corpus(MANY), [], Noisy(real, [document.text[:500] for document in corpus(10_000)[:500]]), large)
        new(small)
        index_stage.build_index(Workspace(small), silent)
        folder = Workspace(small).current().index
        ours, theirs, many = (_apart(*words) for words in (("ours", folder), ("stock", small), ("ours", large)))
    return [row("query, median ms", ours["p50"], theirs["p50"], inverse=True),
            row("query, 95 of 100 below ms", ours["p95"], theirs["p95"], inverse=True),
            row("memory MB", ours["memory"], theirs["memory"], inverse=True),
            row(f"query at {many['passages']:,} passages ({many['kind']}), median ms", many["p50"], 25, "25 ms",
                 inverse=True),
            row(f"query at {many['passages']:,} passages, 95 of 100 below ms", many["p95"], 25, "25 ms", inverse=True),
            row(f"memory at {many['passages']:,} passages, MB", many["memory"], 1500, "1.5 GB", inverse=True)]


def _apart(side: str, folder: Path | None) -> Row:
    """One side in a process of its own, so that its memory is its own."""
    words = [sys.executable, "-m", "benchmarks.retrieval", f"--{side}", str(folder)]
    run = subprocess.run(words, capture_output=True, text=True, check=True)
    loaded: Row = json.loads(run.stdout)
    return loaded


def _questions() -> list[str]:
    with tempfile.TemporaryDirectory() as place:
        new(Path(place) / "shop")
        asked = [question.question for question in Workspace(Path(place) / "shop").questions]
    return (asked * (QUERIES // len(asked) + 1))[:QUERIES]


def _timed(find: Callable[[str], Any]) -> Row:
    for question in _questions()[:10]:
        find(question)
    times = []
    for question in _questions():
        start = time.perf_counter()
        find(question)
        times.append(1000 * (time.perf_counter() - start))
    return {"p50": float(np.quantile(times, 0.5)), "p95": float(np.quantile(times, 0.95)), "memory": _memory()}


def _memory() -> float:
    """The most MB that this process held; Linux counts its parent's into getrusage, so there the kernel's own word."""
    status = Path("/proc/self/status")
    if status.exists():
        return float(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> None:
    """With --ours or --stock one side's queries as JSON; else all rows, as a table or as JSON."""
    words = sys.argv[1:]
    if words[:1] == ["--ours"]:
        opened = index.Index.open(Path(words[1]), encoder.prepared())
        made = _timed(lambda question: opened.search(question, 5))
        sys.stdout.write(json.dumps(made | {"passages": len(opened.passages), "kind": opened.kind}))
    elif words[:1] == ["--stock"]:
        sys.stdout.write(json.dumps(_timed(Stock(read_documents(Path(words[1]))[0], "all-MiniLM-L6-v2").find)))
    else:
        show(rows([Path(word) for word in words if word != "--json"]), "--json" in words)


def rows(others: Sequence[Path] = ()) -> list[Row]:
    """Everything, on the built-in bot and on copies of other workspaces."""
    made = []
    with tempfile.TemporaryDirectory() as place:
        new(Path(place) / "shop")
        made += found_rows(Workspace(Path(place) / "shop"), "the built-in bot")
        for number, other in enumerate(others):
            copy = Path(place) / str(number)
            subprocess.run(["cp", "-r", str(other), str(copy)], check=True)
            made += found_rows(Workspace(copy), other.name)
    return made + build_rows() + change_rows() + query_rows()


def show(made: Sequence[Row], as_json: bool) -> None:
    """The rows on stdout."""
    if as_json:
        sys.stdout.write(json.dumps(made, indent=1) + "\n")
        return
    for one in made:
        sys.stdout.write(f"{one['what']:<58} {one['ours']:>9.3g} {one['theirs']:>9.3g}   x {one['ratio']:.2f}"
                         f"   against {one['against']}\n")


if __name__ == "__main__":
    main()
