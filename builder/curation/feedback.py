"""What people said of replies: votes, better replies, questions without an answer; kept until somebody decides."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from builder.curation.audit.private import masked, private
from builder.curation.drafts import add, facts_of
from builder.curation.editing import append_example, append_preference
from builder.workspace.brand import Brand
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from knowledge.search.encoder import Encoder
from knowledge.search.index import Index
from knowledge.search.retriever import Retriever

NAME = "feedback.sqlite"
"""In the workspace itself, not among what is built: what people said can't be made again."""
WAIT = 30.0
"""Seconds that one writer waits for another."""
ALIKE = 0.55
"""The mean cosine from which questions without an answer are taken to ask for the same."""
MOST = 500
"""Questions without an answer that are grouped, the newest ones."""

Kind = Literal["up", "down", "choice", "unanswered"]
"""A vote on one reply, a blind choice between several, or a question that the documents don't answer."""
State = Literal["open", "example", "preference", "question", "refused"]
"""Not decided on yet, what became of it, or that nothing is to become of it."""


@dataclass(frozen=True)
class Item:
    """One thing that somebody said.

    `reply` is the one that was judged, or was chosen (empty where none was better); `better` is a person's own, if
    they wrote one; `others` are the replies that a choice was made between, by system.
    """

    key: str
    kind: Kind
    question: str
    reply: str = ""
    better: str = ""
    system: str = ""
    release: str = ""
    others: Mapping[str, str] = field(default_factory=dict)
    at: str = ""
    """When, ISO 8601 in UTC; given by `record`."""
    state: State = "open"

    @property
    def texts(self) -> tuple[str, ...]:
        """All that people and models wrote in it."""
        return self.question, self.reply, self.better, *self.others.values()

    def saying(self, question: str, reply: str, better: str, *others: str) -> "Item":
        """The item with other `texts` in the place of its own."""
        return replace(self, question=question, reply=reply, better=better,
                       others=dict(zip(self.others, others, strict=True)))

    @property
    def proposed(self) -> str:
        """The reply to begin with where one is to be accepted: never one that was voted down."""
        return self.better or ("" if self.kind == "down" else self.reply)


@dataclass(frozen=True)
class Lack:
    """Questions that ask for the same and found no answer; `question` is the one in their middle."""

    question: str
    items: tuple[Item, ...]
    probability: float
    """That the documents as they are indexed now answer `question`."""


def made_public(brand: Brand, index: Index | None) -> str:
    """What the brand itself says to everyone, and so is no private thing: its own texts and the indexed documents."""
    return "\n".join([*brand.public, *((passage.indexed for passage in index.passages) if index else ())])


def private_in(texts: Sequence[str], own: str) -> list[str]:
    """What private things texts hold, such as “an e-mail address”; what the brand's `own` texts hold is none."""
    return sorted({name for text in texts for name, _, _ in private(text, own)})


def without_private(texts: Sequence[str], own: str) -> tuple[str, ...]:
    """The texts with what is private in them replaced by its name in brackets."""
    return tuple(masked(text, own) for text in texts)


def record(workspace: Workspace, item: Item) -> None:
    """Keep an item, in the place of an earlier one of the same key that nobody has decided on yet."""
    row = (item.key, item.kind, item.question, item.reply, item.better, item.system, item.release,
           json.dumps(dict(item.others), ensure_ascii=False), datetime.now(UTC).isoformat(timespec="seconds"))
    with _kept(workspace) as kept:
        kept.execute("insert into feedback values (?, ?, ?, ?, ?, ?, ?, ?, ?, 'open') on conflict (key) do update set "
                     "kind = excluded.kind, better = excluded.better, reply = excluded.reply, at = excluded.at "
                     "where state = 'open'", row)


def forget(workspace: Workspace, key: str) -> None:
    """Take back what was said, unless somebody has decided on it."""
    with _kept(workspace) as kept:
        kept.execute("delete from feedback where key = ? and state = 'open'", (key,))


def items(workspace: Workspace, kinds: Sequence[Kind] = ("up", "down", "choice"),
          state: State | None = "open") -> list[Item]:
    """What was said, the newest first: of these kinds, and in this state unless that is None."""
    if not (workspace.folder / NAME).exists():
        return []
    with _kept(workspace) as kept:
        kept.row_factory = sqlite3.Row
        rows = kept.execute("select * from feedback order by at desc, rowid desc").fetchall()
    made = [Item(**row | {"others": json.loads(row["others"])}) for row in map(dict, rows)]
    return [item for item in made if item.kind in kinds and state in (None, item.state)]


def as_example(workspace: Workspace, item: Item, question: str, reply: str) -> None:
    """Make an example of it; UserError, and it stays open, where it may not train or is there already."""
    _check_training(item, reply)
    append_example(workspace, question, reply)
    decide(workspace, item, "example")


def as_preference(workspace: Workspace, item: Item, question: str, better: str, worse: str) -> None:
    """Make a preference of it; UserError, and it stays open, where it may not train or is there already."""
    _check_training(item, better)
    append_preference(workspace, question, better, worse)
    decide(workspace, item, "preference")


def check_reply(item: Item, reply: str) -> None:
    """UserError where a reply is the very one that was voted down; spaces and line breaks make no other of it."""
    if item.kind == "down" and reply.strip() and reply.split() == item.reply.split():
        raise UserError("this is the reply that was voted down; write a better one")


def _check_training(item: Item, reply: str) -> None:
    """UserError where a reply is nothing to learn from; that its question judges is told as it is written."""
    if not reply.strip():
        raise UserError("the reply is empty; write the correct reply")
    check_reply(item, reply)


def as_question(workspace: Workspace, item: Item, question: str, answer: str, facts: Sequence[str] = (),
                answerable: bool = True) -> None:
    """Make a question that judges of it; UserError, and it stays open, where training sees one like it."""
    check_reply(item, answer)
    row = {"question": question.strip(), "answer": answer.strip(), "answerable": answerable,
           "facts": [spellings for fact in facts for spellings in facts_of(fact)]}
    _, left = add(workspace, [row], "feedback")
    if left:
        raise UserError(f"{left[0]}; ask something else, or discard it")
    decide(workspace, item, "question")


def decide(workspace: Workspace, item: Item, state: State) -> None:
    """Say what became of an item."""
    with _kept(workspace) as kept:
        kept.execute("update feedback set state = ? where key = ?", (state, item.key))


def lacks(workspace: Workspace, retriever: Retriever) -> list[Lack]:
    """What the documents lack: open questions without an answer, those of one meaning together, the most asked first.

    Average linkage over the cosines of the encoder's vectors. A group whose middle question the documents answer by
    now is left out.
    """
    asked = items(workspace, ("unanswered",))[:MOST]
    found = []
    for group, middle in _grouped(asked, retriever.encoder):
        finding = retriever.find(middle.question)
        if not finding.answerable:
            found.append(Lack(middle.question, tuple(group), finding.probability))
    return sorted(found, key=lambda one: -len(one.items))


def _grouped(asked: Sequence[Item], encoder: Encoder) -> Iterator[tuple[list[Item], Item]]:
    """Items by meaning, each group with the one nearest to its mean."""
    if len(asked) < 2:
        yield from (([item], item) for item in asked)
        return
    from sklearn.cluster import AgglomerativeClustering

    vectors = encoder.encode([item.question for item in asked])
    clusters = AgglomerativeClustering(None, metric="cosine", linkage="average", distance_threshold=1 - ALIKE)
    labels = clusters.fit_predict(vectors)
    for label in range(clusters.n_clusters_):
        members = [place for place, own in enumerate(labels) if own == label]
        nearest = max(members, key=lambda place: float(vectors[place] @ vectors[members].mean(0)))
        yield [asked[place] for place in members], asked[nearest]


@contextmanager
def _kept(workspace: Workspace) -> Iterator[sqlite3.Connection]:
    """The file, in one transaction; UserError where it can't be used."""
    file = workspace.folder / NAME
    try:
        connection = sqlite3.connect(file, timeout=WAIT)
        try:
            with connection:
                connection.execute(
                    "create table if not exists feedback (key text primary key, kind text not null, question text not "
                    "null, reply text not null, better text not null, system text not null, release text not null, "
                    "others text not null, at text not null, state text not null)")
                yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise UserError(f"{file}: can't be used ({error}); free some disk space, or move the file away"
                        ) from None
