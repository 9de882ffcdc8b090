"""How well a text answers a question, read together: a cross-encoder exported to ONNX once, then run without torch."""

import contextlib
import inspect
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowledge.errors import UserError
from knowledge.files import hash_bytes, hash_files, home, make_folder, read_json, write_json
from knowledge.machine import cores
from knowledge.search.onnx import session

VERSION = "1"
"""Of what is written; a new one makes cross-encoders be exported again."""
SAME = 0.01
"""How far the export's scores may be from the original's, in ranges of the original's scores over the sample.

Scores of one question are only ever compared, and each model has a scale of its own, so that a share of the range is
what counts: below a hundredth, only texts change places that the model itself hardly tells apart.
"""
MOST = 8192
"""Tokens of a pair where the model sets no limit of its own."""
NEEDED = ("model.safetensors", "tokenizer.json", "config.json")
Scores = NDArray[np.float32]


class CrossEncoder:
    """An exported cross-encoder on ONNX Runtime; as `OnnxEncoder`, one text a run and as many runs as cores."""

    def __init__(self, folder: Path) -> None:
        """Open what `export` wrote."""
        from tokenizers import Tokenizer

        settings = read_json(folder / "cross_encoder.json")
        self.sha256: str = settings["sha256"]
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._session = session(folder / "cross_encoder.onnx")
        except Exception as error:  # neither library's own errors share a public base
            raise UserError(f"{folder}: damaged ({type(error).__name__}); delete it and run the same command "
                            "again") from None
        # as the original: only the text loses its end, unless the question alone takes more than half of the room
        self._tokenizer.enable_truncation(settings["most_tokens"], strategy="longest_first")
        self._tokenizer.no_padding()
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._pool = ThreadPoolExecutor(cores())

    def scores(self, question: str, texts: Sequence[str]) -> Scores:
        """How well each text answers the question, (texts,): the model's own logits, the higher the better."""
        return self._scores([(question, text) for text in texts])

    def _scores(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        return np.fromiter(self._pool.map(self._score, self._tokenizer.encode_batch(pairs)), np.float32, len(pairs))

    def _score(self, pair: Any) -> float:
        given = {"input_ids": pair.ids, "attention_mask": pair.attention_mask, "token_type_ids": pair.type_ids}
        rows = {name: np.array([given[name]], dtype=np.int64) for name in self._inputs}
        return float(self._session.run(None, rows)[0].item())


def prepared(folder: str) -> CrossEncoder:
    """The cross-encoder that sentence-transformers saved in `folder`, exported on first use; UserError if it can't."""
    source = Path(folder).resolve()
    for name in NEEDED:
        if not (source / name).is_file():
            raise UserError(f"retrieval.reranker: {folder}: contains no {name}; give the folder of a cross-encoder "
                            "that sentence-transformers saved")
    try:
        config = json.loads((source / "config.json").read_text(encoding="utf-8"))
        kind = " ".join(config.get("architectures") or ["no architecture"])
        labels = config.get("num_labels", len(config.get("id2label", "ab")))  # two, where nothing is said
    except (ValueError, AttributeError, TypeError):
        raise UserError(f"retrieval.reranker: {folder}: its config.json is damaged; save the cross-encoder there "
                        "again") from None
    if "auto_map" in config:
        raise UserError(f"retrieval.reranker: {folder}: contains program code (auto_map in config.json), which is not "
                        "run; give a cross-encoder that transformers supports")
    if not kind.endswith("ForSequenceClassification") or labels != 1:  # a missing head would be made up at random
        raise UserError(f"retrieval.reranker: {folder}: is not a cross-encoder ({kind}, {labels} labels); give the "
                        "folder of a sequence classification model with one label")
    key = hash_bytes(VERSION, str(source), *(str((source / name).stat().st_mtime_ns) for name in NEEDED))
    return CrossEncoder(make_folder(home() / "cross-encoders" / key[:16], lambda made: export(source, made)))


def export(source: Path, folder: Path) -> None:
    """Write cross_encoder.onnx, tokenizer.json and cross_encoder.json; UserError where that can't be."""
    from knowledge.search.encoder_export import calm, fuse, sample

    plain, fused, texts = folder / "plain.onnx", folder / "cross_encoder.onnx", sample()
    # texts that say what the question says, texts that don't, one longer than most models take, and none
    pairs = [(question, text) for question in texts[:3] for text in [*texts, " ".join(3 * texts), ""]]
    with calm():
        import torch
        from sentence_transformers import CrossEncoder as Original

        try:  # attention in plain operations, which the fusion knows
            model = Original(str(source), device="cpu", local_files_only=True, trust_remote_code=False, model_kwargs={
                "attn_implementation": "eager", "dtype": "float32", "use_safetensors": True}).eval()
            wanted = model.predict(pairs, activation_fn=torch.nn.Identity())
            _write(model, plain)
        except Exception as error:  # a stranger's model: what goes wrong with it shares no base
            reason = f"{type(error).__name__}: {error}".split("\n")[0][:200]
            raise UserError(f"retrieval.reranker: {source}: can't be exported ({reason}); give another "
                            "cross-encoder") from None
        model.tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
        write_json(folder / "cross_encoder.json", {
            "sha256": hash_files(source / name for name in NEEDED[:2]), "most_tokens": min(model.max_seq_length, MOST)})
        with contextlib.suppress(Exception):  # a graph that can't be fused is used as it is
            fuse(plain, fused, model)
        difference = _difference(folder, pairs, wanted)
        if not difference <= SAME:  # not a number is no agreement either
            plain.replace(fused)
            difference = _difference(folder, pairs, wanted)
    plain.unlink(missing_ok=True)
    if not difference <= SAME:
        raise UserError(f"retrieval.reranker: {source}: its ONNX export gives different scores (off by "
                        f"{difference:.3f} of "
                        "their range); give another cross-encoder")


def _write(model: Any, path: Path) -> None:
    """The whole model as one function of the tensors that it takes."""
    import torch

    taken = inspect.signature(model.model.forward).parameters
    names = [name for name in model.tokenizer.model_input_names if name in taken]

    class Pair(torch.nn.Module):
        """Token ids, mask and, where the model takes them, types to one logit."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: Any) -> Any:
            return self.model(dict(zip(names, tensors, strict=True)))["scores"]

    rows = model.tokenizer(["a question"] * 2, ["a text", "another and longer text"], padding=True, return_tensors="pt")
    axes = {name: {0: "rows", 1: "length"} for name in names}
    with torch.no_grad():  # the tracing exporter, whose graph the fusion of attention knows
        torch.onnx.export(Pair(), tuple(rows[name] for name in names), str(path), dynamo=False, input_names=names,
                          output_names=["scores"], opset_version=17, dynamic_axes=axes | {"scores": {0: "rows"}})


def _difference(folder: Path, pairs: Sequence[tuple[str, str]], wanted: Scores) -> float:
    """How far the export's scores are from those wanted, at most, in ranges of these; infinite if it doesn't run."""
    try:
        return float(np.abs(CrossEncoder(folder)._scores(pairs) - wanted).max() / max(np.ptp(wanted), 1e-12))
    except Exception:  # onnxruntime's own errors share no public base
        return float("inf")
