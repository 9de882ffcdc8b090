"""What an audit finds and looks at: one finding with its cost, and the workspace's data, read once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from builder.answering.support import SUPPORT
from builder.scoring.text import without
from builder.scoring.tone import fixed_phrases
from builder.workspace.brand import Brand
from builder.workspace.examples import Question, example_bytes, examples_file, sorted_examples
from builder.workspace.folder import Workspace
from knowledge.reading.documents import Document, Failure, read_documents
from knowledge.search.passages import Passage, about_tokens, split
from knowledge.text.words import stems

STOPS, LEAKS, PROOF, RUN, INVENTS, VOICE, KNOW = COSTS = (
    "stops the build", "leaks private data", "makes the tests unreliable", "wastes training", "invites made-up facts",
    "weakens the voice", "good to know")
"""What a finding would cost, most serious first."""
SEVERITIES = ("error", "warning", "note")
EXAMPLES, QUESTIONS, BRAND = "examples.jsonl", "questions.jsonl", "brand.yaml"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: an error spoils the result, a warning may, a note is good to know."""

    kind: str
    file: str
    line: int | None
    severity: str
    message: str
    next: str
    cost: str = KNOW
    """One of COSTS."""
    other: int | None = None
    """The line of examples.jsonl that it concerns as well, where that is another one."""

    @property
    def place(self) -> str:
        """File and line as people write them."""
        return f"{self.file}:{self.line}" if self.line else self.file

    @property
    def rank(self) -> tuple[Any, ...]:
        """Sorts by cost, then severity; findings of a kind stay together."""
        return COSTS.index(self.cost), SEVERITIES.index(self.severity), self.kind, self.file, self.line or 0


class Material:
    """A workspace's data as the checks look at it; what costs time is made when first asked for."""

    def __init__(self, workspace: Workspace) -> None:
        """Read brand, examples and questions; UserError where a file can't be."""
        self.workspace = workspace
        self.brand: Brand = workspace.brand
        path = examples_file(workspace.folder)
        self.file = path.name
        self.examples, self.faults = sorted_examples(example_bytes(path), str(path))
        self.questions: list[Question] = workspace.questions
        self.fixed = fixed_phrases(self.brand, self.examples)

    @cached_property
    def _read(self) -> tuple[list[Document], list[Failure]]:
        return read_documents(self.workspace.folder)

    @property
    def documents(self) -> list[Document]:
        """Those that can be read."""
        return self._read[0]

    @property
    def failures(self) -> list[Failure]:
        """Those that can't."""
        return self._read[1]

    @cached_property
    def replies(self) -> list[str]:
        """The examples' replies without the phrases that all share."""
        return [without(example.reply, self.fixed) for example in self.examples]

    @cached_property
    def whole(self) -> str:
        """All documents' titles and texts."""
        return "\n\n".join(f"{document.title}\n{document.text}" for document in self.documents)

    @cached_property
    def own(self) -> str:
        """All that the brand itself makes public: brand.yaml's texts and the documents."""
        return "\n".join([*self.brand.public, *self.fixed, self.whole])

    @cached_property
    def passages(self) -> list[Passage]:
        """The documents cut about as the index will cut them."""
        most = self.brand.retrieval.passage_tokens
        return [passage for document in self.documents for passage in split(document, about_tokens, most)]

    @cached_property
    def rests(self) -> list[bool]:
        """For each example whether some passage holds at least half of its reply's content words.

        It is builder.mix's rule for grounded rows, only that every passage is looked at, not those that search finds.
        """
        import numpy as np

        if not self.passages or not any(map(stems, self.replies)):
            return [False] * len(self.examples)
        replies, passages = bags(self.replies, [passage.indexed for passage in self.passages])
        best = [np.asarray((replies[start:start + 500] @ passages.T).max(1).todense()).ravel()
                for start in range(0, replies.shape[0], 500)]
        words = np.asarray(replies.sum(1)).ravel()
        return [bool(most >= SUPPORT * count > 0) for most, count in zip(np.concatenate(best), words, strict=True)]


def bags(left: Sequence[str], right: Sequence[str]) -> tuple[Any, Any]:
    """Two lists of texts as sparse 0/1 matrices (texts, stems) over one vocabulary; ValueError where none has a content
    word."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(analyzer=stems, binary=True, dtype="int32").fit([*left, *right])
    return counter.transform(left), counter.transform(right)


def by_kind(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Findings of one kind, cost and severity together, in their order."""
    kinds: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        kinds.setdefault((finding.cost, finding.severity, finding.kind), []).append(finding)
    return list(kinds.values())
