"""The stages of a build: index, train, evaluate; each is made once for its inputs, and a stopped one carries on."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from builder import weights
from builder.assistant import Assistant, open_encoder, open_engine, open_index, open_reranker, open_retriever
from builder.brand import Brand
from builder.engine import Decoding
from builder.evaluation import evaluate as judge
from builder.examples import Question
from builder.lora import write_lora
from builder.mix import Answer, fixed_phrases, hold_out, mix, support
from builder.release import details, freeze, names
from builder.render import render
from builder.workspace import Workspace
from knowledge import answerable, index
from knowledge import fetch as fetching
from knowledge.documents import read_documents
from knowledge.encoder import Encoder
from knowledge.errors import JudgedFailure, UserError
from knowledge.files import Tick, hash_bytes, make_folder, read_json, write_json, write_text
from knowledge.retriever import Retriever

VERSION = "3"
"""Of what the stages do; a new one makes them run again on the same inputs."""
SLOTS = 8
"""Replies made at once where nobody waits for the first word."""
FEWEST_EXAMPLES = 8
REPLAY_TOKENS = 80
MARGIN = 0.02
"""The share of questions that may lose their passage before a new index is held back."""
REFIT = 0.1
"""The share of passages that may come and go before it is learned anew what can be answered."""

Watch = Callable[[str], Tick]
"""Told the name of each stage, gives what watches its progress."""


def build_index(workspace: Workspace, watch: Watch, force: bool = False) -> dict[str, Any]:
    """Read the documents and index them; what `twofold index --json` prints. UserError when no document is readable.

    Before the new index takes the old one's place, the workspace's questions are run on both: JudgedFailure, and the
    old one stays, where more than MARGIN of them lose their passage, unless `force`.
    """
    start = time.perf_counter()
    settings = workspace.brand.retrieval
    documents, failures = read_documents(workspace.folder, watch("read documents"))
    summary: dict[str, Any] = {
        "documents": len(documents), "failed": [asdict(failure) for failure in failures],
        "flags": {document.path: list(document.flags) for document in documents if document.flags}}
    if not documents:
        if failures:
            raise UserError(f"{workspace.folder / failures[0].document}: {failures[0].reason}; no document is readable")
        if workspace.current().index and not force:
            raise JudgedFailure(f"{workspace.folder / 'documents'}: holds no document any more, so the old index "
                                "stays; bring the documents back, or add --force to go on without")
        workspace.use("index", None)
        return summary | {"passages": 0, "read": 0, "unchanged": 0, "removed": 0, "broke": [], "why": "",
                          "answerability": {},
                          "seconds": time.perf_counter() - start}
    tick = watch("index")
    encodes, reranker = open_encoder(workspace.brand), open_reranker(workspace.brand)
    earlier = _earlier(workspace, encodes)
    fixed = fixed_phrases(workspace.brand, workspace.examples)
    key = hash_bytes(VERSION, index.VERSION, encodes.sha256, *fixed, str(settings.passage_tokens),
                     str(settings.false_answers),
                     *[part for document in documents for part in (document.path, document.sha256)],
                     *[failure.document for failure in failures], reranker.sha256 if reranker else "",
                     *[part for example in workspace.examples for part in (example.question, example.reply)])

    def fill(folder: Path) -> None:
        index.build(documents, failures, encodes, folder, settings.passage_tokens, earlier, tick)
        opened = index.Index.open(folder, encodes, reranker=reranker)
        asked = [(example.question, right.number) for example in workspace.examples
                 if (right := support(example, opened, fixed))]
        _learned(opened, earlier, workspace, asked, tick).save(folder)

    folder = make_folder(workspace.place("index", key), fill)
    broke = [] if force or earlier is None else _gate(workspace, folder, watch)
    before = earlier.settings["documents"] if earlier else {}
    made, learned = read_json(folder / "index.json"), read_json(folder / "answerable.json")
    workspace.use("index", folder)
    _prune(workspace)
    unchanged = sum(before.get(path, {}).get("sha256") == one["sha256"] for path, one in made["documents"].items())
    return summary | {"passages": made["passages"], "kind": made["kind"], "why": made["why"], "broke": broke,
                      "read": len(documents) - unchanged, "unchanged": unchanged,
                      "removed": len(before.keys() - made["documents"].keys()),
                      "answerability": learned["quality"] | {"wished_false_answers": learned["wished"]},
                      "seconds": time.perf_counter() - start}


def _learned(opened: index.Index, earlier: index.Index | None, workspace: Workspace,
             asked: list[tuple[str, int]], tick: Tick) -> answerable.Answerability:
    """What the index can answer: as it was learned before while little has changed since, else learned anew."""
    wished = workspace.brand.retrieval.false_answers
    folder = workspace.current().index
    if earlier and folder and earlier.settings["encoder"] == opened.settings["encoder"]:
        before = {one.indexed for one in earlier.passages}
        now = {one.indexed for one in opened.passages}
        kept = answerable.Answerability.open(folder)
        changed = kept.changed + len(before ^ now) / max(len(before | now), 1)
        if changed < REFIT and (kept.wished, kept.asked, kept.reranker) == (wished, len(asked), opened.reranker):
            return replace(kept, changed=changed)
    return answerable.fit(opened, wished, asked, tick=tick)


def _gate(workspace: Workspace, folder: Path, watch: Watch) -> list[str]:
    """The questions that the new index no longer finds the passage for; JudgedFailure where they are too many."""
    from builder.retrieval_evaluation import broken_by

    current = workspace.current().index
    if current is None or current == folder or not workspace.questions:
        return []
    watch("compare with the index in use")
    before, after = (open_index(workspace.brand, one) for one in (current, folder))
    broke, lost = broken_by(before, after, workspace.questions, workspace.brand.retrieval.found)
    if lost > MARGIN * len(workspace.questions):
        listed = "".join(f"\n  {question}" for question in broke)
        raise JudgedFailure(f"{workspace.folder / 'documents'}: {lost} of {len(workspace.questions)} questions would "
                            f"lose the passage that answers them, so the old index stays; mend the documents, or add "
                            f"--force to go on:{listed}", broke)
    return broke


def roll_back_index(workspace: Workspace) -> str:
    """Put the previous index back in use, and return its folder's name; UserError where there is none."""
    previous = workspace.previous("index")
    if previous is None:
        raise UserError(f"{workspace.folder}: there is no earlier index; `twofold index` makes one")
    workspace.use("index", previous)
    return previous.name


def _prune(workspace: Workspace) -> None:
    """Delete indexes that are neither in use, nor the one before, nor in a release."""
    state, previous = workspace.current(), workspace.previous("index")
    kept = {state.index, previous, *(workspace.built / str(details(workspace, name).get("index"))
                                     for name in names(workspace))}
    for folder in (workspace.built / "index").iterdir():
        if folder not in kept:
            shutil.rmtree(folder, ignore_errors=True)


def fetch_pages(workspace: Workspace, watch: Watch) -> list[dict[str, str]]:
    """Fetch the web pages that .urls files in documents/ list; returns those that failed, and why."""
    addresses = [url for file in sorted((workspace.folder / "documents").rglob("*.urls")) if file.is_file()
                 for url in fetching.read_urls(file.read_bytes())[0]]
    failed = fetching.fetch(addresses, workspace.built / "fetched", watch("fetch"))
    return [{"document": url, "reason": reason} for url, reason in failed]


def _earlier(workspace: Workspace, encodes: Encoder) -> index.Index | None:
    """The index in use, as far as it can be taken over."""
    folder = workspace.current().index
    try:
        return index.Index.open(folder, encodes) if folder else None
    except UserError:
        return None  # damaged, or of another encoder or version: all is made anew


def train(workspace: Workspace, watch: Watch) -> dict[str, Any] | None:
    """Fine-tune the adapter on the examples and the current index; None where there are too few examples."""
    start = time.perf_counter()
    brand, examples = workspace.brand, workspace.examples
    if len(examples) < FEWEST_EXAMPLES:
        workspace.use("adapter", None)
        return None
    base = weights.prepared(brand.model.base, "f16")
    passages = workspace.current().index
    key = hash_bytes(VERSION, base.sha256, brand.training.model_dump_json(), brand.abstain, _prompt(brand),
                     str(brand.retrieval.found), passages.name if passages else "",
                     json.dumps([asdict(example) for example in examples]))
    place = workspace.place("adapters", key)

    def fill(folder: Path) -> None:
        from builder.training.recipe import train as fit

        tick = watch("prepare rows")
        retriever = open_retriever(brand, passages) if passages else None
        rows = mix(brand, examples, retriever, _base_replies(brand), tick)
        fit(base, list(rows.rows), list(rows.held_out), brand.training, folder, workspace.place("training", key),
            watch("train"))
        write_lora(folder, base, folder / "adapter.gguf")
        write_json(folder / "adapter.json", {"base": brand.model.base, "base_sha256": base.sha256, "rows": rows.counts,
                                             "held_out_lines": [one.line for one in rows.held_out_examples]})

    made = place.exists()
    folder = make_folder(place, fill)
    shutil.rmtree(workspace.place("training", key), ignore_errors=True)
    workspace.use("adapter", folder)
    trained: dict[str, Any] = read_json(folder / "training.json")
    return trained | {"rows": read_json(folder / "adapter.json")["rows"], "reused": made,
                      "wall_seconds": time.perf_counter() - start}


def _prompt(brand: Brand) -> str:
    """What the renderer makes of the brand and a passage, so that a new wording of it makes new parts."""
    return json.dumps(render(brand, "question", [("heading", "text")]))


def _base_replies(brand: Brand) -> Answer:
    """What the base model says by itself."""
    engine = open_engine(brand, None)
    return lambda messages: engine.generate(messages, False, Decoding(REPLAY_TOKENS)).text


def evaluate(workspace: Workspace, watch: Watch) -> dict[str, Any] | None:
    """Judge the systems that are built, and keep the report; None where there are no questions."""
    brand, questions, state = workspace.brand, workspace.questions, workspace.current()
    if not questions:
        workspace.use("evaluation", None)
        return None
    base = weights.prepared(brand.model.base, brand.model.precision)
    key = hash_bytes(VERSION, base.sha256, brand.model_dump_json(), _prompt(brand),
                     state.index.name if state.index else "", state.adapter.name if state.adapter else "",
                     json.dumps([asdict(question) for question in questions]),
                     json.dumps([asdict(example) for example in workspace.examples]))

    def fill(folder: Path) -> None:
        from builder import report as reporting

        tick = watch("evaluate")
        engine = open_engine(brand, state.adapter, SLOTS)
        retriever = open_retriever(brand, state.index) if state.index else None
        assistant = Assistant(brand, engine, retriever, state.adapter is not None)
        _, apart = hold_out(workspace.examples, brand.training.seed)
        report = judge(assistant, questions, apart, workspace.examples, tick)
        report["retrieval"] = _found(retriever, questions)
        write_json(folder / "report.json", report)
        write_text(folder / "report.html", reporting.to_html(report))
        write_text(folder / "report.md", reporting.to_markdown(report))

    folder = make_folder(workspace.place("evaluations", key), fill)
    workspace.use("evaluation", folder)
    loaded: dict[str, Any] = read_json(folder / "report.json")
    return loaded


def _found(retriever: Retriever | None, questions: list[Question]) -> dict[str, Any] | None:
    """How well the index alone does; None where there is none, or no question names its passage."""
    from builder.retrieval_evaluation import judge_retrieval

    try:
        return judge_retrieval(retriever, questions) if retriever else None
    except UserError:
        return None


def evaluate_retrieval(workspace: Workspace) -> dict[str, Any]:
    """Judge the index alone: is the right passage among the first found; UserError without an index or questions."""
    from builder.retrieval_evaluation import judge_retrieval

    state = workspace.current()
    if state.index is None:
        raise UserError(f"{workspace.folder}: has no index; run `twofold index {workspace.folder}`")
    retriever: Retriever = open_retriever(workspace.brand, state.index)
    return judge_retrieval(retriever, workspace.questions)


def build(workspace: Workspace, watch: Watch, force: bool = False) -> Iterator[tuple[str, Any]]:
    """All stages in order, each yielded with its result when it is done; at the end the release candidate's name."""
    yield "index", build_index(workspace, watch, force)
    yield "train", train(workspace, watch)
    if workspace.current().index is None and workspace.current().adapter is None:
        raise UserError(f"{workspace.folder}: has neither documents nor enough examples (at least {FEWEST_EXAMPLES}); "
                        "add files to documents/ or lines to examples.jsonl")
    yield "evaluate", evaluate(workspace, watch)
    yield "release", freeze(workspace)


@contextmanager
def building(workspace: Workspace) -> Iterator[None]:
    """Let one build at a time work on a workspace; UserError while another one does. A killed build holds nothing."""
    import fcntl

    workspace.built.mkdir(parents=True, exist_ok=True)
    with (workspace.built / "building").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{workspace.folder}: another build is at work here; wait for it or stop it") from None
        yield
