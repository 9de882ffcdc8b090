"""What a build will cost, as a range, from its rehearsal on this machine; and afterwards, plan against actual."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from builder.evaluation.report import PlannedStage
from builder.training.gpus import GpuCost, Range, TrainingLoad, gpu_named, on_gpu
from builder.workspace.contents import contents
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from knowledge.files import write_json

PLAN = "plan.json"


class StageCost(BaseModel):
    """Seconds within `low` to `high`, the building process's peak memory up to the end of the stage, and disk.

    All zero for a stage that the workspace has nothing for.
    """

    name: str
    seconds: float = 0
    low: float = 0
    high: float = 0
    memory_bytes: int = 0
    disk_bytes: int = 0


class Rehearsal(BaseModel):
    """What the rehearsal process writes: the stages' costs, and what the training computes."""

    stages: list[StageCost]
    training: TrainingLoad | None = None


class Plan(StageCost):
    """Time, memory, disk and money of a whole build; what `twofold plan --json` prints."""

    name: str = "total"
    key: str
    """Of everything in the workspace that a build reads."""
    stages: list[StageCost]
    counts: dict[str, int]
    """Of examples, preferences and test questions."""
    price_per_hour: float
    """Of this machine, in USD."""
    money: Range
    gpu: GpuCost | None = None


def plan(workspace: Workspace, gpu: str = "", price: float | None = None) -> Plan:
    """Time, memory, disk and money of a build from nothing; kept in plan.json for `against`.

    `gpu` names one of gpus.json that the training alone is priced on too; `price` is USD an hour, of that GPU or else
    of this machine, which without it has no charge. What is made once for a machine, such as converted weights, is
    made now and not forecast. UserError where a build would fail, or there is not memory enough for it.
    """
    if gpu:
        gpu_named(gpu)
    counts = {name: len(getattr(workspace, name)) for name in ("examples", "preferences", "questions")}
    rehearsal = _rehearsed(workspace)
    stages, here = rehearsal.stages, price if price is not None and not gpu else 0.0
    low, high = sum(stage.low for stage in stages), sum(stage.high for stage in stages)
    made = Plan(key=contents(workspace).key, stages=stages, low=low, high=high,
                seconds=sum(stage.seconds for stage in stages),
                memory_bytes=max(stage.memory_bytes for stage in stages),
                disk_bytes=sum(stage.disk_bytes for stage in stages), counts=counts, price_per_hour=here,
                money=Range(low=low / 3600 * here, high=high / 3600 * here),
                gpu=on_gpu(gpu, rehearsal.training, price) if gpu and rehearsal.training else None)
    write_json(workspace.built / PLAN, made.model_dump())
    return made


def last_plan(workspace: Workspace) -> tuple[datetime, Plan] | None:
    """When the last plan was made, in this machine's time, and the plan; None where there is none of this version."""
    file = workspace.built / PLAN
    try:
        made = Plan.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return datetime.fromtimestamp(file.stat().st_mtime, UTC).astimezone(), made


def against(workspace: Workspace, actual_seconds: Mapping[str, float]) -> list[PlannedStage]:
    """The last plan beside what a build took: each stage of `actual_seconds`, and all of them as "whole".

    `actual_seconds` are of the stages that the build has run, by their names in the plan; leave out one that was
    already made or carried on, as the plan is of a build from nothing. Empty where no plan was made, or brand.yaml, the
    data or the documents are other ones by now.
    """
    _, planned = last_plan(workspace) or (None, None)
    if planned is None or planned.key != contents(workspace).key:
        return []
    rows = [(stage.name, stage.seconds, stage.low, stage.high, actual_seconds[stage.name])
            for stage in planned.stages if stage.name in actual_seconds]
    if len(rows) > 1:
        _, *columns = zip(*rows, strict=True)
        seconds, low, high, actual = map(sum, columns)
        rows.append(("whole", seconds, low, high, actual))
    return [PlannedStage(name=name, seconds=seconds, low=low, high=high, actual=actual, ratio=actual / seconds,
                         within=low <= actual <= high) for name, seconds, low, high, actual in rows if seconds > 0]


def _rehearsed(workspace: Workspace) -> Rehearsal:
    """What builder.pipeline.rehearsal tells, in a process of its own so that the memory is the build's alone."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "rehearsal.json"
        run = subprocess.run([sys.executable, "-W", "ignore", "-m", "builder.pipeline.rehearsal",
                              str(workspace.folder.resolve()), str(file)],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                             errors="replace", check=False)
        if run.returncode < 0:
            raise UserError(f"{workspace.folder}: the rehearsal was ended by the system (signal {-run.returncode}), "
                            "probably because memory ran out; lower training.batch in brand.yaml, or use a larger "
                            "machine")
        if run.returncode or not file.exists():
            raise UserError((run.stderr.strip().splitlines() or [f"{workspace.folder}: the rehearsal failed"])[-1])
        return Rehearsal.model_validate_json(file.read_bytes())
