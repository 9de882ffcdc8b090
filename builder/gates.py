"""What a build must meet to be promoted: checks and limits to gates, each met or missed, with what to do."""

from dataclasses import asdict, dataclass
from typing import Any

from builder.brand import Gates
from builder.forgetting import advice


@dataclass(frozen=True)
class Gate:
    """One condition of a release: whether it is met, in words, and what to do where it isn't."""

    name: str
    met: bool
    said: str
    next: str


def judged(checks: dict[str, Any], limits: Gates) -> list[dict[str, Any]]:
    """The gates of a build, ready for JSON; none for what was not checked."""
    gates = []
    if parity := checks.get("parity"):
        gates.append(Gate("served as trained", parity["met"], parity["sentence"], ""))
    if forgot := checks.get("forgetting"):
        gates.append(Gate("general ability kept", forgot["met"], advice(forgot),
                          "" if forgot["met"] else "change the settings it names in brand.yaml, then build again"))
    if memory := checks.get("memorised"):
        met = memory["share"] is None or memory["share"]["value"] <= limits.memorised
        gates.append(Gate("facts left to the documents", met, memory["sentence"],
                          "" if met else "or raise gates.memorised in brand.yaml, if you can live with it"))
    return [asdict(gate) for gate in gates]
