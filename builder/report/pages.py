"""A report as a self-contained HTML page, as Markdown and as a table for the terminal."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from builder.report import section_build, section_costs, section_pictures
from builder.report.section_retrieval import lines as retrieval_lines
from builder.report.section_retrieval import section

Report = dict[str, Any]

NONE = "–"
"""What stands where there is no value."""

PRIMARY = ("facts", "tone")
"""The scores with a chart of their own, and those by which rows are sorted."""

COLUMNS = {"facts": "Facts", "tone": "Tone", "abstains_unanswerable": "Abstains rightly",
           "abstains_answerable": "Abstains wrongly", "grounded": "Grounded", "words": "Words", "seconds": "Seconds"}
"""The scores of the main table and their headings."""

SHAPES = {"prompt-only": "circle", "rag-only": "square", "fine-tune-only": "triangle", "hybrid": "diamond"}
"""Each system's mark, so that no chart rests on colour alone."""

MEANINGS = {"prompt-only": "the base model with the brand's prompt", "rag-only": "plus the passages found",
            "fine-tune-only": "plus the adapter, without passages", "hybrid": "plus the adapter and the passages"}

HEADLINES = {"earned": "{} earned its place.", "nothing": "{} earned nothing that could be shown.",
             "harmed": "{} did harm.", "cannot tell": "{}: cannot tell."}

WIDTH, EDGE = 340, 14
"""The charts' width and margin in units of their view boxes, close to a phone's pixels so that text stays legible."""

SYSTEM_ROW, PAIR_ROW, AXIS = 42, 66, 30
"""Heights of a system's row, of a difference's row and of the axis below them."""

_PAGE = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True,
                    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


@dataclass(frozen=True)
class Scale:
    """A linear map from values low..high to positions left..right; what lies outside is held at the edge."""

    low: float
    high: float
    left: float
    right: float

    def place(self, value: float) -> float:
        """The position of a value, to a hundredth of a unit."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.left + share * (self.right - self.left), 2)


def to_html(report: Report) -> str:
    """The report as one page that fetches nothing and runs no script; every text in it is escaped."""
    systems = list(report["systems"])
    pairs = [one for one in report["differences"] if one["primary"]]
    return _PAGE.get_template("report.html.jinja").render(
        report=report, systems=systems, shapes=SHAPES, meanings=MEANINGS | report.get("arms", {}),
        headlines=[(half, state, HEADLINES[state].format(half.capitalize()))
                   for half, state in report["halves"].items()],
        columns=[(score, heading, _direction(report, score)) for score, heading in COLUMNS.items()],
        cells={system: {score: cell(report, system, score) for score in COLUMNS} for system in systems},
        charts=[_systems_chart(report, score) for score in PRIMARY if score in report["scores"]],
        differences=[chart for score in PRIMARY
                     if (chart := _differences_chart(report, pairs, score))],
        retrieval=section(report.get("retrieval")), tested=len(pairs), primary=pairs,
        costs=section_costs.section(report), build=section_build.section(report.get("build")),
        told_apart=told_apart_line(report),
        facts_tone=section_pictures.facts_against_tone(report), risks=section_pictures.risk_against_coverage(report),
        size=section_pictures.SIZE, left=section_pictures.LEFT, failures=section_pictures.failures(report),
        worst=section_pictures.worst_replies(report),
        exploratory=[one for one in report["differences"] if not one["primary"]],
        judged=Counter(row["by"] for row in report["rows"] if row["by"]), rows=_most_different_first(report),
        title=_title, number=number, signed=_signed, pair=_pair, chance=_chance, interval=_interval, unit=_unit,
        dash=NONE)


def to_markdown(report: Report) -> str:
    """The verdict, the table of systems and the table of differences; texts can't break out of their cells."""
    headers, rows = _table(report)
    lines = [f"# {_plain(report['name'])}: what each half earned", "", _plain(report["verdict"]), "",
             f"{report['questions']} questions in {report['groups']} groups, {report['answerable']} answerable and "
             f"{report['unanswerable']} not; made {_plain(report['made'])}. Brackets hold 95 % intervals.", "",
             *_markdown_table(headers, rows), *filter(None, ["", told_apart_line(report)]), "", "## Differences", "",
             "Paired by question. Primary ones are corrected by Holm; all others are exploratory.", ""]
    differences = [[_title(report, one["score"]), _pair(one), _signed(one["value"], _unit(report, one["score"])),
                    _interval(one, _unit(report, one["score"]), sign=True), str(one.get("n", NONE)),
                    _chance(one["adjusted"]), number(one["detectable"], _unit(report, one["score"])),
                    one["verdict"] + ("" if one["primary"] else " (exploratory)")] for one in report["differences"]]
    lines += _markdown_table(["Score", "Pair", "Difference", "95 % interval", "n", "p", "Detectable", "Verdict"],
                             differences)
    more = [*section_pictures.lines(report), *retrieval_lines(report.get("retrieval")),
            *section_costs.lines(report), *section_build.lines(report.get("build"))]
    lines += [_plain(line) if line.startswith("- ") else line for line in more]
    lines += ["", "## What the scores mean", ""]
    lines += [f"- **{_plain(one['title'])}**: {_plain(one['explanation'])}" for one in report["scores"].values()]
    return "\n".join(lines) + "\n"


def rows_for_terminal(report: Report) -> tuple[list[str], list[list[str]]]:
    """Headers and one row for each system; cells such as `.56 [.48, .63]`, a dash where nothing was scored."""
    headers = ["System", *(f"{heading} (n)" if heading.startswith("Abstains") else heading
                           for heading in COLUMNS.values())]
    rows = [[system, *(" ".join(filter(None, (value, doubt, f"({n})" if score.startswith("abstains") else "")))
                       for score in COLUMNS for value, doubt, n in [cell(report, system, score)])]
            for system in report["systems"]]
    return headers, rows


def told_apart_line(report: Report) -> str:
    """How well each system's replies are told from the brand's own, in one sentence; nothing where it wasn't asked."""
    found = report.get("told_apart", {}).get("systems")
    if not found:
        return ""
    told = ", ".join(f"{system} {number(one['value'], 'share')} [{_interval(one, 'share')}]"
                     for system, one in found.items())
    return (f"Told from {report['told_apart']['own']} {report['told_apart']['of']} of the brand by a classifier that "
            f"sees no fixed phrases, names or numbers (AUROC; .50 would be not at all): {told}.")


def cell(report: Report, system: str, score: str) -> tuple[str, str, int]:
    """A system's value, its interval in brackets (or nothing) and its n."""
    found = report["systems"].get(system, {}).get(score) or {}
    unit = _unit(report, score)
    doubt = _interval(found, unit)
    return number(found.get("value"), unit), f"[{doubt}]" if doubt else "", found.get("n") or 0


def number(value: float | None, unit: str) -> str:
    """A figure as people read it: shares as .56, seconds to a tenth, words and tokens whole; a dash for none."""
    if not _known(value):
        return NONE
    if unit in ("share", "points"):
        said = f"{value:.2f}"
        return said.replace("0.", ".", 1) if said.lstrip("-").startswith("0.") else said
    return f"{value:.1f}" if unit in ("seconds", "grade") else f"{value:.0f}"


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _signed(value: float | None, unit: str) -> str:
    if not _known(value) or value is None:
        return NONE
    size = number(abs(value), unit)
    return size if not size.strip("0.") else ("+" if value > 0 else "−") + size


def _interval(found: dict[str, Any], unit: str, sign: bool = False) -> str:
    low, high = found.get("low"), found.get("high")
    if not _known(low) or not _known(high):
        return ""
    return f"{_signed(low, unit)}, {_signed(high, unit)}" if sign else f"{number(low, unit)}, {number(high, unit)}"


def _chance(p: float | None) -> str:
    if not _known(p) or p is None:
        return NONE
    return "< .001" if p < 0.001 else number(p, "share") if p >= 0.1 else f"{p:.3f}".replace("0.", ".", 1)


def _unit(report: Report, score: str) -> str:
    return str(report["scores"].get(score, {}).get("unit", "share"))


def _title(report: Report, score: str) -> str:
    return str(report["scores"].get(score, {}).get("title", score))


def _direction(report: Report, score: str) -> str:
    return {"higher": "higher is better", "lower": "lower is better"}.get(
        report["scores"].get(score, {}).get("better", ""), "")


def _pair(one: dict[str, Any]) -> str:
    return f"{one['left']} − {one['right']}" if one["right"] else one["left"]


def _most_different_first(report: Report) -> list[dict[str, Any]]:
    """The rows, those first where the systems' primary scores lie furthest apart."""
    def spread(row: dict[str, Any]) -> float:
        total = 0.0
        for score in PRIMARY:
            values = [value for reply in row["replies"].values() if _known(value := reply["scores"].get(score))]
            total += max(values) - min(values) if values else 0.0
        return total

    return sorted(({**row, "spread": spread(row)} for row in report["rows"]), key=lambda row: -row["spread"])


def _systems_chart(report: Report, score: str) -> dict[str, Any]:
    """Where each system's mark, whisker and words stand on an axis from 0 to 1 (or to the largest value)."""
    unit = _unit(report, score)
    found = {system: values.get(score) or {} for system, values in report["systems"].items()}
    most = max([1.0, *(one[key] for one in found.values() for key in ("value", "high") if _known(one.get(key)))])
    scale = Scale(0.0, 1.0 if unit == "share" else most, EDGE, WIDTH - EDGE)
    rows = [{"system": system, "shape": SHAPES.get(system, "circle"), "top": place * SYSTEM_ROW,
             "middle": place * SYSTEM_ROW + 30, "said": " ".join(cell(report, system, score)[:2]),
             "n": one.get("n") or 0, **_points(scale, one)} for place, (system, one) in enumerate(found.items())]
    bottom = len(rows) * SYSTEM_ROW + 2
    said = "; ".join(f"{row['system']} {row['said']}, n {row['n']}" for row in rows)
    return {"title": _title(report, score), "rows": rows, "bottom": bottom, "width": WIDTH,
            "height": bottom + AXIS, "direction": _direction(report, score), "label": said,
            "ticks": [(scale.place(scale.high * share), number(scale.high * share, unit))
                      for share in (0, 0.25, 0.5, 0.75, 1)]}


def _differences_chart(report: Report, pairs: Sequence[dict[str, Any]], score: str) -> dict[str, Any] | None:
    """Where a score's differences, their whiskers and what could go unseen stand around zero; None without any.

    The axis has room for all `pairs`, so that the charts of two scores can be compared by eye.
    """
    known = [one for one in pairs if one["score"] == score and _known(one["value"])]
    if not known:
        return None
    unit = _unit(report, score)
    furthest = max(abs(one[key]) for one in pairs for key in ("value", "low", "high", "detectable") if _known(one[key]))
    reach = max(0.2, math.ceil(furthest * 10) / 10)
    scale = Scale(-reach, reach, EDGE, WIDTH - EDGE)
    rows = [{"pair": _pair(one), "top": place * PAIR_ROW, "middle": place * PAIR_ROW + 48, "verdict": one["verdict"],
             "said": f"{_signed(one['value'], unit)} [{_interval(one, unit, sign=True) or NONE}]",
             "chance": _chance(one["adjusted"]), "detectable": number(one["detectable"], unit), "n": one.get("n", NONE),
             "band": [scale.place(-(one["detectable"] or 0)), scale.place(one["detectable"] or 0)],
             **_points(scale, one)} for place, one in enumerate(known)]
    bottom = len(rows) * PAIR_ROW + 2
    said = "; ".join(f"{row['pair']} {row['said']}, {row['verdict']}" for row in rows)
    return {"title": _title(report, score), "rows": rows, "bottom": bottom, "width": WIDTH,
            "height": bottom + AXIS, "zero": scale.place(0), "label": said,
            "ticks": [(scale.place(reach * share), _signed(reach * share, unit)) for share in (-1, -0.5, 0, 0.5, 1)]}


def _points(scale: Scale, found: dict[str, Any]) -> dict[str, float | None]:
    value, low, high = (found.get(key) for key in ("value", "low", "high"))
    ends = _known(low) and _known(high)
    return {"at": scale.place(value) if value is not None and _known(value) else None,
            "from": scale.place(low) if ends and low is not None else None,
            "to": scale.place(high) if ends and high is not None else None}


def _table(report: Report) -> tuple[list[str], list[list[str]]]:
    headers = ["System", *(f"{heading} ({way})" if (way := _direction(report, score)) else heading
                           for score, heading in COLUMNS.items())]
    return headers, [[system, *(f"{value} {doubt} n={n}".replace("  ", " ") if n else value
                                for score in COLUMNS for value, doubt, n in [cell(report, system, score)])]
                     for system in report["systems"]]


def _markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(map(_plain, row))} |" for row in (headers, ["---"] * len(headers), *rows)]


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: on one line, with its special characters escaped."""
    line = " ".join(str(text).split())
    return line if line == "---" else "".join(f"\\{sign}" if sign in r"\`*_[]<>|#~&!" else sign for sign in line)
