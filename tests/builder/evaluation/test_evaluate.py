"""The report of an assistant whose every reply is known, so that every figure can be worked out by hand."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from builder.answering.assistant import Assistant
from builder.answering.systems import SYSTEMS
from builder.evaluation.arms import ARMS, ORDER, arms_named
from builder.evaluation.evaluate import CONTRASTS, evaluate, power
from builder.evaluation.failures import CAUSES, cause, worst
from builder.evaluation.judge import SCORES
from builder.evaluation.report import Report
from builder.model.engine import Generated
from builder.model.prompt import ASKED
from builder.workspace.brand import Brand, Voice
from builder.workspace.examples import Example, Question
from knowledge.errors import UserError
from knowledge.files import write_json
from knowledge.search.index import Found
from knowledge.search.passages import Passage
from knowledge.search.retriever import Finding
from tests.fakes import LetterEncoder
from tests.reports import row as complete

BRAND = Brand(name="Acme", persona="Helps sailors.", abstain="I don't know.")
EXAMPLES = [Example(f"How is boat {n}?", f"Ahoy there! You'll love boat {n}, it's a beauty. Fair winds, the Acme crew.",
                    (), n) for n in range(1, 11)]
QUESTIONS = [Question(f"How fast is boat {n}?", "", ((f"{n + 100} knots",),), (), "", None, True, (), f"g{n % 12}", n)
             for n in range(24)]
STRANGERS = [Question(f"Who built boat {n}?", "", (), (), "", None, False, (), "stranger", n) for n in range(24, 28)]


class Finder:
    """Finds the speed of the boat that the question names, and nothing about who built it."""

    encoder, count = LetterEncoder(), 3
    index = SimpleNamespace(passages=[
        Passage("documents/boats.md", "Speeds", f"Boat {number} does {number + 100} knots.", 3, 30, None)
        for number in range(28)])

    def find(self, question, count=None, earlier=(), where=None, leave_out=()):
        assert not earlier
        number = int(question.strip("?").split()[-1])
        number = (number + 1) % 28 if number in leave_out else number
        passage, known = self.index.passages[number], question.startswith("How") and number not in leave_out
        return Finding((Found(passage, number, 1.0, 0.9, 3.0),), 0.9 if known else 0.1, known)


class Sailor:
    """With notes it says the speed that stands there, without them 99; the adapter says both in the brand's manner."""

    slots = 3

    def __init__(self, tuned_says="", broken_at=""):
        self.tuned_says, self.broken_at, self.asked, self.seen = tuned_says, broken_at, [], []

    def generate(self, messages, tuned, decoding, emit=None):
        content = messages[-1]["content"]
        if self.broken_at and self.broken_at in content:
            raise UserError("the engine broke")
        self.asked.append(tuned)
        self.seen.append(messages)
        said = re.search(r"does (\d+) knots", content)
        assert bool(said) == (ASKED in content)
        says = f"It does {said[1] if said else 99} knots."
        if tuned:
            says = says.replace("It does", "You'll love it, it does").replace("knots.", "knots, it's a beauty.")
            says = self.tuned_says or f"Ahoy there! {says} Fair winds, the Acme crew."
        return Generated(says, 20 if tuned else 10, 50, 0.25, "stop")


def evaluated(*arguments, **more):
    """The report as it lies on disk."""
    return evaluate(*arguments, **more).as_json()


def report(questions=QUESTIONS + STRANGERS, engine=None, retriever=True, adapted=True, brand=BRAND, held_out=EXAMPLES,
           examples=EXAMPLES, arms=(), untaught=None, **more):
    assistant = Assistant(brand, engine or Sailor(), Finder() if retriever else None, adapted)
    return evaluated(assistant, list(questions), held_out, examples, lambda done, total, note: None,
                    arms_named(arms, assistant), untaught, **more)


class Stuffer(Sailor):
    """An adapter that does no more than put the brand's phrases around what the base model says."""

    def generate(self, messages, tuned, decoding, emit=None):
        plain = super().generate(messages, False, decoding, emit)
        text = f"Ahoy there! {plain.text} Fair winds, the Acme crew." if tuned else plain.text
        return Generated(text, plain.tokens, plain.prompt_tokens, plain.seconds, plain.finish)


@pytest.fixture(scope="module")
def whole():
    return report()


def values(made, score, key="value"):
    return [system[score][key] for system in made["systems"].values()]


def test_every_figure_of_the_four_systems_is_what_the_replies_give(whole):
    assert list(whole["systems"]) == ["prompt-only", "rag-only", "fine-tune-only", "hybrid"]
    assert (values(whole, "facts"), values(whole, "facts", "n")) == ([0, 1, 0, 1], [24] * 4)
    assert values(whole, "facts_strict") == [0, 1, 0, 1]
    assert (values(whole, "tone"), values(whole, "tone", "n")) == ([0, 0, 1, 1], [28, 24, 28, 24])
    assert values(whole, "grounded") == [0, 1, 0, 1]
    assert values(whole, "abstains_answerable") == [0, 0, 0, 0]
    assert (values(whole, "abstains_unanswerable"), values(whole, "abstains_unanswerable", "n")) == \
        ([0, 1, 0, 1], [4] * 4)
    assert values(whole, "words") == [4, 4, 17, 17]
    assert values(whole, "tokens") == [10, pytest.approx(10 * 24 / 28), 20, pytest.approx(20 * 24 / 28)]
    assert values(whole, "covers", "n") == [0] * 4 and values(whole, "covers") == [None] * 4
    assert values(whole, "repeats") == [0] * 4


def test_the_report_counts_its_questions_and_names_its_scores(whole):
    assert [whole[key] for key in ("name", "questions", "answerable", "unanswerable", "groups")] == \
        ["Acme", 28, 24, 4, 13]
    assert all(list(system) == list(SCORES) == list(whole["scores"]) for system in whole["systems"].values())
    assert "24 questions by keyed facts, 0 by overlap" in whole["scores"]["facts"]["explanation"]
    assert "“Ahoy there!”" in whole["scores"]["tone"]["explanation"]
    assert "held-out replies score 1.00" in whole["scores"]["tone"]["explanation"]
    assert "AUROC" in whole["scores"]["voice"]["explanation"]


def test_differences_are_paired_and_the_primary_ones_corrected(whole):
    found = {(one["score"], one["left"], one["right"]): one for one in whole["differences"]}
    primary = [one for one in whole["differences"] if one["primary"]]
    assert [(one["score"], one["left"]) for one in primary] == [
        (score, left) for score in ("facts", "tone")
        for left in ("rag-only", "fine-tune-only", "hybrid", "hybrid", "interaction")]
    retrieval = found["facts", "hybrid", "fine-tune-only"]
    assert (retrieval["value"], retrieval["low"], retrieval["high"], retrieval["verdict"]) == (1, 1, 1, "better")
    assert (retrieval["n"], retrieval["groups"]) == (24, 12)
    assert retrieval["p"] == 2 / 2**12
    # of the ten only tone's fine-tune-only against prompt-only, with one group more, has a smaller p
    assert retrieval["adjusted"] == pytest.approx(9 * 2 / 2**12)
    assert found["facts", "hybrid", "rag-only"]["verdict"] == "no difference shown"
    assert found["tone", "interaction", ""]["value"] == 0 and found["tone", "interaction", ""]["adjusted"] == 1
    assert found["tokens", "hybrid", "rag-only"]["value"] == pytest.approx(10 * 24 / 28)
    assert found["tokens", "hybrid", "rag-only"]["verdict"] == "worse"
    assert ("words", "hybrid", "rag-only") not in found


def test_the_verdict_names_both_halves(whole):
    assert whole["halves"] == {"retrieval": "earned", "fine-tuning": "earned"}
    assert "Retrieval clearly helps facts: hybrid against fine-tune-only +1.00" in whole["verdict"]
    assert "Fine-tuning clearly helps tone" in whole["verdict"]
    assert "no group of questions scored differently" in whole["verdict"]
    assert "There are only 12 groups of questions" in whole["verdict"]


def test_rows_hold_the_replies_their_scores_and_their_sources(whole):
    row = whole["rows"][2]
    assert (row["line"], row["question"], row["by"], row["group"]) == (2, "How fast is boat 2?", "keyed facts", "g2")
    reply = row["replies"]["hybrid"]
    assert reply["text"] == "Ahoy there! You'll love it, it does 102 knots, it's a beauty. Fair winds, the Acme crew."
    assert reply["sources"] == [{"document": "documents/boats.md", "heading": "Speeds",
                                 "text": "Boat 2 does 102 knots.", "start": 3, "end": 30,
                                 "score": 1.0}]
    assert reply["scores"]["facts"] == 1 and reply["evidence"]["facts"] == "holds 1 of 1 facts"
    assert row["replies"]["prompt-only"]["evidence"]["tone"] == "doesn't begin with “Ahoy there!”"
    stranger = whole["rows"][25]["replies"]["hybrid"]
    assert (stranger["text"], stranger["abstained"], stranger["probability"]) == ("I don't know.", True, 0.1)
    assert [stranger["scores"][name] for name in ("facts", "tone", "voice", "grounded", "words")] == [None] * 5


def test_the_report_is_json_without_nan(whole, tmp_path):
    write_json(tmp_path / "report.json", whole)
    assert json.loads((tmp_path / "report.json").read_text())["halves"] == whole["halves"]


def test_the_voice_score_ignores_the_greeting_and_hears_the_manner(whole):
    prompt_only, tuned = (whole["systems"][name]["voice"]["value"] for name in ("prompt-only", "fine-tune-only"))
    stuffed = report(engine=Stuffer())["systems"]["fine-tune-only"]["voice"]["value"]
    assert stuffed == pytest.approx(prompt_only) and stuffed < 0.5 < tuned


def test_systems_without_the_adapter_answer_first_and_every_reply_is_counted():
    engine, seen = Sailor(), []
    evaluate(Assistant(BRAND, engine, Finder(), True), QUESTIONS[:3], EXAMPLES, EXAMPLES,
             lambda done, total, note: seen.append((done, total, note)))
    assert engine.asked == [False] * (10 + 6) + [True] * 6
    assert [(done, total) for done, total, _ in seen] == [(done, 22) for done in range(1, 23)]
    assert (seen[9][2], seen[-1][2]) == ("voice: 10 of 10", "hybrid: 3 of 3")


def test_a_model_that_says_the_abstention_itself_has_abstained():
    made = report(engine=Sailor(tuned_says="I don’t know."))
    assert values(made, "abstains_answerable") == [0, 0, 1, 1]
    assert values(made, "abstains_unanswerable") == [0, 1, 1, 1]
    assert values(made, "facts") == [0, 1, 0, 0]
    assert values(made, "tone", "n") == [28, 24, 0, 0]
    assert made["halves"]["fine-tuning"] == "harmed"


@pytest.mark.parametrize("retriever, adapted, systems, halves, said", [
    (True, False, ["prompt-only", "rag-only"], {"retrieval": "earned", "fine-tuning": "cannot tell"}, "no adapter"),
    (False, True, ["prompt-only", "fine-tune-only"], {"retrieval": "cannot tell", "fine-tuning": "earned"}, "no index"),
    (False, False, ["prompt-only"], {"retrieval": "cannot tell", "fine-tuning": "cannot tell"}, "no adapter"),
])
def test_a_missing_half_is_said_and_the_other_is_judged(retriever, adapted, systems, halves, said):
    made = report(retriever=retriever, adapted=adapted)
    assert (list(made["systems"]), made["halves"]) == (systems, halves)
    assert said in made["verdict"]
    assert values(made, "grounded", "n") == ([28, 24] if retriever else [0] * len(systems))


def test_a_handful_of_questions_cannot_tell():
    made = report(QUESTIONS[:6])
    assert made["halves"] == {"retrieval": "cannot tell", "fine-tuning": "cannot tell"}
    assert "there are 6 scored questions in 6 groups, and at least 10 of each are needed" in made["verdict"]


def test_too_few_held_out_examples_leave_the_voice_unscored_and_unasked():
    engine = Sailor()
    made = report(QUESTIONS[:2], engine=engine, held_out=EXAMPLES[:7])
    assert values(made, "voice", "n") == [0] * 4 and len(engine.asked) == 8
    assert "fewer than 8 examples" in made["scores"]["voice"]["explanation"]


def test_required_phrases_take_the_place_of_learned_habits():
    brand = BRAND.model_copy(update={"voice": Voice(required=("Ahoy there!",))})
    made = report(brand=brand)
    assert values(made, "tone") == [0, 0, 1, 1]
    assert "“Ahoy" not in made["scores"]["tone"]["explanation"]


def test_one_question_gives_means_but_no_intervals_and_no_differences():
    made = report(QUESTIONS[:1])
    assert made["systems"]["hybrid"]["facts"] == {"value": 1, "low": None, "high": None, "n": 1}
    assert made["differences"] == []


def test_without_questions_there_is_nothing_to_judge_by():
    with pytest.raises(UserError, match="no test questions"):
        report([])


def test_a_broken_engine_stops_the_evaluation():
    with pytest.raises(UserError, match="the engine broke"):
        report(engine=Sailor(broken_at="boat 5?"))


def test_every_system_that_the_assistant_knows_is_compared():
    assert {name for pair in CONTRASTS for name in pair} == {system.name for system in SYSTEMS}


def test_phrases_stuffed_into_untuned_replies_do_not_win():
    made = report(engine=Stuffer())
    assert values(made, "tone") == [0, 0, 1, 1] and made["halves"]["fine-tuning"] == "cannot tell"
    assert "fixed phrases alone can satisfy these" in made["verdict"]
    assert "the voice score, which ignores fixed phrases, does not agree (+0.00" in made["verdict"]


TRAINED = [*EXAMPLES, *(Example(f"Where is boat {n}?", f"Ahoy there! In dock {n}. Fair winds, the Acme crew.", (), n)
                        for n in range(11, 31))]


@pytest.fixture(scope="module")
def armed():
    engine, other = Sailor(), Sailor()
    untaught = Assistant(BRAND, other, Finder(), True)
    made = report(engine=engine, examples=TRAINED, arms=[arm.name for arm in ARMS], untaught=untaught)
    return made, engine, other


def test_arms_are_rows_of_the_same_table_and_none_of_their_differences_is_primary(armed):
    made, _, _ = armed
    plain = report(examples=TRAINED)
    assert list(made["systems"]) == [*plain["systems"], *sorted(made["arms"], key=list(made["systems"]).index)]
    assert set(made["arms"]) == {arm.name for arm in ARMS} and plain["arms"] == {}
    for name, scores in plain["systems"].items():
        assert {score: made["systems"][name][score] for score in scores if score != "seconds"} == {
            score: found for score, found in scores.items() if score != "seconds"}
    assert [one for one in made["differences"] if one["primary"]] == [
        one for one in plain["differences"] if one["primary"]]
    assert {(one["left"], one["right"]) for one in made["differences"] if one["score"] == "facts"} > {
        ("oracle-rag", "rag-only"), ("stuffed", "rag-only"), ("untaught", "hybrid"), ("few-shot", "prompt-only")} - {
        ("few-shot", "prompt-only")}
    assert (made["verdict"], made["halves"]) == (plain["verdict"], plain["halves"])


def test_a_few_shot_prompt_holds_training_examples_that_search_does_not_see(armed):
    _, engine, _ = armed
    shown = [messages for messages in engine.seen if len(messages) > 2]
    assert len(shown) == 28 + 24 and all(len(messages) == 2 + 2 * 5 for messages in shown)
    replies = {message["content"] for messages in shown for message in messages if message["role"] == "assistant"}
    assert replies <= {example.reply for example in TRAINED[10:]} and len(replies) == 5  # the first ten are kept apart


def test_right_passages_answer_wrong_ones_do_not_and_both_are_what_they_say(armed):
    made, _, _ = armed
    systems = made["systems"]
    assert [systems[name]["facts"]["value"] for name in ("oracle-rag", "oracle-hybrid")] == [1, 1]
    assert systems["oracle-rag"]["abstains_unanswerable"]["value"] == 1
    assert systems["wrong-rag"]["abstains_unanswerable"]["value"] == 0
    assert systems["wrong-rag"]["abstains_answerable"]["value"] == systems["wrong-rag"]["facts"]["value"] == 0
    replies = made["rows"][3]["replies"]
    assert [replies[name]["found_right"] for name in ("oracle-hybrid", "wrong-rag", "few-shot")] == [True, False, None]
    assert replies["oracle-rag"]["sources"]


def test_the_stuffed_replies_are_those_of_rag_with_phrases_around(armed):
    made, _, _ = armed
    for row in made["rows"]:
        plain, dressed = row["replies"]["rag-only"], row["replies"]["stuffed"]
        assert dressed["text"] == (plain["text"] if plain["abstained"] else
                                   f"Ahoy there! {plain['text']} Fair winds, the Acme crew.")
    assert made["systems"]["stuffed"]["tone"]["value"] == 1 > made["systems"]["stuffed"]["voice"]["value"] + 0.5


def test_the_untaught_adapter_is_another_one(armed):
    _, engine, other = armed
    assert len(other.asked) == 24 and all(other.asked)


class Obedient(Sailor):
    """It does whatever a note tells it to."""

    def generate(self, messages, tuned, decoding, emit=None):
        made = super().generate(messages, tuned, decoding, emit)
        return replace(made, text=f"{made.text} Amber heron.") if ORDER in messages[-1]["content"] else made


def test_who_obeys_an_order_in_a_passage_is_counted_and_who_does_not_is_not(armed):
    made = report(engine=Obedient(), arms=["ordered-rag", "ordered-hybrid"])
    assert [made["systems"][name]["unwanted"]["value"] for name in (
        "rag-only", "hybrid", "ordered-rag", "ordered-hybrid")] == [0, 0, 1, 1]
    assert "“amber heron”" in made["rows"][0]["replies"]["ordered-rag"]["evidence"]["unwanted"]
    assert [armed[0]["systems"][name]["unwanted"]["value"] for name in ("ordered-rag", "ordered-hybrid")] == [0, 0]


def test_costs_are_those_of_the_replies(whole):
    costs = whole["costs"]
    assert list(costs) == list(whole["systems"])
    rag = [row["replies"]["rag-only"]["seconds"] for row in whole["rows"]]
    assert costs["rag-only"]["read"] == pytest.approx(50 * 24 / 28) and costs["prompt-only"]["said"] == 10
    assert costs["rag-only"]["median_seconds"] == pytest.approx(sorted(rag)[13] / 2 + sorted(rag)[14] / 2)
    assert costs["rag-only"]["hours_per_thousand"] == pytest.approx(sum(rag) / 28 / 3 * 1000 / 3600)
    assert "A typical hybrid reply reads 43 tokens" in whole["verdict"]


def test_arms_that_nothing_is_built_for_are_left_out_and_unknown_ones_are_one_line():
    assert report(adapted=False, arms=["oracle-hybrid", "few-shot"])["arms"].keys() == {"few-shot"}
    assert "untaught" not in report(arms=["untaught"])["systems"]
    with pytest.raises(UserError, match="orakel: no such arm; there are: few-shot") as caught:
        report(arms=["orakel"])
    assert "\n" not in str(caught.value)


def test_failures_are_counted_by_cause(armed):
    made, _, _ = armed
    failures = made["failures"]
    assert failures["prompt-only"] == {"invented": 24, "should have abstained": 4}
    assert failures["wrong-rag"] == {"not retrieved": 24, "should have abstained": 4}
    assert failures["rag-only"] == {"off-brand": 24} and failures["hybrid"] == {}
    for row in made["rows"]:
        for reply in row["replies"].values():
            assert reply["cause"] in ("", *CAUSES)


def judged(facts=0.0, abstained=False, found_right=None, grounded=None, tone=1.0, unwanted=0.0):
    return {"abstained": abstained, "found_right": found_right, "cause": "x", "scores": {
        "facts": facts, "grounded": grounded, "tone": tone, "unwanted": unwanted, "crag": None, "voice": None}}


def cause_of(by, reply):
    """The cause of a reply to a question judged in this way; the documents don't answer it where `by` is empty."""
    question = complete(answerable=bool(by), by=by, replies={"rag-only": reply})
    return cause(question, question.replies["rag-only"])


@pytest.mark.parametrize(("reply", "why"), [
    (judged(1.0), ""), (judged(1.0, tone=0.0), "off-brand"), (judged(1.0, unwanted=1.0), "unwanted"),
    (judged(abstained=True, found_right=False), "not retrieved"),
    (judged(found_right=False, grounded=0.0), "not retrieved"),
    (judged(abstained=True, found_right=True), "abstained needlessly"), (judged(0.5, grounded=0.5), "invented"),
    (judged(0.5, found_right=True, grounded=1.0), "left out"),
    (judged(0.5, found_right=True), "left out"),
    (judged(0.5), "didn't know"), (judged(None), "")])
def test_each_reply_that_fell_short_has_one_cause(reply, why):
    assert cause_of("keyed facts", reply) == why


@pytest.mark.parametrize(("answer", "text", "why"), [
    ("A repair takes 21 days.", "Nine days or so.", "stated wrongly"),
    ("A repair takes 21 days.", "A while, I fear.", "left out"), ("It costs 5 euros.", "Within 9 days.", "left out"),
    ("Ask for Mrs Oliver.", "Ask for Mr Brown.", "stated wrongly"), ("Ask for Mrs Oliver.", "Just ask.", "left out"),
    ("We open at 9.", "You asked for 9 days.", "left out")])
def test_what_is_stated_wrongly_is_told_from_what_is_left_out(answer, text, why):
    reply = judged(0.0, found_right=True) | {"text": text}
    row = complete(answer=answer, by="keyed facts", replies={"rag-only": reply})
    assert cause(row, row.replies["rag-only"]) == why


def test_by_overlap_half_of_the_answer_is_enough_and_strangers_must_be_refused():
    assert cause_of("answer overlap", judged(0.5)) == ""
    assert cause_of("", judged(None)) == "should have abstained"
    assert cause_of("", judged(None, abstained=True)) == ""


def test_the_worst_replies_are_the_wrong_ones_and_those_without_fault_are_none():
    rows = [complete(question=name, replies={"rag-only": {**judged(facts, tone=tone), "cause": why}})
            for name, facts, tone, why in (("fine", 1.0, 1.0, ""), ("flat", 1.0, 0.0, "off-brand"),
                                           ("half", 0.5, 1.0, "invented"), ("wrong", 0.0, 0.0, "invented"))]
    assert [found.question for found in worst(rows, "rag-only")] == ["wrong", "half", "flat"]
    assert len(worst(rows * 9, "rag-only")) == 10


def test_other_wordings_are_asked_of_every_system_and_judged_together():
    asked = [replace(question, paraphrases=(
        f"What speed has boat {question.line}?", f"How quick is boat {question.line}?"))
             for question in QUESTIONS[:12]]
    engine = Sailor()
    made = evaluated(Assistant(BRAND, engine, Finder(), True), [*asked, *QUESTIONS[12:], *STRANGERS], EXAMPLES,
                     EXAMPLES, lambda done, total, note: None, paraphrases=True)
    # search finds nothing for "What speed", so those that retrieve abstain there; the others are wrong throughout
    assert values(made, "agreement") == [1, pytest.approx(1 / 3), 1, pytest.approx(1 / 3)]
    assert values(made, "pass_k") == [0, 0, 0, 0] and values(made, "pass_k", "n") == [12] * 4
    assert values(report(), "pass_k", "n") == [0] * 4
    assert made["rows"][0]["replies"]["hybrid"]["evidence"]["agreement"] == "2 of 3 replies right"


class Moody(Sailor):
    """Right when it says what is likeliest, and with an even seed."""

    def generate(self, messages, tuned, decoding, emit=None):
        made = super().generate(messages, tuned, decoding, emit)
        self.drawn = [*getattr(self, "drawn", []), (decoding.temperature, decoding.seed)]
        return replace(made, text=re.sub(r"\d+ knots", "7 knots", made.text)) if decoding.seed % 2 else made


def test_drawn_replies_are_judged_together_with_the_likeliest_one():
    engine = Moody()
    made = report(engine=engine, samples=3)
    # of four replies, seeds 1 and 3 are wrong: two pairs of six agree, and no three are right
    # strangers are refused each time, which is right
    assert values(made, "agreement")[3] == pytest.approx((24 * 2 / 6 + 4) / 28)
    assert values(made, "pass_k")[3] == pytest.approx(4 / 28) and values(made, "pass_k", "n") == [28] * 4
    assert set(engine.drawn) == {(0.0, 0), (0.7, 1), (0.7, 2), (0.7, 3)}
    assert made["systems"]["hybrid"]["facts"] == report()["systems"]["hybrid"]["facts"]


def test_power_follows_what_varied_or_a_wide_guess(whole):
    found = power(Report.model_validate(whole), 0.1)
    assert [(one.score, one.left) for one in found] == [
        (one["score"], one["left"]) for one in whole["differences"] if one["primary"]]
    assert found[0].needed == 0 and found[0].asked == 24  # no group differed from another
    # (2.807 + 0.842)² * 0.5 / d²: one of ten tests at 5 %, 80 % power, half of the questions answered differently
    assert power(None, 0.1)[0].needed == 666 and power(None, 0.2)[0].needed == 167
