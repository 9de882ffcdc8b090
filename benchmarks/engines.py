"""Side by side on this machine, in one run: our engine and our retrieval against the usual ways.

Run with `make bench`. Ratios are what counts: absolute speeds differ from machine to machine and from hour to hour.
"""

import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import retrieval as bench_retrieval
from benchmarks.retrieval import row, show
from builder.answering.opening import SLOTS, open_retriever
from builder.model import prepare
from builder.model.engine import Decoding, prompt_ids
from builder.model.llama_engine import LlamaEngine
from builder.model.openvino_engine import OpenVinoEngine
from builder.model.openvino_engine import precision as computed_in
from builder.model.prompt import Message, render
from builder.pipeline import index_stage
from builder.workspace.folder import Workspace, new

QUESTIONS = 24
"""Each asked with passages and without, as an evaluation asks it."""


def main() -> None:
    """Measure engine and retrieval, and print one table; `--json` prints JSON, `--engines` leaves retrieval out."""
    with tempfile.TemporaryDirectory() as place:
        new(Path(place) / "shop")
        workspace = Workspace(Path(place) / "shop")
        index_stage.build_index(workspace, bench_retrieval.silent)
        rows = _engines(workspace)
    show([*rows, *([] if "--engines" in sys.argv else bench_retrieval.rows())], "--json" in sys.argv)


def _engines(workspace: Workspace) -> list[dict[str, Any]]:
    """Replies to the same prompts, greedy: our engines as an evaluation runs them, and a loop of generate.

    The loop is what one writes first: 32 bits, one prompt after the other; nothing in it ends a reply that goes round.
    """
    brand = workspace.brand
    folder = workspace.current().index
    assert folder is not None
    retriever = open_retriever(brand, folder)
    asked = [question.question for question in workspace.questions[:QUESTIONS]]
    prompts = [render(brand, question, []) for question in asked]
    prompts += [render(brand, question, [(one.passage.heading, one.passage.shown)
                                         for one in retriever.find(question).found]) for question in asked]
    served, exact = (prepare.prepared(brand.model.base, precision) for precision in ("q8_0", "f16"))
    context, decoding = brand.model.context, Decoding(brand.model.reply_tokens)
    ways = {"llama.cpp, q8_0": lambda: LlamaEngine(served, None, SLOTS, context),
            f"OpenVINO, {computed_in()}": lambda: OpenVinoEngine(exact, None, SLOTS, context)}
    speeds = {"transformers": _loop(exact, prompts, brand.model.reply_tokens)}
    for name, opened in ways.items():
        made = opened()
        made.generate(prompts[0], False, Decoding(4))
        start = time.perf_counter()
        with ThreadPoolExecutor(made.slots) as pool:
            replies = list(pool.map(lambda prompt, engine=made: engine.generate(prompt, False, decoding), prompts))
        seconds = time.perf_counter() - start
        speeds[name] = (60 * len(replies) / seconds, sum(reply.tokens for reply in replies) / seconds)
        del made
    theirs, their_tokens = speeds.pop("transformers")
    return [one for name, (ours, tokens) in speeds.items() for one in (
        row(f"replies a minute by {name}", ours, theirs, "a loop of generate"),
        row(f"reply tokens a second by {name}", tokens, their_tokens, "a loop of generate"))]


def _loop(base: prepare.Base, prompts: list[list[Message]], most: int) -> tuple[float, float]:
    """Replies a minute and tokens a second of transformers' own generate."""
    import torch
    from tokenizers import Tokenizer

    from builder.model.hf import load_base

    model, tokenizer = load_base(base), Tokenizer.from_file(str(base.tokenizer))
    read = [torch.tensor([prompt_ids(prompt, tokenizer, base.template, sys.maxsize)]) for prompt in prompts]
    model.generate(read[0], max_new_tokens=4, do_sample=False)
    start, said = time.perf_counter(), 0
    for ids in read:
        said += model.generate(ids, max_new_tokens=most, do_sample=False).shape[1] - ids.shape[1]
    seconds = time.perf_counter() - start
    return 60 * len(read) / seconds, said / seconds


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
