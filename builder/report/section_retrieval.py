"""The report's section on retrieval: what it finds, and whether its probability can be trusted, as picture and text."""

from typing import Any

Found = dict[str, Any]

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340, 232, 40, 326, 10, 196
"""The pictures' size and the edges of what is drawn in them, in units of their view boxes."""

LIMITS = {"elsewhere": "questions about anything else", "unanswerable": "this workspace's unanswerable questions",
          "near_misses": "the same questions with their own passages taken out"}
"""What the answerable questions are told from."""


def section(found: Found | None) -> Found | None:
    """What the template draws: scores, the two pictures and the misses; None where nothing was judged."""
    if not found:
        return None
    limits = found["answerability"]
    return {"questions": found["questions"], "misses": found["misses"], "limits": limits,
            "scores": [(name, one) for name, one in found.items() if isinstance(one, dict) and "value" in one],
            "told": [(meaning, limits[name], limits["false_answers"][name]) for name, meaning in LIMITS.items()
                     if limits[name]],
            "pictures": [_reliability(limits["reliability"]), _coverage(limits["coverage"])]}


def lines(found: Found | None) -> list[str]:
    """The section as lines of Markdown, its figures only."""
    made = section(found)
    if not made:
        return []
    return ["", "## What retrieval finds", "", *(
        f"- {name}: {said(one)}" for name, one in made["scores"]), *(
        f"- AUROC against {meaning}: {said(one)}" for meaning, one, _ in made["told"])]


def said(one: Found) -> str:
    """A value with its interval and n."""
    around = f" [{one['low']:.3f}, {one['high']:.3f}]" if one["low"] is not None else ""
    return f"{one['value']:.3f}{around}, n {one['n']}"


def _reliability(bins: list[Found]) -> Found:
    points = [{"x": _x(one["predicted"]), "y": _y(one["observed"]), "n": one["n"]} for one in bins]
    told = "; ".join(f"said {one['predicted']:.0%}, found {one['observed']:.0%}, n {one['n']}" for one in bins)
    return {"title": "Can the probability be trusted?", "across": "what it says", "up": "found its passage",
            "caption": "Questions of like probability; on the line, what it says is what happens", "points": points,
            "line": f"{_x(0)},{_y(0)} {_x(1)},{_y(1)}", "curve": "", "label": told, **_axes()}


def _coverage(curve: list[Found]) -> Found:
    path = " ".join(f"{_x(one['covered'])},{_y(one['right'])}" for one in curve)
    told = "; ".join(f"{one['covered']:.0%} answered, {one['right']:.0%} of them right" for one in curve)
    return {"title": "What is gained by answering less?", "across": "share of questions answered",
            "up": "of those, found its passage",
            "caption": "The most probable first; the further right, the more is answered",
            "points": [], "line": "", "curve": path, "label": told, **_axes()}


def _axes() -> Found:
    shares = (0, 0.25, 0.5, 0.75, 1)
    return {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM,
            "columns": [(_x(share), f"{share:.0%}") for share in shares],
            "rows": [(_y(share), f"{share:.0%}") for share in shares]}


def _x(share: float) -> float:
    return round(LEFT + share * (RIGHT - LEFT), 2)


def _y(share: float) -> float:
    return round(BOTTOM - share * (BOTTOM - TOP), 2)
