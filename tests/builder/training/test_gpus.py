import pytest

from builder.training.gpus import TrainingLoad, gpu_named, gpu_table, on_gpu

LOAD = TrainingLoad(weights=130_000_000, learning=5_000_000, layers=30, steps=66, rows=1000, tokens=1e8,
                    forward_tokens=1e7, activation_bytes=2_000_000_000, full=False)



def test_a_gpu_is_priced_by_what_there_is_to_compute():
    made = on_gpu("nvidia h100", LOAD)
    flops = 4 * 1e8 * 1.3e8 + 2 * 1e7 * 1.3e8
    assert made.flops == flops and made.name == "H100" and made.fits
    assert flops / (0.40 * 989e12) < made.low < made.seconds < made.high
    assert made.money.low == pytest.approx(made.low / 3600 * gpu_named("H100").price[0])
    assert on_gpu("L4", LOAD).seconds > 2 * made.seconds
    assert on_gpu("H100", LOAD.model_copy(update={"full": True})).flops > made.flops
    mine = on_gpu("H100", LOAD, 36.0)
    assert mine.money.high == pytest.approx(mine.high / 100) and mine.priced == "--price"


@pytest.mark.parametrize(("weights", "layers", "seconds"), [(135_000_000, 30, 50.0), (1_700_000_000, 24, 42.0)])
def test_what_was_measured_on_an_h100_lies_within_the_range(weights, layers, seconds):
    load = TrainingLoad(weights=weights, learning=5_000_000, layers=layers, steps=114, rows=1800, tokens=1800 * 45,
                        forward_tokens=4 * 40 * 45, activation_bytes=10**9, full=False)
    made = on_gpu("H100", load)
    assert made.low < seconds < made.high


def test_a_small_training_on_a_gpu_is_bound_by_its_kernels():
    small = LOAD.model_copy(update={"tokens": 1000.0, "forward_tokens": 0.0})
    assert on_gpu("H100", small).low >= 1000 * 30 * 0.5e-3


def test_a_model_too_large_for_a_gpu_does_not_fit():
    large = LOAD.model_copy(update={"weights": 8_000_000_000})
    assert not on_gpu("L4", large).fits and on_gpu("A100", large).fits


def test_the_table_names_its_date_and_every_range_of_prices_is_in_order():
    table = gpu_table()
    assert table.date and all(gpu.price[0] <= gpu.price[1] for gpu in table.gpus)
