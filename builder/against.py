"""Two releases on the same questions: what the newer one gained or lost, with doubt and a margin."""

from typing import Any

from builder.evaluation import PRIMARY
from builder.forgetting import compared, difference_told
from builder.release import details
from builder.verdict import FEWEST
from builder.workspace import Workspace
from knowledge.errors import UserError
from knowledge.files import read_json

BEST = ("hybrid", "rag-only", "fine-tune-only", "prompt-only")
"""What a workspace answers with, if it is built."""

Report = dict[str, Any]


def answering(report: Report) -> str:
    """The system that a report's build would answer with."""
    return next(system for system in BEST if system in report["systems"])


def report_of(workspace: Workspace, release: str) -> Report | None:
    """The report of a release, None where it was not evaluated; UserError where there is no such release."""
    place = workspace.built / str(details(workspace, release).get("evaluation")) / "report.json"
    loaded: Report | None = read_json(place) if place.is_file() else None
    return loaded


def against(workspace: Workspace, report: Report, release: str) -> dict[str, Any]:
    """A report against that of a release, each by the system that it answers with, on the questions both were asked.

    Ready for JSON: `release`, its `system` and this one's, `questions` in common, and for facts and tone the means
    `before` and `after`, the paired `difference` with its 95 % interval, and the `outcome` by the rule of
    `builder.forgetting`: kept, forgot or cannot tell; None with fewer than FEWEST questions. UserError where the
    release has no evaluation.
    """
    earlier = report_of(workspace, release)
    if earlier is None:
        raise UserError(f"{release}: was not evaluated; name another release")
    old, new = answering(earlier), answering(report)
    known = {row["question"]: row["replies"][old]["scores"] for row in earlier["rows"] if old in row["replies"]}
    rows = [row for row in report["rows"] if row["question"] in known and new in row["replies"]]
    scores: dict[str, Any] = {}
    for score in PRIMARY:
        pairs = [(known[row["question"]][score], row["replies"][new]["scores"][score], row["group"]) for row in rows]
        pairs = [pair for pair in pairs if pair[0] is not None and pair[1] is not None]
        enough = len({group for *_, group in pairs}) >= FEWEST
        scores[score] = compared([before for before, _, _ in pairs], [after for _, after, _ in pairs],
                                 [group for *_, group in pairs], workspace.brand.gates.margin) if enough else None
    return {"release": release, "earlier_system": old, "system": new, "questions": len(rows), "scores": scores}


def told(found: dict[str, Any]) -> list[str]:
    """What `against` found, a line for each score."""
    lines = []
    for score, one in found["scores"].items():
        if one is None:
            lines.append(f"{score}: fewer than {FEWEST} groups of questions in common with {found['release']}")
            continue
        outcome = {"kept": "no worse", "forgot": "worse", "cannot tell": "whether it is worse cannot be told"}
        lines.append(f"{score}: {one['after']:.2f}, {found['release']} had {one['before']:.2f} ("
                     f"{difference_told(one)}): {outcome[one['outcome']]}")
    return lines
