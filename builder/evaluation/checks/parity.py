"""What is served is what was trained: the exported adapter replayed in the engine against the training framework."""

import contextlib
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import commonprefix
from pathlib import Path
from statistics import fmean
from typing import Any

from tokenizers import Tokenizer

from builder.evaluation.report import Parity, ParityCheck, Tolerance, WorstPlace
from builder.model.base import Base
from builder.model.engine import Traced
from builder.model.export import write_merged
from builder.model.llama_engine import LlamaEngine
from builder.model.openvino_engine import OpenVinoEngine, precision
from builder.model.prompt import Message, render
from builder.training.batching import Row, encode
from builder.workspace.brand import Brand
from builder.workspace.examples import Example
from knowledge.errors import UserError
from knowledge.search.retriever import Retriever

GENERAL = ("What is the capital of France?", "Write one sentence about the sea.", "List three colours.")
"""Asked without the brand, as people ask whom they test."""
TOKENS = 32
"""Of each reply; every one is a comparison."""


EXACT = Tolerance(mean=0.003, largest=0.05, tie=0.05)
"""For the same F16 weights: llama.cpp rounds activations to 16 bits, the reference computes in 32.

Measured on the embedded model, 160 to 200 tokens at a time, with the built-in bot's adapter and without: mean 0.0011 to
0.0015, largest 0.013, one other token at a tie of 0.003. That adapter written wrong on purpose, as mean and largest:
rows of q and k not permuted 0.089 and 0.99, of k alone 0.032 and 0.25; two layers exchanged 0.096 and 0.45; alpha 16
in the place of 32 0.20 and 2.0, alpha 31.5 0.006 and 0.06; one matrix of 420 negated 0.0044 and 0.03.
"""
ROUNDED = Tolerance(mean=0.12, largest=1.2, tie=None)
"""For weights rounded to 8 bits (q8_0), or products in bf16, against F16. Measured as above: q8_0 mean 0.035 to 0.046,
largest 0.32, another token in 2 to 4 of 100; bf16 0.015, 0.20 and 1.
"""


@dataclass(frozen=True)
class _Arm:
    """One way of serving the same model."""

    base: Base
    precision: str
    tuned: bool
    tolerance: Tolerance
    whole: Path | None = None
    """The GGUF file that answers in the base's place, where all of its weights were tuned."""
    engine: str = "llama.cpp"


@dataclass(frozen=True)
class _Place:
    """One token that llama.cpp said, and what the reference makes of it."""

    prompt: int
    position: int
    token: int
    served: float
    """Its log-probability in llama.cpp."""
    reference: float
    """Its log-probability in the reference."""
    likeliest: int
    """The token that the reference would have said."""
    gap: float
    """How much likelier it finds that one, in nats."""

    @property
    def apart(self) -> float:
        """How far the two log-probabilities lie apart."""
        return abs(self.served - self.reference)


def fixed_prompts(brand: Brand, examples: Sequence[Example], retriever: Retriever | None) -> list[list[Message]]:
    """General requests and, of the brand's own examples, the first and the last.

    The last is asked once more with the passages that search finds, where there is an index.
    """
    own = [examples[place].question for place in sorted({0, len(examples) - 1})] if examples else []
    prompts = [[{"role": "user", "content": request}] for request in GENERAL]
    prompts += [render(brand, question, []) for question in own]
    if retriever and own:
        found = retriever.index.search(own[-1], retriever.count)
        prompts.append(render(brand, own[-1], [(one.passage.heading, one.passage.shown) for one in found]))
    return prompts


def parity(base_f16: Base, base_served: Base, adapter: Path, prompts: Sequence[Sequence[Message]],
           context: int = 2048, scratch: Path | None = None, engine: str = "llama.cpp") -> Parity:
    """Whether the engine says with what it serves of `adapter` what transformers and PEFT say with what was trained.

    It replies to every prompt greedily; the reference, teacher-forced over the same tokens, tells each one's
    log-probability and what it would have said: `met`; one `sentence` for the user; the `checks`, each
    with its figures, its tolerance and the evidence of its worst place; the `effect` of the adapter, the mean absolute
    change of a log-probability by it, without which nothing could be seen; `own_template`, whether llama.cpp makes the
    same prompts of the template and vocabulary inside the GGUF file, as whoever is given that file will. Where whole
    weights were tuned, they are written in F16 too for the while, into a folder in `scratch`. UserError where a part
    can't be loaded.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        return _parity(_arms(base_f16, base_served, adapter, Path(place), engine), adapter, prompts, context)


def _arms(base_f16: Base, base_served: Base, adapter: Path, place: Path, engine: str) -> list[_Arm]:
    """What is compared: the tuned model and the base exactly, and the tuned one as it is served where that differs."""
    served = adapter / "tuned.gguf" if (adapter / "tuned.gguf").is_file() else None
    rounded, exact = base_served.folder != base_f16.folder, served
    if served and rounded:
        exact = place / "tuned.gguf"
        write_merged(adapter, base_f16, exact, "f16")
    arms = [_Arm(base_f16, "f16", True, EXACT, exact, engine), _Arm(base_f16, "f16", False, EXACT, None, engine)]
    if engine == "openvino":
        return [*arms, _Arm(base_f16, "bf16", True, ROUNDED, served, engine)] if precision() == "bf16" else arms
    return [*arms, _Arm(base_served, "q8_0", True, ROUNDED, served)] if rounded else arms


def _parity(arms: Sequence[_Arm], adapter: Path, prompts: Sequence[Sequence[Message]],
            context: int) -> Parity:
    start = time.perf_counter()
    base_f16 = arms[0].base
    trained = _trained_prompts(base_f16, prompts)
    replayed, own = zip(*(_replay(arm, adapter, prompts, context) for arm in arms), strict=True)
    checks: list[ParityCheck] = []
    effect = None
    faults = [_unlike_prompt(trained, traces, arm) for traces, arm in zip(replayed, arms, strict=True)]
    fault = next(filter(None, faults), "")
    if not fault:
        from builder.model.hf import load_adapter, load_base

        model = load_adapter(load_base(base_f16), adapter)  # only now, so that no two models are held at once
        compared = [_compare(model, traces, arm.tuned) for arm, traces in zip(arms, replayed, strict=True)]
        untuned = _compare(model, replayed[0], False)
        effect = fmean(abs(one.reference - other.reference)
                       for one, other in zip(compared[0], untuned, strict=True))
        checks = [_check(arm, places, prompts) for arm, places in zip(arms, compared, strict=True)]
        fault = _fault(checks, base_f16, adapter, arms[0].engine)
    count = sum(check.tokens for check in checks)
    agrees = f"the served model is the trained one: {count} tokens of {len(prompts)} prompts agree"
    return Parity(met=not fault, sentence=fault or agrees, prompts=len(prompts), own_template=all(own), checks=checks,
                  effect=effect, seconds=time.perf_counter() - start)


def _replay(arm: _Arm, adapter: Path, prompts: Sequence[Sequence[Message]], context: int) -> tuple[list[Traced], bool]:
    """An arm's greedy replies, and whether llama.cpp by itself makes the same prompts; OpenVINO is never asked to."""
    if arm.engine == "openvino":
        merged = adapter if arm.tuned and not arm.whole else None
        other = OpenVinoEngine(arm.base, merged, context=context, tuned=arm.whole, exact=arm.tolerance is EXACT)
        return [other.trace(messages, arm.tuned, TOKENS) for messages in prompts], True
    lora = adapter / "adapter.gguf"
    engine = LlamaEngine(arm.base, lora if lora.is_file() else None, context=context, tuned=arm.whole)
    traces = [engine.trace(messages, arm.tuned, TOKENS) for messages in prompts]
    try:
        own = [tuple(engine.own_prompt(messages)) for messages in prompts]
    except UserError:  # a template that llama.cpp can't run; we render it ourselves, so serving goes on
        return traces, False
    return traces, own == [trace.prompt for trace in traces]


def _trained_prompts(base: Base, prompts: Sequence[Sequence[Message]]) -> list[tuple[int, ...]]:
    """The prompts as training encodes them."""
    rows = [Row(list(messages), "", "parity") for messages in prompts]
    encoded = encode(rows, Tokenizer.from_file(str(base.tokenizer)), base.template, 0, sys.maxsize)
    return [row.ids[:row.start] for row in encoded]


def _unlike_prompt(trained: Sequence[tuple[int, ...]], traces: Sequence[Traced], arm: _Arm) -> str:
    """Where an arm was sent another prompt than training makes, in one sentence; empty where it wasn't."""
    for number, (wanted, trace) in enumerate(zip(trained, traces, strict=True), 1):
        if wanted != trace.prompt:
            same = len(commonprefix([wanted, trace.prompt]))
            return (f"{arm.base.folder}: its template or tokenizer makes another prompt than the one trained on (prompt"
                    f" {number}, from token {same + 1} of {len(wanted)}); delete this folder and build again")
    return ""


def _compare(model: Any, traces: Sequence[Traced], tuned: bool) -> list[_Place]:
    """Every token of the replies, as the reference sees it with the adapter on or off."""
    from builder.model.transformers_engine import teacher_forced

    places = []
    for number, trace in enumerate(traces):
        with contextlib.nullcontext() if tuned else model.disable_adapter():
            forced = teacher_forced(model, trace.prompt, trace.reply)
        places += [_Place(number, position, token, served, reference, likeliest, most - reference)
                   for position, (token, served, reference, likeliest, most)
                   in enumerate(zip(trace.reply, trace.log_probabilities, *forced, strict=True)) if served is not None]
    return places


def _check(arm: _Arm, places: Sequence[_Place], prompts: Sequence[Sequence[Message]]) -> ParityCheck:
    """An arm's figures, whether they lie within its tolerance, and the evidence of its worst place."""
    tokenizer, allowed = Tokenizer.from_file(str(arm.base.tokenizer)), arm.tolerance
    mean, largest = fmean(place.apart for place in places), max(place.apart for place in places)
    gap = max(place.gap for place in places)
    worst = max(places, key=lambda place: max(place.apart, place.gap if allowed.tie else 0))
    before = [place.token for place in places if place.prompt == worst.prompt and place.position < worst.position]
    return ParityCheck(
        precision=arm.precision, adapter="on" if arm.tuned else "off", tokens=len(places), mean=mean, largest=largest,
        same=fmean(place.token == place.likeliest for place in places), gap=gap, tolerance=allowed,
        met=mean <= allowed.mean and largest <= allowed.largest and (allowed.tie is None or gap <= allowed.tie),
        worst=WorstPlace(prompt=prompts[worst.prompt][-1]["content"], number=worst.prompt + 1, token=worst.position + 1,
                         after=tokenizer.decode(before), served=tokenizer.decode([worst.token]),
                         served_log_probability=worst.served, reference=tokenizer.decode([worst.likeliest]),
                         reference_log_probability=worst.reference))


def _fault(checks: Sequence[ParityCheck], base: Base, adapter: Path, engine: str) -> str:
    """The first thing that isn't as it was trained, with what to do about it; empty where all is."""
    for check in sorted(checks, key=lambda check: (check.precision != "f16", check.adapter == "on")):
        if check.met:
            continue
        where = (f"its log-probabilities differ by {check.mean:.3f} on average and {check.largest:.2f} at most, "
                 f"in the reply to prompt {check.worst.number} at token {check.worst.token}")
        if check.precision == "bf16":
            return f"brand.yaml: model.engine: openvino changes the model in bf16: {where}; set it to llama.cpp"
        if check.precision != "f16":
            return f"brand.yaml: model.precision: q8_0 changes the model: {where}; set it to f16"
        if check.adapter == "off":
            return (f"{base.folder}: {engine} answers differently from the base model: {where}; delete this folder and "
                    "build again, or set model.engine to transformers in brand.yaml")
        lora = "adapter_model.safetensors" if engine == "openvino" else "adapter.gguf"
        served = "tuned.gguf" if (adapter / "tuned.gguf").is_file() else lora
        return (f"{adapter / served}: differs from what was trained: {where}; delete its folder and build again, "
                "or set model.engine to transformers in brand.yaml")
    return ""
