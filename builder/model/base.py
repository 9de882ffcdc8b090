"""A base model prepared in one precision: its files, wherever they came from."""

from dataclasses import dataclass
from pathlib import Path

from knowledge.errors import UserError

WITHOUT = "without-gguf.txt"
"""Holds why a prepared base has no GGUF file."""


@dataclass(frozen=True)
class Base:
    """A base model prepared in one precision: its GGUF file, its tokenizer and its chat template.

    A base given as a transformers folder has that as `folder`/transformers; where llama.cpp doesn't know such models,
    it has no GGUF file.
    """

    folder: Path
    sha256: str
    """Of the file that it was made from."""

    @property
    def gguf(self) -> Path:
        """The weights for llama.cpp; UserError where it doesn't know such models."""
        if (self.folder / WITHOUT).is_file():
            raise UserError((self.folder / WITHOUT).read_text(encoding="utf-8"))
        return self.folder / "model.gguf"

    @property
    def served(self) -> bool:
        """Whether llama.cpp can serve it."""
        return not (self.folder / WITHOUT).is_file()

    @property
    def tokenizer(self) -> Path:
        """The tokenizer, for the `tokenizers` library."""
        return self.folder / "tokenizer.json"

    @property
    def template(self) -> str:
        """The chat template that came with the weights."""
        return (self.folder / "chat_template.jinja").read_text(encoding="utf-8")
