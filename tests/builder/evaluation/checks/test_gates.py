import pytest

from builder.evaluation.checks.gates import judged
from builder.workspace.brand import Gates


def checks(**changes):
    forgot = {"before": 0.5, "after": 0.5, "n": 40, "difference": 0.0, "low": -0.05, "high": 0.05, "detectable": 0.07,
              "margin": 0.1, "outcome": "kept", "unit": "share", "lost": 1, "gained": 1}
    text = {**forgot, "unit": "nats per token", "perplexity_before": 20.0, "perplexity_after": 20.0}
    return {"parity": {"met": True, "sentence": "agrees"},
            "forgetting": {"met": True, "outcome": "kept",
                           "parts": {"instructions": forgot, "formats": forgot, "text": text}},
            "memorised": {"share": {"value": 0.0, "low": 0.0, "high": 0.05}, "sentence": "none of 60"}} | changes


def test_a_build_that_kept_everything_meets_every_gate():
    assert [(gate["name"], gate["met"]) for gate in judged(checks(), Gates())] == [
        ("served as trained", True), ("general ability kept", True), ("facts left to the documents", True)]


@pytest.mark.parametrize(("limit", "met"), [(0.0, False), (0.019, False), (0.02, True), (1.0, True)])
def test_the_brand_says_how_much_may_be_memorised(limit, met):
    made = checks(memorised={"share": {"value": 0.02, "low": 0.0, "high": 0.1}, "sentence": "2 of 100"})
    assert judged(made, Gates(memorised=limit))[2]["met"] is met


def test_a_missed_gate_says_what_to_do():
    gate = judged(checks(parity={"met": False, "sentence": "doesn't agree; delete it and build again"}), Gates())[0]
    assert not gate["met"] and "build again" in gate["said"]


def test_what_was_not_checked_is_no_gate():
    assert judged({}, Gates()) == []
