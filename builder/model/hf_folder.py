"""A folder of transformers as a base: its tokenizer, its chat template and, where llama.cpp knows it, its GGUF file."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from builder.model.base import WITHOUT, Base
from builder.model.gguf_files import ARCHITECTURES, Field, as_gguf, write_gguf
from knowledge.errors import UserError
from knowledge.files import hash_bytes

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|NUMBERS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|" \
         r"\s+(?!\S)|\s+"
SPLITS = {("GPT-2",): "gpt-2", ("digits", "GPT-2"): "smollm", (_WORDS.replace("NUMBERS", r"\p{N}"),): "qwen2",
          (_WORDS.replace("NUMBERS", r"\p{N}{1,3}"),): "llama-bpe"}
"""How a byte-level tokenizer splits text before it merges, and what llama.cpp calls that (llama-vocab.cpp)."""


def prepare_folder(source: Path, folder: Path, precision: str) -> None:
    """Fill `folder` with the base that transformers saved in `source`; UserError where that is no chat model."""
    from builder.model.hf import read_config

    for name in ("config.json", "tokenizer.json"):
        if not (source / name).is_file():
            raise UserError(f"model.base: {source}: contains no {name}; give a folder that transformers saved, or a "
                            "GGUF file")
    if (source / "adapter_config.json").exists() or not list(source.glob("*.safetensors")):
        raise UserError(f"model.base: {source}: contains no complete model as .safetensors; save the complete model "
                        "there in this format")
    config, tokenizer, template = read_config(source), _json(source / "tokenizer.json"), _template(source)
    (folder / "transformers").symlink_to(source.resolve())
    # Those two would cut and fill prompts.
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer | {"truncation": None, "padding": None}), "utf-8")
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    (folder / "base.json").write_text(json.dumps({"sha256": _hash(source, template), "precision": precision}))
    try:
        settings = _settings(config, tokenizer) | _vocabulary(config, tokenizer, Base(folder, ""))
    except UserError as reason:
        (folder / WITHOUT).write_text(f"model.base: {source}: llama.cpp can't serve it ({reason}); set model.engine to "
                                      "transformers in brand.yaml", encoding="utf-8")
        return
    tied = {"lm_head.weight"} if config["tie_word_embeddings"] else set()
    write_gguf(folder / "model.gguf", settings, as_gguf(_saved(source, tied), settings), precision)


def _settings(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> dict[str, Field]:
    """What llama.cpp has to know of the model; UserError, a reason only, where it would compute something else."""
    import gguf

    architecture, rope = config["model_type"], config.get("rope_parameters") or {}
    if architecture not in ARCHITECTURES:
        raise UserError(f"its architecture is {architecture}, not {' or '.join(ARCHITECTURES)}")
    for what, found, wanted in (("activation", config["hidden_act"], "silu"), ("sliding window", config.get(
            "use_sliding_window"), None), ("rope scaling", rope.get("rope_type", "default"), "default")):
        if found and found != wanted:
            raise UserError(f"its {what} is {found}")
    size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    counts = {"block_count": config["num_hidden_layers"], "context_length": config["max_position_embeddings"],
              "embedding_length": config["hidden_size"], "feed_forward_length": config["intermediate_size"],
              "attention.head_count": config["num_attention_heads"],
              "attention.head_count_kv": config["num_key_value_heads"], "attention.key_length": size,
              "attention.value_length": size, "rope.dimension_count": size, "vocab_size": config["vocab_size"]}
    numbers = {"rope.freq_base": rope["rope_theta"], "attention.layer_norm_rms_epsilon": config["rms_norm_eps"]}
    kinds = gguf.GGUFValueType
    return {"general.architecture": (architecture, kinds.STRING, None), "general.type": ("model", kinds.STRING, None),
            "general.quantization_version": (gguf.GGML_QUANT_VERSION, kinds.UINT32, None),
            **{f"{architecture}.{name}": (value, kinds.UINT32, None) for name, value in counts.items()},
            **{f"{architecture}.{name}": (value, kinds.FLOAT32, None) for name, value in numbers.items()}}


def _vocabulary(config: Mapping[str, Any], tokenizer: Mapping[str, Any], base: Base) -> dict[str, Field]:
    """The tokenizer and the chat template as a GGUF file holds them; UserError, a reason only, for other kinds."""
    import gguf

    from builder.model.hf import end_of

    model, split = tokenizer["model"], SPLITS.get(_split(tokenizer.get("pre_tokenizer") or {}))
    if model["type"] != "BPE" or model.get("byte_fallback") or tokenizer.get("normalizer") not in (None, NFC) \
            or split is None:
        raise UserError("its tokenizer is of another kind than those of GPT-2, SmolLM, Qwen and Llama 3")
    size, kind = config["vocab_size"], gguf.TokenType
    tokens, kinds = [f"[PAD{number}]" for number in range(size)], [int(kind.UNUSED)] * size
    for token, number in model["vocab"].items():
        tokens[number], kinds[number] = token, int(kind.NORMAL)
    for added in tokenizer["added_tokens"]:
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = int(kind.CONTROL if added["special"] else kind.USER_DEFINED)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    end = end_of(base, config["eos_token_id"])
    types = gguf.GGUFValueType
    told: dict[str, Field] = {
        "model": ("gpt2", types.STRING, None), "pre": (split, types.STRING, None),
        "tokens": (tokens, types.ARRAY, types.STRING), "token_type": (kinds, types.ARRAY, types.INT32),
        "merges": (merges, types.ARRAY, types.STRING), "add_bos_token": (False, types.BOOL, None)}
    if end is not None:
        told["eos_token_id"] = end, types.UINT32, None
    return {f"tokenizer.ggml.{name}": field for name, field in told.items()} | {
        "tokenizer.chat_template": (base.template, types.STRING, None)}


NFC = {"type": "NFC"}
"""The normalizer of Qwen's tokenizers; llama.cpp goes without, and what it is sent are token numbers."""


def _split(step: Mapping[str, Any]) -> tuple[str, ...]:
    """What a tokenizer.json's pre_tokenizer does, as the keys of SPLITS say it."""
    found: tuple[str, ...] = ()
    for one in step.get("pretokenizers", [step]):
        if one.get("type") == "Split" and one.get("behavior") == "Isolated" and not one.get("invert"):
            found += one["pattern"].get("Regex", "?"),
        elif one.get("type") == "Digits" and one.get("individual_digits"):
            found += "digits",
        elif one.get("type") == "ByteLevel" and not one.get("add_prefix_space"):
            found += ("GPT-2",) if one.get("use_regex", True) else ()
        else:
            found += "?",
    return found


def _template(source: Path) -> str:
    """The chat template; begin and end tokens, which it may name, are spelt out at its top."""
    settings = _json(source / "tokenizer_config.json") if (source / "tokenizer_config.json").is_file() else {}
    file, template = source / "chat_template.jinja", settings.get("chat_template")
    if file.is_file():
        template = file.read_text(encoding="utf-8")
    elif isinstance(template, list):  # several, by name
        template = {one["name"]: one["template"] for one in template}.get("default")
    if not isinstance(template, str):
        raise UserError(f"model.base: {source}: has no chat template; add chat_template.jinja, or give a chat model")
    for name in ("bos_token", "eos_token"):
        token = settings.get(name) or ""
        if name in template and token:
            spelt = json.dumps(token["content"] if isinstance(token, dict) else token, ensure_ascii=False)
            template = "{% set " + name + " = " + spelt + " %}" + template
    return template


def _saved(source: Path, without: set[str]) -> Iterator[tuple[str, np.ndarray]]:
    """The tensors of all .safetensors files of a folder, one after the other, in 32 bits."""
    import gguf

    for file in sorted(source.glob("*.safetensors")):
        try:
            found = gguf.utility.SafetensorsLocal(file).tensors
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"model.base: {file}: can't be read ({error}); download it again") from None
        for name, tensor in found.items():
            if name not in without and not name.endswith("rotary_emb.inv_freq"):
                yield name, _numbers(file, name, tensor)


def _numbers(file: Path, name: str, tensor: Any) -> np.ndarray:
    """A tensor's numbers in 32 bits; numpy knows no bfloat16, which is the upper half of a float32."""
    raw: np.ndarray = tensor.mmap_bytes()
    if tensor.dtype == "BF16":
        values = (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    elif tensor.dtype in ("F16", "F32"):
        values = raw.view(np.float16 if tensor.dtype == "F16" else np.float32).astype(np.float32)
    else:
        raise UserError(f"model.base: {file}: {name} is stored as {tensor.dtype}; give the model in 16 or 32 bits")
    return values.reshape(tensor.shape)


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"model.base: {file}: can't be read ({error}); download it again") from None


def _hash(source: Path, template: str) -> str:
    """Over all that makes the base what it is; files are read in parts, as they may be larger than memory."""
    parts = [template]
    for file in (source / "config.json", source / "tokenizer.json", *sorted(source.glob("*.safetensors"))):
        with file.open("rb") as opened:
            parts.append(hashlib.file_digest(opened, "sha256").hexdigest())
    return hash_bytes(*parts)
