"""GGUF files: their settings and tensors read and written, and what llama.cpp names the tensors of transformers."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from knowledge.errors import UserError

Field = tuple[Any, Any, Any]
"""A value among a GGUF file's settings, its gguf.GGUFValueType, and that of its elements where it is a list."""


def as_gguf(tensors: Iterable[tuple[str, np.ndarray]],
            settings: Mapping[str, Field]) -> Iterator[tuple[str, np.ndarray]]:
    """Tensors of transformers under llama.cpp's names, in the model that `settings` describe.

    Rows of q and k are put in the order of its llama architecture. UserError for a tensor that has no place there.
    """
    import gguf

    architecture = settings["general.architecture"][0]
    number = next(number for number, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    names = gguf.get_tensor_name_map(number, settings[f"{architecture}.block_count"][0])
    heads = settings[f"{architecture}.attention.head_count"][0]
    turned = {"attn_q": heads, "attn_k": settings.get(f"{architecture}.attention.head_count_kv", (heads,))[0]}
    for name, values in tensors:
        known = names.get_name(name, (".weight", ".bias"))
        if known is None:
            raise UserError(f"{name}: has no place in a GGUF file of the {architecture} architecture; set model.engine "
                            "to transformers in brand.yaml")
        part = known.split(".")[-2]
        yield known, permute(values, turned[part]) if architecture == "llama" and part in turned else values


MODULES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
           "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
           "mlp.down_proj": "ffn_down"}
"""The modules that can be adapted: their names in transformers, and in a GGUF file."""
ARCHITECTURES = ("llama", "qwen2", "qwen3")
"""Those whose files can be written; transformers and llama.cpp name them alike."""


def permute(rows: np.ndarray, heads: int) -> np.ndarray:
    """The rows of a q or k matrix, (heads * size, columns), from the order of transformers to that of llama.cpp.

    Rotary embedding turns pairs of rows of a head: transformers pairs row i with i + size / 2, llama.cpp's llama
    architecture 2 i with 2 i + 1 (LlamaModel.permute in its convert_hf_to_gguf.py).
    """
    return rows.reshape(heads, 2, len(rows) // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape)


def unknown_architecture(file: Path, architecture: str) -> UserError:
    """The line for a model that no adapter can be written for."""
    return UserError(f"{file}: its architecture is {architecture}; an adapter can be written for "
                     f"{', '.join(ARCHITECTURES)} only: set model.base to such a model")


def settings_of(reader: Any) -> dict[str, Field]:
    """What a GGUF file says beside its tensors, ready to be written again."""
    import gguf

    return {name: (field.contents(), field.types[0],
                   field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None)
            for name, field in reader.fields.items() if not name.startswith("GGUF.")}


def tensors_of(reader: Any) -> Iterable[tuple[str, np.ndarray]]:
    """A GGUF file's tensors by name, one after the other, in 32 bits."""
    import gguf

    for tensor in reader.tensors:
        yield tensor.name, gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)


def write_gguf(target: Path, settings: Mapping[str, Field], tensors: Iterable[tuple[str, np.ndarray]],
               precision: str) -> None:
    """Write a GGUF model file in `precision` (q8_0 or f16); OSError where the disk refuses."""
    import gguf

    wanted = gguf.GGMLQuantizationType[precision.upper()]
    writer = gguf.GGUFWriter(target, settings["general.architecture"][0])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if precision == "q8_0" else gguf.LlamaFileType.MOSTLY_F16)
    for name, (value, kind, element) in settings.items():
        if name not in ("general.architecture", "general.file_type"):
            writer.add_key_value(name, value, kind, element)
    for name, values in tensors:
        if values.ndim == 1:  # norms are small and sensitive: they stay in full precision
            writer.add_tensor(name, values)
        elif precision == "f16" or values.shape[-1] % 32:  # q8_0 rounds blocks of 32 numbers of a row
            writer.add_tensor(name, values.astype(np.float16))
        else:
            writer.add_tensor(name, gguf.quantize(values, wanted), raw_dtype=wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
