"""What the user wrote in a workspace, by content: whether it is still what a build was made of."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from builder.workspace.examples import NAMES
from builder.workspace.folder import Workspace
from knowledge.files import hash_bytes, read_json, write_json

BUILT_OF = "built_of.json"
"""In the built folder: what the last finished build was made of."""
PARTS = {"brand.yaml": ("brand.yaml",), "documents": ("documents",), "examples": NAMES,
         "preferences": ("preferences.jsonl",), "questions": ("questions.jsonl",)}
"""The files and folders of each part that a person writes and a build reads."""


class Contents(BaseModel):
    """The files of a workspace that a build reads, as they were at one moment."""

    files: dict[str, tuple[int, int, str]]
    """By place in the workspace: size in bytes, time of change in nanoseconds, and SHA-256."""

    @property
    def key(self) -> str:
        """The same for the same contents, whenever the files were written."""
        return hash_bytes(*(part for place, (_, _, sha256) in sorted(self.files.items()) for part in (place, sha256)))


def contents(workspace: Workspace, known: Contents | None = None) -> Contents:
    """What is there now. A file that has the size and time that it had in `known` isn't read again."""
    before = known.files if known else {}
    return Contents(files={place: _content(file, before.get(place))
                           for places in PARTS.values() for place, file in _files(workspace.folder, places)})


def _files(folder: Path, places: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """The files among `places` and below them, hidden ones left out as the reading of documents does."""
    for one in places:
        for file in (folder / one, *(folder / one).rglob("*")):
            place = file.relative_to(folder)
            if file.is_file() and not any(part.startswith(".") for part in place.parts):
                yield place.as_posix(), file


def _content(file: Path, before: tuple[int, int, str] | None) -> tuple[int, int, str]:
    state = file.stat()
    if before and before[:2] == (state.st_size, state.st_mtime_ns):
        return before
    with file.open("rb") as opened:
        return state.st_size, state.st_mtime_ns, hashlib.file_digest(opened, "sha256").hexdigest()


def keep(workspace: Workspace, made_of: Contents) -> None:
    """Record what a build that has finished was made of."""
    write_json(workspace.built / BUILT_OF, made_of.model_dump())


def changed(workspace: Workspace) -> list[str]:
    """The parts that differ from what the last finished build was made of; none where none has finished."""
    kept = workspace.built / BUILT_OF
    if not kept.is_file():
        return []
    before = Contents.model_validate(read_json(kept))
    now = contents(workspace, before)
    return [part for part, places in PARTS.items() if _of(before.files, places) != _of(now.files, places)]


def _of(files: Mapping[str, tuple[int, int, str]], places: tuple[str, ...]) -> dict[str, str]:
    return {place: sha256 for place, (_, _, sha256) in files.items() if place.split("/")[0] in places}
