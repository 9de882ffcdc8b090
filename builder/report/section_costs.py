"""The report's sections on what a reply costs, on seeds, on a model's opinion, and on what it all rests on."""

import json
from typing import Any

from builder.evaluation import model_judge

Report = dict[str, Any]
COSTS = {"median_seconds": "Seconds, median", "slow_seconds": "Seconds, 95 of 100 below", "read": "Tokens read",
         "said": "Tokens said", "hours_per_thousand": "Machine hours for 1,000"}
"""The columns of the table of costs."""


def cost_rows(report: Report) -> list[list[str]]:
    """One row for each system: its name and its costs as people read them."""
    digits = {"median_seconds": 1, "slow_seconds": 1, "hours_per_thousand": 2}
    return [[system, *(f"{one[name]:,.{digits.get(name, 0)}f}" for name in COSTS)]
            for system, one in (report.get("costs") or {}).items()]


def seed_rows(report: Report) -> list[list[str]]:
    """One row for each pair: the score, the pair, its difference by seed, their spread, and their mean's interval."""
    return [[report["scores"][one["score"]]["title"], f"{one['left']} − {one['right']}",
             ", ".join(f"{value:+.2f}" for value in one["values"]), f"{one['spread']:.2f}",
             f"{one['value']:+.2f} [{one['low']:+.2f}, {one['high']:+.2f}]"]
            for one in (report.get("seeds") or {}).get("differences", [])]


def section(report: Report) -> dict[str, Any]:
    """What the HTML page draws."""
    return {"opinion": model_judge.lines(report), "costs": cost_rows(report),
            "columns": list(COSTS.values()), "seeds": seed_rows(report),
            "of": (report.get("seeds") or {}).get("seeds", []),
            "provenance": json.dumps(report["provenance"], indent=1, ensure_ascii=False)
            if report.get("provenance") else ""}


def lines(report: Report) -> list[str]:
    """The same as Markdown lines, which the report escapes."""
    made = []
    if costs := cost_rows(report):
        made += ["", "## What a reply costs", ""]
        made += [f"- {system}: " + ", ".join(f"{name.lower()} {value}" for name, value in
                                             zip(COSTS.values(), values, strict=True)) for system, *values in costs]
    if seeds := seed_rows(report):
        made += ["", "## Seeds of training", ""]
        made += [f"- {score}, {pair}: {by} by seed (spread {spread}); over questions, of their mean, {mean}"
                 for score, pair, by, spread, mean in seeds]
    if opinion := model_judge.lines(report):
        made += ["", "## A model's opinion", "", *(f"- {line}" for line in opinion)]
    if rests := report.get("provenance"):
        made += ["", "## What it rests on", ""]
        made += [f"- {name}: {value}" for name, value in rests["sha256"].items() if value]
        made += [f"- {name} {version}" for name, version in rests["packages"].items()]
    return made
