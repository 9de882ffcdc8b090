"""The recipes beyond plain LoRA: each against its formula, transformers' own loss or PEFT, on tiny models."""

import json
import resource

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from builder.training.adapter import adapt, cast, learning, save, start_from
from builder.training.batching import Encoded
from builder.training.frozen import trunk
from builder.training.fused import HeadLoss
from builder.training.loop import PATIENCE, Run, fit
from builder.training.objectives import BETA, ODDS, Computing, Dpo, Pair, learn_replies, orpo, row_scores
from builder.training.recipe import RATES, _prefer, _rate
from knowledge.errors import UserError
from knowledge.files import silent
from tests.builder.training.test_training import (
    assert_as_plain,
    fixed,
    gradients,
    learnt,
    moved,
    run,
    settled,
    some_rows,
    tiny,
    total,
)


def some_pairs(count=6):
    rows = some_rows(count)
    return [Pair(row, Encoded((*row.ids[:row.start], 7, 8, number + 9, 2), row.start))
            for number, row in enumerate(rows)]


@given(st.integers(1, 300), st.integers(2, 40), st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_the_head_never_needs_all_logits_at_once(tokens, vocabulary, seed):
    drawing = torch.Generator().manual_seed(seed)
    states = torch.randn(tokens, 8, generator=drawing, requires_grad=True)
    weight = torch.randn(vocabulary, 8, generator=drawing)
    labels = torch.randint(vocabulary, (tokens,), generator=drawing)
    share = torch.rand(tokens, generator=drawing)
    ours = HeadLoss.apply(states, weight, labels)
    (ours * share).sum().backward()
    gradient, states.grad = states.grad, None
    theirs = functional.cross_entropy(states @ weight.t(), labels, reduction="none")
    (theirs * share).sum().backward()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient, states.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["lora", "dora", "full"])
def test_each_method_has_the_gradients_of_transformers_and_peft(method):
    assert_as_plain(moved(adapt(tiny(), settled(method=method))), some_rows())


def test_full_fine_tuning_learns_every_linear_layer_and_nothing_else():
    names = {name.rpartition(".")[0].rpartition(".")[2] for name in learning(adapt(tiny(), settled(method="full")))}
    assert names == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_frozen_layers_run_once_and_give_the_same_loss_and_gradients():
    model, rows = moved(adapt(tiny(), settled(frozen_layers=1))), some_rows()
    assert all(".layers.1." in name for name in learning(model))
    plain = total(model, rows, torch.float32)
    plain.backward()
    expected = gradients(model)
    computing, seen = Computing(model, torch.float32, 1), []
    trunk(model).layers[0].register_forward_hook(lambda *_: seen.append(1))
    for _ in range(3):
        ours = computing.token_losses(rows)[0].sum()
        ours.backward()
        torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-5)
        for name, gradient in gradients(model).items():
            torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-5)
    assert len(seen) == 1 and len(trunk(model).layers) == 2


def test_more_frozen_layers_than_there_are_is_refused():
    with pytest.raises(UserError, match="the model has 2 layers; freeze fewer of them"):
        adapt(tiny(), settled(frozen_layers=2))


def plain_score(model, row):
    """A reply's summed log-probability, by transformers' own logits."""
    model.config._attn_implementation = "sdpa"
    chances = model(input_ids=torch.tensor([row.ids])).logits[0].log_softmax(-1)
    model.config._attn_implementation = "spans"
    return sum(chances[place - 1, row.ids[place]] for place in range(row.start, len(row.ids)))


def test_dpo_is_its_formula_against_the_model_it_began_with():
    model, pairs = moved(adapt(tiny(), settled())), some_pairs()
    computing = Computing(model, torch.float32)
    objective = Dpo(computing, pairs)
    assert sum(objective(computing, pairs)).item() == pytest.approx(0.6931, abs=1e-4)  # log 2: nothing differs yet
    before = [[plain_score(model, row).item() for row in pair.rows] for pair in pairs]
    with torch.no_grad():
        for weight in learning(model).values():
            weight.mul_(1.5)
    after = [[plain_score(model, row).item() for row in pair.rows] for pair in pairs]
    wanted = [-functional.logsigmoid(torch.tensor(BETA * ((chosen - rejected) - (was - other))))
              for (chosen, rejected), (was, other) in zip(after, before, strict=True)]
    assert sum(objective(computing, pairs)).item() == pytest.approx(float(sum(wanted)) / len(pairs), abs=1e-4)


def test_orpo_is_its_formula_and_needs_no_reference():
    model, pairs = moved(adapt(tiny(), settled())), some_pairs()
    wanted = 0.0
    for pair in pairs:
        good, bad = (plain_score(model, row) / row.learnt for row in pair.rows)
        odds = (good - bad) - (torch.log(1 - good.exp()) - torch.log(1 - bad.exp()))
        wanted += float(-good - ODDS * functional.logsigmoid(odds)) / len(pairs)
    found = sum(orpo(Computing(model, torch.float32), pairs)).item()
    assert found == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("objective", ["dpo", "orpo"])
def test_preferences_are_learnt_and_judged_on_pairs_kept_apart(tmp_path, monkeypatch, objective):
    fixed(monkeypatch, "fp32")
    model, pairs = adapt(tiny(spread=0.2), settled()), some_pairs(16)
    chosen = settled(preferences=objective, preference_epochs=30, preference_learning_rate=1e-2)
    record = _prefer(model, pairs, chosen, "fp32", tmp_path, "key", silent, 30.0)
    assert (record["pairs"], record["held_out_pairs"], record["objective"]) == (14, 2, objective)
    computing = Computing(model, torch.float32)
    with torch.no_grad():
        better = [bool(torch.subtract(*(row_scores(computing, pair.rows) / torch.tensor(
            [row.learnt for row in pair.rows]))) > 0) for pair in pairs if pair not in pairs[::8]]
    assert sum(better) >= 12
    json.dumps(record, allow_nan=False)


def test_the_best_epoch_is_kept_and_a_rising_loss_ends_the_run(tmp_path, monkeypatch):
    fixed(monkeypatch, "fp32")
    rows, apart = some_rows(8), some_rows(8, seed=5)  # random replies: what is learnt only harms the others
    record, kept = {}, {}
    for epochs in (30, 1):
        model = adapt(tiny(spread=0.2), settled())
        record[epochs] = fit(model, rows, apart, Run(epochs, 2e-2, 4, 0), tmp_path / str(epochs), "key", silent)
        kept[epochs] = total(model, apart, torch.float32).item() / sum(row.learnt for row in apart)
    long = record[30]
    assert long["stopped_early"] and long["step"] == 2 * (long["best_epoch"] + PATIENCE + 1) < 60
    assert kept[30] == pytest.approx(min(long["held_out_loss"][1:]), rel=1e-4)
    assert kept[30] < long["held_out_loss"][-1]


def test_a_run_that_ended_early_stays_ended(tmp_path, monkeypatch):
    fixed(monkeypatch, "fp32")
    made, steps = [], []
    for _ in range(2):
        model = adapt(tiny(spread=0.2), settled())
        steps.clear()
        fit(model, some_rows(8), some_rows(8, seed=5), Run(30, 2e-2, 4, 0), tmp_path, "key",
            lambda done, *_: steps.append(done))
        made.append(learnt(model))
    assert steps == []
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])


def test_the_rate_is_chosen_on_the_held_out_rows_and_leaves_the_model_fresh(tmp_path, monkeypatch):
    fixed(monkeypatch, "fp32")
    rows, model = some_rows(), adapt(tiny(spread=0.2), settled())
    before = learnt(model)
    chosen = settled(learning_rate="auto")
    rate, tried = _rate(model, rows, rows[:3], chosen, tmp_path, "key", silent, 30.0)
    assert set(tried) == {str(one) for one in RATES} and tried[str(rate)] == min(tried.values())
    assert all(torch.equal(weight, before[name]) for name, weight in learnt(model).items())
    assert _rate(model, rows, [], chosen, tmp_path, "key", silent, 30.0) == (RATES[1], {})


def test_training_goes_on_from_an_earlier_adapter(tmp_path):
    earlier, rows = moved(adapt(tiny(), settled())), some_rows()
    save(earlier, "base", tmp_path)
    model = adapt(tiny(), settled(seed=3))
    start_from(model, tmp_path)
    assert torch.equal(total(model, rows, torch.float32), total(earlier, rows, torch.float32))
    with pytest.raises(UserError, match="has rank 4 and alpha 8"):
        start_from(adapt(tiny(), settled(rank=8)), tmp_path)
    with pytest.raises(UserError, match="has other layers"):
        start_from(adapt(tiny(), settled(frozen_layers=1)), tmp_path)
    with pytest.raises(UserError, match="contains no adapter"):
        start_from(model, tmp_path / "nowhere")


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path, monkeypatch):
    fixed(monkeypatch)
    expected = adapt(tiny(), settled())
    fit(expected, some_rows(), [], run(settled()), tmp_path / "whole", "key", silent)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    steps = []

    def fill_up(done, *_):
        steps.append(done)
        if done == 3:  # from now on the system refuses files of more than a kilobyte
            resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))

    try:
        with pytest.raises(UserError, match="can't be written"):
            fit(adapt(tiny(), settled()), some_rows(), [], run(settled()), tmp_path / "work", "key", fill_up, every=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert steps[-1] == 3
    model, steps = adapt(tiny(), settled()), []
    fit(model, some_rows(), [], run(settled()), tmp_path / "work", "key", lambda done, *_: steps.append(done), every=0)
    assert steps[0] == 4
    assert all(torch.equal(weight, learnt(expected)[name]) for name, weight in learnt(model).items())


def test_half_precision_keeps_what_learns_exact():
    model = adapt(tiny(), settled(method="full", frozen_layers=1))
    cast(model, torch.bfloat16)
    assert {weight.dtype for weight in learning(model).values()} == {torch.float32}
    part = next(learn_replies(Computing(model, torch.bfloat16, 1), some_rows(4)))
    part.backward()
    assert all(torch.isfinite(weight.grad).all() and weight.grad.abs().sum() > 0 for weight in learning(model).values())
