import pytest

from builder.training.gpus import TrainingLoad, gpu_named, gpu_table, on_gpu

LOAD = TrainingLoad(weights=130_000_000, learning=5_000_000, layers=30, steps=66, tokens=1e8, forward_tokens=1e7,
                    activation_bytes=2_000_000_000, full=False)


def test_a_gpu_is_priced_by_what_there_is_to_compute():
    made = on_gpu("nvidia h100", LOAD)
    flops = 4 * 1e8 * 1.3e8 + 2 * 1e7 * 1.3e8
    assert made.flops == flops and made.name == "H100" and made.fits
    assert flops / (0.40 * 989e12) < made.low < made.seconds < made.high
    assert made.money.low == pytest.approx(made.low / 3600 * gpu_named("H100").price[0])
    assert on_gpu("L4", LOAD).seconds > 5 * made.seconds
    assert on_gpu("H100", LOAD.model_copy(update={"full": True})).flops > made.flops
    mine = on_gpu("H100", LOAD, 36.0)
    assert mine.money.high == pytest.approx(mine.high / 100) and mine.priced == "--price"


def test_a_small_training_on_a_gpu_is_bound_by_its_kernels():
    small = LOAD.model_copy(update={"tokens": 1000.0, "forward_tokens": 0.0})
    assert on_gpu("H100", small).low >= 66 * 30 * 100 * 5e-6


def test_a_model_too_large_for_a_gpu_does_not_fit():
    large = LOAD.model_copy(update={"weights": 8_000_000_000})
    assert not on_gpu("L4", large).fits and on_gpu("A100", large).fits


def test_the_table_names_its_date_and_every_range_of_prices_is_in_order():
    table = gpu_table()
    assert table.date and all(gpu.price[0] <= gpu.price[1] for gpu in table.gpus)
