"""A build in small, in a process of its own: each stage's real parts on a sample, timed, with the memory they took.

`python -m builder.pipeline.rehearsal WORKSPACE FILE` writes what it measured to FILE as JSON.
"""

import importlib
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.resources import files
from os.path import commonprefix
from pathlib import Path
from typing import Any, cast

import numpy as np

from builder.answering.opening import SLOTS, open_encoder, open_engine, open_reranker, open_retriever
from builder.model import prepare
from builder.model.engine import Decoding, Engine, Generated, at_once, prompt_ids
from builder.model.export import write_served
from builder.model.prompt import Message, render
from builder.scoring.tone import fixed_phrases
from builder.training.mix import FEWEST_EXAMPLES, REPLAY_TOKENS, Answer, mix, preferred
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from knowledge.files import write_json
from knowledge.machine import peak_memory
from knowledge.reading.documents import Document, read_documents
from knowledge.search import answerable, index
from knowledge.search.bm25 import WordSearch
from knowledge.search.index import Found
from knowledge.search.passages import Passage, about_tokens, split
from knowledge.search.retriever import Retriever

SAMPLE = 25_000
"""Characters of documents that are indexed; about 70 passages."""
REPLAYED = 8
"""General requests that the base model answers, to see how long that takes."""
SPOKEN = 16
"""Tokens of each reply with the adapter; its replies are of no use, only their pace counts."""


def rehearse(workspace: Workspace, place: Path) -> dict[str, Any]:
    """Run every stage on a sample, in the order of a build, with scratch files in `place`; ready for JSON.

    A part is None where the workspace has nothing for it. Nothing of questions.jsonl is read. UserError as in a build.
    """
    brand = workspace.brand
    base = prepare.prepared(brand.model.base, "f16")
    prepare.prepared(brand.model.base, brand.model.precision)  # made once for a machine, so no part of the forecast
    documents, _ = read_documents(workspace.folder)
    made: dict[str, Any] = {"index": _index(workspace, documents, place / "index") if documents else None,
                            "train": None}
    retriever = _retriever(workspace, documents)
    adapter = place / "adapter"
    if len(workspace.examples) >= FEWEST_EXAMPLES:
        from builder.training.calibration import calibrate

        adapter.mkdir()
        start = time.perf_counter()
        answer, replay = _replay(workspace)
        spent, start = time.perf_counter() - start, time.perf_counter()
        rows = mix(brand, workspace.examples, retriever, answer)
        pairs = preferred(brand, workspace.preferences, retriever, fixed_phrases(brand, workspace.examples))
        made["train"] = {"mix": time.perf_counter() - start, "engine": spent - REPLAYED * replay,
                         "replay": replay * rows.counts.get("replay", 0),
                         **calibrate(base, brand.training, rows.rows, rows.held_out, pairs, adapter)}
        start = time.perf_counter()
        write_served(adapter, base, brand.training.method, brand.model.precision)
        made["train"] |= {"export": time.perf_counter() - start, "disk_bytes": _size(adapter)}
    made["answers"] = _answers(workspace, adapter if made["train"] else None, retriever)
    return made


def _index(workspace: Workspace, documents: Sequence[Document], folder: Path) -> dict[str, Any]:
    """Index some documents, learn what they answer, search them."""
    start = time.perf_counter()
    read_documents(workspace.folder)  # again, since what was converted the first time is kept
    read = time.perf_counter() - start
    sample: list[Document] = []
    for document in random.Random(0).sample(documents, len(documents)):
        if sum(len(one.text) for one in sample) < SAMPLE:
            sample.append(document)
    settings = workspace.brand.retrieval
    start = time.perf_counter()
    encodes, reranker = open_encoder(workspace.brand), open_reranker(workspace.brand)
    importlib.import_module("sklearn.linear_model")  # which learning what is answerable would do, and takes seconds
    opening = time.perf_counter() - start
    folder.mkdir()
    start = time.perf_counter()
    index.build(sample, [], encodes, folder, settings.passage_tokens)
    built = time.perf_counter() - start
    opened = index.Index.open(folder, encodes, reranker=reranker)
    start = time.perf_counter()
    learned = answerable.fit(opened, settings.false_answers)
    fitted = time.perf_counter() - start
    asked = [one.text[:60] for one in opened.passages[:20]]
    start = time.perf_counter()
    for question in asked:
        opened.search(question, answerable.LOOK)
    return {"read": read, "open": opening, "build": built, "fit": fitted,
            "search": (time.perf_counter() - start) / len(asked), "passages": len(opened.passages),
            "characters": sum(len(one.text) for one in sample), "quality": learned.quality,
            "all_characters": sum(len(one.text) for one in documents),
            "disk_bytes": _size(folder), "memory_bytes": peak_memory()}


def _size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


class _ByWords:
    """Finds passages by words alone, which needs no index: which ones a row holds hardly changes how long it is."""

    def __init__(self, passages: Sequence[Passage], count: int) -> None:
        self.index, self.count, self._passages = self, count, passages
        self._words = WordSearch.build([one.indexed for one in passages])

    def search(self, question: str, count: int) -> list[Found]:
        """The best passages, best first."""
        scores = self._words.scores(question)
        return [Found(self._passages[place], int(place), float(scores[place]), 0.0, float(scores[place]))
                for place in np.argsort(-scores, kind="stable")[:count]]


def _retriever(workspace: Workspace, documents: Sequence[Document]) -> Retriever | None:
    """The workspace's own, where it has an index; else what finds by words in its documents."""
    state, settings = workspace.current(), workspace.brand.retrieval
    if state.index and documents:
        try:
            return open_retriever(workspace.brand, state.index)
        except UserError:
            pass  # of another version or encoder; the build makes it anew
    passages = [passage for one in documents for passage in split(one, about_tokens, settings.passage_tokens)]
    return cast(Retriever, _ByWords(passages, settings.found)) if passages else None


def _replay(workspace: Workspace) -> tuple[Answer, float]:
    """What says a general reply of real length at once, and how long a real one takes among others."""
    engine = open_engine(workspace.brand, None, SLOTS)
    file = files("builder.training").joinpath("replayed_requests.txt")
    requests = file.read_text(encoding="utf-8").splitlines()[:REPLAYED]
    start = time.perf_counter()
    made = list(at_once(engine, [[{"role": "user", "content": request}] for request in requests], False,
                        Decoding(REPLAY_TOKENS)))
    each = (time.perf_counter() - start) / len(made)
    middle = max(made, key=lambda one: one.tokens).text
    return lambda asked: [middle] * len(asked), each


def _answers(workspace: Workspace, adapter: Path | None, retriever: Retriever | None) -> dict[str, Any]:
    """Reading and speaking, with as many replies at once as an evaluation makes; without the adapter, then with it.

    The prompts are those of examples: with passages where there are any, and without.
    """
    brand = workspace.brand
    start = time.perf_counter()
    engine = open_engine(brand, adapter, SLOTS)
    opened = time.perf_counter() - start
    asked = [example.question for example in workspace.examples[:3 * SLOTS]] or ["What can you tell me?"]
    plain = [render(brand, question, []) for question in asked]
    full = [render(brand, question, [(one.passage.heading, one.passage.shown) for one in
                                     retriever.index.search(question, retriever.count)])
            for question in asked] if retriever else plain
    made: dict[str, Any] = {"open": opened, "plain": _own_tokens(workspace, plain),
                            "full": _own_tokens(workspace, full)}
    made |= {"untuned": _paces(engine, full, made["full"], False, brand.model.reply_tokens), "tuned": None}
    if adapter:
        made["tuned"] = _paces(engine, plain, made["plain"], True, SPOKEN)
        made["tuned_reply"] = _reply_tokens(workspace)
    return made | {"memory_bytes": peak_memory()}


def _paces(engine: Engine, prompts: Sequence[list[Message]], own: float, tuned: bool, most: int) -> dict[str, float]:
    """Seconds for each token read and each token said, and the mean tokens of a reply.

    A first prompt for each slot ends after one token, so it is all reading; that of the others, `own` tokens each
    beside what they share with the first, is taken off the time of their replies. There are two for each slot, since
    the last replies of a round have the machine for themselves, and an evaluation has one such end, not many.
    """
    def ask(asked: Sequence[list[Message]], tokens: int) -> tuple[list[Generated], float]:
        start = time.perf_counter()
        made = list(at_once(engine, asked, tuned, Decoding(tokens)))
        return made, time.perf_counter() - start

    first, reading = ask(prompts[:SLOTS], 1)
    read = reading / sum(reply.prompt_tokens for reply in first)
    others = prompts[SLOTS:]
    replies, seconds = ask(others or prompts, most)
    said = sum(reply.tokens for reply in replies)
    return {"read": read, "say": max(0.0, seconds - read * own * len(others)) / max(said, 1),
            "reply": said / len(replies)}


def _own_tokens(workspace: Workspace, prompts: Sequence[list[Message]]) -> float:
    """The mean tokens of a prompt that it doesn't share with the others: those are read once."""
    from tokenizers import Tokenizer

    base = prepare.prepared(workspace.brand.model.base, workspace.brand.model.precision)
    tokenizer = Tokenizer.from_file(str(base.tokenizer))
    ids = [prompt_ids(prompt, tokenizer, base.template, sys.maxsize) for prompt in prompts]
    shared = len(commonprefix(ids)) if len(ids) > 1 else 0
    return sum(map(len, ids)) / len(ids) - shared


def _reply_tokens(workspace: Workspace) -> float:
    """The mean tokens of the examples' replies: what the adapter learns to say."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(prepare.prepared(workspace.brand.model.base, "f16").tokenizer))
    most = workspace.brand.model.reply_tokens
    counts = [min(most, len(tokenizer.encode(one.reply, add_special_tokens=False).ids) + 1)
              for one in workspace.examples]
    return sum(counts) / len(counts)


def main() -> None:
    """Rehearse the workspace named first, and write the measurements to the file named second."""
    with tempfile.TemporaryDirectory() as place:
        try:
            write_json(Path(sys.argv[2]), rehearse(Workspace(Path(sys.argv[1])), Path(place)))
        except UserError as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
