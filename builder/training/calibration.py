"""What a whole training will take, from some of its own steps: real batches, through the real loop, timed."""

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

from builder.model.base import Base
from builder.training.adapter import learning, open_model, save
from builder.training.batching import Encoded, Preference, Row, pack, pieces
from builder.training.frozen import trunk
from builder.training.gpus import TrainingLoad
from builder.training.loop import DTYPES, PATIENCE, Run, fit
from builder.training.objectives import Item, Pair
from builder.training.recipe import RATES, encoded, kept_apart
from builder.workspace.brand import Training
from knowledge.machine import peak_memory

SECONDS = 20.0
"""Of steps; the model is opened before."""
FEWEST_STEPS = 4
"""That are run however long they take: one to warm up and three to measure."""
ROUNDS = 20
"""Times that the chosen batches are learnt at most."""
FORWARD = 0.5
"""A forward pass alone, as a share of a training step: beside it a step passes gradients back once."""


@dataclass(frozen=True)
class TrainingCost:
    """Seconds of a whole training, `fewest` those of one that stops as early as it may; bytes of this process."""

    seconds: float
    fewest: float
    memory_bytes: int
    load: TrainingLoad


def calibrate(base: Base, settings: Training, rows: Sequence[Row], held_out: Sequence[Row],
              preferences: Sequence[Preference], folder: Path, seconds: float = SECONDS) -> TrainingCost:
    """Run real steps for about `seconds`, and from their pace tell the cost of `builder.training.recipe.train`.

    Its opening of the model and saving of the adapter are included. The adapter as the steps left it goes into
    `folder`, which exists: it is of the real size, and of no use. Where layers are frozen, what they do once is taken
    to be done at the measured pace. UserError as in training.
    """
    start = time.perf_counter()
    model = open_model(base, settings).to("cuda" if torch.cuda.is_available() else "cpu")
    learnt, judged, pairs = encoded(base, model.config, rows, held_out, preferences)
    opened = peak_memory()
    batches = sorted(_batches(learnt, settings), key=computed_tokens)
    figures = _steps(model, [*batches[0], *batches[-1], *batches[len(batches) // 2]], settings, seconds)
    save(model, base.sha256, folder)
    spent = sum(step for step, _ in figures)
    around = time.perf_counter() - start - spent
    pace = sum(step for step, _ in figures[1:]) / sum(tokens for _, tokens in figures[1:])
    steps, count, tokens, least, forward = workload(learnt, judged, pairs, settings)
    growth = max(1.0, computed_tokens(batches[-1]) / max(tokens for _, tokens in figures))
    activations = round((peak_memory() - opened) * growth)
    load = TrainingLoad(weights=sum(weight.numel() for weight in model.parameters()),
                        learning=sum(weight.numel() for weight in learning(model).values()),
                        layers=len(trunk(model).layers), steps=steps, rows=count, tokens=tokens, forward_tokens=forward,
                        activation_bytes=activations, full=settings.method == "full")
    frozen = sum(len(row.ids) for row in (*learnt, *judged)) if settings.frozen_layers else 0  # their output is kept
    kept = frozen * int(model.config.hidden_size) * max(dtype.itemsize for dtype in DTYPES.values())
    return TrainingCost(pace * (tokens + FORWARD * forward) + around, pace * (least + FORWARD * forward) + around,
                        opened + activations + load.learning * 4 + kept, load)


def _steps(model: Any, rows: Sequence[Item], settings: Training, seconds: float) -> list[tuple[float, float]]:
    """Seconds and computed tokens of each step of the real loop, until `seconds` are over."""
    steps: list[tuple[float, float]] = []
    before = (0.0, 0.0)

    def tick(done: int, total: int, note: str, figures: Mapping[str, Any] | None = None) -> None:
        nonlocal before
        if figures is None:
            return
        now = figures["seconds"], figures["computed_tokens"]
        steps.append((now[0] - before[0], now[1] - before[1]))
        before = now
        if done >= FEWEST_STEPS and now[0] >= seconds:
            raise _Enough

    rate = RATES[0] if settings.learning_rate == "auto" else settings.learning_rate
    run = Run(ROUNDS, rate, min(settings.batch, len(rows)), settings.seed, settings.frozen_layers, settings.dtype)
    with tempfile.TemporaryDirectory() as work, suppress(_Enough):
        fit(model, rows, [], run, Path(work), "calibration", tick, every=math.inf)
    return steps


class _Enough(Exception):  # noqa: N818
    """The calibration has run long enough."""


def computed_tokens(items: Sequence[Item]) -> int:
    """The tokens that a step over this batch computes; rows are packed as training packs them."""
    rows = [item for item in items if isinstance(item, Encoded)]
    groups = [*pieces(rows), *(item.rows for item in items if isinstance(item, Pair))]
    return sum(len(pack(group).ids) for group in groups)


def _batches(items: Sequence[Item], settings: Training) -> list[list[Item]]:
    """The first epoch's batches, as `loop.fit` takes them."""
    order = np.random.default_rng([settings.seed, 0]).permutation(len(items))
    return [[items[place] for place in order[start:start + settings.batch]]
            for start in range(0, len(items), settings.batch)]


def workload(rows: Sequence[Encoded], held_out: Sequence[Encoded], pairs: Sequence[Pair], settings: Training
             ) -> tuple[int, int, float, float, float]:
    """Steps of `recipe.train`, their rows and tokens; tokens if it stops as early as it may; those only run forward.

    Every epoch is taken to be like the first: another order packs a little otherwise.
    """
    tries = len(RATES) if settings.learning_rate == "auto" and held_out else 0
    fewest = min(settings.epochs, PATIENCE + 2) if held_out else settings.epochs
    measured = kept_apart(pairs)
    learnt = [pair for place, pair in enumerate(pairs) if place % 8 or not measured]
    preferred = settings.preference_epochs if learnt else 0
    steps = (math.ceil(len(rows) / settings.batch) * (tries + settings.epochs)
             + math.ceil(len(learnt) / settings.batch) * preferred)
    count = len(rows) * (tries + settings.epochs) + 2 * len(learnt) * preferred
    epoch, watched = (sum(map(computed_tokens, _batches(items, settings))) for items in (rows, held_out))
    preferring = sum(map(computed_tokens, _batches(learnt, settings))) * preferred
    forward: float = watched * (2 * tries + settings.epochs + 1)
    if pairs:
        forward += computed_tokens(measured) * (preferred + 1) + 2 * computed_tokens(measured or learnt)
        forward += computed_tokens(pairs) if settings.preferences == "dpo" else 0
    return steps, count, epoch * (tries + settings.epochs) + preferring, epoch * (tries + fewest) + preferring, forward
