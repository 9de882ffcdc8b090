"""The report's section on the build itself: gates met or missed, what was forgotten and memorised, plan and actual."""

from typing import Any

Build = dict[str, Any]
"""What the pipeline puts under `build`: `gates`, `checks` and `plan`."""
MOST = 20
"""Of each list that are shown; the checks' own file holds all."""


def section(build: Build | None) -> Build | None:
    """What the HTML page draws, text alone; None where nothing was built by training."""
    if not build or not (build.get("gates") or build.get("plan")):
        return None
    checks = build.get("checks") or {}
    items = (checks.get("forgetting") or {}).get("items", [])
    lost = [item for item in items if item.get("right_before") and not item.get("right_after")]
    return {"gates": build["gates"], "lost": lost[:MOST], "more_lost": max(0, len(lost) - MOST),
            "stated": (checks.get("memorised") or {}).get("stated", [])[:MOST],
            "plan": [{"name": one["name"], "planned": f"{one['seconds']:.0f} ({one['low']:.0f} to {one['high']:.0f})",
                      "actual": f"{one['actual']:.0f}", "ratio": f"{one['ratio']:.2f}"} for one in build["plan"]]}


def lines(build: Build | None) -> list[str]:
    """The same as Markdown lines, which the report escapes."""
    found = section(build)
    if not found:
        return []
    made = ["", "## The build itself", ""]
    made += [f"- {'met' if gate['met'] else 'MISSED'}: {gate['name']}: {gate['said']}" for gate in found["gates"]]
    made += [f"- from the weights, without the documents: {one['fact']} ({one['document']}, {one['heading']})"
             + (", which they no longer say" if one["stale"] else "") for one in found["stated"]]
    made += [f"- {one['name']}: planned {one['planned']} s, took {one['actual']} s (ratio {one['ratio']})"
             for one in found["plan"]]
    return made
