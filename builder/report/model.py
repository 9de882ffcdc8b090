"""What a report must hold to be drawn, so that one of an older version, or a damaged one, is told in one line."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from builder.evaluation.compare_releases import BEST
from knowledge.errors import UserError
from knowledge.files import read_json


class _Estimate(BaseModel):
    value: float | None
    low: float | None
    high: float | None
    n: int


class _Title(BaseModel):
    title: str
    better: str
    unit: str
    explanation: str


class _Difference(BaseModel):
    score: str
    left: str
    right: str
    value: float | None
    low: float | None
    high: float | None
    adjusted: float | None
    detectable: float | None
    verdict: str
    primary: bool


class _Source(BaseModel):
    document: str
    heading: str
    start: int
    end: int


class _Reply(BaseModel):
    text: str
    abstained: bool
    probability: float | None
    seconds: float
    tokens: int
    scores: dict[str, float | None]
    evidence: dict[str, str]
    sources: list[_Source]


class _Row(BaseModel):
    line: int
    question: str
    answer: str
    answerable: bool
    group: str
    replies: dict[str, _Reply]


class _Limits(BaseModel):
    elsewhere: _Estimate | None
    unanswerable: _Estimate | None
    near_misses: _Estimate | None
    reliability: list[dict[str, float]]
    coverage: list[dict[str, float]]


class _Miss(BaseModel):
    question: str
    right: list[str]
    came: list[str]


class _Retrieval(BaseModel):
    answerability: _Limits
    misses: list[_Miss]


class _Report(BaseModel):
    made: str
    verdict: str
    halves: dict[str, str]
    questions: int
    answerable: int
    unanswerable: int
    seconds: float
    systems: dict[str, dict[str, _Estimate]]
    scores: dict[str, _Title] = Field(min_length=1)
    differences: list[_Difference]
    rows: list[_Row]
    arms: dict[str, str] = {}
    retrieval: _Retrieval | None = None


def read_report(path: Path, name: str) -> dict[str, Any]:
    """A report.json as it is, with all that the pages read; UserError where it can't be read or lacks a part.

    `name` is what the line calls the release that the report is of.
    """
    report: dict[str, Any] = read_json(path)
    try:
        made = _Report.model_validate(report, strict=True)
        strange = {one.score for one in made.differences} - made.scores.keys()
        lacks = f"scores.{min(strange)}" if strange else "" if made.systems.keys() & set(BEST) else "systems"
    except ValidationError as error:
        lacks = ".".join(map(str, error.errors()[0]["loc"])) or "all of it"
    if lacks:
        raise UserError(f"{name}: its report is of an older version, or damaged ({lacks} is missing or not as it "
                        "should be); `twofold evaluate` makes a new one of what is built now")
    return report
