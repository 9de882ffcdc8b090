"""What a build must meet to be promoted: checks and limits to gates, each met or missed, with what to do."""

from dataclasses import asdict, dataclass
from typing import Any

from builder.evaluation.checks.forgetting import advice
from builder.evaluation.compare_releases import answering, told
from builder.workspace.brand import Gates

REACHED = {"facts": ("facts", "at least"), "tone": ("tone", "at least"),
           "abstains_rightly": ("abstains_unanswerable", "at least"),
           "abstains_wrongly": ("abstains_answerable", "at most"), "unwanted": ("unwanted", "at most")}
"""Settings of brand.yaml's gates: the score that each is about, and which way it limits."""


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


def reached(report: dict[str, Any], limits: Gates, compared: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The gates of an evaluation: what its best system must reach, and that it is no worse than the live release.

    `compared` is what `compare_releases.against` found. Limits that brand.yaml doesn't set are no gates.
    """
    gates, system = [], answering(report)
    for name, (score, way) in REACHED.items():
        limit, found = getattr(limits, name), report["systems"][system].get(score) or {}
        if limit is None:
            continue
        value = found.get("value")
        met = value is not None and (value >= limit if way == "at least" else value <= limit)
        said = f"{system} is unscored on {score}"
        if value is not None:
            far = "" if met else f": {abs(value - limit):.2f} too {'low' if value < limit else 'high'}"
            said = f"{score} of {system} {value:.2f}, {way} {limit:.2f} wanted{far}"
        gates.append(Gate(name.replace("_", " "), met, said, "" if met else
                          f"the report says why replies fell short; or change gates.{name} in brand.yaml"))
    if compared:
        worse = [score for score, one in compared["scores"].items() if one and one["outcome"] == "forgot"]
        gates.append(Gate(f"no worse than {compared['release']}", not worse, "; ".join(told(compared)),
                          f"compare the replies with those of {compared['release']}" if worse else ""))
    return [asdict(gate) for gate in gates]
