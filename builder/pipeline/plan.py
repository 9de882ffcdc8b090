"""What a build will cost, as a range, from its rehearsal on this machine; and afterwards, plan against actual."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from builder.evaluation.report import PlannedStage
from builder.training.mix import FEWEST_EXAMPLES
from builder.workspace.examples import hold_out
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from knowledge.files import hash_bytes, read_json, write_json
from knowledge.search.answerable import FEWEST, SAMPLE

MARGINS = {"index": 0.25, "check": 0.5, "evaluate": 0.25}
"""How far the range goes to either side. Only training is measured often enough to tell; how long replies will be can't
be known, and a check's share of them less still."""
WORN = 1.7
"""Questions that learning what can be answered makes of a passage, on average; each is searched for twice."""
STRANGERS = 60
"""Questions about anything, which are searched for once."""
RESTS = 0.5
"""About the share of examples whose reply rests on a passage."""
TRIED = 3
"""Learning rates that `auto` tries: as many as builder.training.recipe.RATES, which would bring torch with it."""
CHECK = {"read": 12_000, "say": 5_500, "opened": 8}
"""About how many tokens the three checks read and say with the adapter, and how often they open a model: parity 7
prompts of 32 tokens three times over, forgetting 80 requests and 40 texts twice, memorised up to 60 questions. On the
built-in bot that comes to a third of its evaluation."""
SEARCHED = 10
"""Searches, or as long as them, for each judged question: two systems find and cite, the judge and retrieval's own
evaluation find again."""
JUDGING = 0.1
"""Seconds to score one question's replies and draw its share of the intervals."""
REPLY_BYTES = 6_300
"""Of one reply in all files of the report, with its scores, evidence and passages."""
PLAN = "plan.json"
GROWS = 2
"""Bytes of memory for each byte of an index on disk, as measured up to 100,000 passages."""


def plan(workspace: Workspace, gpu: str = "", price: float | None = None) -> dict[str, Any]:
    """Time, memory, disk and money of a build from nothing; what `twofold plan --json` prints, and kept for `against`.

    Each stage has `seconds` within `low` to `high`, `memory_bytes` (the peak of the one process that builds, up to
    the end of that stage) and `disk_bytes`. `gpu` names one of gpus.json that the training alone is priced on
    too; `price` is USD an hour, of that GPU or else of this machine, which without it has no charge. What is made once
    for a machine, such as converted weights, is made now and not forecast. UserError where a build would fail, or there
    is not memory enough for it.
    """
    if gpu:
        named(gpu)
    counts = {name: len(getattr(workspace, name)) for name in ("examples", "preferences", "questions")}
    measured = _rehearsed(workspace)
    stages = forecast(workspace, measured)
    whole = {name: sum(stage[name] for stage in stages) for name in ("seconds", "low", "high")}
    here = price if price is not None and not gpu else 0.0
    made = {"stages": stages, **whole, "memory_bytes": max(stage["memory_bytes"] for stage in stages),
            "disk_bytes": sum(stage["disk_bytes"] for stage in stages), "price_per_hour": here,
            "money": {"low": whole["low"] / 3600 * here, "high": whole["high"] / 3600 * here},
            "gpu": None, "counts": counts, "measured": measured}
    if gpu and measured["train"]:
        made["gpu"] = on_gpu(gpu, measured["train"], workspace.brand.training.method == "full", price)
    write_json(workspace.built / PLAN, {"key": _key(workspace), **made})
    return made


def last_plan(workspace: Workspace) -> tuple[datetime, dict[str, Any]] | None:
    """When the last plan was made, in this machine's time, and what `plan` gave; None where none was."""
    place = workspace.built / PLAN
    if not place.exists():
        return None
    return datetime.fromtimestamp(place.stat().st_mtime, UTC).astimezone(), read_json(place)


def against(workspace: Workspace, actual_seconds: Mapping[str, float]) -> list[PlannedStage]:
    """The last plan beside what a build took: for each stage of `actual_seconds`, and for all of them as "whole".

    `actual_seconds` are the seconds of the stages that the build has run, by their names in the plan (index, train,
    check, evaluate); leave out one that was already made or carried on, as the plan is of a build from nothing.
    Each row holds `name`, planned `seconds` with `low` and `high`, `actual`, `ratio` = actual / seconds, and whether
    it lies `within` the range. Empty where no plan was made, or brand.yaml, the data or the documents are other ones
    by now.
    """
    _, planned = last_plan(workspace) or (None, {"key": ""})
    if planned["key"] != _key(workspace):
        return []
    names = ("seconds", "low", "high", "actual")
    stages = [stage | {"actual": actual_seconds[stage["name"]]} for stage in planned["stages"]
              if stage["name"] in actual_seconds]
    rows = [{"name": stage["name"]} | {name: stage[name] for name in names} for stage in stages]
    if len(rows) > 1:
        rows.append({"name": "whole"} | {name: sum(row[name] for row in rows) for name in names})
    return [PlannedStage(**row, ratio=row["actual"] / row["seconds"], within=row["low"] <= row["actual"] <= row["high"])
            for row in rows if row["seconds"] > 0]


def _key(workspace: Workspace) -> str:
    """Of everything in the workspace that a build reads."""
    written = [file for file in workspace.folder.rglob("*") if file.is_file() and not any(
        part.startswith(".") for part in file.relative_to(workspace.folder).parts)]
    return hash_bytes(*(part for file in sorted(written) for part in (
        file.relative_to(workspace.folder).as_posix(), file.read_bytes())))


def _rehearsed(workspace: Workspace) -> dict[str, Any]:
    """What builder.rehearsal measures, in a process of its own so that the memory is the build's alone."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "measured.json"
        run = subprocess.run([sys.executable, "-W", "ignore", "-m", "builder.pipeline.rehearsal",
                              str(workspace.folder.resolve()), str(file)],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                             errors="replace", check=False)
        if run.returncode < 0:
            raise UserError(f"{workspace.folder}: the rehearsal was ended by the system (signal {-run.returncode}), "
                            "most likely for want of memory; lower training.batch in brand.yaml, or use a larger "
                            "machine")
        if run.returncode or not file.exists():
            raise UserError((run.stderr.strip().splitlines() or [f"{workspace.folder}: the rehearsal failed"])[-1])
        measured: dict[str, Any] = read_json(file)
        return measured


def forecast(workspace: Workspace, measured: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The four stages of a build, from what `builder.pipeline.rehearsal.rehearse` measured."""
    trains = measured["train"] is not None and len(workspace.examples) >= FEWEST_EXAMPLES
    first = _index(workspace, measured["index"])
    stages = [first, _train(workspace, measured["train"]) if trains else _stage("train", 0, 0, 0),
              _check(workspace, measured) if trains else _stage("check", 0, 0, 0), _evaluate(workspace, measured)]
    for before, stage in zip(stages, stages[1:], strict=False):
        if stage["seconds"]:  # one process does all, and a peak stays a peak
            stage["memory_bytes"] = max(before["memory_bytes"], stage["memory_bytes"])
    return stages


def _stage(name: str, seconds: float, memory: float, disk: float, low: float | None = None,
           high: float | None = None) -> dict[str, Any]:
    margin = MARGINS.get(name, 0.0)
    return {"name": name, "seconds": seconds, "low": seconds * (1 - margin) if low is None else low,
            "high": seconds * (1 + margin) if high is None else high,
            "memory_bytes": round(memory), "disk_bytes": round(disk)}


def _index(workspace: Workspace, made: Mapping[str, Any] | None) -> dict[str, Any]:
    """Encoding goes by passages, learning what is answerable by searches."""
    if made is None:
        return _stage("index", 0, 0, 0)
    times = made["all_characters"] / max(made["characters"], 1)
    passages = made["passages"] * times
    searches = _searches(workspace, passages) / max(_searches(workspace, made["passages"]), 1)
    fit = made["fit"] * (searches if made["passages"] >= FEWEST else 1)
    examples = len(workspace.examples) * (2 + 2 * RESTS) * made["search"]
    disk = made["disk_bytes"] * times
    return _stage("index", made["read"] + made["open"] + made["build"] * times + fit + examples,
                  made["memory_bytes"] + GROWS * (disk - made["disk_bytes"]), disk)


def _searches(workspace: Workspace, passages: float) -> float:
    most = SAMPLE // 4 if workspace.brand.retrieval.reranker else SAMPLE
    return 2 * WORN * min(most, passages) + STRANGERS if passages >= FEWEST else 0


def _train(workspace: Workspace, made: Mapping[str, Any]) -> dict[str, Any]:
    """The rows, the training itself, and what llama.cpp serves of it.

    Beside the adapter two checkpoints of each run lie on disk for the while, and a third while it is written, each
    with what learns, its best epoch and AdamW's two moments, in 32 bits.
    """
    around = made["engine"] + made["mix"] + made["replay"] + made["export"]
    settings, checkpoint = workspace.brand.training, made["sizes"]["learning"] * 4 * 4
    runs = 1 + TRIED * (settings.learning_rate == "auto") + bool(workspace.preferences)
    return _stage("train", around + made["seconds"], made["memory_bytes"],
                  made["disk_bytes"] + checkpoint * (2 * runs + 1), around + made["low"], around + made["high"])


def _check(workspace: Workspace, measured: Mapping[str, Any]) -> dict[str, Any]:
    """As long as the last check of this workspace, where there is one; else by what the checks read and say."""
    pace, last = measured["answers"]["tuned"], workspace.built / "checks"
    kept = sorted(last.glob("*/checks.json"), key=lambda file: file.stat().st_mtime)
    if kept:
        done = read_json(kept[-1])
        seconds = sum(part.get("seconds", 0) for part in done.values() if isinstance(part, dict))
    else:
        opened = measured["answers"]["open"]
        seconds = pace["read"] * CHECK["read"] + pace["say"] * CHECK["say"] + opened * CHECK["opened"]
    return _stage("check", seconds, measured["answers"]["memory_bytes"], 100_000)


def _evaluate(workspace: Workspace, measured: Mapping[str, Any]) -> dict[str, Any]:
    """All systems that there will be, on all questions; those that retrieve abstain where nothing answers."""
    questions, made = workspace.questions, measured["answers"]
    if not questions:
        return _stage("evaluate", 0, 0, 0)
    untuned, tuned = made["untuned"], made["tuned"]
    answered = _answered(workspace, measured["index"])
    voice = len(hold_out(workspace.examples, workspace.brand.training.seed)[1])
    replies: list[tuple[Any, float, float, float]] = [
        (untuned, len(questions) + voice, made["plain"], untuned["reply"])]
    replies += [(tuned, len(questions), made["plain"], made["tuned_reply"])] if tuned else []
    if measured["index"]:
        replies += [(untuned, answered, made["full"], untuned["reply"])]
        replies += [(tuned, answered, made["full"], made["tuned_reply"])] if tuned else []
    seconds = sum(count * (pace["read"] * own + pace["say"] * said) for pace, count, own, said in replies)
    search = measured["index"]["search"] * len(questions) * SEARCHED if measured["index"] else 0.0
    disk = REPLY_BYTES * len(questions) * len(replies)
    return _stage("evaluate", made["open"] + seconds + search + JUDGING * len(questions), made["memory_bytes"], disk)


def _answered(workspace: Workspace, made: Mapping[str, Any] | None) -> float:
    """How many of the questions a system that retrieves will answer, by what the index learned of itself."""
    quality: Mapping[str, float] = made["quality"] if made else {}
    right = sum(question.answerable for question in workspace.questions)
    return (right * (1 - quality.get("refused_answerable", 0.1))
            + (len(workspace.questions) - right) * quality.get("answered_unanswerable", 0.1))


UTILISATION = (0.15, 0.40)
"""The share of a GPU's dense bf16 peak that fine-tuning with transformers usually reaches, from ill to well fed."""
LAUNCHES = (100 * 5e-6, 250 * 10e-6)
"""Seconds that starting one layer's kernels, forward and backward, takes: 100 to 250 of them, 5 to 10 µs each. Small
models spend their time on that."""
OWN = 1_000_000_000
"""Bytes that CUDA itself takes."""


def known() -> dict[str, Any]:
    """gpus.json: its note, its date and the GPUs."""
    loaded: dict[str, Any] = json.loads(files("builder.pipeline").joinpath("gpus.json").read_text(encoding="utf-8"))
    return loaded


def named(name: str) -> dict[str, Any]:
    """The GPU of this name, however it is spelt; UserError where there is none."""
    table = known()
    for one in table["gpus"]:
        if _plain(one["name"]) == _plain(name):
            return dict(one)
    raise UserError(f"--gpu: {name}: no such GPU here; there are {', '.join(one['name'] for one in table['gpus'])}")


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum()).removeprefix("nvidia")


def on_gpu(name: str, train: dict[str, Any], full: bool, price: float | None = None) -> dict[str, Any]:
    """Seconds, memory and money of a training on one GPU, from what `calibrate` counted in `train`; for JSON.

    A token costs 2 FLOPs a weight forward and 2 for the gradient of what came in, and with `full` 2 more for that of
    the weight; the head's are in `work`, in tokens through the layers. Attention's and the adapter's own are left out:
    with rows of a few hundred tokens they are a tenth at most. `price` is USD an hour, in the place of the table's.
    Starting the machine isn't in it.
    """
    gpu, table = named(name), known()
    sizes, totals = train["sizes"], train["totals"]
    flops = sizes["trunk"] * (totals["work"] * (6 if full else 4) + totals["forward"] * 2)
    low, high = (flops / (share * gpu["tflops"] * 1e12) + totals["steps"] * sizes["layers"] * launch
                 for share, launch in zip(reversed(UTILISATION), LAUNCHES, strict=True))
    memory = sizes["weights"] * 4 + sizes["learning"] * 12 + train["activation_bytes"] + OWN
    prices = [price, price] if price is not None else gpu["price"]
    return {"name": gpu["name"], "seconds": (low * high) ** 0.5, "low": low, "high": high, "flops": flops,
            "memory_bytes": memory, "fits": memory < gpu["memory_gb"] * 1e9, "price_per_hour": prices,
            "money": {"low": low / 3600 * prices[0], "high": high / 3600 * prices[1]},
            "priced": "--price" if price is not None else table["date"], "note": table["note"]}
