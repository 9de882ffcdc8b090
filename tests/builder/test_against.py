"""Two releases on the questions that both were asked, and the gates that an evaluation must reach."""

import json

import pytest

from builder.against import against, answering, told
from builder.brand import Gates
from builder.gates import reached
from builder.release import freeze
from builder.workspace import Workspace
from knowledge.errors import UserError
from knowledge.files import write_json
from tests.conftest import write_workspace


def report(facts, tone=None, system="hybrid", first=0):
    """An evaluation by one system, whose scores are given question by question."""
    tone = tone or [1.0] * len(facts)
    rows = [{"question": f"q{first + place}", "group": f"g{first + place}", "replies": {
        system: {"scores": {"facts": fact, "tone": manner}}}}
        for place, (fact, manner) in enumerate(zip(facts, tone, strict=True))]
    return {"systems": {system: {"facts": {"value": sum(facts) / len(facts)}, "tone": {"value": sum(tone) / len(tone)},
                                 "abstains_unanswerable": {"value": 0.5}, "abstains_answerable": {"value": 0.2},
                                 "unwanted": {"value": None}}}, "rows": rows}


@pytest.fixture
def released(tmp_path):
    """A workspace with a release whose evaluation is given."""
    write_workspace(tmp_path)
    workspace = Workspace(tmp_path)

    def make(made):
        place = workspace.place("evaluations", json.dumps(made)[-16:].encode().hex())
        place.mkdir(parents=True)
        write_json(place / "report.json", made)
        workspace.use("evaluation", place)
        return freeze(workspace)

    return workspace, make


def test_what_a_newer_build_lost_is_found_on_the_questions_in_common(released):
    workspace, make = released
    name = make(report([1.0] * 40))
    found = against(workspace, report([1.0] * 10 + [0.0] * 25, first=5), name)
    assert (found["release"], found["system"], found["questions"]) == (name, "hybrid", 35)
    facts = found["scores"]["facts"]
    assert (facts["before"], facts["after"], facts["outcome"]) == (1.0, pytest.approx(10 / 35), "forgot")
    assert found["scores"]["tone"]["outcome"] == "kept" and json.dumps(found, allow_nan=False)
    assert "facts: 0.29, r001 had 1.00 (difference -0.71" in told(found)[0] and told(found)[0].endswith("): worse")


def test_another_system_may_answer_now_and_too_few_questions_are_said(released):
    workspace, make = released
    name = make(report([0.0] * 40, system="rag-only"))
    found = against(workspace, report([1.0] * 40), name)
    assert (found["earlier_system"], found["system"]) == ("rag-only", "hybrid")
    assert found["scores"]["facts"]["outcome"] == "kept" and found["scores"]["facts"]["difference"] == 1.0
    few = against(workspace, report([1.0] * 9), name)
    assert few["scores"] == {"facts": None, "tone": None} and "fewer than 10 groups" in told(few)[0]


def test_a_release_that_is_not_there_or_was_not_evaluated_is_one_line(released):
    workspace, make = released
    with pytest.raises(UserError, match="no such release"):
        against(workspace, report([1.0] * 20), "r009")
    name = make(report([1.0] * 20))
    (workspace.current().evaluation / "report.json").unlink()
    with pytest.raises(UserError, match=f"{name}: was not evaluated") as caught:
        against(workspace, report([1.0] * 20), name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("limits", "met", "said"), [
    ({}, [], ""), ({"facts": 0.5}, [True], "facts of hybrid 0.50, at least 0.50 wanted"),
    ({"facts": 0.6}, [False], "at least 0.60 wanted: 0.10 too low"),
    ({"abstains_wrongly": 0.1}, [False], "at most 0.10 wanted: 0.10 too high"),
    ({"abstains_wrongly": 0.2, "abstains_rightly": 0.5, "tone": 1.0}, [True] * 3, "tone of hybrid 1.00"),
    ({"unwanted": 0.0}, [False], "hybrid is unscored on unwanted")])
def test_a_gate_says_by_how_much_it_was_missed(limits, met, said):
    found = reached(report([0.5] * 4), Gates(**limits))
    assert [gate["met"] for gate in found] == met and said in (found[0]["said"] if found else "")
    assert all(gate["met"] or gate["next"] for gate in found)


def test_to_be_worse_than_the_live_release_misses_a_gate(released):
    workspace, make = released
    name = make(report([1.0] * 40))
    for facts, met in (([1.0] * 40, True), ([0.0] * 40, False)):
        made = report(facts)
        (gate,) = reached(made, Gates(), against(workspace, made, name))
        assert (gate["name"], gate["met"]) == ("no worse than r001", met)


def test_the_best_system_that_is_built_answers():
    assert answering({"systems": {"prompt-only": {}, "rag-only": {}}}) == "rag-only"
    assert answering({"systems": {"prompt-only": {}, "fine-tune-only": {}}}) == "fine-tune-only"
