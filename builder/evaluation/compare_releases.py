"""Two releases on the same questions: what the newer one gained or lost, with doubt and a margin."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from builder.evaluation.evaluate import PRIMARY
from builder.evaluation.report import Report, Row, ScoredReply, read_report
from builder.evaluation.verdict import FEWEST
from builder.scoring.statistics import Comparison, Outcome, compare
from builder.workspace.folder import Workspace
from builder.workspace.releases import read_release, release_file, release_names
from knowledge.errors import UserError
from knowledge.files import hash_bytes

WORDS = {Outcome.GAINED: "better", Outcome.KEPT: "no worse", Outcome.FORGOT: "worse",
         Outcome.CANNOT_TELL: "cannot tell"}
"""The outcomes in words about two releases."""
LAST = "last build"
"""What an evaluation is called that belongs to no release."""
SHORT = 8
"""Letters of a hash; enough to tell the parts of one workspace apart."""


@dataclass(frozen=True)
class ReleaseComparison:
    """A report held against that of a release, each by the system that it answers with, on their common questions."""

    release: str
    earlier_system: str
    system: str
    questions: int
    scores: dict[str, Comparison | None]
    """For facts and tone; None with fewer than FEWEST groups of questions."""

    @property
    def worse(self) -> list[str]:
        """The scores that got worse."""
        return [score for score, found in self.scores.items() if found and found.outcome == Outcome.FORGOT]

    @property
    def unclear(self) -> list[str]:
        """The scores that may have got worse by more than the margin, or not: there are too few questions to tell."""
        return [score for score, found in self.scores.items() if not found or found.outcome == Outcome.CANNOT_TELL]

    def lines(self) -> list[str]:
        """What was found, a line for each score."""
        return [f"{score}: fewer than {FEWEST} groups of questions in common with {self.release}" if found is None else
                f"{score}: {found.after:.2f}, {self.release} had {found.before:.2f} ({found}): {WORDS[found.outcome]}"
                for score, found in self.scores.items()]


@dataclass(frozen=True)
class Change:
    """One system's score in two reports, on the questions that both asked it; `difference` is after less before.

    `difference`, `low` and `high` are None with fewer than FEWEST groups; `outcome` is too, and for scores that are no
    share or are neither better nor worse, since the margin is a share.
    """

    system: str
    questions: int
    before: float | None
    after: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True)
class ChangedReply:
    """A reply whose score is another than before; `better` is None for scores that are neither better nor worse."""

    row: Row
    """Of the later report."""
    system: str
    before: ScoredReply
    after: ScoredReply
    change: float
    better: bool | None


def evaluations(workspace: Workspace) -> dict[str, Path]:
    """Where the report.json of each evaluated release lies, the oldest first; at the end a newer one of no release."""
    places = {name: workspace.built / str(read_release(workspace, name).evaluation)
              for name in release_names(workspace)}
    if (last := workspace.current().evaluation) and last not in places.values():
        places[LAST] = last
    return {name: place / "report.json" for name, place in places.items() if (place / "report.json").is_file()}


def contents(workspace: Workspace, release: str) -> dict[str, str]:
    """What a release is made of, each part by the beginning of its hash; UserError where there is none of this name.

    The thresholds are part of the index, and a release of an older version holds no fixed phrases.
    """
    known = read_release(workspace, release)
    parts = {kind: place.rsplit("/", 1)[-1][:SHORT] for kind, place in known.parts.items()}
    texts = {"brand.yaml": known.brand} | ({} if known.fixed is None else {"fixed phrases": json.dumps(known.fixed)})
    return parts | {name: hash_bytes(text)[:SHORT] for name, text in texts.items()}


def built_at(workspace: Workspace, release: str) -> datetime:
    """When a release was made, in this machine's time."""
    return datetime.fromtimestamp(release_file(workspace, release).stat().st_mtime, UTC).astimezone()


def compare_with_release(workspace: Workspace, report: Report, release: str) -> ReleaseComparison:
    """A report held against that of a release; UserError where the release does not exist or has no evaluation.

    The outcome of a score is GAINED where the whole interval is better, else by the rule of `statistics.compare`.
    """
    place = workspace.built / str(read_release(workspace, release).evaluation) / "report.json"
    if not place.is_file():
        raise UserError(f"{release}: was not evaluated; name another release")
    earlier = read_report(place, release)
    both = _both(earlier, report, earlier.best, report.best)
    scores = {score: _compared(both, score, 1, workspace.brand.gates.margin) for score in PRIMARY}
    return ReleaseComparison(release, earlier.best, report.best, len(both), scores)


def changes(before: Report, after: Report, score: str, margin: float) -> list[Change]:
    """One score of two reports for each system that both hold; more is better or less is, as the score has it."""
    title, found = after.scores[score], []
    sign = -1 if title.better == "lower" else 1
    for system in (name for name in before.systems if name in after.systems):
        both = _both(before, after, system, system)
        pairs, compared = _scored(both, score), _compared(both, score, sign, margin)
        change = Change(system, len(pairs), sum(old for old, _, _ in pairs) / len(pairs) if pairs else None,
                        sum(new for _, new, _ in pairs) / len(pairs) if pairs else None)
        if compared:
            low, high = sorted((sign * compared.low, sign * compared.high))
            judged = title.unit == "share" and title.better != "neither"
            change = replace(change, difference=sign * compared.difference, low=low, high=high,
                             outcome=compared.outcome if judged else None)
        found.append(change)
    return found


def changed_replies(before: Report, after: Report, score: str) -> list[ChangedReply]:
    """The replies whose score changed, the most changed first; ties in the order of the questions."""
    found, better = [], after.scores[score].better
    for system in (name for name in before.systems if name in after.systems):
        for row, old, new in _both(before, after, system, system):
            first, second = old.scores.get(score), new.scores.get(score)
            if first is not None and second is not None and (change := second - first):
                found.append(ChangedReply(row, system, old, new, change, None if better == "neither" else
                                          (change > 0) == (better == "higher")))
    return sorted(found, key=lambda reply: (-abs(reply.change), reply.row.line))


def _both(before: Report, after: Report, old: str, new: str) -> list[tuple[Row, ScoredReply, ScoredReply]]:
    """The questions that both asked: the later report's row, `old`'s reply in the earlier one, `new`'s in the later."""
    known = {row.question: row.replies[old] for row in before.rows if old in row.replies}
    return [(row, known[row.question], row.replies[new]) for row in after.rows
            if row.question in known and new in row.replies]


def _scored(both: Sequence[tuple[Row, ScoredReply, ScoredReply]], score: str) -> list[tuple[float, float, str]]:
    """The values before and after, and the group, where both are scored."""
    return [(first, second, row.group) for row, old, new in both
            if (first := old.scores.get(score)) is not None and (second := new.scores.get(score)) is not None]


def _compared(both: Sequence[tuple[Row, ScoredReply, ScoredReply]], score: str, sign: int,
              margin: float) -> Comparison | None:
    """What `statistics.compare` finds, or gained; `sign` is -1 where less is better. None with few groups."""
    pairs = _scored(both, score)
    groups = [group for *_, group in pairs]
    if len(set(groups)) < FEWEST:
        return None
    found = compare([sign * old for old, _, _ in pairs], [sign * new for _, new, _ in pairs], groups, margin)
    return replace(found, outcome=Outcome.GAINED) if found.low > 0 else found
