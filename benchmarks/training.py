"""A whole training side by side with TRL's SFTTrainer: wall time at equal rows, rank and epochs, and what came of it.

Run with `make bench-training`; it takes half an hour on two cores, `--epochs 1` a third. TRL runs with the setting
that is quickest here. All adapters answer the built-in bot's questions, so that a quicker way that learns less is seen;
`--json` prints JSON.
"""

import contextlib
import io
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from builder.answering.opening import open_retriever
from builder.evaluation.evaluate import mean
from builder.model import prepare
from builder.model.export import write_lora
from builder.model.prompt import to_prompt
from builder.pipeline import index_stage
from builder.pipeline.experiments import answered, apart
from builder.training.batching import Encoded, encode
from builder.training.mix import Mix, mix
from builder.workspace.brand import Training
from builder.workspace.folder import Workspace, new
from ui.cli.terminal import table, watching

SETTINGS = {"bf16 autocast": ("float32", True, False), "bf16 weights": ("bfloat16", True, False),
            "bf16 autocast, by length": ("float32", True, True), "fp32": ("float32", False, False)}
"""TRL's: the dtype of its weights, whether it computes in bf16, whether its batches are of like length."""
TRIAL = 3
"""Steps of each setting."""
FROZEN = 10
"""Of 30 layers, in the recipe that `twofold ablate` compares."""


def main() -> None:
    """Train three adapters, judge them, and print one table; `--json` prints JSON."""
    with tempfile.TemporaryDirectory() as place, watching() as watch:
        new(Path(place) / "shop")
        workspace = Workspace(Path(place) / "shop")
        index_stage.build_index(workspace, watch)
        index = workspace.current().index
        assert index is not None
        brand = workspace.brand
        if "--epochs" in sys.argv:
            epochs = int(sys.argv[sys.argv.index("--epochs") + 1])
            brand = brand.model_copy(update={"training": brand.training.model_copy(update={"epochs": epochs})})
        rows = mix(brand, workspace.examples, open_retriever(brand, index),
                   lambda asked: ["Yes, with pleasure."] * len(asked))
        base = prepare.prepared(brand.model.base, "f16")
        made = {"ours": _ours(base, rows, brand.training, Path(place) / "ours", watch),
                "ours, 10 of 30 layers frozen": _ours(base, rows, brand.training.model_copy(
                    update={"frozen_layers": FROZEN}), Path(place) / "frozen", watch),
                "TRL SFTTrainer": _theirs(base, rows, brand.training, Path(place) / "trl", watch)}
        for name, one in made.items():
            one["rows"] = answered(workspace, brand, one["folder"], name, watch)
    print_all(made, _limit(made["ours"]["record"], base), "--json" in sys.argv)


def print_all(made: dict[str, dict[str, Any]], limit: dict[str, float], as_json: bool) -> None:
    """One line for each adapter, and how far each of ours lies from TRL's."""
    theirs = made["TRL SFTTrainer"]
    lines = []
    for name, one in made.items():
        line: dict[str, Any] = {"what": name, "seconds": round(one["seconds"], 1),
                                "times quicker": round(theirs["seconds"] / one["seconds"], 2),
                                "held-out loss": round(one["loss"], 4)}
        for system in ("hybrid", "fine-tune-only"):
            for score in ("facts", "tone"):
                found = mean(one["rows"], system, score)
                line[f"{system} {score}"] = f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"
                _, gap = apart(one["rows"], theirs["rows"], system, score) if one is not theirs else (0, None)
                line[f"{system} {score}, less TRL's"] = gap and (
                    f"{gap.value:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}]")
        lines.append(line)
    if as_json:
        sys.stdout.write(json.dumps({"trainings": lines, "limit": limit, "trl": theirs["settings"]}, indent=1) + "\n")
        return
    headers = list(dict.fromkeys(key for line in lines for key in line))
    table("Training, side by side", ["", *(line["what"] for line in lines)],
          [[header, *(str(line.get(header) or "–") for line in lines)] for header in headers if header != "what"])
    sys.stdout.write("TRL, tokens a second in a trial: " + ", ".join(
        f"{name} {speed:.0f}" for name, speed in theirs["settings"].items()) + "\n")
    sys.stdout.write(f"Matrix products alone would take {limit['seconds']:.0f} s of ours ({limit['gflops']:.0f} "
                     f"GFLOP/s measured, {limit['share']:.0%} of that reached)\n")


def _ours(base: prepare.Base, rows: Mix, settings: Training, folder: Path, watch: Any) -> dict[str, Any]:
    """Our training, loading included, and like TRL's without a look at held-out rows after each epoch."""
    from builder.training.recipe import train

    folder.mkdir()
    start = time.perf_counter()
    train(base, rows.rows, [], settings, folder, folder / "work", watch("ours"))
    seconds = time.perf_counter() - start
    write_lora(folder, base, folder / "adapter.gguf")
    record = json.loads((folder / "training.json").read_text())
    return {"folder": folder, "seconds": seconds, "loss": _loss(base, rows, folder), "record": record}


def _theirs(base: prepare.Base, rows: Mix, settings: Training, folder: Path, watch: Any) -> dict[str, Any]:
    """TRL's training with its quickest setting, loading included; finding that one isn't counted."""
    tick = watch("TRL: which setting is quickest")
    speeds = {}
    for number, name in enumerate(SETTINGS):
        tick(number, len(SETTINGS), name)
        trainer, clock = _trainer(base, rows, settings, folder, SETTINGS[name], TRIAL)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it measured itself
            trainer.train()
        del trainer
        speeds[name] = clock.tokens / (clock.times[-1] - clock.times[0])
    quickest = max(speeds, key=lambda name: speeds[name])
    watch(f"TRL: {quickest}")
    start = time.perf_counter()
    trainer, _ = _trainer(base, rows, settings, folder, SETTINGS[quickest], None)
    with contextlib.redirect_stdout(io.StringIO()):
        trainer.train()
    seconds = time.perf_counter() - start
    trainer.model.to(torch.float32).save_pretrained(folder)
    write_lora(folder, base, folder / "adapter.gguf")
    return {"folder": folder, "seconds": seconds, "loss": _loss(base, rows, folder), "settings": speeds}


def _trainer(base: prepare.Base, rows: Mix, settings: Training, folder: Path, chosen: tuple[str, bool, bool],
             steps: int | None) -> tuple[Any, Any]:
    """An SFTTrainer as close to ours as its settings allow; `steps` cuts it short."""
    import datasets
    import transformers
    from peft import LoraConfig
    from tokenizers import Tokenizer
    from trl import SFTConfig, SFTTrainer

    from builder.model.transformers_engine import load_base

    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    dtype, bf16, by_length = chosen
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_file(str(base.tokenizer)),
                                                     eos_token="<|im_end|>", pad_token="<|endoftext|>")
    data = datasets.Dataset.from_list([{"prompt": to_prompt(row.messages, base.template), "completion": row.reply}
                                       for row in rows.rows])
    total = math.ceil(len(rows.rows) / settings.batch) * settings.epochs

    class Clock(transformers.TrainerCallback):
        """Keeps when each step ended, and the tokens of rows (without padding) after the first."""

        def __init__(self) -> None:
            self.times: list[float] = []
            lengths = [len(row.ids) for row in _encoded(base, rows.rows)]
            self.tokens = sum(lengths) / len(lengths) * settings.batch * ((steps or total) - 1)

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.times.append(time.perf_counter())

    clock = Clock()
    config = SFTConfig(output_dir=str(folder), per_device_train_batch_size=settings.batch,
                       num_train_epochs=settings.epochs, max_steps=steps or -1, learning_rate=settings.learning_rate,
                       lr_scheduler_type="cosine", warmup_steps=math.ceil(0.05 * total), weight_decay=0.0,
                       max_grad_norm=1.0, bf16=bf16, gradient_checkpointing=False, report_to=[], save_strategy="no",
                       disable_tqdm=True, logging_strategy="no", completion_only_loss=True, use_cpu=True,
                       max_length=2048, seed=settings.seed,
                       train_sampling_strategy="group_by_length" if by_length else "random")
    model = load_base(base).to(getattr(torch, dtype))
    lora = LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    return SFTTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer, callbacks=[clock],
                      peft_config=lora), clock


def _encoded(base: prepare.Base, rows: Any) -> list[Encoded]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(base.tokenizer))
    return encode(rows, tokenizer, base.template, tokenizer.token_to_id("<|im_end|>"), 8192)


def _loss(base: prepare.Base, rows: Mix, folder: Path) -> float:
    """An adapter's held-out loss for each reply token, in fp32, by one yardstick for all."""
    from transformers import AttentionInterface

    from builder.model.transformers_engine import load_adapter, load_base
    from builder.training.frozen import attend
    from builder.training.loop import mean_loss
    from builder.training.objectives import Computing, learn_replies

    AttentionInterface.register("spans", attend)
    model: Any = load_adapter(load_base(base), folder)
    model.config._attn_implementation = "spans"
    found = mean_loss(Computing(model, torch.float32), _encoded(base, rows.held_out), learn_replies)
    assert found is not None
    return found


def _limit(record: dict[str, Any], base: prepare.Base) -> dict[str, float]:
    """The seconds that the matrix products of a training take by themselves on this machine.

    Of each computed token 2 operations a weight forward and 2 for the gradient of its input; of each adapter weight 6;
    of each learnt token 4 for each weight of the head. Attention is left out.
    """
    from builder.model.transformers_engine import load_base

    model = load_base(base)
    head = model.get_output_embeddings().weight.numel()
    layers = sum(weight.numel() for name, weight in model.named_parameters() if "layers." in name)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[record["dtype"]]
    left, right = (torch.randn(size, dtype=dtype) for size in ((1400, 576), (576, 1536)))
    best = math.inf
    for _ in range(50):
        start = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - start)
    speed = 2 * 1400 * 576 * 1536 / best
    work = (record["computed_tokens"] * (4 * layers + 6 * record["learning_weights"])
            + record["learnt_tokens"] * 4 * head)
    return {"gflops": speed / 1e9, "seconds": work / speed, "share": work / speed / record["seconds"]}


if __name__ == "__main__":
    main()
