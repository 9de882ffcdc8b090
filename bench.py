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

import bench_retrieval
from bench_retrieval import row, show
from builder import indexing, weights
from builder.assistant import open_retriever
from builder.engine import Decoding, LlamaEngine
from builder.render import render
from builder.workspace import Workspace, new

QUESTIONS, TOKENS = 8, 48


def main() -> None:
    """Measure engine and retrieval, and print one table; `--json` prints JSON."""
    with tempfile.TemporaryDirectory() as place:
        new(Path(place) / "shop")
        workspace = Workspace(Path(place) / "shop")
        indexing.build_index(workspace, bench_retrieval.silent)
        rows = _engines(workspace)
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


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
