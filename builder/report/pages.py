"""A report as a self-contained HTML page, as Markdown and as a table for the terminal."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from builder.answering.systems import SYSTEMS
from builder.evaluation import model_judge
from builder.evaluation.evaluate import PRIMARY
from builder.evaluation.report import Difference, Estimate, HalfOutcome, Report, Resemblance, Row
from builder.report import pictures, sections

NONE = "–"
"""What stands where there is no value."""

COLUMNS = {"facts": "Facts", "tone": "Tone", "abstains_unanswerable": "Abstains rightly",
           "abstains_answerable": "Abstains wrongly", "grounded": "Grounded", "words": "Words", "seconds": "Seconds"}
"""The scores of the main table and their headings."""

SHAPES = {"prompt-only": "circle", "rag-only": "square", "fine-tune-only": "triangle", "hybrid": "diamond"}
"""Each system's mark, so that no chart rests on colour alone."""

MEANINGS = {"prompt-only": "the base model with the brand's prompt", "rag-only": "plus the passages found",
            "fine-tune-only": "plus the adapter, without passages", "hybrid": "plus the adapter and the passages"}

HEADLINES = {HalfOutcome.EARNED: "{} clearly helps.", HalfOutcome.NOTHING: "{} showed no gain.",
             HalfOutcome.HARMED: "{} did harm.", HalfOutcome.CANNOT_TELL: "{}: not clear yet."}

_PAGE = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True,
                    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def to_html(report: Report) -> str:
    """The report as one page that fetches nothing and runs no script; every text in it is escaped."""
    primary = [pair for pair in report.differences if pair.primary]
    charts = [pictures.differences_chart(primary, score) for score in PRIMARY]
    return _PAGE.get_template("report.html.jinja").render(
        report=report, systems=list(report.systems), shapes=SHAPES, meanings=MEANINGS | report.arms,
        titles={system.name: system.title for system in SYSTEMS},
        headlines=[(outcome, HEADLINES[outcome].format(half.capitalize())) for half, outcome in report.halves.items()],
        columns=COLUMNS, charts=[pictures.systems_chart(report, score) for score in PRIMARY if score in report.scores],
        differences=list(filter(None, charts)), primary=primary, told_apart=told_apart_line(report),
        exploratory=[pair for pair in report.differences if not pair.primary], pictures=pictures, sections=sections,
        opinion=model_judge.lines(report.model_judge), build=sections.build(report.build),
        judged=Counter(row.by for row in report.rows if row.by), rows=_most_different_first(report),
        cell=cell, direction=direction, title=_title, number=number, signed=_signed, chance=_chance,
        interval=_interval, unit=_unit, dash=NONE)


def to_markdown(report: Report) -> str:
    """The verdict, the table of systems and the table of differences; texts can't break out of their cells."""
    headers = ["System", *(f"{heading} ({way})" if (way := direction(report, score)) else heading
                           for score, heading in COLUMNS.items())]
    rows = [[system, *(f"{value} {doubt} n={n}".replace("  ", " ") if n else value
                       for score in COLUMNS for value, doubt, n in [cell(report, system, score)])]
            for system in report.systems]
    lines = [f"# {_escaped(report.name)}: test report", "", _escaped(report.verdict), "",
             f"{report.questions} questions in {report.groups} groups, {report.answerable} answerable and "
             f"{report.unanswerable} not; made {_escaped(report.made)}. Brackets hold 95 % intervals.", "",
             *_markdown_table(headers, rows), *filter(None, ["", told_apart_line(report)]), "", "## Differences", "",
             "Paired by question. Primary ones are corrected by Holm; all others are exploratory.", ""]
    differences = [[_title(report, pair.score), pair.pair, _signed(pair.value, _unit(report, pair.score)),
                    _interval(pair, _unit(report, pair.score), sign=True), str(pair.n), _chance(pair.adjusted),
                    number(pair.detectable, _unit(report, pair.score)),
                    pair.verdict + ("" if pair.primary else " (exploratory)")] for pair in report.differences]
    lines += _markdown_table(["Score", "Pair", "Difference", "95 % interval", "n", "p", "Detectable", "Verdict"],
                             differences)
    lines += [_escaped(line) if line.startswith("- ") else line for line in sections.markdown(report)]
    lines += ["", "## What the scores mean", ""]
    lines += [f"- **{_escaped(score.title)}**: {_escaped(score.explanation)}" for score in report.scores.values()]
    return "\n".join(lines) + "\n"


def rows_for_terminal(report: Report) -> tuple[list[str], list[list[str]]]:
    """Headers and one row for each system; cells such as `.56 [.48, .63]`, a dash where nothing was scored."""
    headers = ["System", *(f"{heading} (n)" if heading.startswith("Abstains") else heading
                           for heading in COLUMNS.values())]
    rows = [[system, *(" ".join(filter(None, (value, doubt, f"({n})" if score.startswith("abstains") else "")))
                       for score in COLUMNS for value, doubt, n in [cell(report, system, score)])]
            for system in report.systems]
    return headers, rows


def told_apart_line(report: Report) -> str:
    """How well each system's replies are told from the brand's own, in one sentence; nothing where it wasn't asked."""
    found = report.told_apart
    if not found.systems:
        return ""
    values = ", ".join(f"{system} {number(one.value, 'share')} [{_interval(one, 'share')}]"
                       for system, one in found.systems.items())
    return (f"A classifier that sees no fixed phrases, names or numbers tells the replies from {found.own} {found.of} "
            f"of the brand with this AUROC (.50 = it cannot): {values}.")


def cell(report: Report, system: str, score: str) -> tuple[str, str, int]:
    """A system's value, its interval in brackets (or nothing) and its n."""
    found, unit = report.estimate(system, score), _unit(report, score)
    doubt = _interval(found, unit)
    return number(found.value, unit), f"[{doubt}]" if doubt else "", found.n


def number(value: float | None, unit: str) -> str:
    """A figure as people read it: shares as .56, seconds to a tenth, words and tokens whole; a dash for none."""
    if value is None or not math.isfinite(value):
        return NONE
    if unit in ("share", "points"):
        text = f"{value:.2f}"
        return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text
    return f"{value:.1f}" if unit in ("seconds", "grade") else f"{value:.0f}"


def direction(report: Report, score: str) -> str:
    """Which way is better; nothing where neither is."""
    found = report.scores.get(score)
    return f"{found.better} is better" if found and found.better != "neither" else ""


def _signed(value: float | None, unit: str) -> str:
    if value is None or not math.isfinite(value):
        return NONE
    size = number(abs(value), unit)
    return size if not size.strip("0.") else ("+" if value > 0 else "−") + size


def _interval(found: Estimate | Difference | Resemblance, unit: str, sign: bool = False) -> str:
    low, high = found.low, found.high
    if not pictures.known(low) or not pictures.known(high):
        return ""
    write = _signed if sign else number
    return f"{write(low, unit)}, {write(high, unit)}"


def _chance(p: float | None) -> str:
    if p is None or not math.isfinite(p):
        return NONE
    return "< .001" if p < 0.001 else number(p, "share") if p >= 0.1 else f"{p:.3f}".replace("0.", ".", 1)


def _unit(report: Report, score: str) -> str:
    return report.scores[score].unit if score in report.scores else "share"


def _title(report: Report, score: str) -> str:
    return report.scores[score].title if score in report.scores else score


def _most_different_first(report: Report) -> list[Row]:
    """The rows, those first where the systems' primary scores lie furthest apart."""
    def spread(row: Row) -> float:
        total = 0.0
        for score in PRIMARY:
            values = [value for reply in row.replies.values()
                      if (value := reply.scores.get(score)) is not None and math.isfinite(value)]
            total += max(values) - min(values) if values else 0.0
        return total

    return sorted(report.rows, key=lambda row: -spread(row))


def _markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(map(_escaped, row))} |" for row in (headers, ["---"] * len(headers), *rows)]


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is: on one line, with its special characters escaped."""
    line = " ".join(str(text).split())
    return line if line == "---" else "".join(f"\\{sign}" if sign in r"\`*_[]<>|#~&!" else sign for sign in line)
