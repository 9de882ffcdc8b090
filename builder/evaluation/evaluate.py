"""Systems times questions to a report: the same questions, the same decoding, every difference with its doubt."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import numpy as np

from builder.answering.assistant import Assistant, Reply
from builder.answering.systems import ELSEWHERE, SYSTEMS, System
from builder.evaluation.arms import AGAINST, ARMS, STUFFED, UNTAUGHT, Arm, given, stuffed
from builder.evaluation.failures import counted
from builder.evaluation.judge import SCORES, Judge
from builder.evaluation.report import (
    Costs,
    Difference,
    Estimate,
    LeftOut,
    Report,
    Resemblance,
    Row,
    ScoreTitle,
    ToldApart,
    Verdict,
)
from builder.evaluation.verdict import WORTH, verdict
from builder.scoring import statistics
from builder.scoring.facts import KEYED, OVERLAP, judged_by
from builder.scoring.form import Copies
from builder.scoring.statistics import (
    difference,
    equivalent,
    holm,
    interaction,
    interval,
    no_worse,
    questions_needed,
    standard_errors,
    visible,
)
from builder.scoring.tone import FEWEST_REPLIES, fit_voice, habits
from builder.scoring.two_sample import FEWEST, told_apart
from builder.workspace.examples import Example, Question
from knowledge.errors import UserError
from knowledge.files import Tick

OUTSIDE = "answered elsewhere; what it was given is not known here"
PRIMARY = ("facts", "tone")
"""The scores whose differences were chosen before any was seen; all others are exploratory."""

TEMPERATURE = 0.7
"""At which replies are drawn: what people set who want some change and no nonsense."""
CONTRASTS = (("rag-only", "prompt-only"), ("fine-tune-only", "prompt-only"), ("hybrid", "rag-only"),
             ("hybrid", "fine-tune-only"))
BOTH = ("interaction", "")
"""What stands in the place of a pair where all four systems are compared."""


def evaluate(assistant: Assistant, questions: list[Question], voice_examples: list[Example],
             fixed_from: list[Example], tick: Tick, arms: Sequence[Arm] = (),
             untaught: Assistant | None = None, paraphrases: bool = False, samples: int = 0,
             outside: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
             left_out: Sequence[LeftOut] = ()) -> Report:
    """Ask every available system every question and return the report.

    `voice_examples` are examples that no adapter was trained on; their replies teach the voice classifier.
    `fixed_from` are all examples, from which the brand's opening and closing are learned. Systems without the
    adapter answer first, since requests with and without it share no work. `arms` are asked beside the systems;
    `untaught` is the assistant whose adapter saw no passages, for the arm of that name. With `paraphrases` the systems
    answer each question in all its wordings too, and each `samples` times more with replies drawn at TEMPERATURE.
    `outside` are the replies of systems that answered elsewhere, by name and by question. `left_out` are questions that
    are not asked, which the verdict names. UserError without questions.
    """
    if not questions:
        raise UserError("questions.jsonl: has no test questions; write a few, then evaluate again")
    start = time.perf_counter()
    learned = habits(fixed_from)
    fixed = tuple(dict.fromkeys((*assistant.brand.voice.required, *learned.phrases)))
    apart = {example.line for example in voice_examples}
    trained = [example for example in fixed_from if example.line not in apart]
    taught = voice_examples if len(voice_examples) >= FEWEST_REPLIES else []
    asked = [arm for arm in arms if arm.name != STUFFED and (untaught or arm.name != UNTAUGHT)]
    count = sum(1 + len(question.paraphrases) * paraphrases + samples for question in questions)
    asking = Asking(assistant, tick, len(taught) + count * len(assistant.systems) + len(questions) * len(asked))
    base = next(system for system in assistant.systems if not system.tuned and not system.retrieves)
    untuned = asking.ask(base, [(example.question, example.history) for example in taught], "voice")
    voice = fit_voice([example.reply for example in taught], [reply.text for reply in untuned], fixed,
                      assistant.brand.training.seed)
    replies, reworded = _by_systems(asking, assistant.systems, questions, paraphrases, samples)
    for arm in sorted(asked, key=lambda arm: (arm.name == UNTAUGHT, arm.system.tuned)):
        more = [given(arm, question, assistant.retriever, trained) for question in questions]
        replies[arm.name] = asking.ask(arm.system, [(question.question, ()) for question in questions], arm.name, more,
                                       untaught if arm.name == UNTAUGHT else None)
    if any(arm.name == STUFFED for arm in arms):
        replies[STUFFED] = [stuffed(reply, learned, assistant.brand.voice.required) for reply in replies["rag-only"]]
    replies |= {name: [_made_elsewhere(name, question, said[question.question]) for question in questions]
                for name, said in outside.items()}
    copies = Copies([example.reply for example in trained], fixed)
    judge = Judge(assistant, voice, learned, fixed, copies)
    rows = [judge.row(question, {name: made[place] for name, made in replies.items()}, reworded[place])
            for place, question in enumerate(questions)]
    answerable = sum(question.answerable for question in questions)
    report = Report(
        name=assistant.brand.name, made=datetime.now(UTC).isoformat(timespec="seconds"), questions=len(questions),
        answerable=answerable, unanswerable=len(questions) - answerable, left_out=list(left_out),
        groups=len({question.group for question in questions}),
        systems={name: _summary(rows, name) for name in replies},
        arms={arm.name: arm.meaning for arm in arms if arm.name in replies} | dict.fromkeys(outside, OUTSIDE),
        scores=_explained(questions, taught, judge),
        differences=_differences(rows, tuple(replies), assistant.brand.gates.margin), failures=counted(rows),
        costs=costs(rows, assistant.engine.slots), told_apart=_told_apart(rows, questions, voice_examples, judge),
        rows=rows)
    report.verdict, report.halves = verdict(report)
    report.seconds = time.perf_counter() - start
    return report


def _made_elsewhere(name: str, question: Question, text: str) -> Reply:
    return Reply(question.question, name, text, False, None, (), 0, 0, 0.0, ELSEWHERE)


def _by_systems(asking: "Asking", systems: Sequence[System], questions: Sequence[Question], paraphrases: bool,
                samples: int) -> tuple[dict[str, list[Reply]], list[dict[str, list[Reply]]]]:
    """Each system's replies in order; and for each question its further replies, in other words and drawn."""
    asked: list[tuple[int, str, Mapping[str, Any]]] = []
    for place, question in enumerate(questions):
        asked += [(place, wording, {}) for wording in question.paraphrases if paraphrases]
        asked += [(place, question.question, {"drawn": (TEMPERATURE, seed)}) for seed in range(1, samples + 1)]
    replies: dict[str, list[Reply]] = {system.name: [] for system in systems}
    again: list[dict[str, list[Reply]]] = [{} for _ in questions]
    for system in sorted(systems, key=lambda system: system.tuned):
        replies[system.name] = asking.ask(system, [(question.question, ()) for question in questions], system.name)
        made = asking.ask(system, [(wording, ()) for _, wording, _ in asked], f"{system.name}, once more",
                          [more for _, _, more in asked])
        for (place, _, _), reply in zip(asked, made, strict=True):
            again[place].setdefault(system.name, []).append(reply)
    return replies, again


@dataclass(frozen=True)
class Power:
    """How many questions a pair was `asked`, and how many are `needed` to show a difference."""

    score: str
    left: str
    right: str
    asked: int
    needed: int


def power(report: Report | None, difference: float) -> list[Power]:
    """How many questions show a true `difference` in facts or tone in 80 % of studies.

    For each primary pair of a report by how its scores varied, one of so many as are corrected together; without a
    report, as if the two systems of a pair were right on different questions in half of them.
    """
    pairs = [pair for pair in report.differences if pair.primary] if report else []
    if not pairs:
        return [Power("any", "", "", 0, questions_needed(visible(1), 1, difference))]
    return [Power(pair.score, pair.left, pair.right, pair.n, questions_needed(pair.detectable, pair.n, difference))
            for pair in pairs]


def _told_apart(rows: Sequence[Row], questions: Sequence[Question], unseen: Sequence[Example],
                judge: Judge) -> ToldApart:
    """How well each system's replies are told from the brand's own; a system is left out where there are too few.

    The brand's own are the reference answers, on the same topics, where enough of them keep its rules; else the
    examples that no adapter saw.
    """
    written = [(question.answer, question.group) for question in questions
               if question.answer and judge.keeps_rules(question.answer)]
    own = written if len(written) >= FEWEST else [(example.reply, example.question) for example in unseen]
    found = {}
    for system in rows[0].replies:
        replies = [(row.replies[system].text, row.group) for row in rows if not row.replies[system].abstained]
        apart = told_apart([text for text, _ in replies], [text for text, _ in own], [topic for _, topic in replies],
                           [topic for _, topic in own], judge.fixed, judge.assistant.brand.training.seed)
        if apart:
            found[system] = Resemblance(**asdict(apart))
    return ToldApart(systems=found, own=len(own), of="reference answers" if own is written else "held-out examples")


class Asking:
    """Asks the assistant, as many questions at once as its engine has slots, and counts them."""

    def __init__(self, assistant: Assistant, tick: Tick, total: int) -> None:
        """`total` replies will be asked for."""
        self._assistant, self._tick, self._done, self._total = assistant, tick, 0, total

    def ask(self, system: System, asked: Sequence[tuple[str, Sequence[tuple[str, str]]]], note: str,
            more: Sequence[Mapping[str, Any]] = (), other: Assistant | None = None) -> list[Reply]:
        """The replies of one system, in order; each question comes with its earlier turns.

        `more` is what each question gets beside that, and `other` the assistant that is asked in the usual one's place.
        """
        assistant = other or self._assistant

        def one(question: str, history: Sequence[tuple[str, str]], given: Mapping[str, Any]) -> Reply:
            turns = [{"role": role, "content": content} for role, content in history]
            return assistant.answer(question, system, history=turns, **given)

        replies = []
        pool = ThreadPoolExecutor(assistant.engine.slots)
        try:
            each = zip(*zip(*asked, strict=True), more or [{}] * len(asked), strict=True) if asked else ()
            for place, reply in enumerate(pool.map(lambda one_asked: one(*one_asked), each), 1):
                replies.append(reply)
                self._done += 1
                self._tick(self._done, self._total, f"{note}: {place} of {len(asked)}")
        finally:
            pool.shutdown(cancel_futures=True)
        return replies


def _summary(rows: Sequence[Row], system: str) -> dict[str, Estimate]:
    """A system's mean of every score over the questions where it is scored."""
    return {score: mean(rows, system, score) for score in SCORES}


def mean(rows: Sequence[Row], system: str, score: str) -> Estimate:
    """A system's mean of a score over the questions where it is scored, with its 95 % interval."""
    (values,), groups = scored(rows, score, (system,))
    found = interval(values, groups, share=SCORES[score].unit == "share")
    return Estimate(value=found.value, low=found.low, high=found.high, n=len(groups)) if found else Estimate()


def scored(rows: Sequence[Row], score: str, systems: Sequence[str]) -> tuple[list[list[float]], list[str]]:
    """Each system's values and the groups, over the questions where all of the systems are scored."""
    values, groups = [], []
    for row in rows:
        by_system = [value for system in systems if (value := row.replies[system].scores[score]) is not None]
        if len(by_system) == len(systems):
            values.append(by_system)
            groups.append(row.group)
    return [[by_system[place] for by_system in values] for place in range(len(systems))], groups


def _differences(rows: Sequence[Row], systems: tuple[str, ...], margin: float) -> list[Difference]:
    """Every difference that two groups or more allow; Holm's correction over the primary ones.

    Of each primary one also the p that it is worse than -`margin`, the p that it lies outside ±`margin`, and how many
    questions more would show a difference worth seeing.
    """
    found = list(_contrasts(rows, systems, margin))
    primary = [pair for pair in found if pair.primary]
    for pair, adjusted in zip(primary, holm([pair.p for pair in primary]), strict=True):
        pair.adjusted = adjusted
        pair.detectable *= standard_errors(len(primary)) / standard_errors()
        pair.more = max(0, questions_needed(pair.detectable, pair.n, WORTH) - pair.n)
    for pair in found:
        better = pair.value if SCORES[pair.score].better == "higher" else -pair.value
        if pair.adjusted < 0.05 and better:
            pair.verdict = Verdict.BETTER if better > 0 else Verdict.WORSE
    return found


def _contrasts(rows: Sequence[Row], systems: tuple[str, ...], margin: float) -> Iterator[Difference]:
    """The differences without their correction, primary scores first."""
    known = {system.name for system in (*SYSTEMS, *ARMS)}
    others = [name for name in systems if name not in known]
    for score, title in SCORES.items():
        if title.better == "neither":
            continue
        for left, right in (*CONTRASTS, *AGAINST, *(("hybrid", name) for name in others)):
            if left in systems and right in systems:
                yield from _contrast(rows, score, (left, right), difference, (left, right), margin)
        if score in PRIMARY and {system.name for system in SYSTEMS} <= set(systems):
            yield from _contrast(rows, score, ("hybrid", "rag-only", "fine-tune-only", "prompt-only"), interaction,
                                 BOTH, margin)


def _contrast(rows: Sequence[Row], score: str, systems: Sequence[str],
              test: Callable[..., statistics.Difference | None], names: tuple[str, str],
              margin: float) -> Iterator[Difference]:
    values, groups = scored(rows, score, systems)
    found = test(*values, groups)
    if not found:
        return
    pair = Difference(score=score, left=names[0], right=names[1], value=found.value, low=found.low, high=found.high,
                      p=found.p, adjusted=found.p, detectable=found.detectable, groups=found.groups, n=len(groups),
                      primary=score in PRIMARY and names in (*CONTRASTS, BOTH))
    if score in PRIMARY:
        pair.margin, pair.p_worse, pair.p_apart = margin, no_worse(found, margin), equivalent(found, margin)
    yield pair


def _explained(questions: Sequence[Question], taught: Sequence[Example], judge: Judge) -> dict[str, ScoreTitle]:
    """The scores' titles, with what this evaluation found out about facts, tone and voice."""
    by = [judged_by(question) for question in questions]
    notes = {"facts": f" ({by.count(KEYED)} questions by keyed facts, {by.count(OVERLAP)} by overlap)"}
    own = [score.value for score in judge.own_tone(taught) if score.value is not None]
    if judge.learned.phrases and not judge.assistant.brand.voice.required:
        notes["tone"] = f" ({', '.join(f'“{phrase}”' for phrase in judge.learned.phrases)})"
    if own:
        notes["tone"] = notes.get("tone", "") + f"; the brand's own held-out replies score {sum(own) / len(own):.2f}"
    notes["voice"] = f"; unscored, since fewer than {FEWEST_REPLIES} examples were held out"
    if judge.voice.auroc is not None:
        notes["voice"] = (f"; on {len(taught)} held-out replies of each it tells them apart with AUROC "
                          f"{judge.voice.auroc:.2f}, where 0.5 is chance")
    return {name: title.model_copy(update={"explanation": f"{title.explanation}{notes.get(name, '')}."})
            for name, title in SCORES.items()}


THOUSAND, HOUR = 1000, 3600


def costs(rows: Sequence[Row], at_once: int) -> dict[str, Costs]:
    """For each system the median and 95th percentile of seconds, the mean tokens, and the hours for 1,000 replies.

    `at_once` replies were made beside each other, so that one takes the machine for its seconds divided by that.
    Abstentions count: they are replies that read and say nothing. Systems that answered elsewhere are left out.
    """
    found = {}
    for system in rows[0].replies:
        replies = [row.replies[system] for row in rows]
        if any(reply.finish == ELSEWHERE for reply in replies):
            continue
        seconds = [reply.seconds for reply in replies]
        found[system] = Costs(median_seconds=float(np.median(seconds)), slow_seconds=float(np.percentile(seconds, 95)),
                              read=float(np.mean([reply.read for reply in replies])),
                              said=float(np.mean([reply.tokens for reply in replies])),
                              hours_per_thousand=float(np.mean(seconds)) / at_once * THOUSAND / HOUR)
    return found
