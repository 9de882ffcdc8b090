"""The ablation: arms change what they say and nothing else, and differences are paired with the build as it is set."""

import pytest

from builder.evaluation.evaluate import mean
from builder.pipeline.experiments import ARMS, AS_SET, ablate, apart, changed
from builder.scoring.statistics import difference
from builder.workspace.brand import Brand, Training
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from tests.reports import row

BRAND = Brand(name="Acme", persona="Helps.", abstain="No.", training=Training(seed=5))


def watch(name):
    return lambda *_: None


def rows(values, group="g"):
    return [row(group=f"{group}{place // 2}", replies={"hybrid": {"scores": {"facts": value}}})
            for place, value in enumerate(values)]


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_changes_only_what_it_says_and_stays_a_valid_setting(arm):
    made = changed(BRAND, arm, 30).training
    assert Training.model_validate(made.model_dump()) == made
    differs = {name for name, value in made.model_dump().items() if value != getattr(BRAND.training, name)}
    assert differs <= ARMS[arm].keys() and (differs or arm == AS_SET)


def test_layers_are_frozen_by_share_and_seeds_are_counted_from_the_brands():
    assert changed(BRAND, "two thirds of the layers frozen", 30).training.frozen_layers == 20
    assert changed(BRAND, "another seed", 30).training.seed == 6


def test_differences_are_paired_where_both_are_scored():
    left, right = rows([1.0, 0.0, 1.0, None, 1.0, 1.0]), rows([0.0, 0.0, 1.0, 1.0, None, 0.0])
    n, found = apart(left, right, "hybrid", "facts")
    expected = difference([1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0], ["g0", "g0", "g1", "g2"])
    assert n == 4 and found == expected and found.value == 0.5
    assert mean(left, "hybrid", "facts").n == 5
    assert apart(rows([None]), rows([1.0]), "hybrid", "facts") == (0, None)


def test_an_unknown_arm_and_a_lack_of_questions_are_one_line(written):
    with pytest.raises(UserError, match="no such arm; there are: as set, without passages"):
        ablate(Workspace(written), ["nothing"], watch)
    (written / "questions.jsonl").unlink()
    with pytest.raises(UserError, match="has no test questions; an ablation needs some"):
        ablate(Workspace(written), [], watch)


@pytest.mark.thorough
def test_arms_are_trained_and_judged_once(copied):
    first = ablate(copied, ["without passages"], watch)
    assert list(first.arms) == [AS_SET, "without passages"]
    assert first.arms["without passages"].rows == {"closed": 5, "replay": 1, "tone": 5}
    assert {one.system for one in first.differences} == {"fine-tune-only", "hybrid"}
    assert all(one.adjusted is not None for one in first.differences if one.score in ("facts", "tone"))
    seen = []
    assert ablate(copied, ["without passages"], lambda name: seen.append(name) or (lambda *_: None)) == first
    assert seen == []
