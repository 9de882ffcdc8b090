"""Two releases on the same questions: what the newer one gained or lost, with doubt and a margin."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from builder.evaluation.evaluate import PRIMARY
from builder.evaluation.verdict import FEWEST
from builder.scoring.statistics import compared, difference_told
from builder.workspace.folder import PARTS, Workspace
from builder.workspace.releases import details, names
from knowledge.errors import UserError
from knowledge.files import hash_bytes, read_json

BEST = ("hybrid", "rag-only", "fine-tune-only", "prompt-only")
"""What a workspace answers with, if it is built."""
OUTCOMES = {"gained": "better", "kept": "no worse", "forgot": "worse",
            "cannot tell": "whether it is worse cannot be told"}
"""The outcomes of `checks.forgetting` and gained, which it doesn't ask for, in words about two releases."""
LAST = "last build"
"""What an evaluation is called that belongs to no release."""
SHORT = 8
"""Letters of a hash; enough to tell the parts of one workspace apart."""

Report = dict[str, Any]


def answering(report: Report) -> str:
    """The system that a report's build would answer with."""
    return next(system for system in BEST if system in report["systems"])


def report_of(workspace: Workspace, release: str) -> Report | None:
    """The report of a release, None where it was not evaluated; UserError where there is no such release."""
    place = workspace.built / str(details(workspace, release).get("evaluation")) / "report.json"
    loaded: Report | None = read_json(place) if place.is_file() else None
    return loaded


def evaluations(workspace: Workspace) -> dict[str, Path]:
    """Where the report.json of each evaluated release lies, the oldest first; at the end a newer one of no release."""
    places = {name: workspace.built / str(details(workspace, name).get("evaluation")) for name in names(workspace)}
    if (last := workspace.current().evaluation) and last not in places.values():
        places[LAST] = last
    return {name: place / "report.json" for name, place in places.items() if (place / "report.json").is_file()}


def contents(workspace: Workspace, release: str) -> dict[str, str]:
    """What a release is made of, each part by the beginning of its hash; UserError where there is none of this name.

    The thresholds are part of the index, and a release of an older version holds no fixed phrases.
    """
    known = details(workspace, release)
    parts = {kind: known[kind].rsplit("/", 1)[-1][:SHORT] for kind in PARTS if known.get(kind)}
    texts = {"brand.yaml": known["brand"]} | ({"fixed phrases": json.dumps(known["fixed"])} if "fixed" in known else {})
    return parts | {name: hash_bytes(text)[:SHORT] for name, text in texts.items()}


def began(workspace: Workspace, release: str) -> datetime:
    """When the build of a release began, in this machine's time."""
    made = (workspace.built / "releases" / release / "release.json").stat().st_mtime
    return datetime.fromtimestamp(made, UTC).astimezone()


def against(workspace: Workspace, report: Report, release: str) -> dict[str, Any]:
    """A report against that of a release, each by the system that it answers with, on the questions both were asked.

    Ready for JSON: `release`, its `system` and this one's, `questions` in common, and for facts and tone the means
    `before` and `after`, the paired `difference` with its 95 % interval, and the `outcome`: gained where the whole
    interval is better, else by the rule of `checks.forgetting` kept, forgot or cannot tell; None with fewer than
    FEWEST questions. UserError where the release has no evaluation.
    """
    earlier = report_of(workspace, release)
    if earlier is None:
        raise UserError(f"{release}: was not evaluated; name another release")
    old, new = answering(earlier), answering(report)
    both = _both(earlier, report, old, new)
    scores = {score: _compared(both, score, 1, workspace.brand.gates.margin) for score in PRIMARY}
    return {"release": release, "earlier_system": old, "system": new, "questions": len(both), "scores": scores}


def changes(before: Report, after: Report, score: str, margin: float) -> list[dict[str, Any]]:
    """One score of two reports for each system that both hold, on the questions that both asked it.

    Each with its `system`, `questions` scored in both, means `before` and `after`, paired `difference` (after less
    before) with its interval `low` to `high`, and `outcome` as in `against`, where more is better or less is, as the
    score has it. `difference`, `low` and `high` are None with fewer than FEWEST groups; `outcome` is too, and for
    scores that are no share or are neither better nor worse, since the margin is a share.
    """
    title, made = after["scores"][score], []
    sign = -1 if title["better"] == "lower" else 1
    for system in (name for name in before["systems"] if name in after["systems"]):
        both = _both(before, after, system, system)
        found = _compared(both, score, sign, margin)
        pairs = _scored(both, score)
        around: dict[str, Any] = dict.fromkeys(("difference", "low", "high", "outcome"))
        if found:
            low, high = sorted((sign * found["low"], sign * found["high"]))
            judged = title["unit"] == "share" and title["better"] != "neither"
            around = {"difference": sign * found["difference"], "low": low, "high": high,
                      "outcome": found["outcome"] if judged else None}
        made.append({"system": system, "questions": len(pairs), **around,
                     "before": sum(old for old, _, _ in pairs) / len(pairs) if pairs else None,
                     "after": sum(new for _, new, _ in pairs) / len(pairs) if pairs else None})
    return made


def moved(before: Report, after: Report, score: str) -> list[dict[str, Any]]:
    """The replies whose score is another than before, the most changed first; ties in the order of the questions.

    Each with its `row` of the later report, its `system`, the two replies `before` and `after`, the `change`, after
    less before, and whether that is `better`: None for scores that are neither better nor worse.
    """
    found, better = [], after["scores"][score]["better"]
    for system in (name for name in before["systems"] if name in after["systems"]):
        for row, old, new in _both(before, after, system, system):
            values = old["scores"].get(score), new["scores"].get(score)
            if None not in values and (change := values[1] - values[0]):
                found.append({"row": row, "system": system, "before": old, "after": new, "change": change,
                              "better": None if better == "neither" else (change > 0) == (better == "higher")})
    return sorted(found, key=lambda one: (-abs(one["change"]), one["row"]["line"]))


def told(found: dict[str, Any]) -> list[str]:
    """What `against` found, a line for each score."""
    lines = []
    for score, one in found["scores"].items():
        if one is None:
            lines.append(f"{score}: fewer than {FEWEST} groups of questions in common with {found['release']}")
            continue
        lines.append(f"{score}: {one['after']:.2f}, {found['release']} had {one['before']:.2f} ("
                     f"{difference_told(one)}): {OUTCOMES[one['outcome']]}")
    return lines


def _both(before: Report, after: Report, old: str, new: str) -> list[tuple[dict[str, Any], Report, Report]]:
    """The questions that both asked: the later report's row, `old`'s reply in the earlier one, `new`'s in the later."""
    known = {row["question"]: row["replies"][old] for row in before["rows"] if old in row["replies"]}
    return [(row, known[row["question"]], row["replies"][new]) for row in after["rows"]
            if row["question"] in known and new in row["replies"]]


def _scored(both: Sequence[tuple[dict[str, Any], Report, Report]], score: str) -> list[tuple[float, float, str]]:
    """The values before and after, and the group, where both are scored."""
    pairs = [(old["scores"].get(score), new["scores"].get(score), row["group"]) for row, old, new in both]
    return [pair for pair in pairs if pair[0] is not None and pair[1] is not None]


def _compared(both: Sequence[tuple[dict[str, Any], Report, Report]], score: str, sign: int,
              margin: float) -> dict[str, Any] | None:
    """What `statistics.compared` finds, or gained; `sign` is -1 where less is better. None with few groups."""
    pairs = _scored(both, score)
    groups = [group for *_, group in pairs]
    if len(set(groups)) < FEWEST:
        return None
    found = compared([sign * old for old, _, _ in pairs], [sign * new for _, new, _ in pairs], groups, margin)
    return found | ({"outcome": "gained"} if found["low"] > 0 else {})
