"""Where everything stands in the report's pictures: scores, differences, trade-offs and retrieval, in SVG units."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from builder.evaluation.failures import holds_facts
from builder.evaluation.report import (
    Answerability,
    CoveragePoint,
    Difference,
    Estimate,
    ReliabilityBin,
    Report,
    Row,
    ScoredReply,
)

WIDTH, EDGE = 340, 14
"""The charts' width and margin in units of their view boxes, close to a phone's pixels so that text stays legible."""
SYSTEM_ROW, PAIR_ROW, AXIS = 42, 66, 30
"""Heights of a system's row, of a difference's row and of the axis below them."""
SIZE, LEFT = 300, 40
"""A square picture's side, and the room for its axis's words."""
SHARES = (0, 0.25, 0.5, 0.75, 1)


@dataclass(frozen=True)
class Scale:
    """A linear map from values low..high to positions start..end; what lies outside is held at the edge."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """The position of a value, to a hundredth of a unit."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)


@dataclass(frozen=True)
class Mark:
    """One row of a chart: its value at `at`, its interval, and the row's own top and middle; None where unknown."""

    name: str
    top: float
    middle: float
    at: float | None
    start: float | None
    end: float | None
    estimate: Estimate | Difference
    band: tuple[float, float] = (0, 0)
    """What is too small to be seen."""


@dataclass(frozen=True)
class Chart:
    """A row for each system or pair above one axis."""

    score: str
    marks: list[Mark]
    bottom: float
    ticks: list[tuple[float, float]]
    """Positions and values."""
    zero: float | None = None

    @property
    def height(self) -> float:
        """Of the whole chart with its axis."""
        return self.bottom + AXIS


@dataclass(frozen=True)
class Point:
    """A point of a picture, with what it stands for; `left` to `right` and `below` to `above` are its intervals."""

    name: str
    x: float
    y: float
    left: float | None = None
    right: float | None = None
    below: float | None = None
    above: float | None = None
    text: str = ""


@dataclass(frozen=True)
class Curve:
    """How often a system is wrong (`risk`) among the share of questions that it is surest of (`coverage`)."""

    system: str
    points: str
    x: float
    y: float
    coverage: float
    risk: float
    area: float


@dataclass(frozen=True)
class Picture:
    """A picture of retrieval: points, a curve or both, between two axes from 0 to 1."""

    title: str
    across: str
    up: str
    caption: str
    label: str
    points: list[Point] = field(default_factory=list)
    line: str = ""
    curve: str = ""
    width: int = 340
    height: int = 232
    left: int = 40
    right: int = 326
    top: int = 10
    bottom: int = 196

    def x(self, share: float) -> float:
        """Where a share lies on the lower axis."""
        return Scale(0, 1, self.left, self.right).place(share)

    def y(self, share: float) -> float:
        """Where a share lies on the left axis."""
        return Scale(0, 1, self.bottom, self.top).place(share)


def known(value: float | None) -> bool:
    """Whether there is a value, and a finite one."""
    return value is not None and math.isfinite(value)


def systems_chart(report: Report, score: str) -> Chart:
    """Each system's score on an axis from 0 to 1, or to the largest value."""
    found = {system: report.estimate(system, score) for system in report.systems}
    most = max([1.0, *(value for one in found.values() for value in (one.value, one.high)
                       if value is not None and math.isfinite(value))])
    scale = Scale(0.0, 1.0 if report.scores[score].unit == "share" else most, EDGE, WIDTH - EDGE)
    marks = [_mark(scale, system, one, place * SYSTEM_ROW, 30) for place, (system, one) in enumerate(found.items())]
    return Chart(score, marks, len(marks) * SYSTEM_ROW + 2,
                 [(scale.place(scale.high * share), scale.high * share) for share in SHARES])


def differences_chart(pairs: Sequence[Difference], score: str) -> Chart | None:
    """A score's differences, their intervals and what could go unseen, around zero; None without any.

    The axis has room for all `pairs`, so that the charts of two scores can be compared by eye.
    """
    found = [pair for pair in pairs if pair.score == score and known(pair.value)]
    if not found:
        return None
    furthest = max(abs(value) for pair in pairs for value in (pair.value, pair.low, pair.high, pair.detectable)
                   if known(value))
    reach = max(0.2, math.ceil(furthest * 10) / 10)
    scale = Scale(-reach, reach, EDGE, WIDTH - EDGE)
    marks = [_mark(scale, pair.pair, pair, place * PAIR_ROW, 48,
                   (scale.place(-pair.detectable), scale.place(pair.detectable))) for place, pair in enumerate(found)]
    return Chart(score, marks, len(marks) * PAIR_ROW + 2,
                 [(scale.place(reach * share), reach * share) for share in (-1, -0.5, 0, 0.5, 1)], scale.place(0))


def _mark(scale: Scale, name: str, found: Estimate | Difference, top: float, down: float,
          band: tuple[float, float] = (0, 0)) -> Mark:
    def place(value: float | None) -> float | None:
        return scale.place(value) if value is not None and math.isfinite(value) else None

    both = known(found.low) and known(found.high)
    return Mark(name, top, top + down, place(found.value), place(found.low) if both else None,
                place(found.high) if both else None, found, band)


def facts_against_tone(report: Report) -> list[Point]:
    """Each system on the plane of facts (to the right) and tone (upwards); none that is unscored."""
    points = []
    for system in report.systems:
        facts, tone = report.estimate(system, "facts"), report.estimate(system, "tone")
        if facts.value is not None and tone.value is not None:
            points.append(Point(system, _across(facts.value), _up(tone.value), _maybe(_across, facts.low),
                                _maybe(_across, facts.high), _maybe(_up, tone.low), _maybe(_up, tone.high),
                                f"{facts.value:.2f} and {tone.value:.2f}"))
    return points


def risk_against_coverage(report: Report) -> list[Curve]:
    """For each system that says how sure it is: how often it is wrong among the questions it is surest of.

    Risk at coverage c (El-Yaniv and Wiener 2010) is the share of wrong replies among the c surest, of all questions;
    to answer what the documents don't answer is wrong. The curve ends where the system abstains.
    """
    curves = []
    for system in report.systems:
        replies = [(row, row.replies[system]) for row in report.rows if system in row.replies]
        sure = sorted(((reply.probability, _wrong(row, reply)) for row, reply in replies
                       if reply.probability is not None and not reply.abstained), key=lambda pair: -pair[0])
        judged = [wrong for _, wrong in sure if wrong is not None]
        if len(judged) < 2:
            continue
        risks = [sum(judged[:count]) / count for count in range(1, len(judged) + 1)]
        places = [(_across(count / len(report.rows)), _up(risk)) for count, risk in enumerate(risks, 1)]
        curves.append(Curve(system, " ".join(f"{x},{y}" for x, y in places), *places[-1],
                            len(judged) / len(report.rows), risks[-1], sum(risks) / len(risks)))
    return curves


def _wrong(row: Row, reply: ScoredReply) -> bool | None:
    """Whether a reply is wrong; None where nothing tells."""
    if not row.answerable:
        return True
    right = holds_facts(row, reply)
    return None if right is None else not right


def _across(share: float) -> float:
    return round(LEFT + share * SIZE, 2)


def _up(share: float) -> float:
    return round(SIZE + 8 - share * SIZE, 2)


def _maybe(place: Callable[[float], float], share: float | None) -> float | None:
    return None if share is None else place(share)


def retrieval(limits: Answerability) -> list[Picture]:
    """Whether the probability can be trusted, and what is gained by answering less."""
    return [_reliability(limits.reliability), _coverage(limits.coverage)]


def _reliability(bins: Sequence[ReliabilityBin]) -> Picture:
    axes = Picture("Can you trust the probability?", "stated probability", "passage found",
                   "Questions of similar probability; on the line, the probability is exact",
                   "; ".join(f"stated {one.predicted:.0%}, found {one.observed:.0%}, n {one.n}" for one in bins))
    axes.points.extend(Point("", axes.x(one.predicted), axes.y(one.observed), text=f"n {one.n}") for one in bins)
    return replace(axes, line=f"{axes.x(0)},{axes.y(0)} {axes.x(1)},{axes.y(1)}")


def _coverage(curve: Sequence[CoveragePoint]) -> Picture:
    axes = Picture("What do you gain by answering fewer questions?", "share of questions answered",
                   "of those, passage found", "The most probable first; further right, more questions are answered",
                   "; ".join(f"{point.covered:.0%} answered, {point.right:.0%} of them right" for point in curve))
    return replace(axes, curve=" ".join(f"{axes.x(point.covered)},{axes.y(point.right)}" for point in curve))
