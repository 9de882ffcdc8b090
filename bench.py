"""Side by side on this machine, in one run: our engine, our training and our retrieval against the usual ways.

Run with `make bench`. Ratios are what counts: absolute speeds differ from machine to machine and from hour to hour.
"""

import contextlib
import io
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import bench_retrieval
from bench_retrieval import row, show
from builder import pipeline, weights
from builder.assistant import open_retriever
from builder.batching import Row
from builder.brand import Training
from builder.engine import Decoding, LlamaEngine
from builder.mix import mix
from builder.render import render, to_prompt
from builder.workspace import Workspace, new

QUESTIONS, TOKENS = 8, 48
ROWS = 24


def main() -> None:
    """Measure engine, training and retrieval, and print one table; `--json` prints JSON."""
    with tempfile.TemporaryDirectory() as place:
        new(Path(place) / "shop")
        workspace = Workspace(Path(place) / "shop")
        pipeline.build_index(workspace, bench_retrieval.silent)
        rows = [*_engines(workspace), *_trainers(workspace)]
    show([*rows, *bench_retrieval.rows()], "--json" in sys.argv)


def _engines(workspace: Workspace) -> list[dict[str, Any]]:
    """Replies to the same prompts, the same F16 weights, greedy, with passages in the prompt."""
    from builder.reference import TransformersEngine

    brand = workspace.brand
    folder = workspace.current().index
    assert folder is not None
    retriever = open_retriever(brand, folder)
    asked = [question.question for question in workspace.questions[:QUESTIONS]]
    prompts = [render(brand, question, [(one.passage.heading, one.passage.shown)
                                        for one in retriever.find(question).found]) for question in asked]
    base = weights.prepared(brand.model.base, "f16")
    speeds = []
    for made in (LlamaEngine(base, None, 4, 1024), TransformersEngine(base, None, 1, 1024)):
        made.generate(prompts[0], False, Decoding(4))
        start = time.perf_counter()
        with ThreadPoolExecutor(made.slots) as pool:
            replies = list(pool.map(lambda prompt, engine=made: engine.generate(prompt, False, Decoding(TOKENS)),
                                    prompts))
        seconds = time.perf_counter() - start
        speeds.append((60 * len(replies) / seconds, sum(reply.tokens for reply in replies) / seconds))
        del made
    (ours, our_tokens), (theirs, their_tokens) = speeds
    return [row("replies a minute", ours, theirs, "transformers, same F16 weights"),
            row("reply tokens a second", our_tokens, their_tokens, "transformers, same F16 weights")]


def _training_rows(workspace: Workspace) -> list[Row]:
    folder = workspace.current().index
    assert folder is not None
    retriever = open_retriever(workspace.brand, folder)
    return list(mix(workspace.brand, workspace.examples, retriever, lambda messages: "Yes.").rows)[:ROWS]


def _trainers(workspace: Workspace) -> list[dict[str, Any]]:
    """The same rows, LoRA settings and batch; each with its best dtype; padding is not counted."""
    from builder.training.recipe import train

    base = weights.prepared(workspace.brand.model.base, "f16")
    rows = _training_rows(workspace)
    settings = Training(epochs=1, batch=8)
    with tempfile.TemporaryDirectory() as place:
        folder, work = Path(place) / "adapter", Path(place) / "work"
        folder.mkdir()
        train(base, rows, [], settings, folder, work, lambda done, total, note: None)
        ours = json.loads((folder / "training.json").read_text())["tokens_per_second"]
        theirs = max(_trl(base, rows, settings, Path(place), bf16) for bf16 in (True, False))
    return [row("training tokens a second", ours, theirs, "TRL SFTTrainer, its better dtype")]


def _trl(base: weights.Base, rows: list[Row], settings: Training, place: Path, bf16: bool) -> float:
    """Tokens a second of SFTTrainer, checkpointing off, loss on completions only; its first step is not counted."""
    import datasets
    import transformers
    from peft import LoraConfig
    from tokenizers import Tokenizer
    from trl import SFTConfig, SFTTrainer

    from builder.reference import load_base

    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_file(str(base.tokenizer)),
                                                     eos_token="<|im_end|>", pad_token="<|endoftext|>")
    data = datasets.Dataset.from_list([{"prompt": to_prompt(row.messages, base.template), "completion": row.reply}
                                       for row in rows])
    tokens = sum(len(tokenizer(to_prompt(row.messages, base.template) + row.reply).input_ids) + 1 for row in rows)
    times: list[float] = []

    class Clock(transformers.TrainerCallback):
        """Keeps when each step ended."""

        def on_step_end(self, *_: Any, **__: Any) -> None:
            times.append(time.perf_counter())

    config = SFTConfig(output_dir=str(place / "trl"), per_device_train_batch_size=settings.batch, num_train_epochs=1,
                       bf16=bf16, gradient_checkpointing=False, report_to=[], save_strategy="no", disable_tqdm=True,
                       logging_strategy="no", completion_only_loss=True, use_cpu=True, max_length=1024)
    trainer = SFTTrainer(model=load_base(base), args=config, train_dataset=data, processing_class=tokenizer,
                         callbacks=[Clock()],
                         peft_config=LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules="all-linear",
                                                task_type="CAUSAL_LM"))
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it measured itself
        trainer.train()
    return tokens * (len(times) - 1) / len(times) / (times[-1] - times[0])


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
