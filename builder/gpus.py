"""What a training would take and cost on a GPU that isn't here, from how much there is to compute."""

import json
from importlib.resources import files
from typing import Any

from knowledge.errors import UserError

UTILISATION = (0.15, 0.40)
"""The share of a GPU's dense bf16 peak that fine-tuning with transformers usually reaches, from ill to well fed."""
LAUNCHES = (100 * 5e-6, 250 * 10e-6)
"""Seconds that starting one layer's kernels, forward and backward, takes: 100 to 250 of them, 5 to 10 µs each. Small
models spend their time on that."""
OWN = 1_000_000_000
"""Bytes that CUDA itself takes."""


def known() -> dict[str, Any]:
    """gpus.json: its note, its date and the GPUs."""
    loaded: dict[str, Any] = json.loads(files("builder").joinpath("gpus.json").read_text(encoding="utf-8"))
    return loaded


def named(name: str) -> dict[str, Any]:
    """The GPU of this name, however it is spelt; UserError where there is none."""
    table = known()
    for one in table["gpus"]:
        if _plain(one["name"]) == _plain(name):
            return dict(one)
    raise UserError(f"--gpu: {name}: no such GPU here; there are {', '.join(one['name'] for one in table['gpus'])}")


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum()).removeprefix("nvidia")


def on_gpu(name: str, train: dict[str, Any], full: bool, price: float | None = None) -> dict[str, Any]:
    """Seconds, memory and money of a training on one GPU, from what `calibrate` counted in `train`; for JSON.

    A token costs 2 FLOPs a weight forward and 2 for the gradient of what came in, and with `full` 2 more for that of
    the weight; the head's are in `work`, in tokens through the layers. Attention's and the adapter's own are left out:
    with rows of a few hundred tokens they are a tenth at most. `price` is USD an hour, in the place of the table's.
    Starting the machine isn't in it.
    """
    gpu, table = named(name), known()
    sizes, totals = train["sizes"], train["totals"]
    flops = sizes["trunk"] * (totals["work"] * (6 if full else 4) + totals["forward"] * 2)
    low, high = (flops / (share * gpu["tflops"] * 1e12) + totals["steps"] * sizes["layers"] * launch
                 for share, launch in zip(reversed(UTILISATION), LAUNCHES, strict=True))
    memory = sizes["weights"] * 4 + sizes["learning"] * 12 + train["activation_bytes"] + OWN
    prices = [price, price] if price is not None else gpu["price"]
    return {"name": gpu["name"], "seconds": (low * high) ** 0.5, "low": low, "high": high, "flops": flops,
            "memory_bytes": memory, "fits": memory < gpu["memory_gb"] * 1e9, "price_per_hour": prices,
            "money": {"low": low / 3600 * prices[0], "high": high / 3600 * prices[1]},
            "priced": "--price" if price is not None else table["date"], "note": table["note"]}
