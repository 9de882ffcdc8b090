import math

import numpy as np
import pytest

from builder.model.prepare import prepared
from builder.model.transformers_engine import load_base
from builder.training.adapter import adapt
from builder.training.batching import Encoded, Row
from builder.training.calibration import RATES, calibrate, computed_tokens, workload
from builder.training.loop import Run, fit
from builder.training.objectives import Pair
from builder.workspace.brand import Training
from knowledge.machine import peak_memory


@pytest.fixture(scope="module")
def small(tiny):
    return prepared(str(tiny), "f16")


def encoded(count, seed=0):
    chance = np.random.default_rng(seed)
    return [Encoded((1, 2, 3, *chance.integers(5, 90, int(length)).tolist()), 6)
            for length in chance.integers(8, 40, count)]


def rows(count):
    return [Row([{"role": "system", "content": "You mend lamps."}, {"role": "user", "content": f"Why {word}?"}],
                f"Because of the {word} " + "lamp " * (number % 7), "tone")
            for number, word in enumerate([f"shade{place}" for place in range(count)])]


@pytest.mark.parametrize("settings", [Training(epochs=2, batch=4, seed=3), Training(epochs=1, batch=16)])
def test_the_tokens_counted_are_those_that_training_computes(settings, small, tmp_path):
    items = encoded(18)
    run = Run(settings.epochs, 1e-3, settings.batch, settings.seed)
    record = fit(adapt(load_base(small), settings), items, [], run, tmp_path, "k", lambda *_: None)
    steps, count, tokens, fewest, forward = workload(items, [], [], settings)
    assert tokens == pytest.approx(record["computed_tokens"], rel=0.05)  # another order packs a little otherwise
    assert (steps, count, fewest, forward) == (record["steps"], 18 * settings.epochs, tokens, 0)


def test_the_tokens_of_a_step_are_those_that_training_computes(small, tmp_path):
    items = encoded(4)
    record = fit(adapt(load_base(small), Training()), items, [], Run(1, 1e-3, 4, 3), tmp_path, "k", lambda *_: None)
    assert computed_tokens(items) == record["computed_tokens"]


def test_rates_epochs_and_preferences_are_all_counted():
    items, held_out = encoded(20), encoded(6, 1)
    pairs = [Pair(*both) for both in zip(encoded(16, 2), encoded(16, 3), strict=True)]
    settings = Training(epochs=5, batch=4, learning_rate="auto", preference_epochs=2)
    steps, count, tokens, fewest, forward = workload(items, held_out, pairs, settings)
    assert count == 20 * (len(RATES) + 5) + 2 * 2 * 14
    assert steps == 5 * (len(RATES) + 5) + 2 * math.ceil(14 / 4)  # every eighth pair is kept apart
    epoch = workload(items, [], [], Training(epochs=1, batch=4))[2]
    assert tokens - fewest == 2 * epoch  # two of five epochs may be left out
    learnt = workload([], [], pairs, settings)[2]
    assert tokens == (len(RATES) + 5) * epoch + learnt and learnt > 0
    watched, apart, all_pairs = (
        sum(computed_tokens(some[place:place + 4]) for place in range(0, len(some), 4))
        for some in (held_out, pairs[::8], pairs))
    assert forward == pytest.approx(watched * (2 * len(RATES) + 6) + apart * (3 + 2) + all_pairs, rel=0.05)


def test_shared_prompts_are_counted_once():
    one = Encoded((*range(1, 60), 7, 8, 9), 60)
    assert computed_tokens([one, one]) < 1.2 * computed_tokens([one])
    assert workload([one], [], [], Training(epochs=1)) == (1, 1, 61, 61, 0)


@pytest.mark.parametrize("frozen", [0, 1])
def test_a_calibration_runs_real_steps_and_leaves_an_adapter_of_real_size(frozen, small, tmp_path):
    settings = Training(epochs=3, batch=4, rank=4, frozen_layers=frozen)
    cost = calibrate(small, settings, rows(30), rows(5), [], tmp_path, seconds=0.2)
    assert 0 < cost.fewest <= cost.seconds and cost.load.steps == 3 * 8
    assert cost.load.tokens > cost.load.forward_tokens > 0 and cost.load.layers == 2 and not cost.load.full
    assert cost.memory_bytes >= peak_memory() * 0.99
    size = (tmp_path / "adapter_model.safetensors").stat().st_size
    assert 0 < size - cost.load.learning * 4 < 8192  # the header's names


def test_a_training_forecast_is_near_to_what_it_computes_whatever_the_batches_hold(small, tmp_path):
    settings = Training(epochs=4, batch=4, rank=4, dtype="fp32")
    cost = calibrate(small, settings, rows(12), [], [], tmp_path, seconds=0.0)
    assert cost.fewest == cost.seconds  # nothing is held out, so it can't stop early
    assert cost.load.steps == 12
