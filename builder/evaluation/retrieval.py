"""Questions to how well the right passages are found and told from wrong ones; the index judged alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from math import log2

import numpy as np

from builder.evaluation.report import Answerability, CoveragePoint, Estimate, Miss, ReliabilityBin, Retrieval
from builder.scoring.statistics import interval
from builder.scoring.text import places
from builder.workspace.examples import Question
from knowledge.errors import UserError
from knowledge.search.index import Index
from knowledge.search.passages import Passage
from knowledge.search.retriever import Retriever
from knowledge.text.words import stems

DEPTH = 10
RULES = ("offset", "fact", "heading", "source")
DEPTHS = (1, 3, 5, 10)
SCORES = (*(f"hit@{most}" for most in DEPTHS), *(f"recall@{most}" for most in DEPTHS), "mrr", "ndcg@10")
RESAMPLES = 1000
BINS = 5
SAME = 0.6
"""The share of a passage's stems that another must hold to be the same passage in a later state of the documents."""


@dataclass(frozen=True)
class _Judged:
    """One question: the probabilities with and without its passages, and the rank at which the first was found."""

    question: Question
    rank: int | None
    probability: float
    without: float | None


def judge_retrieval(retriever: Retriever, questions: Sequence[Question]) -> Retrieval:
    """Scores with 95 % intervals over groups, what was missed and what came instead, and whether it knows its limits.

    hit@k: the share of questions with a right passage among the first k. recall@k: the mean share of the right passages
    among the first k, given only where some question has several. mrr: the mean of 1/rank of the first right one, 0
    beyond 10. ndcg@10: binary gains, the ideal order holding all right passages (Järvelin and Kekäläinen 2002).
    UserError where no question names its passage in any way.
    """
    scores: dict[str, list[float]] = {name: [] for name in SCORES}
    rules = dict.fromkeys(RULES, 0)
    judged: list[_Judged] = []
    misses, several = [], False
    for question in questions:
        rule, right = right_passages(question, retriever.index.passages)
        if not right or not question.answerable:
            continue
        rules[rule] += 1
        finding = retriever.find(question.question, DEPTH)
        held = [right.intersection((hit.number, *hit.also)) for hit in finding.found]
        hits = [bool(some) for some in held]
        rank = hits.index(True) + 1 if True in hits else None
        without = retriever.find(question.question, leave_out=right).probability if rule != "source" else None
        judged.append(_Judged(question, rank, finding.probability, without))
        several = several or len(right) > 1
        for name, value in _scores(held, rank, len(right)).items():
            scores[name].append(value)
        if rank is None or rank > retriever.count:
            misses.append(Miss(
                question=question.question, line=question.line, rank=rank,
                right=[_place(retriever.index.passages[number]) for number in sorted(right)[:3]],
                came=[_place(found.passage) for found in finding.found[: retriever.count]]))
    if not judged:
        raise UserError("questions.jsonl: no answerable question names its passage; add source and offset, or facts")
    groups = [row.question.group for row in judged]
    estimates = {}
    for name, values in scores.items():
        if (several or not name.startswith("recall")) and (around := interval(values, groups, share=True)):
            estimates[name] = Estimate(value=around.value, low=around.low, high=around.high, n=len(values))
    return Retrieval(questions=len(judged), right_by={name: count for name, count in rules.items() if count},
                     misses=misses, answerability=_answerability(retriever, judged, questions), **estimates)


def _scores(held: Sequence[set[int]], rank: int | None, right: int) -> dict[str, float]:
    """Of one question, by the right passages that each place of the list holds and how many there are."""
    ideal = sum(1 / log2(place + 1) for place in range(1, min(right, DEPTH) + 1))
    hit = {f"hit@{most}": float(rank is not None and rank <= most) for most in DEPTHS}
    recall = {f"recall@{most}": len(set[int]().union(*held[:most])) / right for most in DEPTHS}
    return hit | recall | {"mrr": 1 / rank if rank else 0.0, "ndcg@10": sum(
        bool(some) / log2(place + 1) for place, some in enumerate(held, 1)) / ideal}


def _place(passage: Passage) -> str:
    page = f", page {passage.page}" if passage.page else ""
    return f"{passage.document}{page} · {passage.heading}"


def _answerability(retriever: Retriever, judged: Sequence[_Judged], questions: Sequence[Question]) -> Answerability:
    """How well the probability tells what the documents answer from what they don't.

    Elsewhere: questions about anything in the world, which nothing was fitted on. Near misses: each question asked
    again with its own passages taken out. Reliability: of questions of like probability, the share whose right
    passage was among those found. Coverage: the share answered, most probable first, and how many of those found it.
    """
    threshold = retriever.answerability.threshold
    lines = files("builder.evaluation").joinpath("elsewhere.txt").read_text(encoding="utf-8").splitlines()
    elsewhere = [retriever.find(line).probability for line in lines]
    unanswerable = [retriever.find(question.question).probability for question in questions if not question.answerable]
    here = [row.probability for row in judged]
    near = [row for row in judged if row.without is not None]
    found = [row.rank is not None and row.rank <= retriever.count for row in judged]
    all_ = sorted(zip([*here, *unanswerable], [*found, *[False] * len(unanswerable)], strict=True), reverse=True)
    reliability = [ReliabilityBin(predicted=float(np.mean([value for value, _ in part])),
                                  observed=float(np.mean([right for _, right in part])), n=len(part))
                   for part in _bins(all_[::-1])]
    right = np.cumsum([right for _, right in all_])
    step = max(1, len(all_) // 20)
    coverage = [CoveragePoint(covered=count / len(all_), right=float(right[count - 1] / count),
                              probability=all_[count - 1][0])
                for count in sorted({*range(step, len(all_) + 1, step), len(all_)})]
    return Answerability(
        threshold=threshold, elsewhere=_auroc(here, elsewhere), unanswerable=_auroc(here, unanswerable),
        near_misses=_auroc([hit.probability for hit in near], [hit.without or 0.0 for hit in near], paired=True),
        wished_false_answers=retriever.answerability.wished,
        answered=float(np.mean([value >= threshold for value in here])),
        false_answers={"elsewhere": _share(elsewhere, threshold), "unanswerable": _share(unanswerable, threshold),
                       "near_misses": _share([hit.without or 0.0 for hit in near], threshold)},
        reliability=reliability, coverage=coverage)


def _share(values: Sequence[float], threshold: float) -> float | None:
    return float(np.mean([value >= threshold for value in values])) if values else None


def _bins(values: list[tuple[float, bool]]) -> list[list[tuple[float, bool]]]:
    edges = np.linspace(0, len(values), min(BINS, len(values)) + 1).astype(int)
    return [values[start:end] for start, end in zip(edges, edges[1:], strict=False)]


def _auroc(higher: Sequence[float], lower: Sequence[float], seed: int = 0, paired: bool = False) -> Estimate | None:
    """The chance that one of `higher` lies above one of `lower`, ties half, with its 95 % bootstrap interval.

    Each side is drawn anew by itself, or both together where they are `paired`: two values of the same question. Where
    all lie apart no resample differs; then the bound is the exact binomial one for the smaller side's number.
    """
    if not higher or not lower:
        return None
    first, second = np.array(higher), np.array(lower)
    above = (first[:, None] > second).astype(float) + 0.5 * (first[:, None] == second)
    chance = np.random.default_rng(seed)
    drawn = []
    for _ in range(RESAMPLES):
        left = chance.integers(0, len(first), len(first))
        right = left if paired else chance.integers(0, len(second), len(second))
        drawn.append(above[left][:, right].mean())
    low, high = np.quantile(drawn, [0.025, 0.975])
    alone = 0.025 ** (1 / min(len(first), len(second)))
    low, high = (alone, high) if low == 1 else (low, 1 - alone) if high == 0 else (low, high)
    return Estimate(value=float(above.mean()), low=float(low), high=float(high), n=len(first) + len(second))


def broken_by(before: Index, after: Index, questions: Sequence[Question], most: int = 3) -> tuple[list[str], int]:
    """The questions whose right passage was among the first `most` and isn't; and by how many fewer find theirs.

    What is right afterwards is what says what the right passages said before, wherever it stands now.
    """
    broke: list[str] = []
    lost = 0
    for question in questions:
        _, right = right_passages(question, before.passages)
        if not right or not question.answerable:
            continue
        said = [set(stems(before.passages[number].text)) for number in right]
        hit = any(not right.isdisjoint((hit.number, *hit.also)) for hit in before.search(question.question, most))
        texts = [set(stems(hit.passage.text)) for hit in after.search(question.question, most)]
        hits = any(len(one & text) >= SAME * min(len(one), len(text)) for one in said for text in texts if one and text)
        lost += hit - hits
        if hit and not hits:
            broke.append(question.question)
    return broke, lost


def right_passages(question: Question, passages: Sequence[Passage]) -> tuple[str, set[int]]:
    """The numbers of the passages that answer a question, and the rule that told: offset, fact, heading or source."""
    here = [(number, one) for number, one in enumerate(passages)
            if not question.source or one.document == question.source]
    if question.source and question.offset is not None:
        covering = {number for number, one in here if one.start <= question.offset < one.end}
        if covering:
            return "offset", covering
    keys = list(question.facts) or ([(question.answer,)] if question.answer else [])
    holding = {number for number, one in here
               if any(any(places(spelling, one.shown) for spelling in fact) for fact in keys)}
    if holding:
        return "fact", holding
    headed = {number for number, one in here
              if one.heading.split(" > ")[-1].strip().casefold() == question.question.strip().casefold()}
    if headed:
        return "heading", headed
    return "source", {number for number, _ in here} if question.source else set()
