"""Blind choices between replies: how often each system won, and what each half won, with doubt."""

from collections.abc import Sequence
from dataclasses import dataclass

from builder.answering.systems import SYSTEMS, System
from builder.curation.feedback import Item
from builder.scoring.statistics import Difference, Interval, difference, interval


@dataclass(frozen=True)
class Half:
    """What one half won: the share of choices for a reply that has it, less the share for one that hasn't."""

    name: str
    difference: Difference | None
    """None with choices on fewer than two questions."""

    @property
    def said(self) -> str:
        """In a sentence."""
        one = self.difference
        if one is None:
            return f"{self.name}: at least two questions with choices are needed."
        figures = f"{one.value:+.2f} (95 % interval {one.low:+.2f} to {one.high:+.2f}, p = {one.p:.3f})"
        if one.p < 0.05:
            return f"{self.name}: people {'preferred' if one.value > 0 else 'disliked'} its effect: {figures}."
        return (f"{self.name}: no preference shown: {figures}. With choices on {one.groups} questions, a preference "
                f"below {one.detectable:.2f} often goes unseen.")


@dataclass(frozen=True)
class Tally:
    """All choices counted; `wins` is the share of them that each system won, where it was among those shown."""

    choices: int
    undecided: int
    questions: int
    wins: dict[str, Interval]
    halves: tuple[Half, ...]


def tally(items: Sequence[Item]) -> Tally:
    """The choices among `items`, with questions as the unit of chance: choices on the same one count together.

    A choice for none of the replies is a win for nobody. The intervals are those of `builder.scoring.statistics`.
    """
    choices = [item for item in items if item.kind == "choice"]
    wins = {}
    for system in SYSTEMS:
        shown = [choice for choice in choices if system.name in choice.others]
        if found := interval([float(choice.system == system.name) for choice in shown],
                             [choice.question for choice in shown], share=True):
            wins[system.name] = found
    questions = {choice.question for choice in choices}
    return Tally(len(choices), sum(not choice.system for choice in choices), len(questions), wins,
                 (_half("Fine-tuning", choices, [system.name for system in SYSTEMS if system.tuned]),
                  _half("Retrieval", choices, [system.name for system in SYSTEMS if system.retrieves])))


def _half(name: str, choices: Sequence[Item], having: Sequence[str]) -> Half:
    """Only choices count in which replies with this half stood beside as many without it."""
    even = [choice for choice in choices if 2 * len(set(choice.others) & set(having)) == len(choice.others)]
    won = [float(choice.system in having) for choice in even]
    lost = [float(bool(choice.system) and choice.system not in having) for choice in even]
    return Half(name, difference(won, lost, [choice.question for choice in even]))


def shuffled(systems: Sequence[System], seed: str) -> list[System]:
    """The systems in an order that only `seed` tells."""
    import random

    mixed = list(systems)
    random.Random(seed).shuffle(mixed)
    return mixed
