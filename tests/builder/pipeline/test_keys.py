"""A part is made again when anything that it depends on changes, and only then."""

from dataclasses import replace
from pathlib import Path

import pytest

from builder.evaluation.arms import Extras
from builder.evaluation.model_judge import ModelJudge
from builder.pipeline import keys
from builder.pipeline.keys import Inputs, checks_key, evaluation_key, rows_key, training_key
from builder.workspace.brand import Brand
from builder.workspace.examples import Choice, Example, Question

EXAMPLE = Example("When?", "Tuesdays.", (), 1)
QUESTION = Question("Who?", "Nell", (("Nell",),), (), "documents/a.md", None, True, (), "line 1", 1)
BRAND = Brand(name="Lamps", persona="You mend lamps.", abstain="No idea.")
INPUTS = Inputs(BRAND, "base", "index", "adapter", [EXAMPLE], [Choice(EXAMPLE, "No.")], [QUESTION])
KEYS = {"training": training_key, "checks": checks_key, "rows": rows_key,
        "evaluation": lambda inputs: evaluation_key(inputs, Extras(), {}),
        "opinion": lambda inputs: evaluation_key(inputs, Extras(opinion=ModelJudge("http://localhost/v1", "m")), {})}
ALL = set(KEYS)
JUDGED = {"rows", "evaluation", "opinion"}


def brand(part=None, **values):
    changed = BRAND.model_copy(update={part: getattr(BRAND, part).model_copy(update=values)} if part else values)
    assert changed != BRAND
    return replace(INPUTS, brand=changed)


@pytest.mark.parametrize(("changed", "parts"), [
    (replace(INPUTS, base="other"), ALL), (replace(INPUTS, index="other"), ALL), (replace(INPUTS, adapter="b"), ALL),
    (replace(INPUTS, examples=[replace(EXAMPLE, reply="Fridays.")]), ALL),
    (replace(INPUTS, examples=[replace(EXAMPLE, history=(("user", "Hi"),))]), ALL),
    (replace(INPUTS, examples=[replace(EXAMPLE, line=2)]), ALL - {"training"}),  # reports name lines
    (replace(INPUTS, preferences=[Choice(EXAMPLE, "Never.")]), {"training", "opinion"}),
    (replace(INPUTS, questions=[replace(QUESTION, facts=(("Nell", "Nelly"),))]), JUDGED),
    (brand(persona="You sell lamps."), ALL), (brand(abstain="Ask us."), ALL),
    (brand("voice", dont=("obviously",)), ALL), (brand("voice", required=("Hi!",)), ALL),
    (brand("voice", banned=("cheap",)), JUDGED), (brand("voice", words=9), JUDGED),
    (brand("voice", grade=3.0), JUDGED),  # the model isn't told of these
    (brand("training", epochs=BRAND.training.epochs + 1), ALL - {"checks"}), (brand("training", seed=7), ALL),
    (brand("retrieval", found=5), ALL), (brand(links={"Nell": "https://nell.example"}), ALL - {"training"}),
    (brand("model", context=BRAND.model.context + 1), ALL - {"training"}),
    (brand("gates", margin=0.2), JUDGED), (brand("gates", memorised=0.2), ALL - {"training"}),
    (brand(colours={"accent": "#123456"}), set())])
def test_what_a_part_depends_on_is_in_its_key_and_nothing_else(changed, parts):
    assert {name for name, key in KEYS.items() if key(changed) != key(INPUTS)} == parts


@pytest.mark.parametrize("extras", [Extras(arms=("untaught",)), Extras(paraphrases=True), Extras(samples=2),
                                    Extras(seeds=3), Extras(opinion=ModelJudge("http://localhost/v1", "m"))])
def test_what_else_is_asked_for_is_in_an_evaluations_key(extras):
    assert evaluation_key(INPUTS, extras, {}) != evaluation_key(INPUTS, Extras(), {})


def test_replies_from_elsewhere_count_by_what_they_say_and_not_by_their_file():
    said = {"theirs": {"Who?": "Nell."}}
    assert evaluation_key(INPUTS, Extras(), said) != evaluation_key(INPUTS, Extras(), {})
    one, other = (evaluation_key(INPUTS, Extras(replies=Path(name)), said) for name in ("a.json", "b.json"))
    assert one == other


@pytest.mark.parametrize(("version", "parts"), [("TRAINING", {"training"}), ("CHECKS", {"checks"}),
                                                ("SCORING", JUDGED)])
def test_a_new_version_makes_its_parts_again(monkeypatch, version, parts):
    before = {name: key(INPUTS) for name, key in KEYS.items()}
    monkeypatch.setattr(keys, version, "of tomorrow")
    assert {name for name, key in KEYS.items() if key(INPUTS) != before[name]} == parts
