"""Releases: immutable, named builds of a workspace; which one is live, and which was."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from builder.workspace.brand import Brand, as_brand
from builder.workspace.folder import PARTS, State, Workspace
from knowledge.errors import JudgedFailure, UserError
from knowledge.files import hash_bytes, hash_files, make_folder, read_json, write_json


@dataclass(frozen=True)
class Unit:
    """What answers as one: a brand with the parts that were built for it, and the phrases that all its replies share.

    `release` is None for the last build, which no release holds on to; its `fixed` phrases are then those of the
    examples as they are now, and None here.
    """

    release: str | None
    brand: Brand
    state: State
    fixed: tuple[str, ...] | None


def freeze(workspace: Workspace, gates: Sequence[dict[str, Any]] = (), fixed: Sequence[str] = (),
           began: float | None = None) -> str:
    """Name the current parts as a release candidate, and return its name.

    A release holds the places of its parts, a copy of brand.yaml, the `fixed` phrases that all replies share, a hash
    over all of these, and the gates that it met or missed. The threshold above which it answers is in the index.
    Building again without a change returns the release that is already there. `began`, in seconds since 1970, is when
    the build did: the file's time, by which what the user changed since is told.
    """
    state = workspace.current()
    parts = {kind: folder.relative_to(workspace.built).as_posix()
             for kind in PARTS if (folder := getattr(state, kind))}
    if not parts:
        raise UserError(f"{workspace.folder}: nothing is built; run `twofold build {workspace.folder}`")
    brand = (workspace.folder / "brand.yaml").read_text(encoding="utf-8")
    sha256 = _hash(workspace, parts, brand, fixed)
    for name in names(workspace):
        known = details(workspace, name)
        if {kind: known.get(kind) for kind in parts} == parts and (known["brand"], known["sha256"]) == (brand, sha256):
            return _dated(workspace, name, began)
    number = max((int(name[1:]) for name in names(workspace)), default=0) + 1
    content = {"name": f"r{number:03d}", **parts, "brand": brand, "fixed": list(fixed), "gates": list(gates),
               "sha256": sha256}
    make_folder(workspace.built / "releases" / f"r{number:03d}",
                lambda folder: write_json(folder / "release.json", content))
    return _dated(workspace, f"r{number:03d}", began)


def _dated(workspace: Workspace, name: str, began: float | None) -> str:
    if began is not None:
        os.utime(workspace.built / "releases" / name / "release.json", (began, began))
    return name


def names(workspace: Workspace) -> list[str]:
    """The releases, oldest first."""
    return sorted(path.parent.name for path in (workspace.built / "releases").glob("r*/release.json"))


def details(workspace: Workspace, name: str) -> dict[str, Any]:
    """What a release holds; UserError when there is none of this name."""
    if name not in names(workspace):
        known = ", ".join(names(workspace)) or "none yet; run `twofold build`"
        raise UserError(f"{name}: no such release; there are: {known}")
    loaded: dict[str, Any] = read_json(workspace.built / "releases" / name / "release.json")
    return loaded


def unit(workspace: Workspace, name: str | None = None) -> Unit:
    """What answers: the named release, else the live one, else the last build with brand.yaml as it is now.

    UserError where there is no release of this name.
    """
    name = name or live_name(workspace)
    if name is None:
        return Unit(None, workspace.brand, workspace.current(), None)
    known = details(workspace, name)
    return Unit(name, as_brand(known["brand"], f"brand.yaml of {name}"),
                workspace.state_in(workspace.built / "releases" / name / "release.json"), tuple(known.get("fixed", ())))


def live_name(workspace: Workspace) -> str | None:
    """The release that answers, or None while none was promoted."""
    history = _history(workspace)
    return history[-1] if history else None


def missed(workspace: Workspace, name: str) -> list[dict[str, Any]]:
    """The gates that a release did not meet."""
    return [gate for gate in details(workspace, name).get("gates", []) if not gate["met"]]


def promote(workspace: Workspace, name: str, force: bool = False) -> None:
    """Make a release live.

    UserError when its files are not what they were when it was frozen; JudgedFailure when it missed a gate, unless
    `force`.
    """
    known = details(workspace, name)
    lacking = missed(workspace, name)
    if lacking and not force:
        said = "; ".join(filter(None, (lacking[0]["said"], lacking[0]["next"])))
        raise JudgedFailure(f"{name}: missed “{lacking[0]['name']}”: {said}; add --force to promote it all the same")
    parts: dict[str, str] = {kind: known[kind] for kind in PARTS if kind in known}
    if _hash(workspace, parts, known["brand"], known.get("fixed", ())) != known["sha256"]:
        raise UserError(f"{name}: its files are missing or changed since it was built; run `twofold build` again")
    history = _history(workspace)
    if not history or history[-1] != name:
        write_json(workspace.built / "live.json", [*history, name])


def rollback(workspace: Workspace) -> str:
    """Make the release live that was before, and return its name."""
    history = _history(workspace)
    if len(history) < 2:
        raise UserError(f"{workspace.folder}: no earlier release was live; `twofold releases` lists what there is")
    write_json(workspace.built / "live.json", history[:-1])
    return history[-2]


def _history(workspace: Workspace) -> list[str]:
    path = workspace.built / "live.json"
    return list(read_json(path)) if path.exists() else []


def _hash(workspace: Workspace, parts: dict[str, str], brand: str, fixed: Sequence[str]) -> str:
    files = [file for kind in sorted(parts) for file in sorted((workspace.built / parts[kind]).rglob("*"))
             if file.is_file()]
    return hash_bytes(hash_files(files), brand, *fixed)
