"""What a training computes, and from that its time and price on one GPU."""

import json
from importlib.resources import files

from pydantic import BaseModel, Field

from knowledge.errors import UserError

UTILISATION = (0.15, 0.40)
"""The share of a GPU's dense bf16 peak that fine-tuning with transformers usually reaches, from ill to well fed."""
ROW_SECONDS = (0.5e-3, 1.2e-3)
"""Seconds that a row takes in one layer, forward and backward, however small the model is: each row's attention is
computed by itself, in kernels that are started one by one. Measured on an H100: 0.8 to 1.0 ms, with 2 to 30 layers of
64 to 2,048 dimensions."""
CUDA_BYTES = 1_000_000_000
"""Bytes of memory that CUDA itself takes."""


class Gpu(BaseModel):
    """One line of gpus.json; `price` is what public offers lie between, in USD an hour."""

    name: str
    tflops: float
    memory_gb: float
    price: tuple[float, float]


class GpuTable(BaseModel):
    """gpus.json: the GPUs, with the date and a note on their prices."""

    note: str
    date: str
    gpus: list[Gpu]


class TrainingLoad(BaseModel):
    """What a whole training computes: the model's sizes, its steps, and the rows and tokens of all of them."""

    weights: int = Field(description="of the whole model")
    learning: int = Field(description="weights that learn")
    layers: int
    steps: int
    rows: int = Field(description="in all steps together")
    tokens: float = Field(description="forward and backward")
    forward_tokens: float = Field(description="forward only: held-out rows and the reference of preferences")
    activation_bytes: int
    full: bool = Field(description="whether all weights learn")


class Range(BaseModel):
    """From `low` to `high`."""

    low: float
    high: float


class GpuCost(BaseModel):
    """Seconds, memory and USD of a training on one GPU; starting the machine isn't in it."""

    name: str
    seconds: float
    low: float
    high: float
    flops: float
    memory_bytes: int
    fits: bool
    price_per_hour: tuple[float, float]
    money: Range
    priced: str
    """Where the price is from."""
    note: str


def gpu_table() -> GpuTable:
    """What gpus.json holds."""
    return GpuTable.model_validate(json.loads(files("builder.training").joinpath("gpus.json").read_text("utf-8")))


def gpu_named(name: str) -> Gpu:
    """The GPU of this name, however it is spelt; UserError where there is none."""
    def bare(text: str) -> str:
        return "".join(filter(str.isalnum, text.lower())).removeprefix("nvidia")

    table = gpu_table()
    for gpu in table.gpus:
        if bare(gpu.name) == bare(name):
            return gpu
    raise UserError(f"--gpu: {name}: no such GPU here; there are {', '.join(gpu.name for gpu in table.gpus)}")


def on_gpu(name: str, load: TrainingLoad, price: float | None = None) -> GpuCost:
    """What the training would cost on one GPU; `price` is USD an hour, in the place of the table's.

    A token costs 2 FLOPs a weight forward and 2 for the gradient of what came in, and where all weights learn 2 more
    for that of the weight (Kaplan et al. 2020, section 2.1). Attention's and the adapter's own are left out: with rows
    of a few hundred tokens they are a tenth at most.
    """
    gpu, table = gpu_named(name), gpu_table()
    flops = load.weights * (load.tokens * (6 if load.full else 4) + load.forward_tokens * 2)
    low, high = (flops / (share * gpu.tflops * 1e12) + load.rows * load.layers * row
                 for share, row in zip(reversed(UTILISATION), ROW_SECONDS, strict=True))
    memory = load.weights * 4 + load.learning * 12 + load.activation_bytes + CUDA_BYTES
    prices = gpu.price if price is None else (price, price)
    return GpuCost(name=gpu.name, seconds=(low * high) ** 0.5, low=low, high=high, flops=flops, memory_bytes=memory,
                   fits=memory < gpu.memory_gb * 1e9, price_per_hour=prices,
                   money=Range(low=low / 3600 * prices[0], high=high / 3600 * prices[1]),
                   priced=table.date if price is None else "--price", note=table.note)
