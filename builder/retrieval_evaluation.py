"""Questions to how well the right passages are found; the index judged alone."""

from collections.abc import Sequence
from math import log2
from typing import Any

from builder.examples import Question
from builder.scoring import places
from builder.statistics import interval
from knowledge.errors import UserError
from knowledge.passages import Passage
from knowledge.retriever import Retriever

DEPTH = 10
RULES = ("offset", "fact", "heading", "source")


def judge_retrieval(retriever: Retriever, questions: Sequence[Question]) -> dict[str, Any]:
    """recall@1, recall@3, mrr and ndcg@10 with 95 % intervals over groups, and how the right passages were told.

    recall@k: the share of questions with a right passage among the first k. mrr: the mean of 1/rank of the first right
    one, 0 beyond 10. ndcg@10: binary gains, the ideal order holding all right passages (Järvelin and Kekäläinen 2002).
    UserError where no question names its passage in any way.
    """
    scores: dict[str, list[float]] = {"recall@1": [], "recall@3": [], "mrr": [], "ndcg@10": []}
    rules = dict.fromkeys(RULES, 0)
    groups = []
    for question in questions:
        rule, right = right_passages(question, retriever.index.passages)
        if not right or not question.answerable:
            continue
        rules[rule] += 1
        groups.append(question.group)
        found = retriever.index.search(question.question, DEPTH)
        hits = [not right.isdisjoint((one.number, *one.also)) for one in found]
        first = hits.index(True) + 1 if True in hits else None
        ideal = sum(1 / log2(rank + 1) for rank in range(1, min(len(right), DEPTH) + 1))
        scores["recall@1"].append(float(first == 1))
        scores["recall@3"].append(float(first is not None and first <= 3))
        scores["mrr"].append(1 / first if first else 0.0)
        scores["ndcg@10"].append(sum(hit / log2(rank + 1) for rank, hit in enumerate(hits, 1)) / ideal)
    if not groups:
        raise UserError("questions.jsonl: no answerable question names its passage; add source and offset, or facts")
    made: dict[str, Any] = {"questions": len(groups),
                            "right_by": {name: count for name, count in rules.items() if count}}
    for name, values in scores.items():
        around = interval(values, groups, share=True)
        assert around is not None
        made[name] = {"value": around.value, "low": around.low, "high": around.high, "n": len(values)}
    return made


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
