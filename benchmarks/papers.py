"""The orderings that papers report of fine-tuning and retrieval, looked for with small models, with doubt.

Run with `make bench-papers`, on the built-in bot and on the workspaces that DATA names: some 25 minutes for each on two
cores. What is made stays in .bench/, so that a stopped run carries on; `--json` prints JSON.
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from builder.evaluation.arms import Extras
from builder.pipeline import stages
from builder.pipeline.experiments import ARMS, judged_with
from builder.pipeline.index_stage import build_index
from builder.scoring.statistics import difference, holm
from builder.workspace.folder import Watch, Workspace, new
from ui.cli.terminal import table, watching

PLACE = Path(".bench/papers")
AS_SET, NO_PASSAGES, NO_DISTRACTORS = "the build", "an adapter trained without passages", "without distractors"
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Ordering:
    """Something that a paper found: by this score, the left one (an adapter's system) lies above the right one."""

    says: str
    score: str
    left: tuple[str, str]
    right: tuple[str, str]


ORDERINGS = (
    Ordering("retrieval gives facts that fine-tuning doesn't (Ovadia et al. 2024)", "facts",
             (AS_SET, "rag-only"), (AS_SET, "fine-tune-only")),
    Ordering("fine-tuning gives a tone that prompting doesn't", "tone",
             (AS_SET, "fine-tune-only"), (AS_SET, "prompt-only")),
    Ordering("nor does prompting with examples", "tone", (AS_SET, "fine-tune-only"), (AS_SET, "few-shot")),
    Ordering("with passages, an adapter trained without them has fewer facts than no adapter (RAFT)", "facts",
             (AS_SET, "rag-only"), (NO_PASSAGES, "hybrid")),
    Ordering("and less of its tone than without passages", "tone",
             (NO_PASSAGES, "fine-tune-only"), (NO_PASSAGES, "hybrid")),
    Ordering("training with passages and distractors wins the facts back (RAFT)", "facts",
             (AS_SET, "hybrid"), (NO_PASSAGES, "hybrid")),
    Ordering("and the tone", "tone", (AS_SET, "hybrid"), (NO_PASSAGES, "hybrid")),
    Ordering("the distractors among them add facts (RAFT)", "facts", (AS_SET, "hybrid"), (NO_DISTRACTORS, "hybrid")),
    Ordering("both halves together have more facts than retrieval alone", "facts",
             (AS_SET, "hybrid"), (AS_SET, "rag-only")))
"""Chosen before any was looked at. RAFT: Zhang et al. 2024, arXiv 2403.10131; Ovadia et al.: arXiv 2312.05934."""


def main() -> None:
    """Build, judge and compare; print one table for each workspace."""
    given = [Path(one) for one in os.environ.get("DATA", "").split() if one]
    found = {}
    with watching() as watch:
        for source in (None, *given):
            name = source.name if source else "the built-in bot"
            found[name] = orderings(_workspace(source), watch)
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    for name, one in found.items():
        table(f"{name}: {one['questions']} questions", ["papers say", "score", "here", "95 % interval", "p, Holm", ""],
              [[each["says"], each["score"], f"{each['value']:+.2f}", f"{each['low']:+.2f} to {each['high']:+.2f}",
                f"{each['adjusted']:.3f}", each["outcome"]] for each in one["orderings"]])


def _workspace(source: Path | None) -> Workspace:
    """A copy of a workspace that the script may build in."""
    folder = PLACE / (source.name if source else "built-in")
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        if source:
            shutil.copytree(source, folder, ignore=shutil.ignore_patterns(".twofold"))
        else:
            new(folder)
    return Workspace(folder)


def orderings(workspace: Workspace, watch: Watch) -> dict[str, Any]:
    """The orderings on one workspace: paired differences over its questions, Holm's correction over all of them."""
    build_index(workspace, watch)
    stages.train(workspace, watch)
    report = stages.evaluate(workspace, watch, Extras(("few-shot",)))
    assert report is not None
    rows: dict[str, Rows] = {AS_SET: report.rows}
    for name, arm in ((NO_PASSAGES, "without passages"), (NO_DISTRACTORS, "without distractors")):
        training = workspace.brand.training.model_copy(update=ARMS[arm])
        rows[name] = judged_with(workspace, workspace.brand.model_copy(update={"training": training}), arm, watch)[1]
    made = [asdict(one) | found for one in ORDERINGS if (found := compared(rows, one))]
    for one, adjusted in zip(made, holm([one["p"] for one in made]), strict=True):
        sure = adjusted < 0.05
        outcome = "as the papers say" if one["value"] > 0 else "THE OTHER WAY ROUND"
        one |= {"adjusted": adjusted, "outcome": outcome if sure else "cannot tell"}
    return {"questions": report.questions, "orderings": made}


def compared(rows: Mapping[str, Rows], ordering: Ordering) -> dict[str, Any] | None:
    """Left less right over the questions where both are scored; None where that can't be."""
    pairs = []
    for left, right in zip(rows[ordering.left[0]], rows[ordering.right[0]], strict=True):
        if ordering.left[1] in left.replies and ordering.right[1] in right.replies:
            values = [row.replies[system].scores[ordering.score]
                      for row, system in ((left, ordering.left[1]), (right, ordering.right[1]))]
            if None not in values:
                pairs.append((*values, left.group))
    found = difference([left for left, _, _ in pairs], [right for _, right, _ in pairs], [group for *_, group in pairs])
    return {"n": len(pairs), **asdict(found)} if found else None


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
