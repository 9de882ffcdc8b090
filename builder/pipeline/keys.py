"""What adapter, checks, evaluation and rows depend on, as the key of each one's folder: a change makes it again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from builder.evaluation.arms import Extras
from builder.model import prepare
from builder.model.export import WHOLE
from builder.model.prompt import render
from builder.workspace.brand import Brand
from builder.workspace.examples import Choice, Example, Question
from builder.workspace.folder import State, Workspace
from knowledge.files import hash_bytes

TRAINING = "5"
"""Version of how rows are mixed and learnt; a new one trains again."""
CHECKS = "6"
"""Version of the checks."""
SCORING = "6"
"""Version of the scores and of what a report holds; a new one evaluates again."""
CHECKED = {"memorised", "forgotten_instructions", "forgotten_formats", "forgotten_text"}
"""The gates that the checks of an adapter are held against."""
LOOKS = {"colours", "logo"}
"""What of a brand no reply and no score depends on."""


@dataclass(frozen=True)
class Inputs:
    """All that a part may be made of; names of other parts stand for all that those were made of."""

    brand: Brand
    base: str
    """Hash of the weights."""
    index: str = ""
    adapter: str = ""
    examples: Sequence[Example] = ()
    preferences: Sequence[Choice] = ()
    questions: Sequence[Question] = ()


def inputs_of(workspace: Workspace, brand: Brand, parts: State, questions: Sequence[Question] = ()) -> Inputs:
    """What the workspace holds now, with these parts; `questions` are those that count."""
    return Inputs(brand, prepare.prepared(brand.model.base, brand.model.precision).sha256,
                  parts.index.name if parts.index else "", parts.adapter.name if parts.adapter else "",
                  workspace.examples, workspace.preferences, questions)


def training_key(inputs: Inputs) -> str:
    """Of an adapter; `inputs.adapter` is the one that training begins with. Where lines stand doesn't matter."""
    brand = inputs.brand
    return hash_bytes("training", TRAINING, inputs.base, inputs.index, inputs.adapter,
                      brand.training.model_dump_json(), brand.abstain, _prompt(brand),
                      str(brand.retrieval.found), brand.model.precision if brand.training.method in WHOLE else "",
                      *(example.sha256 for example in inputs.examples), "preferences",
                      *(part for choice in inputs.preferences for part in (choice.better.sha256, choice.worse)))


def checks_key(inputs: Inputs) -> str:
    """Of an adapter's checks."""
    brand = inputs.brand
    return hash_bytes("checks", CHECKS, inputs.base, inputs.index, inputs.adapter, brand.model.model_dump_json(),
                      brand.retrieval.model_dump_json(), brand.gates.model_dump_json(include=CHECKED),
                      str(brand.training.seed), brand.abstain, json.dumps(brand.links), _prompt(brand),
                      json.dumps([asdict(example) for example in inputs.examples]))


def evaluation_key(inputs: Inputs, extras: Extras, outside: Mapping[str, Mapping[str, str]]) -> str:
    """Of an evaluation; `outside` are the replies in the file that `extras` names."""
    asked = replace(extras, arms=tuple(sorted(extras.arms)), replies=None)
    return hash_bytes("evaluation", *_judged(inputs), repr(asked),
                      json.dumps(outside, sort_keys=True), *(
                          json.dumps(asdict(choice)) for choice in inputs.preferences if extras.opinion))


def rows_key(inputs: Inputs) -> str:
    """Of the questions with an adapter's replies and scores, as the ablation and further seeds compare them."""
    return hash_bytes("rows", *_judged(inputs))


def _judged(inputs: Inputs) -> list[str]:
    """What replies and their scores depend on."""
    return [SCORING, inputs.base, inputs.index, inputs.adapter, inputs.brand.model_dump_json(exclude=LOOKS),
            _prompt(inputs.brand), json.dumps([asdict(question) for question in inputs.questions]),
            json.dumps([asdict(example) for example in inputs.examples])]


def _prompt(brand: Brand) -> str:
    """What the renderer makes of the brand and a passage, so that a new wording of it makes new parts."""
    return json.dumps(render(brand, "question", [("heading", "text")]))
