"""What the luck of training does, apart from that of the questions: adapters of other seeds on the same questions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import mean, stdev
from typing import Any

from builder.evaluation.evaluate import PRIMARY
from builder.pipeline.ablation import SYSTEMS, judged_with
from builder.scoring.statistics import difference
from builder.workspace.folder import Watch, Workspace

PAIRS = (("fine-tune-only", "prompt-only"), ("hybrid", "rag-only"), ("hybrid", "fine-tune-only"))
"""The primary pairs in which an adapter takes part."""


def seeds(workspace: Workspace, rows: Sequence[Mapping[str, Any]], count: int, watch: Watch) -> dict[str, Any]:
    """Train and judge until there are `count` seeds; `rows` are the evaluation's own, of the first one.

    For each primary score and pair the difference with each seed, its standard deviation over seeds (`spread`), and
    the interval over questions of its mean over seeds: the two kinds of luck side by side, never added up, since a few
    seeds tell too little of theirs (Bouthillier et al. 2021, arXiv 2103.03098). Ready for JSON.
    """
    first, by_seed = workspace.brand.training.seed, [rows]
    for number in range(1, count):
        training = workspace.brand.training.model_copy(update={"seed": first + number})
        brand = workspace.brand.model_copy(update={"training": training})
        by_seed.append(judged_with(workspace, brand, f"seed {first + number}", watch)[1])
    found = [one for score in PRIMARY for pair in PAIRS if (one := _pair(by_seed, rows, score, *pair))]
    return {"seeds": list(range(first, first + count)), "differences": found}


def _pair(by_seed: Sequence[Sequence[Mapping[str, Any]]], rows: Sequence[Mapping[str, Any]], score: str, left: str,
          right: str) -> dict[str, Any] | None:
    """A pair's differences by seed; None where a system is missing or too few questions are scored."""
    if not {left, right} <= set(rows[0]["replies"]):
        return None
    kept = []
    for place, row in enumerate(rows):
        values = [[(row if name not in SYSTEMS else judged[place])["replies"][name]["scores"][score]
                   for judged in by_seed] for name in (left, right)]
        if None not in [*values[0], *values[1]]:
            kept.append((*values, row["group"]))
    found = difference([mean(one) for one, _, _ in kept], [mean(other) for _, other, _ in kept],
                       [group for *_, group in kept])
    if not found:
        return None
    by = [mean(one[place] - other[place] for one, other, _ in kept) for place in range(len(by_seed))]
    return {"score": score, "left": left, "right": right, "values": by, "spread": stdev(by) if len(by) > 1 else 0.0,
            "n": len(kept), **asdict(found)}
