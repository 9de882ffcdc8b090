"""The verdict follows from the figures alone."""

import re

import pytest

from builder.evaluation.verdict import verdict
from tests.reports import report

PAIRS = {"rag-prompt": ("rag-only", "prompt-only"), "tuned-prompt": ("fine-tune-only", "prompt-only"),
         "hybrid-rag": ("hybrid", "rag-only"), "hybrid-tuned": ("hybrid", "fine-tune-only")}
SYSTEMS = ("prompt-only", "rag-only", "fine-tune-only", "hybrid")


def one(score, pair, value=0.0, shown=False, detectable=0.1, n=60, groups=30, **more):
    said = "no difference shown" if not shown else "better" if value > 0 else "worse"
    return {"score": score, "left": PAIRS[pair][0], "right": PAIRS[pair][1], "value": value, "low": value - 0.05,
            "high": value + 0.05, "p": 0.5, "adjusted": 0.5, "detectable": detectable, "verdict": said,
            "primary": score != "voice", "n": n, "groups": groups, **more}


def judged(*changed, systems=SYSTEMS, **every):
    """The verdict where nothing differs but what is `changed`."""
    differences = {(score, pair): one(score, pair, **every) for score in ("facts", "tone") for pair in PAIRS
                   if set(PAIRS[pair]) <= set(systems)}
    names = {pair: name for name, pair in PAIRS.items()}
    for change in changed:
        differences[change["score"], names[change["left"], change["right"]]] = change
    return verdict(report(systems=systems, differences=differences.values()))


@pytest.mark.parametrize("pair", ["rag-prompt", "hybrid-tuned"])
def test_retrieval_earns_by_either_pair_on_facts(pair):
    text, halves = judged(one("facts", pair, 0.4, True))
    assert halves == {"retrieval": "earned", "fine-tuning": "nothing"}
    assert "Retrieval clearly helps facts" in text and "+0.40 (95 % interval +0.35 to +0.45)" in text
    assert "Fine-tuning showed no gain on tone" in text


def apart(value):
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "n": 60}


@pytest.mark.parametrize(("voice", "told_apart", "half", "said"), [
    (None, {}, "earned", "there is no voice score to check this"),
    (one("voice", "hybrid-rag", 0.3, True), {}, "earned", "agrees (+0.30)"),
    (one("voice", "hybrid-rag", 0.0), {}, "cannot tell", "does not agree (+0.00)"),
    (None, {"hybrid": apart(0.7), "rag-only": apart(0.95)}, "earned", "AUROC 0.70 against 0.95"),
    (None, {"hybrid": apart(0.9), "rag-only": apart(0.95)}, "earned", "AUROC 0.90 against 0.95"),
    (one("voice", "hybrid-rag", 0.3, True), {"hybrid": apart(0.9), "rag-only": apart(0.7)}, "cannot tell", "agrees")])
def test_tuning_earns_on_tone_only_where_no_family_of_tone_contradicts(voice, told_apart, half, said):
    differences = [one(score, pair) for score in ("facts", "tone") for pair in PAIRS
                   if (score, pair) != ("tone", "tuned-prompt")]
    text, halves = verdict(report(systems=SYSTEMS, told_apart={"systems": told_apart}, differences=[
        *differences, one("tone", "tuned-prompt", 0.5, True), *filter(None, [voice])]))
    assert halves == {"retrieval": "nothing", "fine-tuning": half}
    assert said in text and ("fixed phrases alone can satisfy these" in text) == (half == "cannot tell")


def test_tuning_that_costs_facts_has_harmed_whatever_it_did_for_tone():
    text, halves = judged(one("tone", "hybrid-rag", 0.5, True), one("facts", "hybrid-rag", -0.2, True))
    assert halves["fine-tuning"] == "harmed"
    assert "Fine-tuning clearly helps tone" in text
    assert "Fine-tuning harmed facts: hybrid against rag-only -0.20" in text


def test_facts_that_are_no_worse_come_with_what_could_have_gone_unseen():
    text, _ = judged(detectable=0.083)
    assert "Facts of hybrid were not shown to be worse than those of rag-only" in text
    assert "a true difference below 0.08 would often go unseen" in text


def test_a_half_that_makes_its_own_score_worse_has_harmed():
    _, halves = judged(one("facts", "hybrid-tuned", -0.3, True), one("tone", "hybrid-rag", -0.3, True))
    assert halves == {"retrieval": "harmed", "fine-tuning": "harmed"}


def test_a_loss_of_tone_is_said_of_retrieval_but_is_no_harm():
    text, halves = judged(one("facts", "rag-prompt", 0.4, True), one("tone", "hybrid-tuned", -0.2, True))
    assert halves["retrieval"] == "earned" and "Retrieval cost some tone" in text


@pytest.mark.parametrize("every", [{"n": 9, "groups": 9}, {"n": 40, "groups": 9}, {"detectable": 0.3}])
def test_too_few_or_too_coarse_cannot_tell(every):
    _, halves = judged(**every)
    assert halves == {"retrieval": "cannot tell", "fine-tuning": "cannot tell"}


def test_pairs_that_contradict_each_other_cannot_tell():
    _, halves = judged(one("facts", "rag-prompt", 0.4, True), one("facts", "hybrid-tuned", -0.4, True))
    assert halves["retrieval"] == "cannot tell"


@pytest.mark.parametrize("groups, warned", [(19, True), (20, False)])
def test_few_groups_are_a_warning(groups, warned):
    text, _ = judged(groups=groups)
    assert ("the intervals are too narrow" in text) == warned


@pytest.mark.parametrize("systems", [SYSTEMS, SYSTEMS[:1], SYSTEMS[:2], (SYSTEMS[0], SYSTEMS[2])])
@pytest.mark.parametrize("groups", [5, 15, 30])
@pytest.mark.parametrize("value", [-0.3, 0.0, 0.3])
def test_the_verdict_is_three_to_six_sentences_and_names_both_halves(systems, groups, value):
    text, halves = judged(*[one(score, pair, value, bool(value), groups=groups) for score in ("facts", "tone")
                            for pair in PAIRS if set(PAIRS[pair]) <= set(systems)], systems=systems, groups=groups)
    assert 3 <= len(re.findall(r"\.(?= [A-Z]|$)", text)) <= 6
    assert "etrieval" in text and "ine-tuning" in text
    assert set(halves) == {"retrieval", "fine-tuning"}
    assert set(halves.values()) <= {"earned", "nothing", "harmed", "cannot tell"}


@pytest.mark.parametrize(("changed", "advice"), [
    ([one("facts", "rag-prompt", 0.4, True), one("tone", "tuned-prompt", 0.4, True)], "Use both halves"),
    ([one("facts", "rag-prompt", 0.4, True)], "Use retrieval alone: fine-tuning showed no gain."),
    ([one("facts", "rag-prompt", 0.4, True), one("facts", "hybrid-rag", -0.3, True)],
     "Use retrieval alone: fine-tuning did harm"),
    ([one("tone", "tuned-prompt", 0.4, True)], "Use fine-tuning alone: on these"),
    ([one("facts", "rag-prompt", -0.4, True), one("tone", "tuned-prompt", 0.4, True)],
     "Use fine-tuning alone: retrieval did harm"),
    ([], "Use the plain model: neither half showed a gain"),
    ([one("facts", "rag-prompt", 0.4, True), one("facts", "hybrid-tuned", -0.4, True)],
     "It is not clear yet which halves to use"),
    ([one("facts", "rag-prompt", 0.4, True), *[one("tone", pair, 0.0, detectable=0.5) for pair in PAIRS]],
     "Use retrieval; it is not clear yet whether fine-tuning helps")])
def test_the_verdict_begins_with_what_to_do(changed, advice):
    assert judged(*changed)[0].startswith(advice)


def test_no_worse_is_said_only_where_the_test_carries_it_and_more_questions_are_counted():
    text, _ = judged(one("facts", "hybrid-rag", 0.02, p_worse=0.03, margin=0.1))
    assert "Facts of hybrid are no worse than those of rag-only, within a margin of 0.10: hybrid against" in text
    text, _ = judged(one("facts", "hybrid-rag", 0.02, detectable=0.15, p_worse=0.2, margin=0.1, more=1140))
    assert "were not shown to be worse" in text and "1,140 more questions would show one of 0.10" in text
