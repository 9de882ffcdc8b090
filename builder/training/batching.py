"""Training rows to batches of tokens: encoded as the engine encodes, packed without padding; knows nothing of torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from builder.model.prompt import Message, to_prompt
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

    @property
    def learnt(self) -> int:
        """How many tokens are learnt."""
        return len(self.ids) - self.start


@dataclass(frozen=True)
class Preference:
    """Two replies to one conversation, of which the first is the better."""

    chosen: Row
    rejected: Row


@dataclass(frozen=True)
class Packed:
    """Rows laid end to end, no padding; what several rows begin with is laid once."""

    ids: list[int]
    positions: list[int]
    spans: list[tuple[int | None, int]]
    """For each stretch the number of the earlier stretch that it continues, if any, and its length."""
    parts: list[tuple[int, int]]
    """For each stretch the number of the row that it is taken from, and the place there where it begins."""
    kept: list[int]
    """The places whose logits count: each predicts one of `labels`."""
    labels: list[int]
    owners: list[int]
    """The number of the row that each of `labels` belongs to."""


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
    families: dict[tuple[int, ...], list[int]] = {}
    for number, row in enumerate(rows):  # a first guess at who shares a system message: it keeps other kinds apart
        families.setdefault(row.ids[:min(32, row.start - 1)], []).append(number)
    packed = Packed([], [], [], [], [], [], [])
    for family in families.values():
        shared, before = _shared([rows[number] for number in family]), None
        if shared:
            before = len(packed.spans)
            _lay(packed, rows[family[0]].ids[:shared], 0, None, family[0])
        for number in family:
            row, place = rows[number], len(packed.ids)
            _lay(packed, row.ids[shared:-1], shared, before, number)  # the last token is only ever predicted
            packed.kept.extend(range(place + row.start - 1 - shared, len(packed.ids)))
            packed.labels.extend(row.ids[row.start:])
            packed.owners.extend([number] * row.learnt)
    return packed


def _lay(packed: Packed, ids: Sequence[int], first: int, before: int | None, number: int) -> None:
    """Lay one stretch, which begins at place `first` of row `number`, at the end."""
    packed.ids.extend(ids)
    packed.positions.extend(range(first, first + len(ids)))
    packed.spans.append((before, len(ids)))
    packed.parts.append((number, first))


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
