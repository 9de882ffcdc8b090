"""The one loop that learns: batches to updates; early stop, the best epoch kept, and bit for bit where it stopped."""

import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from builder.training.adapter import cast, learning
from builder.training.objectives import Computing, Encoded, Item, Objective, learn_replies
from knowledge.errors import UserError
from knowledge.files import Tick, hash_bytes, sync_folder, unwritable, write_json
from knowledge.machine import keep_freed_memory

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
PATIENCE = 1
"""Epochs in a row that may fail to lower the held-out loss before the run ends."""


@dataclass(frozen=True)
class Run:
    """How one run learns: at most `epochs` passes at a peak `rate`, `batch` items an update, in an order of `seed`."""

    epochs: int
    rate: float
    batch: int
    seed: int
    frozen: int = 0
    dtype: str = "auto"
    """fp32, bf16, or auto: whichever is quicker here."""


def fit(model: Any, items: Sequence[Item], held_out: Sequence[Item], run: Run, work: Path, key: str, tick: Tick,
        objective: Objective = learn_replies, every: float = 30.0) -> dict[str, Any]:
    """Train what learns in `model` (from `adapt`) in place; what happened is returned, ready for JSON.

    AdamW (Loshchilov and Hutter 2019) without weight decay, 5 % warm-up, then a cosine down to 0; gradients clipped
    to norm 1. The order depends on seed and epoch alone, so a checkpoint needs no state of a random generator. Where
    `held_out` has grown worse for more than PATIENCE epochs, it ends; the weights of its best epoch are what stays.
    """
    keep_freed_memory()
    parameters = learning(model)
    optimiser = torch.optim.AdamW(parameters.values(), lr=run.rate, weight_decay=0.0)
    each = math.ceil(len(items) / run.batch)
    found = newest(work, key)
    if found:
        record, best = found[0], _restore(found[1], parameters, optimiser)
    else:
        tick(0, each * run.epochs, "measuring")
        record, best = _fresh(model, _row(items[0]), each * run.epochs, run.dtype), {}
    dtype = DTYPES[record["dtype"]]
    cast(model, dtype)
    computing = Computing(model, dtype, run.frozen)
    if not record["held_out_loss"]:
        record["held_out_loss"].append(mean_loss(computing, held_out, objective))
    saved = time.perf_counter()
    while record["step"] < record["steps"] and not record["stopped_early"]:
        start, before = time.perf_counter(), computing.computed
        epoch, number = divmod(record["step"], each)
        order = np.random.default_rng([run.seed, epoch]).permutation(len(items))
        batch = [items[place] for place in order[number * run.batch:(number + 1) * run.batch]]
        optimiser.param_groups[0]["lr"] = run.rate * warmth(record["step"], record["steps"])
        loss = _step(computing, batch, objective, optimiser, record["step"] + 1)
        record["step"] += 1
        record["tokens"] += sum(map(_size, batch))
        record["learnt_tokens"] += sum(map(_learnt, batch))
        record["computed_tokens"] += computing.computed - before
        record["seconds"] += time.perf_counter() - start
        record["tokens_per_second"] = record["tokens"] / record["seconds"]
        record["curve"].append([record["step"], loss, record["tokens_per_second"]])
        if number == each - 1:
            best = _judge_epoch(record, computing, held_out, objective, parameters, best)
        if number == each - 1 or time.perf_counter() - saved >= every:
            keep(work, key, record["step"], record, _as_bytes(parameters, optimiser, best))
            saved = time.perf_counter()
        tick(record["step"], record["steps"], f"epoch {epoch + 1} of {run.epochs} · learning rate {run.rate:g}",
             record | {"epochs": run.epochs})
    for name, weight in best.items():
        parameters[name].data.copy_(weight)
    return record


def _fresh(model: Any, row: Encoded, steps: int, dtype: str) -> dict[str, Any]:
    chosen = measure(model, row) if dtype == "auto" else {"dtype": dtype, "measured_tokens_per_second": {}}
    return {"step": 0, "steps": steps, **chosen, "tokens": 0, "learnt_tokens": 0,
            "computed_tokens": 0, "seconds": 0.0,
            "curve": [], "held_out_loss": [], "best_epoch": None, "stopped_early": False}


def _judge_epoch(record: dict[str, Any], computing: Computing, held_out: Sequence[Item], objective: Objective,
                 parameters: dict[str, torch.nn.Parameter], best: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Measure the held-out loss after an epoch; returns a copy of the weights of the best one so far."""
    losses = record["held_out_loss"]
    losses.append(mean_loss(computing, held_out, objective))
    if losses[-1] is None:
        return {}
    epochs = losses[1:]
    record["best_epoch"] = epochs.index(min(epochs)) + 1
    record["stopped_early"] = len(epochs) - record["best_epoch"] > PATIENCE
    if record["best_epoch"] < len(epochs):
        return best
    return {name: weight.detach().clone() for name, weight in parameters.items()}


def mean_loss(computing: Computing, items: Sequence[Item], objective: Objective) -> float | None:
    """The objective over all of `items`; None without any."""
    with torch.no_grad():
        return sum(part.item() for part in objective(computing, items)) if items else None


def _step(computing: Computing, batch: Sequence[Item], objective: Objective, optimiser: torch.optim.Optimizer,
          number: int) -> float:
    """One update; returns the batch's mean loss."""
    loss = 0.0
    for part in objective(computing, batch):
        part.backward()
        loss += part.item()
    if not math.isfinite(loss):
        raise UserError(f"training: the loss became invalid (NaN) at step {number}; lower "
                        "training.learning_rate in brand.yaml")
    torch.nn.utils.clip_grad_norm_(optimiser.param_groups[0]["params"], 1.0)
    optimiser.step()
    optimiser.zero_grad()
    return loss


def warmth(step: int, total: int) -> float:
    """The learning rate's share of its peak at `step` (from 0)."""
    warm = math.ceil(total * 0.05)
    return (step + 1) / warm if step < warm else (1 + math.cos(math.pi * (step - warm) / (total - warm))) / 2


def _row(item: Item) -> Encoded:
    return item if isinstance(item, Encoded) else item.chosen


def _size(item: Item) -> int:
    """Tokens of an item."""
    return len(item.ids) if isinstance(item, Encoded) else sum(len(row.ids) for row in item.rows)


def _learnt(item: Item) -> int:
    """Tokens of an item that are learnt."""
    return item.learnt if isinstance(item, Encoded) else sum(row.learnt for row in item.rows)


def measure(model: Any, row: Encoded) -> dict[str, Any]:
    """The quicker dtype on this machine, and tokens/s of a short forward and backward pass in each (2 s in all)."""
    if next(model.parameters()).is_cuda:
        return {"dtype": "bf16", "measured_tokens_per_second": {}}
    short = Encoded(row.ids[:129], min(row.start, len(row.ids[:129]) - 1))
    whole = [(weight, weight.data) for weight in model.parameters()]
    seconds = dict.fromkeys(DTYPES, math.inf)
    for _ in range(3):  # WHY in turns: what else the machine does would favour one of them
        for name, dtype in DTYPES.items():
            for weight, data in whole:
                weight.data = data
            cast(model, dtype)
            computing = Computing(model, dtype)
            start = time.perf_counter()
            next(learn_replies(computing, [short])).backward()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    for weight, data in whole:
        weight.data, weight.grad = data, None
    speeds = {name: len(short.ids) / least for name, least in seconds.items()}
    return {"dtype": max(speeds, key=lambda name: speeds[name]), "measured_tokens_per_second": speeds}


def _as_bytes(parameters: dict[str, torch.nn.Parameter], optimiser: torch.optim.Optimizer,
              best: dict[str, torch.Tensor]) -> bytes:
    """What learns, AdamW's state (step and both moments) and the best epoch's weights as safetensors."""
    from safetensors.torch import save as to_bytes

    tensors = {f"{name}:weight": weight.detach() for name, weight in parameters.items()}
    tensors |= {f"{name}:best": weight for name, weight in best.items()}
    for name, weight in parameters.items():
        tensors |= {f"{name}:{part}": value for part, value in optimiser.state[weight].items()}
    return bytes(to_bytes(tensors))


def _restore(data: bytes, parameters: dict[str, torch.nn.Parameter],
             optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The reverse of `_as_bytes`; returns the best epoch's weights."""
    from safetensors.torch import load

    tensors = load(data)
    for name, weight in parameters.items():
        weight.data.copy_(tensors[f"{name}:weight"])
        optimiser.state[weight] = {part: tensors[f"{name}:{part}"].to("cpu" if part == "step" else weight.device)
                                   for part in ("step", "exp_avg", "exp_avg_sq")}
    return {name: tensors[f"{name}:best"].to(weight.device) for name, weight in parameters.items()
            if f"{name}:best" in tensors}


def keep(work: Path, key: str, step: int, record: dict[str, Any], data: bytes) -> None:
    """Write one checkpoint: the tensors first, then the JSON that vouches for them.

    `key` says which input it belongs to; `record` is what JSON can hold, `data` the tensors as safetensors bytes.
    """
    path = work / f"step-{step:08d}.safetensors"
    temporary = work / ".writing-checkpoint"
    try:
        work.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(work)
        write_json(path.with_suffix(".json"), {"key": key, "sha256": hash_bytes(data), "record": record})
        for old in sorted(work.glob("step-*.json"))[:-2]:
            old.unlink()
        vouched = {file.stem for file in work.glob("step-*.json")}
        for left in work.glob("step-*.safetensors"):
            if left.stem not in vouched:
                left.unlink()
    except OSError as error:
        raise unwritable(work, error) from error


def newest(work: Path, key: str) -> tuple[dict[str, Any], bytes] | None:
    """Record and tensors of the newest whole checkpoint of this input, or None.

    Damaged ones are passed over. Those of another input are deleted: they would crowd out the new ones.
    """
    for path in sorted(work.glob("step-*.json"), reverse=True):
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            data = path.with_suffix(".safetensors").read_bytes()
            if kept["key"] == key and kept["sha256"] == hash_bytes(data):
                return dict(kept["record"]), data
        except (OSError, ValueError, KeyError, TypeError):
            pass
        path.unlink(missing_ok=True)
    return None
