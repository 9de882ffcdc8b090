"""The four systems: two switches, tuned and retrieves."""

from dataclasses import dataclass

from knowledge.errors import UserError


@dataclass(frozen=True)
class System:
    """One way of answering: two switches; its technical name, and what people are shown."""

    name: str
    title: str
    tuned: bool
    retrieves: bool


SYSTEMS = (System("prompt-only", "plain model", False, False), System("rag-only", "documents only", False, True),
           System("fine-tune-only", "voice only", True, False), System("hybrid", "full assistant", True, True))
ELSEWHERE = "elsewhere"
"""How a reply ended that was not made here."""


def system_named(name: str) -> System:
    """The system of this name; UserError where there is none."""
    for system in SYSTEMS:
        if system.name == name:
            return system
    raise UserError(f"{name}: no such system; there are {', '.join(system.name for system in SYSTEMS)}")
