import pytest

from builder.evaluation.checks.gates import check_gates
from builder.evaluation.report import Checks
from builder.scoring.statistics import Outcome
from builder.workspace.brand import Gates

KEPT = {"before": 0.5, "after": 0.5, "n": 40, "difference": 0.0, "low": -0.05, "high": 0.05, "detectable": 0.07,
        "margin": 0.1, "outcome": "kept", "unit": "share", "lost": 1, "gained": 1}
TEXT = KEPT | {"unit": "nats per token", "lost": None, "gained": None, "perplexity_before": 20.0,
               "perplexity_after": 20.0}


def checks(value=0.0, agrees=True, sentence="agrees"):
    return Checks.model_validate({
        "parity": {"met": agrees, "sentence": sentence, "prompts": 7, "own_template": True, "checks": [],
                   "effect": 0.1, "seconds": 1.0},
        "forgetting": {"met": True, "outcome": "kept", "items": [], "seconds": 1.0,
                       "parts": {"instructions": KEPT, "formats": KEPT, "text": TEXT}},
        "memorised": {"asked": 60, "facts": 60, "stated": [], "share": {"value": value, "low": 0.0, "high": 0.1},
                      "tolerated": 0.0, "met": True, "sentence": "none of 60", "seconds": 1.0}})


def test_a_build_that_kept_everything_meets_every_gate():
    assert [(gate.name, gate.outcome == "passed") for gate in check_gates(checks(), Gates())] == [
        ("served as trained", True), ("general ability kept", True), ("facts left to the documents", True)]


@pytest.mark.parametrize(("limit", "met"), [(0.0, False), (0.019, False), (0.02, True), (1.0, True)])
def test_the_brand_says_how_much_may_be_memorised(limit, met):
    assert check_gates(checks(0.02), Gates(memorised=limit))[2].outcome == ("passed" if met else "failed")


def test_what_the_tests_could_not_tell_is_undecided_and_no_failure():
    unclear = checks()
    unclear.forgetting.outcome = Outcome.CANNOT_TELL
    unclear.memorised.share = None
    assert [gate.outcome for gate in check_gates(unclear, Gates())] == ["passed", "undecided", "undecided"]
    unclear.memorised.facts = 0  # there was nothing to memorise
    assert check_gates(unclear, Gates())[2].outcome == "passed"


def test_a_missed_gate_says_what_to_do():
    gate = check_gates(checks(agrees=False, sentence="doesn't agree; delete it and build again"), Gates())[0]
    assert gate.outcome == "failed" and "build again" in str(gate)


def test_what_was_not_checked_is_no_gate():
    assert check_gates(Checks(), Gates()) == []


def test_gates_of_older_releases_are_read():
    found = Checks.model_validate({"gates": [{"name": "facts", "met": True, "said": "good", "next": ""}]}).gates
    assert (found[0].reason, found[0].outcome) == ("good", "passed") and "reason" in found[0].model_dump()
