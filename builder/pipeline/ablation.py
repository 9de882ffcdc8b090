"""What each part of the training mix is worth: the same build without it, judged on the same questions, with doubt."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from builder.answering.assistant import Assistant
from builder.answering.opening import open_retriever
from builder.answering.reply_cache import remembering
from builder.answering.systems import system_named
from builder.evaluation.evaluate import PRIMARY, Asking, scored
from builder.evaluation.judge import Judge, Row
from builder.pipeline.train_stage import NO_PASSAGES, fine_tuned
from builder.scoring.form import Copies
from builder.scoring.statistics import difference, holm, interval
from builder.scoring.tone import VoiceClassifier, fixed_phrases, habits
from builder.workspace.brand import Brand
from builder.workspace.folder import Watch, Workspace
from knowledge.errors import UserError
from knowledge.files import hash_bytes, make_folder, read_json, write_json

AS_SET = "as set"
ARMS: dict[str, dict[str, Any]] = {
    AS_SET: {},
    "without passages": NO_PASSAGES,
    "without distractors": {"distractors": 0.0},
    "without closed rows": {"closed": 0.0},
    "without replay": {"replay": 0.0},
    "with abstaining": {"abstaining": 0.3},
    "a third of the layers frozen": {"frozen_layers": 0.34},
    "two thirds of the layers frozen": {"frozen_layers": 0.67},
    "in 32 bits": {"dtype": "fp32"},
    "another seed": {"seed": 1},
    "a third seed": {"seed": 2},
}
"""What is changed in brand.yaml's training settings; frozen_layers as a share of the model's layers."""
SCORES = ("facts", "tone", "facts_strict", "covers", "grounded", "words")
SYSTEMS = ("fine-tune-only", "hybrid")


def ablate(workspace: Workspace, arms: Sequence[str], watch: Watch) -> dict[str, Any]:
    """Train and judge each arm (all of them where none is named), `as set` first; what `twofold ablate --json` prints.

    Each arm's adapter answers the workspace's questions as fine-tune-only and hybrid. Its scores come with intervals,
    its paired differences from `as set` with p values, corrected (Holm 1979) over all arms' facts and tone. The
    questions choose nothing here: brand.yaml is left as it is. UserError for an unknown arm or without questions.
    """
    unknown = [arm for arm in arms if arm not in ARMS]
    if unknown:
        raise UserError(f"{unknown[0]}: no such arm; there are: {', '.join(ARMS)}")
    if not workspace.questions:
        raise UserError(f"{workspace.folder / 'questions.jsonl'}: holds no questions to judge an ablation by; add some")
    made = {arm: _arm(workspace, arm, watch) for arm in dict.fromkeys((AS_SET, *(arms or ARMS)))}
    found = [_difference(made, arm, system, score) for arm in made if arm != AS_SET for system in SYSTEMS
             for score in SCORES]
    differences = [one for one in found if one]
    primary = [one for one in differences if one["score"] in PRIMARY]
    for one, adjusted in zip(primary, holm([one["p"] for one in primary]), strict=True):
        one["adjusted"] = adjusted
    return {"questions": len(workspace.questions), "differences": differences,
            "arms": {arm: {key: value for key, value in one.items() if key != "judged"} for arm, one in made.items()}}


def changed(brand: Brand, arm: str, layers: int) -> Brand:
    """The brand with an arm's training settings; `layers` are the base model's."""
    changes = dict(ARMS[arm])
    if "frozen_layers" in changes:
        changes["frozen_layers"] = int(changes["frozen_layers"] * layers)
    if "seed" in changes:
        changes["seed"] += brand.training.seed
    return brand.model_copy(update={"training": brand.training.model_copy(update=changes)})


def _arm(workspace: Workspace, arm: str, watch: Watch) -> dict[str, Any]:
    """One arm's training record, scores and rows; made once for its adapter and questions."""
    from builder.model.hf import layers_of
    from builder.model.prepare import prepared

    brand = changed(workspace.brand, arm, layers_of(prepared(workspace.brand.model.base, "f16")))
    adapter, rows = judged_with(workspace, brand, arm, watch)
    trained = read_json(adapter / "training.json")
    return {"held_out_loss": trained["held_out_loss"], "rows": read_json(adapter / "adapter.json")["rows"],
            "seconds": trained["seconds"], "tokens_per_second": trained["tokens_per_second"],
            "systems": {system: {score: mean(rows, system, score) for score in SCORES}
                        for system in rows[0]["replies"]}, "judged": rows}


def judged_with(workspace: Workspace, brand: Brand, name: str, watch: Watch) -> tuple[Path, list[Row]]:
    """The adapter that `brand` trains, and its rows; both made once for all that goes into them."""
    adapter, _ = fine_tuned(workspace, brand, watch)
    index = workspace.current().index
    key = hash_bytes("1", adapter.name, index.name if index else "", *[
        repr(question) for question in workspace.questions], brand.model.model_dump_json())
    folder = make_folder(workspace.place("ablations", key), lambda made: write_json(
        made / "rows.json", answered(workspace, brand, adapter, name, watch)))
    rows: list[Row] = read_json(folder / "rows.json")
    return adapter, rows


def answered(workspace: Workspace, brand: Brand, adapter: Path, arm: str, watch: Watch) -> list[Row]:
    """The workspace's questions with an adapter's replies, as fine-tune-only and hybrid, and their scores."""
    index, questions = workspace.current().index, workspace.questions
    retriever = open_retriever(brand, index) if index else None
    assistant = Assistant(brand, remembering(workspace, brand, adapter), retriever, True)
    fixed = tuple(dict.fromkeys(fixed_phrases(brand, workspace.examples)))
    systems = [system_named(name) for name in SYSTEMS if retriever or name != "hybrid"]
    asking = Asking(assistant, watch(f"judge: {arm}"), len(questions) * len(systems))
    replies = {system.name: asking.ask(system, [(question.question, ()) for question in questions], system.name)
               for system in systems}
    judge = Judge(assistant, VoiceClassifier(None, fixed), habits(workspace.examples), fixed, Copies([], fixed))
    return [judge.row(question, {name: made[place] for name, made in replies.items()})
            for place, question in enumerate(questions)]


def mean(rows: Sequence[Row], system: str, score: str) -> dict[str, Any]:
    """A system's mean of a score over the questions where it is scored, with its 95 % interval."""
    values, groups = scored(rows, score, (system,))
    found = interval(values[0], groups, share=score != "words")
    return {**(asdict(found) if found else {"value": None, "low": None, "high": None}), "n": len(groups)}


def _difference(made: dict[str, dict[str, Any]], arm: str, system: str, score: str) -> dict[str, Any] | None:
    """An arm's score less that of `as set`."""
    found = apart(made[arm]["judged"], made[AS_SET]["judged"], system, score)
    return {"arm": arm, "system": system, "score": score, **found} if found else None


def apart(left: Sequence[Row], right: Sequence[Row], system: str, score: str) -> dict[str, Any] | None:
    """How far two adapters' scores lie apart, over the questions where both are scored; None with too few."""
    pairs = [(one["replies"][system]["scores"][score], other["replies"][system]["scores"][score], one["group"])
             for one, other in zip(left, right, strict=True)
             if system in one["replies"] and system in other["replies"]]
    kept = [pair for pair in pairs if pair[0] is not None and pair[1] is not None]
    found = difference([one for one, _, _ in kept], [other for _, other, _ in kept], [group for *_, group in kept])
    return {"n": len(kept), **asdict(found)} if found else None
