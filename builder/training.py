"""Training rows to a LoRA adapter: the one loop that learns, on PEFT; carries on bit for bit where it was stopped."""

import importlib.metadata
import json
import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from builder.batching import Encoded, Packed, Row, encode, pack, pieces
from builder.brand import Training
from builder.checkpoint import keep, newest
from builder.reference import load_base
from builder.weights import Base
from knowledge.errors import UserError
from knowledge.files import Tick, hash_bytes, write_json

SMALL = 600 * 600
"""Attention scores of one head up to which they are formed whole: quicker on CPUs, but kept until the backward pass."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def train(base: Base, rows: Sequence[Row], held_out: Sequence[Row], settings: Training, folder: Path, work: Path,
          tick: Tick, every: float = 30.0) -> None:
    """Fill `folder` with a PEFT adapter, the same for the same input on the same machine, and `training.json`.

    Every `every` seconds and after each epoch a checkpoint goes to `work`; a later call with the same input carries
    on there and ends with the same bytes. The caller may delete `work` once it has put `folder` in its place.
    `held_out` is only measured. Raises UserError where rows can't be learnt or the loss stops being a number.
    """
    from tokenizers import Tokenizer

    if not rows:
        raise UserError("examples.jsonl: no rows to train on; add examples")
    model = adapt(load_base(base), settings)
    end = model.config.eos_token_id
    if not isinstance(end, int):
        raise UserError(f"{base.gguf}: names no end token; set model.base to a chat model")
    tokenizer = Tokenizer.from_file(str(base.tokenizer))
    learnt, judged = (encode(some, tokenizer, base.template, end, model.config.max_position_embeddings)
                      for some in (rows, held_out))
    identity = (base.folder / "base.json").read_text(encoding="utf-8")
    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "peft")}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    key = hash_bytes(identity, *(json.dumps(part, sort_keys=True) for part in (
        settings.model_dump(), versions, device, [asdict(row) for row in learnt], [asdict(row) for row in judged])))
    record = fit(model.to(device), learnt, judged, settings, work, key, tick, every)
    kinds = sorted({row.kind for row in (*rows, *held_out)})
    made = {"base": json.loads(identity), "settings": settings.model_dump(), "versions": versions, "device": device,
            "threads": torch.get_num_threads(), "key": key,
            "rows": {kind: sum(row.kind == kind for row in rows) for kind in kinds},
            "held_out_rows": {kind: sum(row.kind == kind for row in held_out) for kind in kinds}}
    save(model, base.sha256, folder)
    write_json(folder / "training.json", made | record)


def measured_speed(base: Base, settings: Training) -> tuple[float, str]:
    """Tokens/s of a short pass forward and back, and the dtype that training would choose (fp32 or bf16); for plans.

    Training itself is somewhat quicker: its batches are larger, and what their rows share is computed once.
    """
    found = _measure(adapt(load_base(base), settings), Encoded(tuple(range(3, 132)), 64))
    return max(found["measured_tokens_per_second"].values(), default=10_000.0), found["dtype"]


def adapt(model: Any, settings: Training) -> Any:
    """`model` with a fresh LoRA (Hu et al. 2021) on every linear layer, as a PeftModel; replies as before: B = 0."""
    from peft import LoraConfig, get_peft_model
    from transformers import AttentionInterface

    AttentionInterface.register("spans", attend)
    model.config._attn_implementation = "spans"
    lora = LoraConfig(r=settings.rank, lora_alpha=settings.alpha, lora_dropout=0.0, target_modules="all-linear",
                      task_type="CAUSAL_LM")
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # between PEFT and transformers; nothing the user can mend
        torch.manual_seed(settings.seed)
        # WHY eval: a base with dropout of its own would make two runs differ
        return get_peft_model(model, lora).eval()


def save(model: Any, name: str, folder: Path) -> None:
    """Write the adapter as PEFT does; `name` says which base it belongs to, in place of a path on this machine."""
    model.peft_config["default"].base_model_name_or_path = model.config.name_or_path = name
    model.save_pretrained(folder, save_embedding_layers=False)


def attend(module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: None,
           spans: Sequence[tuple[int | None, int]] = (), scaling: float | None = None,
           **others: Any) -> tuple[torch.Tensor, None]:
    """Causal attention within each of `spans` and back into the span that it continues; for transformers.

    query: 1 x heads x tokens x width, key and value: 1 x key heads x tokens x width. Returns 1 x tokens x heads x
    width. UserError for models whose attention is of another kind.
    """
    if others.get("sliding_window") or others.get("softcap") or others.get("s_aux") is not None:
        raise UserError("model.base: this kind of attention can't be trained yet; set it to a Llama or Qwen model")
    heads, width = key.shape[1], query.shape[-1]
    times = query.shape[1] // heads
    scale = width ** -0.5 if scaling is None else scaling
    # WHY split: the gradient of a slice is as large as the whole, the gradient of a split only once
    parts = [whole[0].split([length for _, length in spans], 1) for whole in (query, key, value)]
    replies = []
    for number, (before, _) in enumerate(spans):
        asked, keys, values = (part[number] for part in parts)
        if before is not None:
            keys, values = torch.cat((parts[1][before], keys), 1), torch.cat((parts[2][before], values), 1)
        rows, columns = asked.shape[1], keys.shape[1]
        hidden = torch.full((rows, columns), -math.inf, dtype=asked.dtype, device=asked.device)
        hidden = hidden.triu(columns - rows + 1)
        if rows * columns > SMALL:
            replies.append(functional.scaled_dot_product_attention(
                asked[None], keys[None], values[None], attn_mask=hidden, scale=scale, enable_gqa=times > 1)[0])
            continue
        scores = torch.baddbmm(hidden.repeat(times, 1).expand(heads, -1, -1),
                               asked.reshape(heads, times * rows, width), keys.transpose(1, 2), alpha=scale)
        replies.append(torch.bmm(scores.softmax(-1), values).view(heads * times, rows, width))
    return torch.cat(replies, 1).transpose(0, 1)[None].contiguous(), None


def summed_loss(model: Any, packed: Packed, dtype: torch.dtype) -> torch.Tensor:
    """Cross-entropy (natural logarithm) summed over the tokens to learn; logits are formed for these alone."""
    device = next(model.parameters()).device
    ids, positions, kept, labels = (torch.tensor(values, device=device) for values in (
        packed.ids, packed.positions, packed.kept, packed.labels))
    with torch.autocast(device.type, torch.bfloat16, enabled=dtype is torch.bfloat16):
        logits = model(input_ids=ids[None], position_ids=positions[None], use_cache=False, logits_to_keep=kept,
                       spans=packed.spans).logits[0]
    return functional.cross_entropy(logits.float(), labels, reduction="sum")


def fit(model: Any, rows: Sequence[Encoded], held_out: Sequence[Encoded], settings: Training, work: Path, key: str,
        tick: Tick, every: float = 30.0) -> dict[str, Any]:
    """Train the adapter of `model` (from `adapt`) in place; what happened is returned, ready for JSON.

    AdamW (Loshchilov and Hutter 2019) without weight decay, 5 % warm-up, then a cosine down to 0; gradients clipped
    to norm 1. The rows' order depends on seed and epoch alone, so a checkpoint needs no state of a random generator.
    """
    parameters = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    optimiser = torch.optim.AdamW(parameters.values(), lr=settings.learning_rate, weight_decay=0.0)
    each = math.ceil(len(rows) / settings.batch)
    total = each * settings.epochs
    found = newest(work, key)
    if found:
        record = found[0]
        _restore(found[1], parameters, optimiser)
    else:
        tick(0, total, "measuring")
        record = {"step": 0, "steps": total, **_measure(model, rows[0]), "tokens": 0, "computed_tokens": 0,
                  "seconds": 0.0, "curve": [], "held_out_loss": []}
    dtype = DTYPES[record["dtype"]]
    _cast(model, dtype)
    if not record["held_out_loss"]:
        record["held_out_loss"].append(_mean_loss(model, held_out, dtype))
    saved = time.perf_counter()
    while record["step"] < total:
        start = time.perf_counter()
        epoch, number = divmod(record["step"], each)
        order = np.random.default_rng([settings.seed, epoch]).permutation(len(rows))
        batch = [rows[row] for row in order[number * settings.batch:(number + 1) * settings.batch]]
        optimiser.param_groups[0]["lr"] = settings.learning_rate * _warmth(record["step"], total)
        loss = _step(model, batch, dtype, optimiser, record)
        record["seconds"] += time.perf_counter() - start
        record["tokens_per_second"] = record["tokens"] / record["seconds"]
        record["curve"].append([record["step"], loss, record["tokens_per_second"]])
        if number == each - 1:
            record["held_out_loss"].append(_mean_loss(model, held_out, dtype))
        if number == each - 1 or time.perf_counter() - saved >= every:
            keep(work, key, record["step"], record, _as_bytes(parameters, optimiser))
            saved = time.perf_counter()
        tick(record["step"], total, f"epoch {epoch + 1} of {settings.epochs} · loss {loss:.2f} · "
                                    f"{record['tokens_per_second']:.0f} tokens/s")
    losses = record["held_out_loss"]
    record["held_out_was_lower_earlier"] = None not in losses and min(losses) < losses[-1]
    return record


def _step(model: Any, batch: Sequence[Encoded], dtype: torch.dtype, optimiser: torch.optim.Optimizer,
          record: dict[str, Any]) -> float:
    """One update, counted in `record`; returns the batch's mean loss per learnt token."""
    learnt = sum(len(row.ids) - row.start for row in batch)
    loss = 0.0
    for piece in pieces(batch):
        packed = pack(piece)
        part = summed_loss(model, packed, dtype) / learnt
        part.backward()
        loss += part.item()
        record["computed_tokens"] += len(packed.ids)
    if not math.isfinite(loss):
        raise UserError(f"training: the loss is no longer a number at step {record['step'] + 1}; lower "
                        "training.learning_rate in brand.yaml")
    torch.nn.utils.clip_grad_norm_(optimiser.param_groups[0]["params"], 1.0)
    optimiser.step()
    optimiser.zero_grad()
    record["step"] += 1
    record["tokens"] += sum(len(row.ids) for row in batch)
    return loss


def _warmth(step: int, total: int) -> float:
    """The learning rate's share of its peak at `step` (from 0)."""
    warm = math.ceil(total * 0.05)
    return (step + 1) / warm if step < warm else (1 + math.cos(math.pi * (step - warm) / (total - warm))) / 2


def _mean_loss(model: Any, rows: Sequence[Encoded], dtype: torch.dtype) -> float | None:
    """Mean loss per reply token; None without rows."""
    with torch.no_grad():
        total = sum(summed_loss(model, pack(piece), dtype).item() for piece in pieces(rows))
    return total / sum(len(row.ids) - row.start for row in rows) if rows else None


def _cast(model: Any, dtype: torch.dtype) -> None:
    """Keep the frozen weights in `dtype`; what learns stays in fp32, where small updates aren't rounded away."""
    for weight in model.parameters():
        if not weight.requires_grad:
            weight.data = weight.data.to(dtype)


def _measure(model: Any, row: Encoded) -> dict[str, Any]:
    """The quicker dtype on this machine, and tokens/s of a short forward and backward pass in each (2 s in all)."""
    if next(model.parameters()).is_cuda:
        return {"dtype": "bf16", "measured_tokens_per_second": {}}
    short = Encoded(row.ids[:129], min(row.start, len(row.ids[:129]) - 1))
    packed, whole = pack([short]), [(weight, weight.data) for weight in model.parameters()]
    seconds = dict.fromkeys(DTYPES, math.inf)
    for _ in range(3):  # WHY in turns: what else the machine does would favour one of them
        for name, dtype in DTYPES.items():
            for weight, data in whole:
                weight.data = data
            _cast(model, dtype)
            start = time.perf_counter()
            summed_loss(model, packed, dtype).backward()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    for weight, data in whole:
        weight.data, weight.grad = data, None
    speeds = {name: len(short.ids) / least for name, least in seconds.items()}
    return {"dtype": max(speeds, key=lambda name: speeds[name]), "measured_tokens_per_second": speeds}


def _as_bytes(parameters: dict[str, torch.nn.Parameter], optimiser: torch.optim.Optimizer) -> bytes:
    """Adapter weights and AdamW's state (step and both moments) as safetensors."""
    from safetensors.torch import save as to_bytes

    tensors = {f"{name}:weight": weight.detach() for name, weight in parameters.items()}
    for name, weight in parameters.items():
        tensors |= {f"{name}:{part}": value for part, value in optimiser.state[weight].items()}
    return bytes(to_bytes(tensors))


def _restore(data: bytes, parameters: dict[str, torch.nn.Parameter], optimiser: torch.optim.Optimizer) -> None:
    """The reverse of `_as_bytes`."""
    from safetensors.torch import load

    tensors = load(data)
    for name, weight in parameters.items():
        weight.data.copy_(tensors[f"{name}:weight"])
        optimiser.state[weight] = {part: tensors[f"{name}:{part}"].to("cpu" if part == "step" else weight.device)
                                   for part in ("step", "exp_avg", "exp_avg_sq")}
