"""The report's pictures: facts against tone, risk against coverage, failures by cause, the worst replies."""

from collections.abc import Mapping, Sequence
from typing import Any

from builder.evaluation.failures import CAUSES, holds_facts, worst

Report = dict[str, Any]
SIZE, LEFT, BOTTOM = 300, 40, 36
"""A picture's square in units of its view box, and the room for the axes' words."""


def facts_against_tone(report: Report) -> list[dict[str, Any]]:
    """Each system's mark and whiskers on the plane of facts (to the right) and tone (upwards); none if unscored."""
    made = []
    for system, scores in report["systems"].items():
        facts, tone = (scores.get(name) or {} for name in ("facts", "tone"))
        if facts.get("value") is None or tone.get("value") is None:
            continue
        across = [_across(facts.get(end)) for end in ("value", "low", "high")]
        up = [_up(tone.get(end)) for end in ("value", "low", "high")]
        made.append({"system": system, "x": across[0], "y": up[0], "left": across[1], "right": across[2],
                     "below": up[1], "above": up[2], "said": f"{facts['value']:.2f} and {tone['value']:.2f}"})
    return made


def risk_against_coverage(report: Report) -> list[dict[str, Any]]:
    """For each system that says how sure it is: how often it is wrong among the questions it is surest of.

    Risk at coverage c (El-Yaniv and Wiener 2010) is the share of wrong replies among the c surest, of all questions;
    to answer what the documents don't answer is wrong. The curve ends where the system abstains.
    """
    made = []
    for system in report["systems"]:
        sure = sorted(((row["replies"][system]["probability"], _wrong(row, row["replies"][system]))
                       for row in report["rows"] if system in row["replies"]
                       and row["replies"][system]["probability"] is not None
                       and not row["replies"][system]["abstained"]), key=lambda pair: -pair[0])
        judged = [wrong for _, wrong in sure if wrong is not None]
        if len(judged) < 2:
            continue
        risks = [sum(judged[:count]) / count for count in range(1, len(judged) + 1)]
        places = [(_across(count / len(report["rows"])), _up(risk)) for count, risk in enumerate(risks, 1)]
        made.append({"system": system, "points": " ".join(f"{x},{y}" for x, y in places), "x": places[-1][0],
                     "y": places[-1][1], "coverage": len(judged) / len(report["rows"]), "risk": risks[-1],
                     "area": sum(risks) / len(risks)})
    return made


def _wrong(row: Mapping[str, Any], reply: Mapping[str, Any]) -> bool | None:
    """Whether a reply is wrong; None where nothing tells."""
    if not row["answerable"]:
        return True
    right = holds_facts(row, reply)
    return None if right is None else not right


def _across(share: float | None) -> float | None:
    return None if share is None else round(LEFT + share * SIZE, 2)


def _up(share: float | None) -> float | None:
    return None if share is None else round(SIZE + 8 - share * SIZE, 2)


def failures(report: Report) -> list[dict[str, Any]]:
    """One row for each cause that occurs: what it means, and how many replies of each system fell short for it."""
    counts: Mapping[str, Mapping[str, int]] = report.get("failures") or {}
    return [{"cause": name, "meaning": meaning, "counts": [counts.get(system, {}).get(name, 0)
                                                           for system in report["systems"]]}
            for name, meaning in CAUSES.items() if any(name in found for found in counts.values())]


def worst_replies(report: Report) -> list[dict[str, Any]]:
    """For each system with replies that fell short its worst ones; each with question, cause, text and passages."""
    if "failures" not in report:
        return []
    made = []
    for system in report["systems"]:
        replies = [{"question": row["question"], "answer": row["answer"], "line": row["line"],
                    **{key: row["replies"][system][key] for key in ("text", "cause", "sources", "scores")}}
                   for row in worst(report["rows"], system)]
        if replies:
            made.append({"system": system, "replies": replies})
    return made


def lines(report: Report) -> Sequence[str]:
    """Failures by cause as a Markdown list, which the report escapes; nothing where they weren't counted."""
    found = failures(report)
    if not found:
        return []
    return ["", "## Why replies fell short", "", *(
        f"- {row['cause']} ({row['meaning']}): " + ", ".join(
            f"{system} {count}" for system, count in zip(report["systems"], row["counts"], strict=True) if count)
        for row in found)]
