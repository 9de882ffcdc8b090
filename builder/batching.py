"""Training rows to batches of tokens: encoded as the engine encodes, packed without padding; knows nothing of torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from builder.render import Message, to_prompt
from knowledge.errors import UserError

PIECE = 4096
"""Tokens that go through the model at once; larger batches are summed from pieces, which bounds memory."""


@dataclass(frozen=True)
class Row:
    """A conversation as the engine will see it, the reply to learn, and what kind of row it is."""

    messages: list[Message]
    reply: str
    kind: str


@dataclass(frozen=True)
class Encoded:
    """A row's tokens: prompt, reply and the end token."""

    ids: tuple[int, ...]
    start: int
    """Where the reply begins; from here on every token is learnt."""


@dataclass(frozen=True)
class Packed:
    """Rows laid end to end, no padding; what several rows begin with is laid once."""

    ids: list[int]
    positions: list[int]
    spans: list[tuple[int | None, int]]
    """For each stretch the number of the earlier stretch that it continues, if any, and its length."""
    kept: list[int]
    """The places whose logits count: each predicts one of `labels`."""
    labels: list[int]


def encode(rows: Sequence[Row], tokenizer: Any, template: str, end: int, longest: int) -> list[Encoded]:
    """Rows as tokens: the prompt as the engine writes it, then the reply and the token `end`.

    A reply is data: what looks like a control token in it is spelt out. UserError above `longest` tokens.
    """
    encoded = []
    for number, row in enumerate(rows, 1):
        tokenizer.encode_special_tokens = False
        prompt = tokenizer.encode(to_prompt(row.messages, template), add_special_tokens=False).ids
        tokenizer.encode_special_tokens = True
        reply = tokenizer.encode(row.reply, add_special_tokens=False).ids
        if len(prompt) + len(reply) >= longest:
            raise UserError(f"training row {number} ({row.kind}): has {len(prompt) + len(reply)} tokens, the model "
                            f"reads {longest}; shorten the example or lower retrieval.found in brand.yaml")
        encoded.append(Encoded((*prompt, *reply, end), len(prompt)))
    tokenizer.encode_special_tokens = False
    return encoded


def pack(rows: Sequence[Encoded]) -> Packed:
    """Lay rows end to end for one pass through the model, the prompt that rows share only once.

    Causal attention makes a shared beginning the same in every row, so loss and gradients are those of separate rows.
    """
    families: dict[tuple[int, ...], list[Encoded]] = {}
    for row in rows:  # a first guess at who shares a system message, which keeps other kinds of rows apart
        families.setdefault(row.ids[:min(32, row.start - 1)], []).append(row)
    ids: list[int] = []
    positions: list[int] = []
    spans: list[tuple[int | None, int]] = []
    kept: list[int] = []
    labels: list[int] = []
    for family in families.values():
        shared, before = _shared(family), None
        if shared:
            before = len(spans)
            ids.extend(family[0].ids[:shared])
            positions.extend(range(shared))
            spans.append((None, shared))
        for row in family:
            place = len(ids)
            ids.extend(row.ids[shared:-1])  # the last token is only ever predicted
            positions.extend(range(shared, len(row.ids) - 1))
            spans.append((before, len(ids) - place))
            kept.extend(range(place + row.start - 1 - shared, len(ids)))
            labels.extend(row.ids[row.start:])
    return Packed(ids, positions, spans, kept, labels)


def _shared(family: Sequence[Encoded]) -> int:
    """How many tokens all rows of a family begin with; the prompt's last stays each row's own: it predicts."""
    if len(family) == 1:
        return 0
    most = min(row.start for row in family) - 1
    same = (len(set(column)) == 1 for column in zip(*(row.ids[:most] for row in family), strict=True))
    return next((number for number, alike in enumerate(same) if not alike), most)


def pieces(rows: Sequence[Encoded]) -> Iterator[list[Encoded]]:
    """Rows in order, in pieces of at most PIECE tokens (or of one row)."""
    piece: list[Encoded] = []
    for row in rows:
        if piece and sum(len(other.ids) for other in (*piece, row)) > PIECE:
            yield piece
            piece = []
        piece.append(row)
    if piece:
        yield piece
