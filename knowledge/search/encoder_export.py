"""A sentence-transformers model to ONNX: fused, and in 8 bits as well where this machine runs that faster."""

import contextlib
import logging
import time
import warnings
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowledge.errors import UserError
from knowledge.files import hash_bytes, write_json
from knowledge.quiet import quiet
from knowledge.search.onnx import session

VERSION = "3"
"""Of what is written; a new one makes encoders be exported again."""
SAME = 0.999
"""The cosine that the export keeps with the original, at least."""
CLOSE = 0.99
"""The mean cosine that 8-bit weights keep with the export, at least; below it they aren't used."""
FASTER = 1.15
"""How many times as fast 8-bit weights must be to be used."""
NUMBERS = 128
"""Of a token's vector, at most; the originals are projected to so many."""
Run = tuple[NDArray[np.float32], float]
"""Unit vectors of the sample texts, and the seconds they took."""


def export(source: Path, folder: Path) -> None:
    """Write encoder.onnx, tokenizer.json and encoder.json; UserError if it can't be.

    The graph pools and normalises, and gives each token's unit vector as well, projected to NUMBERS.
    """
    with calm():
        from sentence_transformers import SentenceTransformer

        # attention in plain operations, which the fusion knows
        model = SentenceTransformer(str(source), device="cpu", local_files_only=True, trust_remote_code=False,
                                    model_kwargs={"attn_implementation": "eager"}).eval()
        texts = sample()
        wanted = np.asarray(model.encode(texts, normalize_embeddings=True))
        plain, fused, small = folder / "plain.onnx", folder / "encoder.onnx", folder / "encoder-int8.onnx"
        _write(model, plain)
        fuse(plain, fused, model)
        try:
            same = _agreement(_timed(fused, model, texts)[0], wanted)
        except Exception:  # onnxruntime's own errors share no public base; a graph that it can't run agrees with none
            same = 0.0
        if same < SAME:
            plain.replace(fused)
            same = _agreement(_timed(fused, model, texts)[0], wanted)
        plain.unlink(missing_ok=True)
        if same < SAME:
            raise UserError(f"{source}: its ONNX export gives different vectors (cosine {same:.3f}); set "
                            "retrieval.encoder to another model")
        documents = _quantised(fused, small, model, texts)
    (folder / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
    write_json(folder / "encoder.json", {
        "name": source.parent.name if source.name == "model" else source.name,
        "sha256": hash_bytes(source / "model.safetensors", source / "tokenizer.json"),
        "dimensions": model.get_embedding_dimension(), "most_tokens": model.max_seq_length, "agreement": same,
        "documents": documents})


def sample() -> list[str]:
    """Texts of one to a hundred words or so."""
    lines = files("knowledge.search").joinpath("strangers.txt").read_text(encoding="utf-8").split("\n")
    return [" ".join(lines[first:first + 1 + first % 12]) for first in range(0, 96, 4)]


def _write(model: Any, path: Path) -> None:
    """The whole model as one function of two tensors."""
    import torch

    projection = torch.from_numpy(_projection(model[0].auto_model.config.hidden_size))

    class Sentence(torch.nn.Module):
        """Token ids and mask to unit vectors, of each text and of its tokens."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            out = self.model({"input_ids": input_ids, "attention_mask": attention_mask})
            tokens = out["token_embeddings"] @ projection.to(out["token_embeddings"])
            unit = torch.nn.functional.normalize
            return unit(out["sentence_embedding"], dim=1), unit(tokens, dim=2)

    rows = model.tokenizer(["a sample text", "another and longer sample text"], padding=True, return_tensors="pt")
    axes = {0: "rows", 1: "length"}
    with torch.no_grad():  # the tracing exporter, whose graph the fusion of attention knows
        torch.onnx.export(Sentence(), (rows["input_ids"], rows["attention_mask"]), str(path), dynamo=False,
                          input_names=["input_ids", "attention_mask"], output_names=["vectors", "tokens"],
                          opset_version=17, dynamic_axes={"input_ids": axes, "attention_mask": axes,
                                                          "vectors": {0: "rows"}, "tokens": axes})


def _projection(dimensions: int) -> NDArray[np.float32]:
    """Orthogonal columns drawn at random, which keep cosines (Johnson and Lindenstrauss 1984), the same anywhere.

    What was fitted here would differ a little on the next machine, and an index may be carried there.
    """
    drawn = np.random.RandomState(0).standard_normal((dimensions, min(NUMBERS, dimensions)))  # noqa: NPY002 frozen
    return np.asarray(np.linalg.qr(drawn)[0], dtype=np.float32)


def fuse(plain: Path, fused: Path, model: Any) -> None:
    """Attention, layer norm and GELU as one operation each; a graph of another kind stays as it is."""
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    settings = model[0].auto_model.config
    options = FusionOptions("bert")
    options.enable_skip_layer_norm = False  # it hides matrix products from the quantiser
    optimize_model(str(plain), model_type="bert", num_heads=getattr(settings, "num_attention_heads", 0),
                   hidden_size=getattr(settings, "hidden_size", 0), opt_level=0,
                   optimization_options=options).save_model_to_file(str(fused))


def _quantised(fused: Path, small: Path, model: Any, texts: Sequence[str]) -> dict[str, Any]:
    """What passages are encoded with, and what was measured to choose it; `small` is kept only if it is used."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(str(fused), str(small), weight_type=QuantType.QInt8, per_channel=True,
                     extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})
    wanted, seconds = _timed(fused, model, texts)
    vectors, faster = _timed(small, model, texts)
    agreement = _agreement(vectors, wanted)
    used = agreement >= CLOSE and seconds / faster >= FASTER
    if not used:
        small.unlink()
    return {"precision": "int8" if used else "float32", "agreement": agreement, "speed": seconds / faster}


def _timed(path: Path, model: Any, texts: Sequence[str]) -> Run:
    """The texts' vectors one by one, and the seconds of the fastest of three rounds."""
    opened = session(path)
    ids = [np.array([model.tokenizer(text, truncation=True).input_ids], dtype=np.int64) for text in texts]
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        vectors = [opened.run(None, {"input_ids": row, "attention_mask": np.ones_like(row)})[0][0] for row in ids]
        seconds.append(time.perf_counter() - start)
    return np.stack(vectors), min(seconds)


def _agreement(vectors: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """The mean cosine of two sets of unit vectors; 0 where the shapes differ."""
    return float((vectors * wanted).sum(1).mean()) if vectors.shape == wanted.shape else 0.0


@contextlib.contextmanager
def calm() -> Any:
    """Keep the exporter's own chatter off the terminal."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(quiet())
        for name in ("", "torch.onnx", "onnxscript", "torch", "onnxruntime"):
            logger = logging.getLogger(name)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.ERROR)
        yield
