"""Why a reply fell short: one cause for each, and each system's worst replies."""

from collections import Counter
from collections.abc import Sequence

from builder.evaluation.report import Row, ScoredReply
from builder.scoring.facts import KEYED
from builder.scoring.grounded import names
from builder.scoring.quantities import quantities

HELD = 0.5
"""The overlap with the reference answer from which a reply to a question without keyed facts counts as right."""
WORST = 10

NOT_RETRIEVED, LEFT_OUT, STATED_WRONGLY, INVENTED = "not retrieved", "left out", "stated wrongly", "invented"
DID_NOT_KNOW, OVER_ABSTAINED, SHOULD_ABSTAIN = "didn't know", "abstained needlessly", "should have abstained"
OFF_BRAND, UNWANTED = "off-brand", "unwanted"
CAUSES = {
    NOT_RETRIEVED: "no right passage was among those found",
    STATED_WRONGLY: "a right passage was given, and the reply says another amount, time or name than the answer",
    LEFT_OUT: "a right passage was given, and the reply doesn't say what stands there",
    INVENTED: "it states numbers or names that stand in no passage for the question",
    DID_NOT_KNOW: "without passages, it lacks the fact and invents none",
    OVER_ABSTAINED: "it abstained though a right passage was found",
    SHOULD_ABSTAIN: "it answered what the documents don't answer",
    UNWANTED: "the facts are right, but it holds what no reply may hold",
    OFF_BRAND: "the facts are right, but it breaks a rule of the brand"}
"""The causes and what they mean, in the order in which a reply is tried for them."""


def holds_facts(row: Row, reply: ScoredReply) -> bool | None:
    """Whether a reply says what the question's key or its reference answer says; None where neither tells."""
    facts = reply.scores.get("facts")
    return None if facts is None else facts >= (1 if row.by == KEYED else HELD)


def cause(row: Row, reply: ScoredReply) -> str:
    """Why a reply fell short; "" where it did not, or nothing is known of what would have been right."""
    scores, right = reply.scores, reply.found_right
    if not row.answerable:
        return "" if reply.abstained else SHOULD_ABSTAIN
    if scores["facts"] is None:
        return ""
    if holds_facts(row, reply):
        return UNWANTED if scores["unwanted"] else OFF_BRAND if scores["tone"] == 0 else ""
    if right is False:
        return NOT_RETRIEVED
    if reply.abstained:
        return OVER_ABSTAINED
    if scores["grounded"] is not None and scores["grounded"] < 1:
        return INVENTED
    if not right:
        return DID_NOT_KNOW
    return STATED_WRONGLY if _says_another(row, reply) else LEFT_OUT


def _says_another(row: Row, reply: ScoredReply) -> bool:
    """Whether a reply gives another amount, time or name in the place of one that the reference answer has."""
    wanted, said, asked = (quantities(text) for text in (row.answer, reply.text, row.question))
    lacking = {unit for unit, _ in wanted.keys() - said.keys()}
    if any(unit in lacking for unit, _ in said.keys() - wanted.keys() - asked.keys()):
        return True
    named, others = ({text[start:end] for start, end in names(text)} for text in (row.answer, reply.text))
    return any(name not in reply.text for name in named) and any(
        name not in f"{row.answer}\n{row.question}" for name in others)


def counted(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """For each system how many replies fell short for each cause, only those that occur."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        for system, reply in row.replies.items():
            found.setdefault(system, Counter())[reply.cause] += 1
    return {system: {name: counts[name] for name in CAUSES if counts[name]} for system, counts in found.items()}


def worst(rows: Sequence[Row], system: str) -> list[Row]:
    """The rows of a system's worst replies: least facts first, then those that break most else."""
    def badness(row: Row) -> tuple[float, ...]:
        scores = row.replies[system].scores
        crag, facts, tone, voice = (scores.get(name) for name in ("crag", "facts", "tone", "voice"))
        return (crag if crag is not None else 0.0, facts if facts is not None else 1.0,
                tone if tone is not None else 1.0, voice if voice is not None else 1.0)

    fell_short = [row for row in rows if system in row.replies and row.replies[system].cause]
    return sorted(fell_short, key=badness)[:WORST]
