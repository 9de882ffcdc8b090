"""Two releases on the questions that both were asked, and the gates that an evaluation must reach."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from builder.evaluation.checks.gates import report_gates
from builder.evaluation.compare_releases import (
    LAST,
    changed_replies,
    changes,
    compare_with_release,
    contents,
    evaluations,
)
from builder.scoring.statistics import difference
from builder.workspace.brand import Gates
from builder.workspace.folder import Workspace
from builder.workspace.releases import freeze
from knowledge.errors import UserError
from knowledge.files import hash_bytes, write_json
from tests.conftest import write_workspace
from tests.reports import report as complete


def report(facts, tone=None, system="hybrid", first=0):
    """An evaluation by one system, whose scores are given question by question."""
    tone = tone or [1.0] * len(facts)
    rows = [{"question": f"q{first + place}", "group": f"g{first + place}", "replies": {
        system: {"scores": {"facts": fact, "tone": manner}}}}
        for place, (fact, manner) in enumerate(zip(facts, tone, strict=True))]
    return complete(rows, {system: {
        "facts": {"value": sum(facts) / len(facts)}, "tone": {"value": sum(tone) / len(tone)},
        "abstains_unanswerable": {"value": 0.5}, "abstains_answerable": {"value": 0.2}, "unwanted": {"value": None}}})


@pytest.fixture
def released(tmp_path):
    """A workspace with a release whose evaluation is given."""
    write_workspace(tmp_path)
    workspace = Workspace(tmp_path)

    def make(made):
        place = workspace.place("evaluations", hash_bytes(made.model_dump_json()))
        place.mkdir(parents=True)
        write_json(place / "report.json", made.as_json())
        workspace.use("evaluation", place)
        return freeze(workspace)

    return workspace, make


def test_what_a_newer_build_lost_is_found_on_the_questions_in_common(released):
    workspace, make = released
    name = make(report([1.0] * 40))
    found = compare_with_release(workspace, report([1.0] * 10 + [0.0] * 25, first=5), name)
    assert (found.release, found.system, found.questions) == (name, "hybrid", 35)
    facts = found.scores["facts"]
    assert (facts.before, facts.after, facts.outcome) == (1.0, pytest.approx(10 / 35), "forgot")
    assert found.scores["tone"].outcome == "kept" and found.worse == ["facts"]
    line = found.lines()[0]
    assert "facts: 0.29, r001 had 1.00 (difference -0.71" in line and line.endswith("): worse")


def test_another_system_may_answer_now_and_too_few_questions_are_said(released):
    workspace, make = released
    name = make(report([0.0] * 40, system="rag-only"))
    found = compare_with_release(workspace, report([1.0] * 40), name)
    assert (found.earlier_system, found.system) == ("rag-only", "hybrid")
    assert found.scores["facts"].outcome == "gained" and found.scores["facts"].difference == 1.0
    few = compare_with_release(workspace, report([1.0] * 9), name)
    assert few.scores == {"facts": None, "tone": None} and "fewer than 10 groups" in few.lines()[0]


def test_a_release_that_is_not_there_or_was_not_evaluated_is_one_line(released):
    workspace, make = released
    with pytest.raises(UserError, match="no such release"):
        compare_with_release(workspace, report([1.0] * 20), "r009")
    name = make(report([1.0] * 20))
    (workspace.current().evaluation / "report.json").unlink()
    with pytest.raises(UserError, match=f"{name}: was not evaluated") as caught:
        compare_with_release(workspace, report([1.0] * 20), name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("limits", "met", "said"), [
    ({}, "", ""), ({"facts": 0.5}, "+", "facts of hybrid is 0.50, required at least 0.50"),
    ({"facts": 0.6}, "-", "required at least 0.60, 0.10 too low"),
    ({"abstains_wrongly": 0.1}, "-", "required at most 0.10, 0.10 too high"),
    ({"abstains_wrongly": 0.2, "abstains_rightly": 0.5, "tone": 1.0}, "+++", "tone of hybrid is 1.00"),
    ({"unwanted": 0.0}, "?", "hybrid has no value for unwanted")])
def test_a_gate_says_by_how_much_it_was_missed(limits, met, said):
    found = report_gates(report([0.5] * 4), Gates(**limits))
    assert "".join({"passed": "+", "failed": "-", "undecided": "?"}[gate.outcome] for gate in found) == met
    assert said in (found[0].reason if found else "")
    assert all(gate.outcome == "passed" or gate.next for gate in found)


def test_to_be_worse_than_the_live_release_misses_a_gate(released):
    workspace, make = released
    name = make(report([1.0] * 40))
    for facts, met in (([1.0] * 40, "passed"), ([0.0] * 40, "failed"), ([1.0, 0.0] * 20, "failed"),
                       ([1.0] * 3, "undecided")):
        made = report(facts)
        (gate,) = report_gates(made, Gates(), compare_with_release(workspace, made, name))
        assert (gate.name, gate.outcome) == ("no worse than r001", met)


def test_the_best_system_that_is_built_answers():
    assert complete(systems=("prompt-only", "rag-only")).best == "rag-only"
    assert complete(systems=("prompt-only", "fine-tune-only")).best == "fine-tune-only"


def judged(values, better="higher", unit="share", system="hybrid"):
    """A report of one score, given question by question; None is unscored."""
    rows = [{"line": line, "question": f"q{line}", "group": f"g{line}",
             "replies": {system: {"text": str(value), "scores": {"facts": value}}}}
            for line, value in enumerate(values, 1)]
    return complete(rows, (system,), {"facts": {"better": better, "unit": unit}})


SHARES = some.lists(some.tuples(*[some.sampled_from((None, 0.0, 0.25, 1.0))] * 2), min_size=1, max_size=30)


@settings(max_examples=40, deadline=None)
@given(SHARES, some.sampled_from(("higher", "lower", "neither")), some.sampled_from(("share", "words")))
def test_what_changed_is_what_a_slow_reference_finds(pairs, better, unit):
    before, after = (judged([pair[place] for pair in pairs], better, unit) for place in (0, 1))
    (found,) = changes(before, after, "facts", 0.1)
    both = [(old, new) for old, new in pairs if old is not None and new is not None]
    assert found.questions == len(both)
    if not both:
        assert found.before is found.after is found.outcome is None
        return
    assert found.before == pytest.approx(sum(old for old, _ in both) / len(both))
    assert found.after == pytest.approx(sum(new for _, new in both) / len(both))
    if len(both) < 10:
        assert found.difference is found.low is found.high is found.outcome is None
        return
    reference = difference([new for _, new in both], [old for old, _ in both], [str(n) for n in range(len(both))])
    assert found.difference == pytest.approx(reference.value)
    assert found.low <= found.difference <= found.high
    loss, most = (found.difference, found.low) if better == "higher" else (-found.difference, -found.high)
    least = found.high if better == "higher" else -found.low
    outcome = ("gained" if most > 0 else "kept" if most > -0.1 else
               "forgot" if loss < -0.1 and least < 0 else "cannot tell")
    assert found.outcome == (outcome if better != "neither" and unit == "share" else None)


@given(SHARES, some.sampled_from(("higher", "lower", "neither")))
def test_the_replies_that_changed_are_all_there_the_most_changed_first(pairs, better):
    before, after = (judged([pair[place] for pair in pairs], better) for place in (0, 1))
    found = changed_replies(before, after, "facts")
    expected = [(line, new - old) for line, (old, new) in enumerate(pairs, 1)
                if old is not None and new is not None and new != old]
    assert [(one.row.line, one.change) for one in found] == sorted(
        expected, key=lambda pair: (-abs(pair[1]), pair[0]))
    for one in found:
        assert (one.before.text, one.after.text) == tuple(
            str(value) for value in pairs[one.row.line - 1])
        assert one.better is (None if better == "neither" else (one.change > 0) is (better == "higher"))


def test_a_loss_where_less_is_better_is_worse_and_a_gain_is_not():
    lost = changes(judged([0.0] * 40, "lower"), judged([1.0] * 40, "lower"), "facts", 0.1)
    gained = changes(judged([1.0] * 40, "lower"), judged([0.0] * 40, "lower"), "facts", 0.1)
    assert [one.outcome for one in (*lost, *gained)] == ["forgot", "gained"]
    assert [one.difference for one in (*lost, *gained)] == [1.0, -1.0]


def test_systems_and_questions_that_only_one_report_holds_are_left_out():
    before, after = judged([1.0] * 12), judged([0.0] * 20)
    assert [change.questions for change in changes(before, after, "facts", 0.1)] == [12]
    assert len(changed_replies(before, after, "facts")) == 12
    assert changes(before, judged([1.0], system="rag-only"), "facts", 0.1) == []
    del before.rows[0].replies["hybrid"].scores["facts"]  # an older report scored it on less
    assert changes(before, after, "facts", 0.1)[0].questions == 11
    assert len(changed_replies(before, after, "facts")) == 11


def test_what_a_release_is_made_of_changes_only_where_it_did(released):
    workspace, make = released
    first = make(report([1.0] * 4))
    brand = workspace.folder / "brand.yaml"
    brand.write_text(brand.read_text() + "# more\n")
    second = freeze(Workspace(workspace.folder))
    was, now = contents(workspace, first), contents(workspace, second)
    assert {name for name in was if was[name] != now[name]} == {"brand.yaml"}
    assert set(was) == {"evaluation", "brand.yaml", "fixed phrases"} and {len(short) for short in was.values()} == {8}
    assert evaluations(workspace) == dict.fromkeys((first, second), workspace.current().evaluation / "report.json")
    write_json(workspace.built / "evaluations" / "later" / "report.json", report([0.0] * 4).as_json())
    workspace.use("evaluation", workspace.built / "evaluations" / "later")
    assert list(evaluations(workspace)) == [first, second, LAST]
    for judged_in in set(evaluations(workspace).values()):
        judged_in.unlink()
    assert evaluations(workspace) == {}
    with pytest.raises(UserError, match="no such release"):
        contents(workspace, "r009")
