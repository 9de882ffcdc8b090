"""What a build must meet to be promoted: checks and limits to gates, each met or missed, with what to do."""

from builder.evaluation.checks.forgetting import advice
from builder.evaluation.compare_releases import ReleaseComparison
from builder.evaluation.report import Checks, Report
from builder.workspace.brand import Gates
from builder.workspace.releases import Gate

LIMITS = {"facts": ("facts", "at least"), "tone": ("tone", "at least"),
          "abstains_rightly": ("abstains_unanswerable", "at least"),
          "abstains_wrongly": ("abstains_answerable", "at most"), "unwanted": ("unwanted", "at most")}
"""Settings of brand.yaml's gates: the score that each is about, and which way it limits."""


def check_gates(checks: Checks, limits: Gates) -> list[Gate]:
    """The gates that the checks of an adapter decide; none for what was not checked."""
    gates = []
    if parity := checks.parity:
        gates.append(Gate(name="served as trained", met=parity.met, reason=parity.sentence))
    if forgetting := checks.forgetting:
        gates.append(Gate(name="general ability kept", met=forgetting.met, reason=advice(forgetting), next="" if
                          forgetting.met else "change the settings it names in brand.yaml, then build again"))
    if memory := checks.memorised:
        met = memory.share is None or memory.share.value is None or memory.share.value <= limits.memorised
        gates.append(Gate(name="facts left to the documents", met=met, reason=memory.sentence, next="" if met else
                          "or raise gates.memorised in brand.yaml if you accept this"))
    return gates


def report_gates(report: Report, limits: Gates, compared: ReleaseComparison | None = None) -> list[Gate]:
    """The gates of an evaluation: what its best system must reach, and that it is no worse than the live release.

    Limits that brand.yaml doesn't set are no gates.
    """
    gates, system = [], report.best
    for name, (score, way) in LIMITS.items():
        limit, value = getattr(limits, name), report.estimate(system, score).value
        if limit is None:
            continue
        met, reason = False, f"{system} has no value for {score}"
        if value is not None:
            met = value >= limit if way == "at least" else value <= limit
            far = "" if met else f", {abs(value - limit):.2f} too {'low' if value < limit else 'high'}"
            reason = f"{score} of {system} is {value:.2f}, required {way} {limit:.2f}{far}"
        gates.append(Gate(name=name.replace("_", " "), met=met, reason=reason, next="" if met else
                          f"the report says why replies fell short; or change gates.{name} in brand.yaml"))
    if compared:
        gates.append(Gate(name=f"no worse than {compared.release}", met=not compared.worse,
                          reason="; ".join(compared.lines()), next="" if not compared.worse else
                          f"compare the replies with those of {compared.release}"))
    return gates
