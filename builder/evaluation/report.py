"""The report of an evaluation: its parts, typed, and how its file is read. Everything that shows results reads this."""

from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from builder.scoring.statistics import Outcome
from builder.workspace.folder import Workspace
from builder.workspace.releases import Gate
from knowledge.errors import UserError
from knowledge.files import read_json

VERSION = 4
"""Of the report's file. Files before 4 carry no version; they are read where they hold all that is read here."""


BEST = ("hybrid", "rag-only", "fine-tune-only", "prompt-only")
"""What a workspace answers with, if it is built."""


class Part(BaseModel):
    """A part of a report. What a later version added is ignored, so that an older Twofold still reads it."""

    model_config = ConfigDict(populate_by_name=True)

    def as_json(self) -> dict[str, Any]:
        """What files hold and `--json` prints."""
        return self.model_dump(mode="json", by_alias=True)


class Estimate(Part):
    """A mean with its 95 % interval and the number of questions; all None where nothing was scored."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0


class ScoreTitle(Part):
    """What a score is called, which way is better, its unit, and what it means."""

    title: str
    better: Literal["higher", "lower", "neither"]
    unit: str
    explanation: str


class Verdict(StrEnum):
    """Of one difference between two systems."""

    BETTER = "better"
    WORSE = "worse"
    NOT_SHOWN = "no difference shown"


class Difference(Part):
    """A score of one system less that of another, paired by question, with its doubt; or how two halves interact."""

    score: str
    left: str
    right: str
    value: float
    low: float
    high: float
    p: float
    adjusted: float
    """p after Holm's correction where the difference is primary, else p."""
    detectable: float
    """The true difference that such data show in 80 % of studies, after Holm's correction where it is primary."""
    n: int = 0
    groups: int = 0
    primary: bool
    """Chosen before anything was seen; the verdict counts no other."""
    verdict: Verdict = Verdict.NOT_SHOWN
    margin: float | None = None
    p_worse: float | None = None
    """p that it lies below -`margin`."""
    p_apart: float | None = None
    """p that it lies outside ±`margin`."""
    more: int | None = None
    """Questions more that would show a difference worth seeing."""

    @property
    def pair(self) -> str:
        """What is compared with what, for people."""
        return f"{self.left} − {self.right}" if self.right else self.left


class Source(Part):
    """A passage that a reply was given; `start` and `end` are characters of the document's text."""

    document: str
    heading: str
    text: str = ""
    start: int
    end: int
    score: float = 0.0


class ScoredReply(Part):
    """One system's reply to one question, its scores and what each rests on."""

    text: str
    abstained: bool
    probability: float | None
    """That the passages answer the question; None where the system doesn't look any up."""
    found_right: bool | None = None
    """Whether a right passage was among those found; None where nothing tells."""
    finish: str = ""
    seconds: float
    tokens: int
    read: int = 0
    """Tokens of its prompt."""
    cause: str = ""
    """Why it fell short; empty where it did not."""
    scores: dict[str, float | None]
    evidence: dict[str, str]
    sources: list[Source]


class Row(Part):
    """One question with every system's reply."""

    line: int
    question: str
    answer: str
    answerable: bool
    group: str
    by: str = ""
    """What the facts are judged by: keyed facts, or the overlap with the reference answer."""
    replies: dict[str, ScoredReply]


class Costs(Part):
    """What one system's reply takes on this machine."""

    median_seconds: float
    slow_seconds: float
    """95 of 100 replies take less."""
    read: float
    """Mean tokens of a prompt."""
    said: float
    """Mean tokens of a reply."""
    hours_per_thousand: float


class Resemblance(Part):
    """How well a classifier tells a system's replies from the brand's own (AUROC; 0.5 says that it cannot)."""

    value: float
    low: float
    high: float
    n: int = 0


class ToldApart(Part):
    """Each system's resemblance to `own` texts of the brand: reference answers or held-out examples."""

    systems: dict[str, Resemblance] = {}
    own: int = 0
    of: str = ""


class HalfOutcome(StrEnum):
    """What retrieval or fine-tuning did for the score it is there for."""

    EARNED = "earned"
    NOTHING = "nothing"
    HARMED = "harmed"
    CANNOT_TELL = "cannot tell"


class Miss(Part):
    """A question whose right passage was not among those found, with what came instead."""

    question: str
    line: int = 0
    rank: int | None = None
    right: list[str]
    came: list[str]


class ReliabilityBin(Part):
    """Questions of like probability: what it says on average, and the share whose right passage was found."""

    predicted: float
    observed: float
    n: int


class CoveragePoint(Part):
    """How many questions are answered from this probability on, and the share of them whose passage was found."""

    covered: float
    right: float
    probability: float


class Answerability(Part):
    """How well the probability tells what the documents answer from what they don't."""

    threshold: float = 0.0
    """The probability from which a question is answered."""
    elsewhere: Estimate | None
    """AUROC against questions about anything else."""
    unanswerable: Estimate | None
    """AUROC against the workspace's unanswerable questions."""
    near_misses: Estimate | None
    """AUROC against the same questions with their own passages taken out."""
    answered: float = 0.0
    """The share of answerable questions that are answered."""
    false_answers: dict[str, float | None] = {}
    """The share of each kind of unanswerable questions that is answered all the same."""
    wished_false_answers: float = 0.0
    reliability: list[ReliabilityBin]
    coverage: list[CoveragePoint]


class Retrieval(Part):
    """What the index finds by itself, with what it missed."""

    questions: int = 0
    right_by: dict[str, int] = {}
    """How many questions each rule for the right passage decided."""
    hit_1: Estimate = Field(default=Estimate(), alias="hit@1")
    hit_3: Estimate = Field(default=Estimate(), alias="hit@3")
    hit_5: Estimate = Field(default=Estimate(), alias="hit@5")
    hit_10: Estimate = Field(default=Estimate(), alias="hit@10")
    recall_1: Estimate = Field(default=Estimate(), alias="recall@1")
    recall_3: Estimate = Field(default=Estimate(), alias="recall@3")
    recall_5: Estimate = Field(default=Estimate(), alias="recall@5")
    recall_10: Estimate = Field(default=Estimate(), alias="recall@10")
    mrr: Estimate = Estimate()
    ndcg_10: Estimate = Field(default=Estimate(), alias="ndcg@10")
    misses: list[Miss]
    answerability: Answerability

    @model_validator(mode="before")
    @classmethod
    def _of_an_older_version(cls, values: Any) -> Any:
        """Older files called the hit rate recall."""
        if isinstance(values, dict) and "recall@1" in values and "hit@1" not in values:
            return {name.replace("recall@", "hit@"): value for name, value in values.items()}
        return values

    @property
    def scores(self) -> dict[str, Estimate]:
        """Each score under the name that people know."""
        found = {"hit@1": self.hit_1, "hit@3": self.hit_3, "hit@5": self.hit_5, "hit@10": self.hit_10,
                 "recall@1": self.recall_1, "recall@3": self.recall_3, "recall@5": self.recall_5,
                 "recall@10": self.recall_10, "mrr": self.mrr, "ndcg@10": self.ndcg_10}
        return {name: estimate for name, estimate in found.items() if estimate.value is not None}


class SupportCheck(Part):
    """How far it can be trusted that a sentence is called supported, on sentences that nothing was chosen by."""

    sentences: int
    precision: Estimate
    """The share of those called supported that are."""
    recall: Estimate
    """The share of those supported that are called so."""
    called: dict[str, tuple[int, int]]
    """By kind of sentence: how many were called supported, and how many there are."""

    def __str__(self) -> str:
        """Both in a sentence, for people."""
        return ("Whether a passage supports a sentence is checked automatically. On "
                f"{self.sentences} sentences of other organisations, {_percent(self.precision)} of those called "
                f"supported were, and {_percent(self.recall)} of those that a passage supports were called so.")


def _percent(share: Estimate) -> str:
    around = "" if share.low is None or share.high is None else f" [{share.low:.0%}, {share.high:.0%}]"
    return "none" if share.value is None else f"{share.value:.0%}{around}"


class SeedDifference(Part):
    """A pair's difference with each seed of training, their spread, and the interval of their mean over questions."""

    score: str
    left: str
    right: str
    values: list[float]
    spread: float
    """Standard deviation over seeds."""
    n: int
    value: float
    low: float
    high: float
    p: float = 1.0
    detectable: float = 0.0
    groups: int = 0


class Seeds(Part):
    """The evaluation with adapters of other seeds."""

    seeds: list[int]
    differences: list[SeedDifference]


class PairOpinion(Part):
    """How often a language model liked the left system's reply better, in both orders."""

    left: str
    right: str
    n: int
    wins: int
    losses: int
    ties: int
    turned: int
    """Opinions that turned with the order, which count as none."""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    detectable: float | None = None
    groups: int = 0


class Opinion(Part):
    """A language model's opinion, and how often it agrees with people."""

    model: str
    pairs: list[PairOpinion]
    people: Estimate | None


class Provenance(Part):
    """What the report rests on: settings, hashes, versions, machine."""

    settings: dict[str, dict[str, Any]]
    sha256: dict[str, str | None]
    packages: dict[str, str]
    python: str = ""
    machine: str = ""


class Tolerance(Part):
    """How far the engine and the reference may lie apart, in nats of a token's log-probability."""

    mean: float
    """Of the absolute differences over all tokens."""
    largest: float
    """Of any one token's."""
    tie: float | None
    """How much likelier the reference may find another token than the one said; None where it may choose another."""


class WorstPlace(Part):
    """The token where what is served lies furthest from what was trained."""

    prompt: str
    number: int
    """Of the prompt, from 1."""
    token: int
    """Of the reply, from 1."""
    after: str
    served: str
    served_log_probability: float
    reference: str
    reference_log_probability: float


class ParityCheck(Part):
    """The figures of one way of serving, beside the reference."""

    precision: str
    adapter: Literal["on", "off"]
    tokens: int
    mean: float
    largest: float
    same: float
    """The share of tokens that the reference would have said too."""
    gap: float
    tolerance: Tolerance
    met: bool
    worst: WorstPlace


class Parity(Part):
    """Whether the engine says with what it serves what was trained."""

    met: bool
    sentence: str
    prompts: int
    own_template: bool
    """Whether llama.cpp makes the same prompts of the template inside the GGUF file."""
    checks: list[ParityCheck]
    effect: float | None
    """The mean absolute change of a log-probability by the adapter, in nats."""
    seconds: float


class ForgettingPart(Part):
    """One part of the base model's general ability, before and after."""

    before: float
    after: float
    n: int
    difference: float
    low: float
    high: float
    detectable: float
    margin: float
    outcome: Outcome
    unit: str
    lost: int | None = None
    gained: int | None = None
    perplexity_before: float | None = None
    perplexity_after: float | None = None


class ForgettingItem(Part):
    """A general request with its two replies, or a general text with its two log-probabilities."""

    part: str
    id: str
    field: str = ""
    request: str = ""
    before: str | float
    after: str | float
    right_before: bool | None = None
    right_after: bool | None = None


class Forgetting(Part):
    """What the adapter lost of the base model's general ability."""

    outcome: Outcome
    parts: dict[str, ForgettingPart]
    items: list[ForgettingItem]
    seconds: float


class StatedFact(Part):
    """A fact of the documents that the tuned model states without them."""

    question: str
    fact: str
    document: str
    heading: str
    reply: str
    stale: bool
    """The documents no longer say it."""
    origin: str = Field(validation_alias=AliasChoices("from", "origin"), serialization_alias="from")
    """`passage`, or the example whose question it was."""


class Memorised(Part):
    """What the tuned model states from its weights."""

    asked: int
    facts: int
    stated: list[StatedFact]
    share: Estimate | None
    tolerated: float
    met: bool
    sentence: str
    seconds: float


class Checks(Part):
    """What the checks of an adapter found; None for what could not be checked."""

    parity: Parity | None = None
    forgetting: Forgetting | None = None
    memorised: Memorised | None = None
    gates: list[Gate] = []


class PlannedStage(Part):
    """A stage of the build: planned seconds as a range, and what it took."""

    name: str
    seconds: float
    low: float
    high: float
    actual: float
    ratio: float
    """`actual` / `seconds`."""
    within: bool


class AuditNote(Part):
    """One kind of the audit's findings: how many there are, and the first of them."""

    kind: str
    severity: str
    count: int
    place: str
    """File and line of the first."""
    message: str


class LeftOut(Part):
    """A test question that did not count, because training answers it."""

    line: int
    question: str
    reason: str


class Build(Part):
    """What became of the build that the evaluation ended."""

    audit: list[AuditNote] = []
    gates: list[Gate] = []
    plan: list[PlannedStage] = []
    checks: Checks | None = None


class Report(Part):
    """One evaluation: the systems that answered, their scores, what differs and the verdict."""

    version: int = VERSION
    name: str = ""
    """The brand's."""
    made: str
    """ISO 8601, UTC."""
    questions: int
    answerable: int
    unanswerable: int
    left_out: list[LeftOut] = []
    """Not among them."""
    groups: int = 0
    """Questions about one thing count as one for the intervals."""
    systems: dict[str, dict[str, Estimate]]
    arms: dict[str, str] = {}
    """What each further row is."""
    scores: dict[str, ScoreTitle] = Field(min_length=1)
    differences: list[Difference]
    failures: dict[str, dict[str, int]] | None = None
    """For each system how many replies fell short for each cause."""
    costs: dict[str, Costs] = {}
    told_apart: ToldApart = ToldApart()
    verdict: str = ""
    halves: dict[str, HalfOutcome] = {}
    rows: list[Row]
    seconds: float = 0.0
    retrieval: Retrieval | None = None
    support: SupportCheck | None = None
    seeds: Seeds | None = None
    model_judge: Opinion | None = None
    provenance: Provenance | None = None
    build: Build | None = None
    gates: list[Gate] = []
    """Held against brand.yaml anew each time the report is read, so the file's own are of when it was made."""

    @property
    def best(self) -> str:
        """The system that its build would answer with."""
        return next(system for system in BEST if system in self.systems)

    def estimate(self, system: str, score: str) -> Estimate:
        """A system's value of a score; all None where it was not scored."""
        return self.systems.get(system, {}).get(score) or Estimate()

    def difference(self, score: str, left: str, right: str) -> Difference | None:
        """One difference, None where the report has none."""
        wanted = (score, left, right)
        return next((found for found in self.differences if (found.score, found.left, found.right) == wanted), None)


def last_report(workspace: Workspace) -> Report | None:
    """The report of the last evaluation, or None where there is none."""
    folder = workspace.current().evaluation
    return read_report(folder / "report.json", "the last evaluation") if folder else None


def read_report(path: Path, name: str) -> Report:
    """A report.json; UserError where it can't be read, lacks a part or is of a later version.

    `name` is what the line calls the release that the report is of.
    """
    content = read_json(path)
    again = "`twofold evaluate` makes a new one of what is built now"
    if isinstance(content, dict) and isinstance(version := content.get("version"), int) and version > VERSION:
        raise UserError(f"{name}: its report was made by a newer Twofold; update Twofold, or {again}")
    try:
        report = Report.model_validate_json(path.read_bytes(), strict=True)
        unknown = {found.score for found in report.differences} - report.scores.keys()
        lacks = f"scores.{min(unknown)}" if unknown else "" if report.systems.keys() & set(BEST) else "systems"
    except ValidationError as error:
        lacks = ".".join(map(str, error.errors()[0]["loc"])) or "all of it"
    if lacks:
        raise UserError(f"{name}: its report is of an older version, or damaged ({lacks} is missing or wrong); {again}")
    return report
