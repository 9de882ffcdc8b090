"""What of the built folder nothing needs any more, and its removal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.workspace.folder import PARTS, Workspace
from builder.workspace.releases import live_names, read_release, release_file, release_names
from knowledge.files import read_json, remove_folder

NEWEST = 10
"""Releases that are kept beside those that are or were live."""
SPARE = 2 * 10**9
"""Bytes that nothing needs and a build leaves lying all the same, so that going back to earlier settings is quick."""
KINDS = ("index", "adapters", "checks", "evaluations", "training")
"""Folders of parts that a build makes again where they are wanted. What an ablation found stays."""


@dataclass(frozen=True)
class Cleaned:
    """What was removed: releases by name, how many parts, and the bytes of all; what `twofold clean --json` prints."""

    releases: list[str]
    parts: int
    bytes: int


def clean(workspace: Workspace, spare: int = 0) -> Cleaned:
    """Remove what nothing needs, if it takes more than `spare` bytes; nothing else may build meanwhile.

    Needed are the parts in use and the ones before them, the NEWEST releases and those that are or were live, the
    release that training.start_from names, the index that an adapter was trained beside, and the training that was
    stopped last. Replies remembered from evaluations go too; they are made again when they are wanted.
    """
    old = _old_releases(workspace)
    parts, replies = _unused(workspace, old), list(workspace.built.glob("replies.sqlite*"))
    size = sum(map(_size, [*parts, *replies]))
    if size <= spare:
        return Cleaned([], 0, 0)
    for folder in [*(release_file(workspace, name).parent for name in old), *parts]:  # releases before what they hold
        remove_folder(folder)
    for file in replies:
        file.unlink(missing_ok=True)
    return Cleaned(old, len(parts), size)


def remove_unused_indexes(workspace: Workspace) -> None:
    """Remove the indexes alone that nothing needs: each is made anew whenever a document changes."""
    for folder in _unused(workspace, (), ("index",)):
        remove_folder(folder)


def _old_releases(workspace: Workspace) -> list[str]:
    """The releases that nobody goes back to."""
    names = release_names(workspace)
    kept = {*names[-NEWEST:], *live_names(workspace), workspace.brand.training.start_from}
    return [name for name in names if name not in kept]


def _unused(workspace: Workspace, without: Sequence[str], kinds: Sequence[str] = KINDS) -> list[Path]:
    """The parts of these kinds that nothing needs, were these releases gone."""
    needed = set(_needed(workspace, without))
    stopped = sorted(_parts(workspace, "training"), key=lambda folder: folder.stat().st_mtime)[-1:]
    return [part for kind in kinds for part in _parts(workspace, kind) if part not in needed and part not in stopped]


def _needed(workspace: Workspace, without: Sequence[str]) -> Iterator[Path]:
    state, parts = workspace.current(), []
    for kind in PARTS:
        parts += [getattr(state, kind), workspace.previous(kind)]
    for name in release_names(workspace):
        if name not in without:
            parts += [workspace.built / place for place in read_release(workspace, name).parts.values()]
    for part in filter(None, parts):
        yield part
        if (record := part / "adapter.json").is_file() and (beside := read_json(record).get("index")):
            yield workspace.built / "index" / beside


def _parts(workspace: Workspace, kind: str) -> list[Path]:
    """The parts of a kind, and what an interrupted removal or making left of some."""
    folder = workspace.built / kind
    return [part for part in folder.iterdir() if part.is_dir()] if folder.is_dir() else []


def _size(place: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = place.rglob("*") if place.is_dir() else [place]
    return sum(file.stat().st_size for file in files if file.is_file())
