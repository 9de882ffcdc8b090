"""The same build with other training settings: what a part of the mix is worth, and what another seed changes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean as average
from statistics import stdev
from typing import Any

from pydantic import BaseModel, TypeAdapter

from builder.answering.assistant import Assistant
from builder.answering.opening import open_retriever
from builder.answering.reply_cache import remembering
from builder.answering.systems import system_named
from builder.curation.audit.leaks import fair_questions
from builder.evaluation.evaluate import PRIMARY, Asking, mean
from builder.evaluation.judge import Judge
from builder.evaluation.report import Estimate, Row, SeedDifference, Seeds
from builder.pipeline.keys import inputs_of, rows_key
from builder.pipeline.train_stage import NO_PASSAGES, fine_tuned
from builder.scoring.form import Copies
from builder.scoring.statistics import Difference, difference, holm, standard_errors
from builder.scoring.tone import VoiceClassifier, fixed_phrases, habits
from builder.workspace.brand import Brand
from builder.workspace.examples import Question
from builder.workspace.folder import Watch, Workspace
from knowledge.errors import UserError
from knowledge.files import make_folder, read_json, write_json

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
PAIRS = (("fine-tune-only", "prompt-only"), ("hybrid", "rag-only"), ("hybrid", "fine-tune-only"))
"""The primary pairs in which an adapter takes part."""
_ROWS = TypeAdapter(list[Row])


class Arm(BaseModel):
    """One arm of an ablation: its training record and its scores."""

    held_out_loss: list[float | None]
    rows: dict[str, int]
    """How many training rows there are of each kind."""
    seconds: float
    tokens_per_second: float
    systems: dict[str, dict[str, Estimate]]


class ArmDifference(BaseModel):
    """An arm's score less that of AS_SET; `adjusted` is p after Holm's correction, for facts and tone."""

    arm: str
    system: str
    score: str
    n: int
    value: float
    low: float
    high: float
    p: float
    detectable: float
    groups: int
    adjusted: float | None = None


class Ablation(BaseModel):
    """What `twofold ablate --json` prints."""

    questions: int
    differences: list[ArmDifference]
    arms: dict[str, Arm]


def ablate(workspace: Workspace, arms: Sequence[str], watch: Watch) -> Ablation:
    """Train and judge each arm (all of them where none is named), AS_SET first.

    Each arm's adapter answers the workspace's questions as fine-tune-only and hybrid. Its scores come with intervals,
    its paired differences from AS_SET with p values, corrected (Holm 1979) over all arms' facts and tone. The
    questions choose nothing here: brand.yaml is left as it is. UserError for an unknown arm or without questions.
    """
    unknown = [arm for arm in arms if arm not in ARMS]
    if unknown:
        raise UserError(f"{unknown[0]}: no such arm; there are: {', '.join(ARMS)}")
    if not workspace.questions:
        raise UserError(f"{workspace.folder / 'questions.jsonl'}: has no test questions; an ablation needs some")
    records, rows = {}, {}
    for arm in dict.fromkeys((AS_SET, *(arms or ARMS))):
        records[arm], rows[arm] = _arm(workspace, arm, watch)
    differences = []
    for arm in (arm for arm in rows if arm != AS_SET):
        for system in SYSTEMS:
            for score in SCORES:
                n, found = apart(rows[arm], rows[AS_SET], system, score)
                if found:
                    differences.append(ArmDifference(
                        arm=arm, system=system, score=score, n=n, value=found.value, low=found.low, high=found.high,
                        p=found.p, detectable=found.detectable, groups=found.groups))
    primary = [pair for pair in differences if pair.score in PRIMARY]
    for pair, adjusted in zip(primary, holm([pair.p for pair in primary]), strict=True):
        pair.adjusted = adjusted
        pair.detectable *= standard_errors(len(primary)) / standard_errors()
    return Ablation(questions=len(rows[AS_SET]), differences=differences, arms=records)


def changed(brand: Brand, arm: str, layers: int) -> Brand:
    """The brand with an arm's training settings; `layers` are the base model's."""
    changes = dict(ARMS[arm])
    if "frozen_layers" in changes:
        changes["frozen_layers"] = int(changes["frozen_layers"] * layers)
    if "seed" in changes:
        changes["seed"] += brand.training.seed
    return brand.model_copy(update={"training": brand.training.model_copy(update=changes)})


def _arm(workspace: Workspace, arm: str, watch: Watch) -> tuple[Arm, list[Row]]:
    """One arm's record and rows; made once for its adapter and questions."""
    from builder.model.hf import layers_of
    from builder.model.prepare import prepared

    brand = changed(workspace.brand, arm, layers_of(prepared(workspace.brand.model.base, "f16")))
    adapter, rows = judged_with(workspace, brand, arm, watch)
    trained = read_json(adapter / "training.json")
    return Arm(held_out_loss=trained["held_out_loss"], rows=read_json(adapter / "adapter.json")["rows"],
               seconds=trained["seconds"], tokens_per_second=trained["tokens_per_second"],
               systems={system: {score: mean(rows, system, score) for score in SCORES}
                        for system in rows[0].replies}), rows


def judged_with(workspace: Workspace, brand: Brand, name: str, watch: Watch) -> tuple[Path, list[Row]]:
    """The adapter that `brand` trains, and its rows; both made once for all that goes into them."""
    adapter, _ = fine_tuned(workspace, brand, watch)
    questions, _ = fair_questions(workspace)
    key = rows_key(inputs_of(workspace, brand, replace(workspace.current(), adapter=adapter), questions))
    folder = make_folder(workspace.place("ablations", key), lambda place: write_json(
        place / "rows.json", [row.model_dump() for row in answered(
            workspace, brand, adapter, questions, name, watch)]))
    return adapter, _ROWS.validate_python(read_json(folder / "rows.json"))


def answered(workspace: Workspace, brand: Brand, adapter: Path, questions: Sequence[Question], arm: str, watch: Watch
             ) -> list[Row]:
    """The questions with an adapter's replies, as fine-tune-only and hybrid, and their scores."""
    index = workspace.current().index
    retriever = open_retriever(brand, index) if index else None
    assistant = Assistant(brand, remembering(workspace, brand, adapter), retriever, True)
    fixed = tuple(dict.fromkeys(fixed_phrases(brand, workspace.examples)))
    systems = [system_named(name) for name in SYSTEMS if retriever or name != "hybrid"]
    asking = Asking(assistant, watch(f"judge: {arm}"), len(questions) * len(systems))
    replies = {system.name: asking.ask(system, [(question.question, ()) for question in questions], system.name)
               for system in systems}
    judge = Judge(assistant, VoiceClassifier(None, fixed), habits(workspace.examples), fixed, Copies([], fixed))
    return [judge.row(question, {name: by_system[place] for name, by_system in replies.items()})
            for place, question in enumerate(questions)]


def apart(left: Sequence[Row], right: Sequence[Row], system: str, score: str) -> tuple[int, Difference | None]:
    """On how many questions both adapters are scored, and how far their scores lie apart; None with too few."""
    pairs = [(first, second, row.group) for row, other in zip(left, right, strict=True)
             if system in row.replies and system in other.replies
             and (first := row.replies[system].scores[score]) is not None
             and (second := other.replies[system].scores[score]) is not None]
    return len(pairs), difference([first for first, _, _ in pairs], [second for _, second, _ in pairs],
                                  [group for *_, group in pairs])


def seeds(workspace: Workspace, rows: Sequence[Row], count: int, watch: Watch) -> Seeds:
    """Train and judge until there are `count` seeds; `rows` are the evaluation's own, of the first one.

    For each primary score and pair the difference with each seed, its standard deviation over seeds (`spread`), and
    the interval over questions of its mean over seeds: the two kinds of luck side by side, never added up, since a few
    seeds tell too little of theirs (Bouthillier et al. 2021, arXiv 2103.03098).
    """
    first, by_seed = workspace.brand.training.seed, [rows]
    for seed in range(first + 1, first + count):
        training = workspace.brand.training.model_copy(update={"seed": seed})
        brand = workspace.brand.model_copy(update={"training": training})
        by_seed.append(judged_with(workspace, brand, f"seed {seed}", watch)[1])
    found = [_seed_difference(by_seed, score, *pair) for score in PRIMARY for pair in PAIRS]
    return Seeds(seeds=list(range(first, first + count)), differences=list(filter(None, found)))


def _seed_difference(by_seed: Sequence[Sequence[Row]], score: str, left: str, right: str) -> SeedDifference | None:
    """A pair's differences by seed; None where a system is missing or too few questions are scored."""
    rows = by_seed[0]
    if not {left, right} <= rows[0].replies.keys():
        return None
    scored: list[tuple[list[float], list[float], str]] = []
    for place, row in enumerate(rows):
        values: Mapping[str, list[float]] = {name: [value for judged in by_seed if (value := (
            judged[place] if name in SYSTEMS else row).replies[name].scores[score]) is not None]
            for name in (left, right)}
        if len(values[left]) == len(values[right]) == len(by_seed):
            scored.append((values[left], values[right], row.group))
    found = difference([average(one) for one, _, _ in scored], [average(other) for _, other, _ in scored],
                       [group for *_, group in scored])
    if not found:
        return None
    by = [average(one[place] - other[place] for one, other, _ in scored) for place in range(len(by_seed))]
    return SeedDifference(score=score, left=left, right=right, values=by, spread=stdev(by) if len(by) > 1 else 0.0,
                          n=len(scored), value=found.value, low=found.low, high=found.high, p=found.p,
                          detectable=found.detectable, groups=found.groups)
