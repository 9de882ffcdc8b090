"""What llama.cpp serves of a training: a LoRA GGUF, or whole tuned weights where there is no such thing."""

import os
import re
from pathlib import Path

import numpy as np

from builder.model.base import Base
from builder.model.gguf_files import (
    ARCHITECTURES,
    MODULES,
    as_gguf,
    permute,
    settings_of,
    tensors_of,
    unknown_architecture,
    write_gguf,
)
from knowledge.errors import UserError
from knowledge.files import read_json, unwritable

WHOLE = ("dora", "full")
"""Methods whose result is no sum W + B A, so that llama.cpp needs all of the tuned weights."""


def must_be_servable(base: Base, method: str) -> None:
    """UserError, before any time is spent, where llama.cpp serves the F16 `base` but not what `method` makes of it."""
    made_of = read_json(base.folder / "base.json").get("architecture", ARCHITECTURES[0])
    if base.served and method not in WHOLE and made_of not in ARCHITECTURES:
        raise unknown_architecture(base.gguf, made_of)


def write_served(folder: Path, base: Base, method: str, precision: str) -> None:
    """Write what llama.cpp serves beside what `method` trained in `folder` on the F16 `base`.

    adapter.gguf, or tuned.gguf in `precision`; nothing where llama.cpp can't serve the base. UserError as below.
    """
    if not base.served:
        return
    if method in WHOLE:
        write_merged(folder, base, folder / "tuned.gguf", precision)
    else:
        write_lora(folder, base, folder / "adapter.gguf")


def write_merged(folder: Path, base: Base, target: Path, precision: str) -> None:
    """Write the F16 `base` with the weights that the training in `folder` changed as one GGUF file in `precision`.

    Settings, vocabulary and template are the base's. The file is whole or not there. UserError where what was trained
    is damaged or doesn't fit the base, or the disk refuses.
    """
    import gguf

    from builder.model.hf import merged_tensors

    try:
        reader = gguf.GGUFReader(base.gguf)
    except (OSError, ValueError, IndexError) as error:
        raise UserError(f"{base.gguf}: not a GGUF file ({error}); delete its folder and build again") from None
    settings = settings_of(reader)
    tuned = dict(as_gguf(merged_tensors(base, folder).items(), settings))
    shapes = {tensor.name: tuple(map(int, reversed(tensor.shape))) for tensor in reader.tensors}
    for name, values in tuned.items():
        if values.shape != shapes.get(name):
            raise UserError(f"{folder}: {name} doesn't fit {base.gguf}; train again on this base")
    temporary = target.with_name(f".writing-{target.name}")
    try:
        write_gguf(temporary, settings, ((name, tuned.get(name, values)) for name, values in tensors_of(reader)),
                   precision)
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise unwritable(target, error) from error


VARIANTS = ("use_rslora", "use_dora", "use_qalora", "use_bdlora", "lora_bias", "fan_in_fan_out", "alpha_pattern",
            "layer_replication", "alora_invocation_tokens", "arrow_config", "kasa_config", "velora_config",
            "monteclora_config", "modules_to_save", "trainable_token_indices", "target_parameters")
"""Settings of PEFT under which an adapter is no longer W + alpha / rank * B A, and what llama.cpp adds is wrong."""

_NAME = re.compile(r"base_model\.model\.model\.layers\.(\d+)\.(.+)\.lora_([AB])\.weight")


def write_lora(adapter: Path, base: Base, target: Path) -> None:
    """Write the PEFT adapter in the folder `adapter`, which was trained on `base`, as the LoRA GGUF `target`.

    Raises UserError where the adapter is damaged, isn't plain LoRA, or doesn't fit the base.
    """
    alpha = _alpha(adapter / "adapter_config.json")
    tensors = _renamed(adapter / "adapter_model.safetensors")
    architecture, heads, shapes = _base_facts(base.gguf)
    for name in sorted({name.rpartition(".")[0] for name in tensors}):
        a, b = tensors[f"{name}.lora_a"], tensors[f"{name}.lora_b"]
        if a.ndim != 2 or b.ndim != 2 or len(a) != b.shape[1] or (len(b), a.shape[1]) != shapes.get(name):
            raise UserError(f"{adapter}: {name} doesn't fit {base.gguf}; train again on this base")
        if (module := name.split(".")[2]) in heads:
            tensors[f"{name}.lora_b"] = permute(b, heads[module])
    _write(tensors, alpha, architecture, target)


def _alpha(file: Path) -> float:
    """The adapter's alpha, once its settings turn out to be those of plain LoRA."""
    config = read_json(file)
    if not isinstance(config, dict) or config.get("peft_type") != "LORA" \
            or not isinstance(config.get("lora_alpha"), int | float):
        raise UserError(f"{file}: not the configuration of a LoRA adapter; delete the folder and train again")
    odd = [name for name in VARIANTS if config.get(name)]
    if config.get("bias", "none") != "none":
        odd.append("bias")
    if odd:
        raise UserError(f"{file}: {odd[0]} can't be written for llama.cpp; train again without it")
    return float(config["lora_alpha"])


def _base_facts(file: Path) -> tuple[str, dict[str, int], dict[str, tuple[int, ...]]]:
    """The architecture of a GGUF model, the heads of the matrices whose rows it turns, and every tensor's shape.

    Shapes are (outputs, inputs). UserError where no adapter can be written for it.
    """
    import gguf

    try:
        reader = gguf.GGUFReader(file)
    except (OSError, ValueError, IndexError) as error:
        raise UserError(f"{file}: not a GGUF file ({error}); delete its folder and build again") from None
    facts = {key: field.contents() for key in ("general.architecture", "llama.attention.head_count",
                                               "llama.attention.head_count_kv") if (field := reader.get_field(key))}
    architecture = str(facts.get("general.architecture"))
    if architecture not in ARCHITECTURES:
        raise unknown_architecture(file, architecture)
    if architecture == "llama" and "llama.attention.head_count" not in facts:
        raise UserError(f"{file}: has no llama.attention.head_count; set model.base to another model")
    heads = facts.get("llama.attention.head_count", 0)
    turned = {"attn_q": heads, "attn_k": facts.get("llama.attention.head_count_kv", heads)}
    return (architecture, turned if architecture == "llama" else {},
            {tensor.name: tuple(int(size) for size in reversed(tensor.shape)) for tensor in reader.tensors})


def _renamed(file: Path) -> dict[str, np.ndarray]:
    """The adapter's tensors by llama.cpp's names, whole pairs of finite numbers in 32 bits."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        read = load_file(file)
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise UserError(f"{file}: can't be read ({error}); delete the folder and train again") from None
    renamed: dict[str, np.ndarray] = {}
    for name, values in read.items():
        found = _NAME.fullmatch(name)
        module = MODULES.get(found[2]) if found else None
        if not found or not module:
            raise UserError(f"{file}: {name} can't be written for llama.cpp; train with target modules among "
                            + ", ".join(known.partition(".")[2] for known in MODULES))
        if not np.isfinite(values).all():
            raise UserError(f"{file}: {name} contains values that are not numbers; train again with a lower learning "
                            "rate")
        renamed[f"blk.{found[1]}.{module}.weight.lora_{found[3].lower()}"] = values.astype(np.float32)
    halves = [{name[: -len(half)] for name in renamed if name.endswith(half)} for half in (".lora_a", ".lora_b")]
    if not renamed or halves[0] != halves[1]:
        raise UserError(f"{file}: half of the adapter is missing; delete the folder and train again")
    return renamed


def _write(tensors: dict[str, np.ndarray], alpha: float, architecture: str, target: Path) -> None:
    import gguf

    temporary = target.with_name(f".writing-{target.name}")
    try:
        writer = gguf.GGUFWriter(temporary, architecture)
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
        for name, values in tensors.items():
            writer.add_tensor(name, np.ascontiguousarray(values))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise unwritable(target, error) from error
