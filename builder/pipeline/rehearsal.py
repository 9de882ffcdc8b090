"""A build in small, in a process of its own: each stage's real parts on a sample, timed, with the memory they took.

`python -m builder.pipeline.rehearsal WORKSPACE FILE` writes what the build will cost to FILE as JSON.
"""

import importlib
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from builder.answering.opening import SLOTS, open_encoder, open_engine, open_reranker
from builder.model import prepare
from builder.model.engine import Decoding, at_once
from builder.model.export import write_served
from builder.model.prompt import Message, render
from builder.pipeline.plan import Rehearsal, StageCost
from builder.scoring.tone import fixed_phrases
from builder.training.gpus import TrainingLoad
from builder.training.mix import FEWEST_EXAMPLES, REPLAY_TOKENS, Answer, mix, preferred
from builder.workspace.examples import hold_out
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from knowledge.files import read_json
from knowledge.machine import peak_memory
from knowledge.reading.documents import Document, read_documents
from knowledge.search import answerable, index
from knowledge.search.retriever import Retriever

SAMPLE = 25_000
"""Characters of documents that are indexed; about 70 passages."""
REPLAYED = 8
"""General requests that the base model answers, to see how long that takes."""
MARGINS = {"index": 0.25, "train": 0.2, "check": 0.5, "evaluate": 0.25}
"""How far the range goes to either side. How long replies will be can't be known, and a check's share of them less
still."""
QUESTIONS_PER_PASSAGE = 1.7
"""That learning what can be answered makes of a passage, on average; each is searched for twice."""
STRANGERS = 60
"""Questions about anything, which are searched for once."""
SUPPORTED = 0.5
"""About the share of examples whose reply rests on a passage."""
CHECK_REPLIES = 190
"""As many replies of the adapter without passages take as long as the three checks, which also open a model 8 times."""
SEARCHES = 10
"""Searches, or as long as them, for each judged question: two systems find and cite, the judge and retrieval's own
evaluation find again."""
SCORING = 0.1
"""Seconds to score one question's replies and draw its share of the intervals."""
REPLY_BYTES = 6_300
"""Of one reply in all files of the report, with its scores, evidence and passages."""
INDEX_MEMORY = 2
"""Bytes of memory for each byte of an index on disk, as measured up to 100,000 passages."""

T = TypeVar("T")


def rehearse(workspace: Workspace, place: Path) -> Rehearsal:
    """Run every stage on a sample, in the order of a build, with scratch files in `place`, and tell what all will cost.

    A stage costs nothing where the workspace has nothing for it. The texts of questions.jsonl are not read, only
    counted, and they calibrate nothing. UserError as in a build.
    """
    brand = workspace.brand
    for precision in ("f16", brand.model.precision):
        prepare.prepared(brand.model.base, precision)  # made once for a machine, so no part of the forecast
    documents, _ = read_documents(workspace.folder)
    folder, adapter, load = place / "index", place / "adapter", None
    cost, retriever, search = _index(workspace, documents, folder) if documents else (StageCost(name="index"), None, 0)
    stages = [cost]
    trains = len(workspace.examples) >= FEWEST_EXAMPLES
    if trains:
        cost, load = _train(workspace, retriever, adapter)
    stages.append(cost if trains else StageCost(name="train"))
    stages += _answers(workspace, adapter if trains else None, retriever, search)
    for before, stage in zip(stages, stages[1:], strict=False):
        if stage.seconds:  # one process does all, and a peak stays a peak
            stage.memory_bytes = max(before.memory_bytes, stage.memory_bytes)
    return Rehearsal(stages=stages, training=load)


def _cost(name: str, seconds: float, disk: float, memory: float | None = None, fewest: float | None = None
          ) -> StageCost:
    margin = MARGINS[name]
    return StageCost(name=name, seconds=seconds, low=(seconds if fewest is None else fewest) * (1 - margin),
                     high=seconds * (1 + margin), disk_bytes=round(disk),
                     memory_bytes=round(peak_memory() if memory is None else memory))


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """What `work` gives, and its seconds."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def _index(workspace: Workspace, documents: Sequence[Document], folder: Path
           ) -> tuple[StageCost, Retriever, float]:
    """The cost of the index, from that of some documents; what finds in those, and its seconds for one search."""
    _, read = _timed(lambda: read_documents(workspace.folder))  # again: what was converted the first time is kept
    sample: list[Document] = []
    for document in random.Random(0).sample(documents, len(documents)):
        if _characters(sample) < SAMPLE:
            sample.append(document)
    settings = workspace.brand.retrieval
    (encoder, reranker), opening = _timed(lambda: (open_encoder(workspace.brand), open_reranker(workspace.brand)))
    _, importing = _timed(lambda: importlib.import_module("sklearn.linear_model"))  # for what is answerable: seconds
    folder.mkdir()
    _, built = _timed(lambda: index.build(sample, [], encoder, folder, settings.passage_tokens))
    opened = index.Index.open(folder, encoder, reranker=reranker)
    learned, fitted = _timed(lambda: answerable.fit(opened, settings.false_answers))
    asked = [passage.text[:60] for passage in opened.passages[:20]]
    _, searched = _timed(lambda: [opened.search(question, answerable.LOOK) for question in asked])
    search = searched / len(asked)

    def searches(passages: float) -> float:
        most = answerable.SAMPLE // 4 if settings.reranker else answerable.SAMPLE
        return 2 * QUESTIONS_PER_PASSAGE * min(most, passages) + STRANGERS if passages >= answerable.FEWEST else 0

    times, passages = _characters(documents) / max(_characters(sample), 1), len(opened.passages)
    fitting = fitted * (searches(passages * times) / searches(passages) if passages >= answerable.FEWEST else 1)
    support = len(workspace.examples) * (2 + 2 * SUPPORTED) * search
    disk = _size(folder)
    seconds = read + opening + importing + built * times + fitting + support
    return _cost("index", seconds, disk * times, peak_memory() + INDEX_MEMORY * disk * (times - 1)), Retriever(
        opened, learned, settings.found), search


def _characters(documents: Sequence[Document]) -> int:
    return sum(len(document.text) for document in documents)


def _size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _train(workspace: Workspace, retriever: Retriever | None, adapter: Path) -> tuple[StageCost, TrainingLoad]:
    """The cost of the training: its rows, its steps, and what llama.cpp serves of it.

    Beside the adapter two checkpoints of each run lie on disk for the while, and a third while it is written, each
    with what learns, its best epoch and AdamW's two moments, in 32 bits.
    """
    from builder.training.calibration import calibrate
    from builder.training.recipe import RATES

    brand, settings = workspace.brand, workspace.brand.training
    adapter.mkdir()
    (answer, replay), replaying = _timed(lambda: _replay(workspace))
    rows, mixing = _timed(lambda: mix(brand, workspace.examples, retriever, answer))
    pairs, pairing = _timed(lambda: preferred(brand, workspace.preferences, retriever,
                                              fixed_phrases(brand, workspace.examples)))
    base = prepare.prepared(brand.model.base, "f16")
    cost = calibrate(base, settings, rows.rows, rows.held_out, pairs, adapter)
    _, exporting = _timed(lambda: write_served(adapter, base, settings.method, brand.model.precision))
    around = replaying + replay * (rows.counts.get("replay", 0) - REPLAYED) + mixing + pairing + exporting
    runs = 1 + len(RATES) * (settings.learning_rate == "auto") + bool(workspace.preferences)
    disk = _size(adapter) + cost.load.learning * 4 * 4 * (2 * runs + 1)
    return _cost("train", max(0.0, around) + cost.seconds, disk, max(peak_memory(), cost.memory_bytes),
                 max(0.0, around) + cost.fewest), cost.load


def _replay(workspace: Workspace) -> tuple[Answer, float]:
    """What says a general reply of real length at once, and how long a real one takes among others."""
    engine = open_engine(workspace.brand, None, SLOTS)
    requests = files("builder.training").joinpath("replayed_requests.txt").read_text("utf-8").splitlines()[:REPLAYED]
    prompts: list[list[Message]] = [[{"role": "user", "content": request}] for request in requests]
    replies, seconds = _timed(lambda: list(at_once(engine, prompts, False, Decoding(REPLAY_TOKENS))))
    longest = max(replies, key=lambda reply: reply.tokens).text
    return lambda asked: [longest] * len(asked), seconds / len(replies)


def _answers(workspace: Workspace, adapter: Path | None, retriever: Retriever | None, search: float
             ) -> list[StageCost]:
    """The cost of checks and evaluation, by the seconds of a reply: without and with passages, adapter off and on.

    As many replies at once as an evaluation makes, to the requests of examples. The adapter has learnt next to nothing,
    so its replies are cut to the length of the examples' own.
    """
    brand = workspace.brand
    engine, opening = _timed(lambda: open_engine(brand, adapter, SLOTS))
    requests = [example.question for example in workspace.examples[:2 * SLOTS]] or ["What can you tell me?"]

    def reply_seconds(passages: bool, tuned: bool) -> float:
        prompts = [render(brand, request, [
            (hit.passage.heading, hit.passage.shown) for hit in retriever.index.search(request, retriever.count)]
            if passages and retriever else []) for request in requests]
        decoding = Decoding(_reply_tokens(workspace) if tuned else brand.model.reply_tokens)
        return _timed(lambda: list(at_once(engine, prompts, tuned, decoding)))[1] / len(prompts)

    tuned_alone = reply_seconds(False, True) if adapter else 0.0
    check = CHECK_REPLIES * tuned_alone + 8 * opening
    last = sorted((workspace.built / "checks").glob("*/checks.json"), key=lambda file: file.stat().st_mtime)
    if last:  # the checks of this workspace take as long as they did
        check = sum(part.get("seconds", 0) for part in read_json(last[-1]).values() if isinstance(part, dict))
    checks = _cost("check", check, 100_000) if adapter else StageCost(name="check")
    count = len(workspace.questions)
    if not count:
        return [checks, StageCost(name="evaluate")]
    voice = len(hold_out(workspace.examples, brand.training.seed)[1])
    seconds = (count + voice) * reply_seconds(False, False) + count * tuned_alone
    if retriever:
        answered = _answered(workspace, retriever)
        seconds += answered * reply_seconds(True, False) + count * search * SEARCHES
        seconds += answered * reply_seconds(True, True) if adapter else 0.0
    systems = (1 + bool(retriever)) * (1 + bool(adapter))
    return [checks, _cost("evaluate", opening + seconds + SCORING * count, REPLY_BYTES * count * systems)]


def _answered(workspace: Workspace, retriever: Retriever) -> float:
    """How many of the questions a system that retrieves will answer, by what the index learned of itself."""
    quality = retriever.answerability.quality
    right = sum(question.answerable for question in workspace.questions)
    return (right * (1 - quality.get("refused_answerable", 0.1))
            + (len(workspace.questions) - right) * quality.get("answered_unanswerable", 0.1))


def _reply_tokens(workspace: Workspace) -> int:
    """The mean tokens of the examples' replies: what the adapter learns to say."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(prepare.prepared(workspace.brand.model.base, "f16").tokenizer))
    counts = [len(tokenizer.encode(example.reply, add_special_tokens=False).ids) + 1 for example in workspace.examples]
    return min(workspace.brand.model.reply_tokens, round(sum(counts) / len(counts)))


def main() -> None:
    """Rehearse the workspace named first, and write what it will cost to the file named second."""
    with tempfile.TemporaryDirectory() as place:
        try:
            cost = rehearse(Workspace(Path(sys.argv[1])), Path(place))
        except UserError as error:
            sys.exit(str(error))
    Path(sys.argv[2]).write_text(cost.model_dump_json(), encoding="utf-8")


if __name__ == "__main__":
    main()
