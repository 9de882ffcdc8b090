"""What a build must meet to be promoted: checks and limits to gates, each met, missed or undecided, with what to do."""

from builder.evaluation.checks.forgetting import advice
from builder.evaluation.compare_releases import ReleaseComparison
from builder.evaluation.report import Checks, Report
from builder.scoring.statistics import Outcome
from builder.workspace.brand import Gates
from builder.workspace.releases import Gate, GateOutcome

LIMITS = {"facts": ("facts", "at least"), "tone": ("tone", "at least"),
          "abstains_rightly": ("abstains_unanswerable", "at least"),
          "abstains_wrongly": ("abstains_answerable", "at most"), "unwanted": ("unwanted", "at most")}
"""Settings of brand.yaml's gates: the score that each is about, and which way it limits."""


def check_gates(checks: Checks, limits: Gates) -> list[Gate]:
    """The gates that the checks of an adapter decide; none for what was not checked."""
    gates = []
    if parity := checks.parity:
        gates.append(Gate(name="served as trained", outcome=_outcome(parity.met), reason=parity.sentence))
    if forgetting := checks.forgetting:
        lost, unclear = (forgetting.outcome == outcome for outcome in (Outcome.FORGOT, Outcome.CANNOT_TELL))
        gates.append(Gate(name="general ability kept", outcome=_outcome(None if unclear else not lost),
                          reason=advice(forgetting),
                          next="change the settings it names in brand.yaml, then build again" if lost else ""))
    if memory := checks.memorised:
        met = memory.share.value <= limits.memorised if memory.share and memory.share.value is not None else (
            None if memory.facts else True)
        gates.append(Gate(name="facts left to the documents", outcome=_outcome(met), reason=memory.sentence,
                          next="or raise gates.memorised in brand.yaml if you accept this" if met is False else ""))
    return gates


def _outcome(met: bool | None) -> GateOutcome:
    """None is undecided."""
    return GateOutcome.UNDECIDED if met is None else GateOutcome.MET if met else GateOutcome.MISSED


def report_gates(report: Report, limits: Gates, compared: ReleaseComparison | None = None) -> list[Gate]:
    """The gates of an evaluation: what its best system must reach, and that it is no worse than the live release.

    A score without a value, and a comparison that can't tell, decide nothing. Limits that brand.yaml doesn't set are no
    gates.
    """
    gates, system = [], report.best
    for name, (score, way) in LIMITS.items():
        limit, value = getattr(limits, name), report.estimate(system, score).value
        if limit is None:
            continue
        if value is None:
            met, reason = None, f"{system} has no value for {score}"
        else:
            met = value >= limit if way == "at least" else value <= limit
            far = "" if met else f", {abs(value - limit):.2f} too {'low' if value < limit else 'high'}"
            reason = f"{score} of {system} is {value:.2f}, required {way} {limit:.2f}{far}"
        gates.append(Gate(name=name.replace("_", " "), outcome=_outcome(met), reason=reason, next="" if met else
                          f"the report says why replies fell short; or change gates.{name} in brand.yaml"))
    if compared:
        met = False if compared.worse else None if compared.unclear else True
        gates.append(Gate(name=f"no worse than {compared.release}", outcome=_outcome(met),
                          reason="; ".join(compared.lines()), next="" if met else
                          f"compare the replies with those of {compared.release}"))
    return gates
