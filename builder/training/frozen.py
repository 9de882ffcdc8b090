"""Frozen lower layers, run once for each row: their states are kept, and training begins above them."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

from builder.training.batching import Encoded, Packed, pack, pieces
from knowledge.errors import UserError

States = dict[int, torch.Tensor]
"""For each row, by its identity, what the lower layers make of it: tokens x width."""


def trunk(model: Any) -> Any:
    """The part of a (PEFT) model that holds its embeddings, layers and last norm; UserError where it has none."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    found = getattr(inner, inner.base_model_prefix, None)
    if found is None or not hasattr(found, "layers"):
        raise UserError("training.frozen_layers: this model's layers can't be separated; set it to 0")
    return found


@contextmanager
def above(model: Any, count: int) -> Iterator[None]:
    """Let the model begin at layer `count` while the block runs; it is then given states, not tokens."""
    with _only(model, count, None):
        yield


def lower_states(model: Any, count: int, rows: Sequence[Encoded], dtype: torch.dtype) -> States:
    """What the first `count` layers make of each row."""
    inner, kept = trunk(model), {}
    norm = inner.norm
    with _only(model, 0, count), torch.no_grad():
        inner.norm = torch.nn.Identity()
        try:
            for piece in pieces(rows):
                packed = pack(piece)
                whole = run_trunk(model, packed, dtype).split([length for _, length in packed.spans])
                for (number, first), (before, _), states in zip(packed.parts, packed.spans, whole, strict=True):
                    if before is not None:
                        kept[id(piece[number])] = torch.cat((whole[before], states))
                    elif first == 0:
                        kept[id(piece[number])] = states.clone()
        finally:
            inner.norm = norm
    return kept


def run_trunk(model: Any, packed: Packed, dtype: torch.dtype, states: torch.Tensor | None = None,
              first: int = 0) -> torch.Tensor:
    """The last states of the model's trunk for packed tokens, tokens x width; from layer `first` on where `states`
    are given in place of the tokens."""
    device = next(model.parameters()).device
    positions = torch.tensor(packed.positions, device=device)[None]
    given = {"input_ids": torch.tensor(packed.ids, device=device)[None]} if states is None else {
        "inputs_embeds": states[None]}
    with above(model, first), torch.autocast(device.type, torch.bfloat16, enabled=dtype is torch.bfloat16):
        made: torch.Tensor = trunk(model)(position_ids=positions, use_cache=False, spans=packed.spans,
                                          **given).last_hidden_state[0]
    return made


def gathered(states: States, rows: Sequence[Encoded], packed: Packed) -> torch.Tensor:
    """The kept states of `rows` laid as `packed` lays their tokens: tokens x width."""
    return torch.cat([states[id(rows[number])][first:first + length]
                      for (number, first), (_, length) in zip(packed.parts, packed.spans, strict=True)])


@contextmanager
def _only(model: Any, first: int, end: int | None) -> Iterator[None]:
    """Let the model have the layers from `first` to before `end` alone while the block runs."""
    inner = trunk(model)
    whole, number = inner.layers, inner.config.num_hidden_layers
    inner.layers = whole[first:end]
    inner.config.num_hidden_layers = len(inner.layers)
    try:
        yield
    finally:
        inner.layers, inner.config.num_hidden_layers = whole, number


SMALL = 600 * 600
"""Attention scores of one head up to which they are formed whole: quicker on CPUs, but kept until the backward pass."""


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
