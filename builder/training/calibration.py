"""What a whole training will take, from some of its own steps: real batches, through the real loop, timed."""

import itertools
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls

from builder.model.base import Base
from builder.training.adapter import learning, open_model, save
from builder.training.batching import Encoded, Preference, Row, pack, pieces
from builder.training.frozen import trunk
from builder.training.loop import DTYPES, PATIENCE, Run, fit, mean_loss
from builder.training.objectives import Computing, Item, Pair, learn_replies
from builder.training.recipe import RATES, encoded
from builder.workspace.brand import Training
from knowledge.machine import peak_memory

SECONDS = 20.0
"""Of steps; the model is opened before."""
FEWEST = 4
"""Steps that are run however long they take: one to warm up and three to measure."""
LEAST = 0.15
"""The least that the range goes to either side: a machine's pace changes by as much from one minute to the next."""
ORDERS = 3
"""Epochs whose batches are packed to count their tokens; those after take turns with them, as orders differ little."""


@dataclass(frozen=True)
class Step:
    """One batch: its work, and of that what frozen layers see for the first time. In tokens through the layers; the
    head's tokens count by its share of weights, since a token costs each weight the same."""

    work: float
    fresh: float


@dataclass(frozen=True)
class Load:
    """All that a training does: its steps, and the work of what is only run forward."""

    steps: list[Step]
    least: list[Step]
    """The steps that are left where it stops as early as it may."""
    forward: float
    fresh: float
    """Of what is only run forward, what frozen layers see for the first time."""


@dataclass(frozen=True)
class Cost:
    """Seconds of a step = step + work * its work + fresh * its fresh; and how far the measured ones lay from that."""

    step: float
    work: float
    fresh: float
    low: float
    high: float

    def of(self, steps: Sequence[Step]) -> float:
        """Seconds that the steps take together."""
        return sum(self.step + self.work * one.work + self.fresh * one.fresh for one in steps)


def calibrate(base: Base, settings: Training, rows: Sequence[Row], held_out: Sequence[Row],
              preferences: Sequence[Preference], folder: Path, seconds: float = SECONDS) -> dict[str, Any]:
    """Run real steps for about `seconds`, and forecast the training of `builder.training.recipe.train`; for JSON.

    `seconds`, `low` and `high` are of the whole training, what opens the model and saves the adapter included; low is
    that of a training that stops as early as it may. `memory_bytes` is the peak of this process with what grows with
    the data; `sizes` and `totals` tell how much there is to compute. The adapter as the steps left it goes into
    `folder`, which exists: it is of the real size, and of no use. UserError as in training.
    """
    start = time.perf_counter()
    model = open_model(base, settings).to("cuda" if torch.cuda.is_available() else "cpu")
    learnt, judged, pairs = encoded(base, model.config, rows, held_out, preferences)
    opened, loaded = time.perf_counter() - start, peak_memory()
    sizes = _sizes(model)
    share = sizes["head"] / sizes["trunk"]
    chosen = _chosen(learnt, settings, share)
    times, before, dtype = _timed(model, chosen, settings, seconds)
    seen = _seen(chosen[:len(times)], settings, share)
    cost = fitted(seen[1:], times[1:])
    slow = _forward(model, (judged or learnt)[:settings.batch], settings, dtype, share)
    load = workload(learnt, judged, pairs, settings, share)
    start = time.perf_counter()
    save(model, base.sha256, folder)
    around = opened + before + time.perf_counter() - start
    extra = slow * load.forward + cost.fresh * load.fresh + around
    whole = cost.of(load.steps)
    run, largest = max(one.work for one in seen), max(one.work for one in load.steps)
    kept = sizes["learning"] * 4 + _states(learnt, judged, model, settings, dtype)
    return {"seconds": whole + extra, "low": cost.low * (cost.of(load.least) + extra),
            "high": cost.high * (whole + extra), "dtype": dtype, "sizes": sizes,
            "steps": [{"work": one.work, "fresh": one.fresh, "seconds": took}
                      for one, took in zip(seen, times, strict=True)],
            "totals": {"steps": len(load.steps), "work": sum(one.work for one in load.steps), "forward": load.forward},
            "memory_bytes": round(loaded + (peak_memory() - loaded) * max(1.0, largest / run)) + kept,
            "activation_bytes": round((peak_memory() - loaded) * largest / run)}


def _sizes(model: Any) -> dict[str, int]:
    """Weights of the layers, of the head, of all, and of what learns; and how many layers."""
    layers = trunk(model).layers
    return {"trunk": sum(weight.numel() for name, weight in layers.named_parameters() if "lora_" not in name),
            "head": model.get_output_embeddings().weight.numel(), "layers": len(layers),
            "weights": sum(weight.numel() for weight in model.parameters()),
            "learning": sum(weight.numel() for weight in learning(model).values())}


def work_of(items: Sequence[Item], share: float) -> float:
    """What one pass over a batch takes, as `Step` counts it; rows are packed as training packs them."""
    rows = [item for item in items if isinstance(item, Encoded)]
    groups = [*pieces(rows), *(item.rows for item in items if isinstance(item, Pair))]
    return sum(len(packed.ids) + share * len(packed.kept) for packed in map(pack, groups))


def _batches(items: Sequence[Item], settings: Training, epoch: int) -> list[list[Item]]:
    """An epoch's batches in the order in which `loop.fit` takes them."""
    order = np.random.default_rng([settings.seed, epoch]).permutation(len(items))
    return [[items[place] for place in order[start:start + settings.batch]]
            for start in range(0, len(items), settings.batch)]


def _chosen(rows: Sequence[Encoded], settings: Training, share: float) -> list[list[Item]]:
    """The training's own smallest, largest and median batch in turns: a cost between them is interpolated."""
    whole = [batch for batch in _batches(rows, settings, 0) if len(batch) == min(settings.batch, len(rows))]
    whole.sort(key=lambda batch: work_of(batch, share))
    return list(itertools.islice(itertools.cycle([whole[0], whole[-1], whole[len(whole) // 2]]), 60))


def _timed(model: Any, chosen: Sequence[Sequence[Item]], settings: Training, seconds: float
           ) -> tuple[list[float], float, str]:
    """Seconds of each step of the real loop over `chosen`, of what comes before the first, and the dtype."""
    rows = [row for batch in chosen for row in batch]
    items: list[Item] = list(rows)
    for place, row in zip(np.random.default_rng([settings.seed, 0]).permutation(len(rows)), rows, strict=True):
        items[place] = row  # so that the loop, which shuffles, takes them as they were chosen
    times: list[float] = []
    told: dict[str, Any] = {"seconds": 0.0, "before": 0.0, "dtype": ""}
    start = time.perf_counter()

    def tick(done: int, total: int, note: str, figures: Mapping[str, Any] | None = None) -> None:
        if figures is None:
            return
        if not times:
            told["before"] = time.perf_counter() - start - figures["seconds"]
        times.append(figures["seconds"] - told["seconds"])
        told.update(seconds=figures["seconds"], dtype=figures["dtype"])
        if done >= FEWEST and told["seconds"] >= seconds:
            raise _Enough

    rate = RATES[0] if settings.learning_rate == "auto" else settings.learning_rate
    run = Run(1, rate, len(chosen[0]), settings.seed, settings.frozen_layers, settings.dtype)
    with tempfile.TemporaryDirectory() as work, suppress(_Enough):
        fit(model, items, [], run, Path(work), "calibration", tick, every=math.inf)
    return times, told["before"], told["dtype"]


class _Enough(Exception):  # noqa: N818
    """The calibration has run long enough."""


def _seen(chosen: Sequence[Sequence[Item]], settings: Training, share: float) -> list[Step]:
    """The chosen batches as steps; where layers are frozen, each is fresh when it first comes."""
    met: set[tuple[int, ...]] = set()
    steps = []
    for batch in chosen:
        work, key = work_of(batch, share), tuple(map(id, batch))
        steps.append(Step(work, work if settings.frozen_layers and key not in met else 0.0))
        met.add(key)
    return steps


def fitted(steps: Sequence[Step], times: Sequence[float]) -> Cost:
    """The cost that lies nearest to measured steps: non-negative least squares of what it says over what was measured.

    Relative, so that one slow step doesn't outweigh the others. The range is the 10th to 90th percentile of measured
    over said, but LEAST to either side at least.
    """
    measured = np.array(times)
    matrix = np.array([[1.0, one.work, one.fresh] for one in steps]) / measured[:, None]
    scales = np.maximum(matrix.max(0), 1e-12)
    found, _ = nnls(matrix / scales, np.ones(len(measured)))
    apart = 1 / np.maximum(matrix @ (found / scales), 1e-6)
    low, high = np.quantile(apart, [0.1, 0.9])
    step, work, fresh = (float(value) for value in found / scales)
    return Cost(step, work, fresh, min(float(low), 1 - LEAST), max(float(high), 1 + LEAST))


def _forward(model: Any, rows: Sequence[Encoded], settings: Training, dtype: str, share: float) -> float:
    """Seconds of a forward pass alone for each unit of work; the second pass counts, with the frozen layers' done."""
    computing = Computing(model, DTYPES[dtype], settings.frozen_layers)
    for _ in range(2):
        start = time.perf_counter()
        mean_loss(computing, rows, learn_replies)
        took = time.perf_counter() - start
    return took / work_of(rows, share)


def workload(rows: Sequence[Encoded], held_out: Sequence[Encoded], pairs: Sequence[Pair], settings: Training,
             share: float) -> Load:
    """All steps of a training as `recipe.train` takes them: rates that are tried, epochs, preferences."""
    tries = len(RATES) if settings.learning_rate == "auto" and held_out else 0
    epochs = _epochs(rows, settings, settings.epochs, share)
    fewest = min(settings.epochs, PATIENCE + 2) if held_out else settings.epochs
    apart = pairs[::8] if len(pairs) >= 16 else []
    learnt = [pair for pair in pairs if pair not in apart]
    preferred = list(itertools.chain(*_epochs(learnt, settings, settings.preference_epochs if learnt else 0, share)))
    watched = work_of(held_out, share)
    forward = watched * (2 * tries + settings.epochs + 1)
    if pairs:
        forward += work_of(apart, share) * (settings.preference_epochs + 1) + 2 * work_of(apart or learnt, share)
        forward += work_of(pairs, share) if settings.preferences == "dpo" else 0.0
    steps, least = ([*epochs[0] * tries, *itertools.chain(*some), *preferred] for some in (epochs, epochs[:fewest]))
    return Load(steps, least, forward, watched * (tries + 1))


def _epochs(items: Sequence[Item], settings: Training, count: int, share: float) -> list[list[Step]]:
    """The steps of each epoch; frozen layers see everything in the first."""
    works = [[work_of(batch, share) for batch in _batches(items, settings, epoch)]
             for epoch in range(min(ORDERS, count))]
    return [[Step(work, 0.0 if epoch else work) for work in works[epoch % ORDERS]] for epoch in range(count)]


def _states(rows: Sequence[Encoded], held_out: Sequence[Encoded], model: Any, settings: Training, dtype: str) -> int:
    """Bytes of what frozen layers make of all rows, which is kept."""
    tokens = sum(len(row.ids) for row in (*rows, *held_out)) if settings.frozen_layers else 0
    return tokens * int(model.config.hidden_size) * DTYPES[dtype].itemsize
