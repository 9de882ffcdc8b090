"""Frozen lower layers, run once for each row: their states are kept, and training begins above them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from builder.batching import Encoded, Packed, pack, pieces
from knowledge.errors import UserError

States = dict[int, torch.Tensor]
"""For each row, by its identity, what the lower layers make of it: tokens x width."""


def trunk(model: Any) -> Any:
    """The part of a (PEFT) model that holds its embeddings, layers and last norm; UserError where it has none."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    found = getattr(inner, inner.base_model_prefix, None)
    if found is None or not hasattr(found, "layers"):
        raise UserError("training.frozen_layers: this model's layers can't be told apart; set it to 0")
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
