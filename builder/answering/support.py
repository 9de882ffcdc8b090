"""The passage that an example's reply rests on."""

from collections.abc import Sequence

from builder.scoring.text import without
from builder.workspace.examples import Example
from knowledge.search.index import Found, Index
from knowledge.text.words import stems

POOL = 10
"""How many passages are looked through for the one that an example's reply rests on."""
SUPPORT = 0.5
"""The share of a reply's content words that its right passage holds at least."""


def support(example: Example, index: Index, fixed: Sequence[str] = ()) -> Found | None:
    """The passage that an example's reply rests on, or None where it rests on none.

    It is the one that holds most of the reply's content words, the phrases that all replies share aside, among
    those that search finds for the question and for the reply.
    """
    reply = without(example.reply, fixed)
    words = set(stems(reply))
    if not words:
        return None
    found = [*index.search(example.question, POOL), *index.search(reply, POOL)]
    best = max(found, key=lambda one: len(words & set(stems(one.passage.indexed))))
    return best if len(words & set(stems(best.passage.indexed))) >= SUPPORT * len(words) else None
