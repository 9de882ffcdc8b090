"""The single replies of a report: all of them, one by one, and those that are asked for."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from builder.evaluation.failures import CAUSES
from builder.evaluation.report import Report, Row, ScoredReply

NO_FAULT = "no fault found"
"""The cause of a reply that did not fall short, or of which nothing is known that would have been right."""
EVERY_CAUSE = (*CAUSES, NO_FAULT)


@dataclass(frozen=True)
class Single:
    """One system's reply to one question; `row` and `reply` are as the report holds them."""

    system: str
    row: Row
    reply: ScoredReply

    @property
    def key(self) -> str:
        """What tells it from all others of its report, and is the same in the next report on the same questions."""
        return f"{self.row.line} {self.system}"

    @property
    def cause(self) -> str:
        """Why it fell short."""
        return self.reply.cause or NO_FAULT

    def score(self, name: str) -> float | None:
        """One of its scores; None where it is unscored."""
        return self.reply.scores.get(name)


@dataclass(frozen=True)
class Wanted:
    """Which replies are asked for: those that meet every part. An empty part asks for nothing."""

    systems: Collection[str] = ()
    causes: Collection[str] = ()
    groups: Collection[str] = ()
    answerable: bool | None = None
    disagree: bool = False
    """Only those to questions on which the systems' facts differ."""
    score: str = ""
    """Only those scored on it, from `low` to `high`."""
    low: float = 0.0
    high: float = 1.0
    words: str = ""
    """Only those where these words stand in question, reply or reference answer; capitals don't matter."""


def singles(report: Report) -> list[Single]:
    """Every reply, in the order of the questions, then of the systems."""
    return [Single(system, row, reply) for row in report.rows for system, reply in row.replies.items()]


def meeting(some: Sequence[Single], wanted: Wanted) -> list[Single]:
    """Those that meet what is asked, in the order given."""
    words = wanted.words.casefold().split()
    return [single for single in some if _meets(single, wanted) and _holds(single, words)]


def counts(replies: Sequence[Single]) -> list[tuple[str, str, int]]:
    """Cause, system and number of replies, for those causes and systems that occur, zeros among them."""
    found = Counter((reply.cause, reply.system) for reply in replies)
    causes = [cause for cause in EVERY_CAUSE if any(reply.cause == cause for reply in replies)]
    systems = dict.fromkeys(reply.system for reply in replies)
    return [(cause, system, found[cause, system]) for cause in causes for system in systems]


def _meets(single: Single, wanted: Wanted) -> bool:
    value = single.score(wanted.score) if wanted.score else None
    among = ((single.system, wanted.systems), (single.cause, wanted.causes), (single.row.group, wanted.groups))
    return (all(not some or value in some for value, some in among)
            and wanted.answerable in (None, single.row.answerable)
            and (not wanted.score or (value is not None and wanted.low <= value <= wanted.high))
            and (not wanted.disagree or _disagree(single.row)))


def _disagree(row: Row) -> bool:
    return len({reply.scores.get("facts") for reply in row.replies.values()}) > 1


def _holds(single: Single, words: Sequence[str]) -> bool:
    text = "\n".join((single.row.question, single.row.answer, single.reply.text)).casefold()
    return all(word in text for word in words)
