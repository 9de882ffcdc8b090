"""Releases: immutable, named builds of a workspace; which one is live, and which was."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, Field, ValidationError, model_validator

from builder.workspace.brand import Brand, as_brand
from builder.workspace.folder import PARTS, State, Workspace
from knowledge.errors import JudgedFailure, UserError
from knowledge.files import hash_bytes, hash_files, make_folder, read_json, write_json


class GateOutcome(StrEnum):
    """What became of a gate; the values are what people read."""

    MET = "passed"
    MISSED = "failed"
    UNDECIDED = "undecided"


class Gate(BaseModel):
    """One check of a release: what came of it, why, and what to do where it did not pass."""

    name: str
    outcome: GateOutcome
    reason: str = Field(validation_alias=AliasChoices("reason", "said"))  # "said" in files of older versions
    next: str = ""

    @model_validator(mode="before")
    @classmethod
    def _of_an_older_version(cls, values: Any) -> Any:
        """Older files say only whether it was `met`."""
        if isinstance(values, dict) and "met" in values:
            met = {"outcome": GateOutcome.MET if values["met"] else GateOutcome.MISSED}
            return met | {name: value for name, value in values.items() if name != "met"}
        return values

    def __str__(self) -> str:
        """The gate in one line."""
        outcome = self.outcome.upper() if self.outcome == GateOutcome.MISSED else self.outcome
        return f"{outcome}: {self.name}: {self.reason}" + (
            f"; {self.next}" if self.next else "")


def gates_with(gates: Sequence[Gate], outcome: GateOutcome) -> list[Gate]:
    """Those of this outcome."""
    return [gate for gate in gates if gate.outcome == outcome]


def doubts_of(gates: Sequence[Gate]) -> str:
    """The gates that failed and those that are undecided, in a few words; empty where all are met."""
    return "; ".join(f"{outcome}: {', '.join(gate.name for gate in some)}" for outcome in (
        GateOutcome.MISSED, GateOutcome.UNDECIDED) if (some := gates_with(gates, outcome)))


class Release(BaseModel):
    """What a release.json holds: the places of its parts in the built folder, brand.yaml as it was, and its gates."""

    name: str
    index: str | None = None
    adapter: str | None = None
    check: str | None = None
    evaluation: str | None = None
    brand: str
    fixed: list[str] | None = None
    """The phrases that all its replies share; None in a file of an older version."""
    gates: list[Gate] = []
    sha256: str
    """Over all files of its parts, brand.yaml and the fixed phrases."""

    @property
    def parts(self) -> dict[str, str]:
        """The place of each part that it has."""
        return {kind: place for kind in PARTS if (place := getattr(self, kind))}

    @property
    def missed(self) -> list[Gate]:
        """The gates that failed."""
        return gates_with(self.gates, GateOutcome.MISSED)

    @property
    def undecided(self) -> list[Gate]:
        """The gates that the tests could not decide."""
        return gates_with(self.gates, GateOutcome.UNDECIDED)

    @property
    def doubts(self) -> str:
        """What stands against it; empty where all gates are met."""
        return doubts_of(self.gates)


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


def freeze(workspace: Workspace, gates: Sequence[Gate] = (), fixed: Sequence[str] = ()) -> str:
    """Name the current parts as a release candidate, and return its name.

    The threshold above which it answers is in the index. Building again without a change returns the release that is
    already there.
    """
    state = workspace.current()
    parts = {kind: folder.relative_to(workspace.built).as_posix()
             for kind in PARTS if (folder := getattr(state, kind))}
    if not parts:
        raise UserError(f"{workspace.folder}: nothing is built yet; run `twofold build {workspace.folder}`")
    brand = (workspace.folder / "brand.yaml").read_text(encoding="utf-8")
    sha256 = _hash(workspace, parts, brand, fixed)
    names = release_names(workspace)
    for name in names:
        known = read_release(workspace, name)
        if (known.parts, known.brand, known.sha256) == (parts, brand, sha256):
            return name
    name = f"r{max((int(known[1:]) for known in names), default=0) + 1:03d}"
    release = Release(name=name, **parts, brand=brand, fixed=list(fixed), gates=list(gates), sha256=sha256)
    make_folder(workspace.built / "releases" / name,
                lambda folder: write_json(folder / "release.json", release.model_dump(exclude_none=True)))
    return name


def release_file(workspace: Workspace, name: str) -> Path:
    """Where a release is written down."""
    return workspace.built / "releases" / name / "release.json"


def release_names(workspace: Workspace) -> list[str]:
    """The releases, oldest first."""
    names = [path.parent.name for path in (workspace.built / "releases").glob("r*/release.json")]
    return sorted((name for name in names if name[1:].isdecimal()), key=lambda name: int(name[1:]))


def read_release(workspace: Workspace, name: str) -> Release:
    """A release; UserError when there is none of this name, or its file is damaged."""
    names = release_names(workspace)
    if name not in names:
        raise UserError(f"{name}: no such release; there are: {', '.join(names) or 'none yet; run `twofold build`'}")
    place = release_file(workspace, name)
    try:
        return Release.model_validate(read_json(place))
    except ValidationError as error:
        lacks = ".".join(map(str, error.errors()[0]["loc"])) or "all of it"
        raise UserError(f"{place}: is damaged ({lacks} is missing or wrong); run `twofold build` again") from None


def unit(workspace: Workspace, name: str | None = None) -> Unit:
    """What answers: the named release, else the live one, else the last build with brand.yaml as it is now.

    UserError where there is no release of this name.
    """
    name = name or live_name(workspace)
    if name is None:
        return Unit(None, workspace.brand, workspace.current(), None)
    release = read_release(workspace, name)
    return Unit(name, as_brand(release.brand, f"brand.yaml of {name}"),
                workspace.state_in(release_file(workspace, name)), tuple(release.fixed or ()))


def live_name(workspace: Workspace) -> str | None:
    """The release that answers, or None while none was promoted."""
    history = live_names(workspace)
    return history[-1] if history else None


def promote(workspace: Workspace, name: str, force: bool = False) -> None:
    """Make a release live.

    UserError when its files are not what they were when it was frozen; JudgedFailure when a gate failed or could not be
    decided, unless `force`.
    """
    release = read_release(workspace, name)
    for gate in [] if force else [*release.missed, *release.undecided]:
        what = "failed the check" if gate.outcome == GateOutcome.MISSED else "is undecided in the check"
        why = "; ".join(filter(None, (gate.reason, gate.next)))
        raise JudgedFailure(f"{name}: {what} “{gate.name}”: {why}; add --force to promote it anyway")
    if _hash(workspace, release.parts, release.brand, release.fixed or ()) != release.sha256:
        raise UserError(f"{name}: its files are missing or were changed after the build; run `twofold build` again")
    history = live_names(workspace)
    if not history or history[-1] != name:
        write_json(workspace.built / "live.json", [*history, name])


def rollback(workspace: Workspace) -> str:
    """Make the previous release live, and return its name."""
    history = live_names(workspace)
    if len(history) < 2:
        raise UserError(f"{workspace.folder}: no earlier release was live; `twofold releases` lists all of them")
    write_json(workspace.built / "live.json", history[:-1])
    return history[-2]


def live_names(workspace: Workspace) -> list[str]:
    """The releases that were live and can be gone back to, in their order; the last one is live now."""
    path = workspace.built / "live.json"
    return list(read_json(path)) if path.exists() else []


def _hash(workspace: Workspace, parts: dict[str, str], brand: str, fixed: Sequence[str]) -> str:
    files = [file for kind in sorted(parts) for file in sorted((workspace.built / parts[kind]).rglob("*"))
             if file.is_file()]
    return hash_bytes(hash_files(files), brand, *fixed)
