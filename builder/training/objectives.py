"""What training makes small: the loss of replies, or of preferring one reply to another; in parts that add up."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from builder.training.batching import Encoded, Packed, pack, pieces
from builder.training.frozen import States, gathered, lower_states, run_trunk
from builder.training.fused import HeadLoss

BETA = 0.1
"""How closely DPO holds to the reference; the value of Rafailov et al. 2023."""
ODDS = 0.1
"""The weight of ORPO's odds ratio beside the likelihood of the better reply; Hong et al. 2024's lambda."""


@dataclass(frozen=True)
class Pair:
    """Two encoded replies to one prompt, the better one first."""

    chosen: Encoded
    rejected: Encoded

    @property
    def rows(self) -> tuple[Encoded, Encoded]:
        """Both."""
        return self.chosen, self.rejected


Item = Encoded | Pair
Objective = Callable[["Computing", Sequence[Any]], Iterator[torch.Tensor]]
"""A batch to the parts of its mean loss, each to be run backward before the next is made."""


class Computing:
    """A model with the way it computes: its dtype, and the frozen lower layers whose states are kept."""

    def __init__(self, model: Any, dtype: torch.dtype, frozen: int = 0) -> None:
        """`frozen` lower layers are run once for each row."""
        self.model, self.dtype, self.frozen = model, dtype, frozen
        self.computed = 0
        """Tokens that went through the model so far."""
        self._states: States = {}
        self._plain_head = _plain_head(model)

    def token_losses(self, rows: Sequence[Encoded]) -> tuple[torch.Tensor, list[int]]:
        """Cross-entropy (natural logarithm) of each token to learn, fp32, and the number of the row it belongs to."""
        packed = pack(rows)
        self.computed += len(packed.ids)
        if not self._plain_head:
            return _by_logits(self.model, packed, self.dtype), packed.owners
        states = self._above(rows, packed)
        kept, labels = (torch.tensor(values, device=states.device) for values in (packed.kept, packed.labels))
        weight = self.model.get_output_embeddings().weight
        return HeadLoss.apply(states[kept], weight, labels), packed.owners

    def _above(self, rows: Sequence[Encoded], packed: Packed) -> torch.Tensor:
        """The trunk's last states, tokens x width, on what the frozen layers made of the rows once."""
        if not self.frozen:
            return run_trunk(self.model, packed, self.dtype)
        missing = [row for row in rows if id(row) not in self._states]
        self._states |= lower_states(self.model, self.frozen, missing, self.dtype)
        return run_trunk(self.model, packed, self.dtype, gathered(self._states, rows, packed), self.frozen)


def _by_logits(model: Any, packed: Packed, dtype: torch.dtype) -> torch.Tensor:
    """The slow way, for heads that do more than one product: the model's own logits."""
    device = next(model.parameters()).device
    ids, positions, kept, labels = (torch.tensor(values, device=device) for values in (
        packed.ids, packed.positions, packed.kept, packed.labels))
    with torch.autocast(device.type, torch.bfloat16, enabled=dtype is torch.bfloat16):
        logits = model(input_ids=ids[None], position_ids=positions[None], use_cache=False, logits_to_keep=kept,
                       spans=packed.spans).logits[0]
    return functional.cross_entropy(logits.float(), labels, reduction="none")


def _plain_head(model: Any) -> bool:
    """Whether the logits are the trunk's states times a frozen matrix, found out on one short row."""
    head = model.get_output_embeddings()
    if head is None or type(head) is not torch.nn.Linear or head.bias is not None or head.weight.requires_grad:
        return False
    packed = pack([Encoded((1, 2, 1, 2), 2)])
    dtype = head.weight.dtype
    with torch.no_grad():
        states = run_trunk(model, packed, dtype)[packed.kept]
        quick = HeadLoss.apply(states, head.weight, torch.tensor(packed.labels, device=states.device))
        return torch.allclose(quick, _by_logits(model, packed, dtype), rtol=0.02, atol=0.02)


def learn_replies(computing: Computing, batch: Sequence[Encoded]) -> Iterator[torch.Tensor]:
    """The mean loss per reply token of a batch of rows (supervised fine-tuning on completions)."""
    learnt = sum(row.learnt for row in batch)
    for piece in pieces(batch):
        losses, _ = computing.token_losses(piece)
        yield losses.sum() / learnt


def row_scores(computing: Computing, rows: Sequence[Encoded]) -> torch.Tensor:
    """The log-probability of each row's reply, summed over its tokens."""
    losses, owners = computing.token_losses(rows)
    whole = torch.zeros(len(rows), dtype=torch.float32, device=losses.device)
    return whole.index_add(0, torch.tensor(owners, device=losses.device), -losses)


class Dpo:
    """Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290) against the model as it is now."""

    def __init__(self, computing: Computing, pairs: Sequence[Pair]) -> None:
        """The log-probabilities of the reference are computed once, here."""
        with torch.no_grad():
            self._reference = {id(pair): row_scores(computing, pair.rows) for pair in pairs}

    def __call__(self, computing: Computing, batch: Sequence[Pair]) -> Iterator[torch.Tensor]:
        """-log sigmoid(beta * how much more the model prefers the better reply than the reference does)."""
        for pair in batch:
            chosen, rejected = row_scores(computing, pair.rows) - self._reference[id(pair)]
            yield -functional.logsigmoid(BETA * (chosen - rejected)) / len(batch)


def orpo(computing: Computing, batch: Sequence[Pair]) -> Iterator[torch.Tensor]:
    """Odds-ratio preference optimisation (Hong et al. 2024, arXiv 2403.07691), which needs no reference."""
    for pair in batch:
        lengths = torch.tensor([row.learnt for row in pair.rows], dtype=torch.float32)
        means = row_scores(computing, pair.rows)
        means = means / lengths.to(means.device)
        odds = means - torch.log1p(-means.exp().clamp(max=1 - 1e-6))
        yield (-means[0] - ODDS * functional.logsigmoid(odds[0] - odds[1])) / len(batch)
