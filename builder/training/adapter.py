"""What learns: LoRA, DoRA or QLoRA laid over the base, or all of its weights; written as PEFT and transformers do."""

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import torch

from builder.model.base import Base
from builder.model.transformers_engine import load_base
from builder.training.frozen import attend, trunk
from builder.training.fused import fuse
from builder.workspace.brand import Training
from knowledge.errors import UserError
from knowledge.files import read_json


def open_model(base: Base, settings: Training) -> Any:
    """The base weights with what learns laid over them; UserError where this machine lacks what the method needs."""
    if settings.method != "qlora":
        return adapt(load_base(base), settings)
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError("training.method: qlora needs the package bitsandbytes; install it, or set the method to lora")
    from bitsandbytes.nn import Linear4bit
    from transformers import BitsAndBytesConfig

    four = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
    model = adapt(load_base(base, four), settings)
    for module in model.modules():
        if isinstance(module, Linear4bit):
            # WHY: in eval mode it packs its weights anew on some CPUs, for a product without a gradient
            module.train()
    return model


def adapt(model: Any, settings: Training) -> Any:
    """`model` with a fresh adapter on every linear layer above the frozen ones; it replies as before: B = 0.

    LoRA (Hu et al. 2021) or DoRA (Liu et al. 2024) as a PeftModel; with method full, the model itself, all of whose
    layers learn. UserError where it has no more layers than are to be frozen.
    """
    from peft import LoraConfig, get_peft_model
    from transformers import AttentionInterface

    if not (getattr(model, "_supports_attention_backend", False)
            and hasattr(getattr(model, model.base_model_prefix, None), "layers")):
        raise UserError(f"model.base: models of the type {model.config.model_type} can't be trained yet; set it to a "
                        "Llama or Qwen model")
    AttentionInterface.register("spans", attend)
    model.config._attn_implementation = "spans"
    layers = len(trunk(model).layers) if settings.frozen_layers else 0
    if settings.frozen_layers and settings.frozen_layers >= layers:
        raise UserError(f"training.frozen_layers: the model has {layers} layers; freeze fewer of them")
    if settings.method == "full":
        return _all_of(model, settings)
    # WHY names: PEFT takes "all-linear" only for all layers
    names: Any = sorted({name.rpartition(".")[2] for name, module in trunk(model).named_modules()
                         if isinstance(module, torch.nn.Linear)}) if settings.frozen_layers else "all-linear"
    lora = LoraConfig(r=settings.rank, lora_alpha=settings.alpha, lora_dropout=0.0, target_modules=names,
                      layers_to_transform=list(range(settings.frozen_layers, layers)) or None,
                      use_dora=settings.method == "dora", task_type="CAUSAL_LM")
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # between PEFT and transformers; nothing the user can mend
        torch.manual_seed(settings.seed)
        # WHY eval: a base with dropout of its own would make two runs differ
        adapted = get_peft_model(model, lora).eval()
    if settings.method != "qlora":  # the steps there need weights that aren't packed
        fuse(adapted)
    return adapted


def _all_of(model: Any, settings: Training) -> Any:
    """The model with the weights of its layers to learn; embeddings, norms and head stay, as in LoRA."""
    for weight in model.parameters():
        weight.requires_grad_(False)
    for layer in trunk(model).layers[settings.frozen_layers:]:
        for module in layer.modules():
            if isinstance(module, torch.nn.Linear):
                module.weight.requires_grad_(True)
    fuse(model)
    return model


def cast(model: Any, dtype: torch.dtype) -> None:
    """Keep the frozen weights in `dtype`; what learns stays in fp32, where small updates aren't rounded away."""
    for weight in model.parameters():
        if not weight.requires_grad and weight.is_floating_point():
            weight.data = weight.data.to(dtype)


def learning(model: Any) -> dict[str, torch.nn.Parameter]:
    """The weights that learn, by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def start_from(model: Any, adapter: Path) -> None:
    """Put an earlier adapter's weights in the place of fresh ones; UserError where it has another shape."""
    from peft import set_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(adapter / "adapter_model.safetensors")
    except (OSError, SafetensorError) as error:
        raise UserError(f"training.start_from: {adapter}: contains no adapter ({error}); name a release that was made "
                        "by lora or dora") from None
    config = read_json(adapter / "adapter_config.json")
    mine = model.peft_config["default"]
    if (config["r"], config["lora_alpha"], config["use_dora"]) != (mine.r, mine.lora_alpha, mine.use_dora):
        raise UserError(f"training.start_from: {adapter}: has rank {config['r']} and alpha {config['lora_alpha']}; set "
                        "training.rank, alpha and method to what it was made with")
    told: Any = set_peft_model_state_dict(model, weights)
    if told.unexpected_keys or {name for name in told.missing_keys if "lora_" in name}:
        raise UserError(f"training.start_from: {adapter}: has other layers; set training.frozen_layers to the value "
                        "it was made with")


def save(model: Any, name: str, folder: Path) -> None:
    """Write the adapter as PEFT does, or the whole model as transformers does where all of it learned.

    `name` says which base it belongs to, in place of a path on this machine.
    """
    model.config.name_or_path = name
    if not hasattr(model, "peft_config"):
        model.config._attn_implementation = "sdpa"
        model.to(torch.float32).save_pretrained(folder)
        return
    model.peft_config["default"].base_model_name_or_path = name
    model.save_pretrained(folder, save_embedding_layers=False)
