"""What a build will cost on this machine: measured in seconds, before hours are spent."""

import time
from typing import Any

from builder import weights
from builder.assistant import open_encoder
from builder.engine import Decoding, LlamaEngine
from builder.pipeline import FEWEST_EXAMPLES, SLOTS
from builder.render import render
from builder.workspace import Workspace
from knowledge.documents import read_documents


def plan(workspace: Workspace) -> dict[str, Any]:
    """Time, memory and disk of each stage, from small runs of the real parts; what `twofold plan --json` prints."""
    brand = workspace.brand
    documents, _ = read_documents(workspace.folder)
    base = weights.prepared(brand.model.base, brand.model.precision)
    stages = [_index(workspace, sum(len(document.text) for document in documents)),
              _train(workspace, bool(documents)), _evaluate(workspace, base)]
    return {"stages": stages, "seconds": sum(stage["seconds"] for stage in stages)}


def _stage(name: str, seconds: float, memory: int, disk: int) -> dict[str, Any]:
    return {"name": name, "seconds": round(seconds, 1), "memory_bytes": memory, "disk_bytes": disk}


def _index(workspace: Workspace, characters: int) -> dict[str, Any]:
    """Encoding dominates; learning what is answerable searches up to 400 passages six times over."""
    if not characters:
        return _stage("index", 0, 0, 0)
    encodes = open_encoder(workspace.brand)
    most = workspace.brand.retrieval.passage_tokens
    sample = [" ".join(["passage"] * most)] * 16
    encodes.encode_documents(sample[:1])
    start = time.perf_counter()
    encodes.encode_documents(sample)
    each = (time.perf_counter() - start) / len(sample)
    passages = max(1, round(characters / 4.5 / (most * 0.7)))
    return _stage("index", passages * each + min(passages, 400) * 0.03, 400_000_000 + passages * 12_000,
                  passages * 12_000)


def _train(workspace: Workspace, documents: bool) -> dict[str, Any]:
    examples, settings = workspace.examples, workspace.brand.training
    if len(examples) < FEWEST_EXAMPLES:
        return _stage("train", 0, 0, 0)
    base = weights.prepared(workspace.brand.model.base, "f16")
    voice = len(render(workspace.brand, "", [])[0]["content"]) / 4.5
    found = workspace.brand.retrieval.found * (workspace.brand.retrieval.passage_tokens + 15) if documents else 0
    plain = sum(voice + (len(example.question) + len(example.reply)) / 4.5 for example in examples)
    tokens = (plain * (1 + settings.replay) + settings.grounded * (plain + found * len(examples)) * 0.6) * 0.85
    from builder.training import measured_speed

    speed, chosen = measured_speed(base, settings)
    size = base.gguf.stat().st_size
    memory = size * (4 if chosen == "fp32" else 3) + settings.batch * 400 * 4_000_000
    return _stage("train", 20 + settings.epochs * tokens / speed, memory, 25_000_000 * settings.rank // 16)


def _evaluate(workspace: Workspace, base: weights.Base) -> dict[str, Any]:
    questions = workspace.questions
    if not questions:
        return _stage("evaluate", 0, 0, 0)
    engine = LlamaEngine(base, None, 1, workspace.brand.model.context)
    messages = render(workspace.brand, "What can you tell me?", [("", "word " * 250)])
    made = engine.generate(messages, False, Decoding(48))
    share = min(SLOTS, 3) ** 0.5
    replies = 4 * len(questions) + len(workspace.examples) * 0.15
    return _stage("evaluate", 3 + replies * made.seconds * 1.3 / share, base.gguf.stat().st_size * 2 + 500_000_000,
                  6000 * len(questions))
