"""A whole training: what is learnt in which order, at which rate, and what is written down of it."""

import importlib.metadata
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from builder.model.base import Base
from builder.training.adapter import learning, open_model, save, start_from
from builder.training.batching import Encoded, Preference, Row, encode
from builder.training.loop import DTYPES, Run, fit
from builder.training.objectives import Computing, Dpo, Pair, orpo, row_scores
from builder.workspace.brand import Training
from knowledge.errors import UserError
from knowledge.files import Tick, hash_bytes, write_json

RATES = (2e-4, 4e-4, 8e-4)
"""What `learning_rate: auto` tries: ten times what suits full fine-tuning (Schulman 2025), and half and twice that."""
FULL = 0.1
"""Of these, what suits full fine-tuning."""


def train(base: Base, rows: Sequence[Row], held_out: Sequence[Row], settings: Training, folder: Path, work: Path,
          tick: Tick, preferences: Sequence[Preference] = (), earlier: Path | None = None,
          every: float = 30.0) -> None:
    """Fill `folder` with an adapter, the same for the same input on the same machine, and `training.json`.

    First the rows, then the preferences, if there are any; `earlier` is the adapter to begin with. Every `every`
    seconds and after each epoch a checkpoint goes to `work`; a later call with the same input carries on there and
    ends with the same bytes. The caller may delete `work` once it has put `folder` in its place. `held_out` is never
    learnt; it chooses the epoch, and the rate if that is to be chosen. Raises UserError where rows can't be learnt or
    the loss stops being a number.
    """
    if not rows:
        raise UserError("examples.jsonl: no rows to train on; add examples")
    model = open_model(base, settings)
    learnt, judged, pairs = encoded(base, model.config, rows, held_out, preferences)
    if earlier:
        start_from(model, earlier)
    identity = (base.folder / "base.json").read_text(encoding="utf-8")
    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "peft")}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    key = hash_bytes(identity, earlier.name if earlier else "", *(json.dumps(part, sort_keys=True) for part in (
        settings.model_dump(), versions, device, [asdict(row) for row in (*learnt, *judged)],
        [asdict(pair) for pair in pairs])))
    model = model.to(device)
    epoch = math.ceil(len(learnt) / settings.batch)
    trials = epoch * len(RATES) if settings.learning_rate == "auto" and judged else 0
    rows_end = trials + epoch * settings.epochs
    whole = rows_end + math.ceil((len(pairs) - len(kept_apart(pairs))) / settings.batch) * settings.preference_epochs
    rate, tried = _rate(model, learnt, judged, settings, work, key, _within(tick, 0, whole), every)
    run = _run(settings, settings.epochs, rate)
    record = fit(model, learnt, judged, run, work / "rows", key, _within(tick, trials, whole), every=every)
    preferred = _prefer(model, pairs, settings, record["dtype"], work / "preferences", key,
                        _within(tick, rows_end, whole), every)
    kinds = sorted({row.kind for row in (*rows, *held_out)})
    made = {"base": json.loads(identity), "settings": settings.model_dump(), "versions": versions, "device": device,
            "threads": torch.get_num_threads(), "key": key, "learning_rate": rate, "rates_tried": tried,
            "learning_weights": sum(weight.numel() for weight in learning(model).values()),
            "rows": {kind: sum(row.kind == kind for row in rows) for kind in kinds},
            "held_out_rows": {kind: sum(row.kind == kind for row in held_out) for kind in kinds},
            "preferences": preferred}
    save(model, base.sha256, folder)
    write_json(folder / "training.json", made | record)


def _run(settings: Training, epochs: int, rate: float) -> Run:
    return Run(epochs, rate, settings.batch, settings.seed, settings.frozen_layers, settings.dtype)


def encoded(base: Base, config: Any, rows: Sequence[Row], held_out: Sequence[Row], preferences: Sequence[Preference]
             ) -> tuple[list[Encoded], list[Encoded], list[Pair]]:
    """Everything as tokens; UserError where something is too long."""
    from tokenizers import Tokenizer

    end, longest = config.eos_token_id, config.max_position_embeddings
    if not isinstance(end, int):
        raise UserError(f"{base.folder}: defines no end token; set model.base to a chat model")
    tokenizer = Tokenizer.from_file(str(base.tokenizer))
    learnt, judged, chosen, rejected = (encode(some, tokenizer, base.template, end, longest) for some in (
        rows, held_out, [pair.chosen for pair in preferences], [pair.rejected for pair in preferences]))
    return learnt, judged, [Pair(*both) for both in zip(chosen, rejected, strict=True)]


def _rate(model: Any, rows: Sequence[Encoded], held_out: Sequence[Encoded], settings: Training, work: Path, key: str,
          tick: Tick, every: float) -> tuple[float, dict[str, float]]:
    """The learning rate, and the held-out loss that each of those tried had after one epoch."""
    scale = FULL if settings.method == "full" else 1.0
    if settings.learning_rate != "auto":
        return settings.learning_rate, {}
    if not held_out:
        return RATES[1] * scale, {}
    fresh = {name: weight.detach().clone() for name, weight in learning(model).items()}
    tried: dict[str, float] = {}
    for number, rate in enumerate(rate * scale for rate in RATES):
        each = math.ceil(len(rows) / settings.batch)
        record = fit(model, rows, held_out, _run(settings, 1, rate), work / f"rate-{rate}", key,
                     _within(tick, number * each), every=every)
        tried[str(rate)] = record["held_out_loss"][-1]
        for name, weight in learning(model).items():
            weight.data.copy_(fresh[name])
    return float(min(tried, key=lambda rate: tried[rate])), tried


def _within(tick: Tick, before: int, whole: int | None = None) -> Tick:
    """A Tick of one run among several: `before` steps are done when it begins, of `whole`, else of as many as told."""
    def told(done: int, total: int, note: str, figures: Mapping[str, Any] | None = None, /) -> None:
        tick(before + done, total if whole is None else whole, note, figures)

    return told


def kept_apart(pairs: Sequence[Pair]) -> Sequence[Pair]:
    """Every eighth pair, of 16 or more: it is never learnt, only measured."""
    return pairs[::8] if len(pairs) >= 16 else []


def _prefer(model: Any, pairs: Sequence[Pair], settings: Training, dtype: str, work: Path, key: str, tick: Tick,
            every: float) -> dict[str, Any] | None:
    """Learn the preferences but those kept apart, which are measured; None without any."""
    if not pairs:
        return None
    measured = kept_apart(pairs)
    learnt = [pair for place, pair in enumerate(pairs) if place % 8 or not measured]
    computing = Computing(model, DTYPES[dtype], settings.frozen_layers)
    before = _preferred(computing, measured or learnt)
    objective = Dpo(computing, pairs) if settings.preferences == "dpo" else orpo
    run = _run(settings, settings.preference_epochs, settings.preference_learning_rate)
    record = fit(model, learnt, measured, run, work, key, tick, objective, every)
    return record | {"objective": settings.preferences, "pairs": len(learnt), "held_out_pairs": len(measured),
                     "prefers_better_before": before, "prefers_better": _preferred(computing, measured or learnt)}


def _preferred(computing: Computing, pairs: Sequence[Pair]) -> float:
    """The share of pairs whose better reply has the higher log-probability for each of its tokens."""
    count = 0
    with torch.no_grad():
        for pair in pairs:
            chosen, rejected = (score / row.learnt for score, row in zip(
                row_scores(computing, pair.rows).tolist(), pair.rows, strict=True))
            count += chosen > rejected
    return count / len(pairs)
