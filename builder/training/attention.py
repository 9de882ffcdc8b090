"""Attention over rows laid end to end: each row sees itself and the prompt that it shares, nothing else."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from knowledge.errors import UserError

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
