"""The check of what supports a sentence, judged on written sentences: what they are, and how it is counted."""

from collections import Counter

import pytest

from builder.evaluation import support_check as checked
from builder.evaluation.support_check import Sentence, support_check, written
from knowledge.search.encoder import prepared

KINDS = {"true": 3, "fact": 1, "word": 1, "negated": 1, "stitched": 1, "unrelated": 1}


def test_the_halves_have_all_kinds_and_nothing_in_common():
    halves = {half: written(half) for half in ("development", "final")}
    assert not {one.passage for one in halves["development"]} & {one.passage for one in halves["final"]}
    for sentences in halves.values():
        assert len(sentences) >= 100 and len({(one.passage, one.sentence) for one in sentences}) == len(sentences)
        for passage in {one.passage_id for one in sentences}:
            assert Counter(one.kind for one in sentences if one.passage_id == passage) == KINDS
        assert all(one.supported == (one.kind == "true") for one in sentences)


@pytest.fixture(autouse=True)
def _anew(monkeypatch):
    monkeypatch.setattr(checked, "_MADE", {})


def test_precision_and_recall_are_those_of_what_is_called_supported(monkeypatch):
    sentences = [Sentence(f"p{number // 4}", "", f"passage {number // 4}", f"sentence {number}", kind, kind == "true")
                 for number, kind in enumerate(["true", "true", "fact", "word"] * 3)]
    monkeypatch.setattr(checked, "written", lambda half: sentences)
    monkeypatch.setattr(checked, "called_supported", lambda some, encoder: [
        one.sentence in {"sentence 0", "sentence 1", "sentence 2", "sentence 4"} for one in some])
    found = support_check(prepared())
    assert (found.precision.value, found.precision.n) == (0.75, 4) and (found.recall.value, found.recall.n) == (0.5, 6)
    assert found.called == {"true": (3, 6), "fact": (1, 3), "word": (0, 3)}
    assert found.recall.low < 0.5 < found.recall.high
    assert "75% [" in str(found) and "50% [" in str(found) and "On 12 sentences" in str(found)
    monkeypatch.setattr(checked, "called_supported", lambda some, encoder: [False] * len(some))
    checked._MADE.clear()
    nothing = support_check(prepared())
    assert nothing.precision.value is None and "none of those called" in str(nothing)


@pytest.mark.parametrize(("half", "precision", "recall"), [("development", 0.85, 0.6), ("final", 0.8, 0.5)])
def test_hardly_a_sentence_is_called_supported_that_is_not(half, precision, recall):
    found = support_check(prepared(), half)
    assert found.precision.value >= precision and found.recall.value >= recall
    assert found.called["unrelated"][0] == 0
