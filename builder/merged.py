"""What llama.cpp serves of a training: a LoRA GGUF, or whole tuned weights where there is no such thing."""

import os
from pathlib import Path

from builder.converted import as_gguf
from builder.lora import ARCHITECTURES, unknown_architecture, write_lora
from builder.weights import Base, settings_of, tensors_of, write_gguf
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

    from builder.training.models import merged_tensors

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
