"""The report's smaller sections, for the web page and as Markdown: failures, retrieval, costs, seeds, the build."""

import json
from dataclasses import dataclass

from builder.evaluation import model_judge
from builder.evaluation.failures import CAUSES, worst
from builder.evaluation.report import Answerability, AuditNote, Build, Estimate, ForgettingItem, Report, Row, StatedFact
from builder.workspace.releases import Gate

COSTS = {"median_seconds": "Seconds, median", "slow_seconds": "Seconds, 95 of 100 below", "read": "Tokens read",
         "said": "Tokens written", "hours_per_thousand": "Machine hours for 1,000"}
"""The columns of the table of costs."""
KINDS = {"elsewhere": "questions about anything else", "unanswerable": "your unanswerable test questions",
         "near_misses": "the same questions with their own passages removed"}
"""What the answerable questions are told from."""
MOST = 20
"""Of each list of the build that are shown; the checks' own file holds all."""


@dataclass(frozen=True)
class FailureRow:
    """A cause that occurs, and how many replies of each system fell short for it."""

    cause: str
    meaning: str
    counts: list[int]


@dataclass(frozen=True)
class BuildSection:
    """What the page shows of the build itself."""

    audit: list[AuditNote]
    gates: list[Gate]
    lost: list[ForgettingItem]
    """Requests that only the untuned model met."""
    more_lost: int
    stated: list[StatedFact]
    plan: list[list[str]]
    """Stage, planned seconds, actual seconds and their ratio."""


def told_from(limits: Answerability) -> list[tuple[str, Estimate, float | None]]:
    """Each kind of unanswerable question that was asked: its name, the AUROC, and the share that is answered."""
    found = {"elsewhere": limits.elsewhere, "unanswerable": limits.unanswerable, "near_misses": limits.near_misses}
    return [(KINDS[kind], auroc, limits.false_answers.get(kind)) for kind, auroc in found.items() if auroc]


def failures(report: Report) -> list[FailureRow]:
    """One row for each cause that occurs."""
    counts = report.failures or {}
    return [FailureRow(cause, meaning, [counts.get(system, {}).get(cause, 0) for system in report.systems])
            for cause, meaning in CAUSES.items() if any(cause in found for found in counts.values())]


def worst_replies(report: Report) -> dict[str, list[Row]]:
    """For each system with replies that fell short the rows of its worst ones."""
    found = {system: worst(report.rows, system) for system in report.systems} if report.failures is not None else {}
    return {system: rows for system, rows in found.items() if rows}


def cost_rows(report: Report) -> list[list[str]]:
    """One row for each system: its name and its costs as people read them."""
    digits = {"median_seconds": 1, "slow_seconds": 1, "hours_per_thousand": 2}
    return [[system, *(f"{getattr(costs, name):,.{digits.get(name, 0)}f}" for name in COSTS)]
            for system, costs in report.costs.items()]


def seed_rows(report: Report) -> list[list[str]]:
    """One row for each pair: the score, the pair, its difference by seed, their spread, and their mean's interval."""
    return [[report.scores[pair.score].title, f"{pair.left} − {pair.right}",
             ", ".join(f"{value:+.2f}" for value in pair.values), f"{pair.spread:.2f}",
             f"{pair.value:+.2f} [{pair.low:+.2f}, {pair.high:+.2f}]"]
            for pair in (report.seeds.differences if report.seeds else [])]


def build(found: Build | None) -> BuildSection | None:
    """The build itself; None where nothing was built by training."""
    if not found or not (found.audit or found.gates or found.plan):
        return None
    checks = found.checks
    items = checks.forgetting.items if checks and checks.forgetting else []
    lost = [item for item in items if item.right_before and not item.right_after]
    plan = [[stage.name, f"{stage.seconds:.0f} ({stage.low:.0f} to {stage.high:.0f})", f"{stage.actual:.0f}",
             f"{stage.ratio:.2f}"] for stage in found.plan]
    return BuildSection(found.audit, found.gates, lost[:MOST], max(0, len(lost) - MOST),
                        checks.memorised.stated[:MOST] if checks and checks.memorised else [], plan)


def provenance(report: Report) -> str:
    """What the report rests on, as JSON for people who want to reproduce it; empty where it isn't known."""
    return json.dumps(report.provenance.model_dump(), indent=1, ensure_ascii=False) if report.provenance else ""


def figures(estimate: Estimate) -> str:
    """A value with its interval and n."""
    around = "" if estimate.low is None else f" [{estimate.low:.3f}, {estimate.high:.3f}]"
    return f"{estimate.value:.3f}{around}, n {estimate.n}"


def markdown(report: Report) -> list[str]:
    """All sections as Markdown lines; the caller escapes those that are list items."""
    sections = {"Why replies fell short": [
        f"{row.cause} ({row.meaning}): " + ", ".join(
            f"{system} {count}" for system, count in zip(report.systems, row.counts, strict=True) if count)
        for row in failures(report)]}
    if retrieval := report.retrieval:
        sections["Retrieval alone"] = [
            *(f"{name}: {figures(estimate)}" for name, estimate in retrieval.scores.items()),
            *(f"AUROC against {kind}: {figures(auroc)}" for kind, auroc, _ in told_from(retrieval.answerability))]
    sections["Sentences and their passages"] = [str(report.support)] if report.support else []
    sections["Test questions that did not count"] = [
        f"line {left.line}: {left.question} ({left.reason})" for left in report.left_out]
    sections["What a reply costs"] = [
        f"{system}: " + ", ".join(f"{name.lower()} {value}" for name, value in zip(COSTS.values(), values, strict=True))
        for system, *values in cost_rows(report)]
    sections["Other training seeds"] = [
        f"{score}, {pair}: {by} by seed (spread {spread}); mean over seeds {mean}"
        for score, pair, by, spread, mean in seed_rows(report)]
    sections["A model's opinion"] = model_judge.lines(report.model_judge)
    if rests := report.provenance:
        sections["How to reproduce this"] = [
            *(f"{name}: {value}" for name, value in rests.sha256.items() if value),
            *(f"{name} {version}" for name, version in rests.packages.items())]
    if section := build(report.build):
        sections["The build itself"] = [
            *(f"audit, {note.severity}: {note.kind} ({note.count}), first {note.place}: {note.message}"
              for note in section.audit),
            *map(str, section.gates),
            *(f"stated without documents: {fact.fact} ({fact.document}, {fact.heading})"
              + (", no longer in the documents" if fact.stale else "") for fact in section.stated),
            *(f"{name}: planned {planned} s, took {actual} s (ratio {ratio})"
              for name, planned, actual, ratio in section.plan)]
    return [line for title, lines in sections.items() if lines
            for line in ("", f"## {title}", "", *(f"- {line}" for line in lines))]
