from math import log2

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from builder.answering.opening import open_retriever
from builder.evaluation.retrieval import _auroc, _scores, broken_by, judge_retrieval, right_passages
from builder.workspace.examples import Question
from knowledge.errors import UserError


def question(text, source="documents/house.md", **more):
    kept = {"answer": "", "facts": (), "forbidden": (), "offset": None, "answerable": True, "paraphrases": (),
            "group": text, "line": 1} | more
    return Question(question=text, source=source, **kept)


@pytest.fixture(scope="module")
def retriever(built):
    return open_retriever(built.brand, built.current().index)


def test_scores_are_those_of_the_ranks(retriever):
    questions = [question("When do parcels leave?", facts=(("Tuesdays",),)),
                 question("When do parcels leave the warehouse?", facts=(("braided cable",),))]
    made = judge_retrieval(retriever, questions).as_json()
    ranks = []
    for one in questions:
        _, right = right_passages(one, retriever.index.passages)
        found = [hit.number in right for hit in retriever.index.search(one.question, 10)]
        ranks.append(found.index(True) + 1 if True in found else None)
    assert ranks[0] == 1 and ranks[1] != 1
    later = ranks[1]
    assert made["hit@1"]["value"] == 0.5
    assert made["mrr"]["value"] == pytest.approx((1 + (1 / later if later else 0)) / 2)
    assert made["ndcg@10"]["value"] == pytest.approx((1 + (1 / log2(later + 1) if later else 0)) / 2)
    if later is None or later > 3:
        [miss] = made["misses"]
        assert miss["rank"] == later and "Wiring" in miss["right"][0] and "Parcels" in miss["came"][0]


def test_it_knows_what_it_does_not_know(retriever, built):
    limits = judge_retrieval(retriever, built.questions).as_json()["answerability"]
    assert limits["elsewhere"]["value"] > 0.9 and limits["near_misses"]["value"] > 0.5
    covered = [limit["covered"] for limit in limits["coverage"]]
    assert covered == sorted(covered) and covered[-1] == 1
    assert sum(limit["n"] for limit in limits["reliability"]) == 4


def test_the_area_is_that_of_sklearn():
    chance = np.random.default_rng(0)
    higher, lower = chance.normal(1, 1, 40).round(1).tolist(), chance.normal(0, 1, 30).round(1).tolist()
    made = _auroc(higher, lower).as_json()
    assert made["value"] == pytest.approx(roc_auc_score([1] * 40 + [0] * 30, higher + lower))
    assert made["low"] < made["value"] < made["high"]


def test_values_of_the_same_questions_are_drawn_together():
    chance = np.random.default_rng(3)
    ease = chance.normal(0, 1, 60)  # of a question, which both of its values share
    higher, lower = (ease + 0.3).tolist(), ease.tolist()
    alone, paired = _auroc(higher, lower), _auroc(higher, lower, paired=True)
    assert alone.value == paired.value == pytest.approx(roc_auc_score([1] * 60 + [0] * 60, higher + lower))
    slow = [roc_auc_score([1] * 60 + [0] * 60, [*np.array(higher)[drawn], *np.array(lower)[drawn]])
            for drawn in (chance.integers(0, 60, 60) for _ in range(500))]
    assert (paired.low, paired.high) == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.02)
    assert paired.high - paired.low < 0.6 * (alone.high - alone.low)


def test_recall_is_given_where_some_question_has_several_right_passages():
    passages = [{3}, set(), {1, 2}, {4}]
    assert _scores(passages, 1, 5) == pytest.approx({
        "hit@1": 1, "hit@3": 1, "hit@5": 1, "hit@10": 1, "recall@1": 0.2, "recall@3": 0.6, "recall@5": 0.8,
        "recall@10": 0.8, "mrr": 1, "ndcg@10": (1 + 1 / log2(4) + 1 / log2(5)) / sum(
            1 / log2(place + 1) for place in range(1, 6))})
    assert _scores([set(), {7}], 2, 1)["hit@1"] == 0 and _scores([], None, 2)["recall@10"] == 0


def test_recall_stands_beside_the_hit_rate_only_where_it_tells_more(retriever):
    one = question("When do parcels leave?", facts=(("Tuesdays",),))
    several = question("What is said of lamps?", source="", facts=(("lamp", "lamps"),))
    assert "recall@3" not in judge_retrieval(retriever, [one]).scores
    made = judge_retrieval(retriever, [one, several]).scores
    assert 0 < made["recall@3"].value < made["hit@10"].value == 1.0


def test_nothing_named_is_refused(retriever):
    with pytest.raises(UserError, match="no answerable question"):
        judge_retrieval(retriever, [question("What?", source="")])


def test_the_same_index_breaks_nothing(retriever, built):
    assert broken_by(retriever.index, retriever.index, built.questions) == ([], 0)


def test_two_questions_told_apart_are_no_certainty():
    made = _auroc([0.9, 0.8, 0.7], [0.1, 0.2]).as_json()
    assert (made["value"], made["high"]) == (1, 1) and made["low"] == pytest.approx(0.025 ** 0.5)
    wide = _auroc([0.9] * 60, [0.1] * 60).as_json()
    assert wide["low"] == pytest.approx(binomtest(60, 60).proportion_ci(method="exact").low)
