"""One assistant's folder: what the user wrote, and where everything built from it lies."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path

from builder.workspace.brand import Brand, read_brand
from builder.workspace.examples import (
    Choice,
    Example,
    Question,
    examples_file,
    read_examples,
    read_preferences,
    read_questions,
)
from knowledge.errors import UserError
from knowledge.files import Tick, held, make_folder, read_json, write_json

TEMPLATES = Path(__file__).parent / "templates"

BUILDING, WATCHING, PLANNING = "building", "watching", "planning"
"""Files of the built folder that a process holds while it builds, keeps the documents indexed, or rehearses a build."""
FINDINGS = "audit.json"
"""In the built folder: what the audit found that a build began with."""

Watch = Callable[[str], Tick]
"""Told the name of each stage of a build, gives what watches its progress."""


def templates() -> list[str]:
    """The names of the workspaces to start from."""
    return sorted(path.name for path in TEMPLATES.iterdir() if (path / "brand.yaml").is_file())


def new(folder: Path, template: str = "support") -> None:
    """Make a workspace from a template; UserError where there is no such one, or the folder holds something already."""
    if template not in templates():
        raise UserError(f"{template}: no such template; there are: {', '.join(templates())}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: an assistant or a folder with files of this name exists; choose another name")
    if folder.exists():
        folder.rmdir()
    make_folder(folder, partial(_copy, TEMPLATES / template))


def _copy(template: Path, folder: Path) -> None:
    shutil.copytree(template, folder, dirs_exist_ok=True)
    (folder / "documents").mkdir(exist_ok=True)


@dataclass(frozen=True)
class State:
    """The built parts that belong together; None where a part isn't built."""

    index: Path | None = None
    adapter: Path | None = None
    check: Path | None = None
    evaluation: Path | None = None


PARTS = tuple(field.name for field in fields(State))


class Workspace:
    """A workspace folder. Reading is lazy, so that asking a question reads only what it needs.

    Built parts lie in `.twofold/<kind>/<key>`, where the key is the hash of all that went in: a part is made
    once, is never changed afterwards, and an interrupted build finds what is already made.
    """

    def __init__(self, folder: Path) -> None:
        """Open the folder; UserError when it holds no brand.yaml."""
        self.folder = folder
        if not (folder / "brand.yaml").is_file():
            raise UserError(f"{folder}: has no brand.yaml; `twofold new {folder}` makes an assistant that works")

    @cached_property
    def brand(self) -> Brand:
        """Who speaks, how, and the settings."""
        return read_brand(self.folder / "brand.yaml")

    @cached_property
    def examples(self) -> list[Example]:
        """How it speaks: examples.jsonl, or else examples.csv or examples.json."""
        return read_examples(examples_file(self.folder))

    @cached_property
    def preferences(self) -> list[Choice]:
        """Which of two replies is the better one: preferences.jsonl, where there is one."""
        return read_preferences(self.folder / "preferences.jsonl")

    @cached_property
    def questions(self) -> list[Question]:
        """How it is judged; never read by anything that trains, tunes or calibrates."""
        return read_questions(self.folder / "questions.jsonl")

    @property
    def built(self) -> Path:
        """The folder of everything built; safe to delete."""
        return self.folder / ".twofold"

    def place(self, kind: str, key: str) -> Path:
        """Where the built part of this kind and key lies."""
        return self.built / kind / key[:16]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold what the user writes between reading and writing it, so that of two who change it one comes first."""
        with held(self.built / "editing"):
            yield

    def current(self) -> State:
        """The parts that the last build made."""
        return self.state_in(self.built / "current.json")

    def use(self, kind: str, folder: Path | None) -> None:
        """Record `folder` as the current part of this kind (index, adapter, check or evaluation)."""
        path = self.built / "current.json"
        state = read_json(path) if path.exists() else {}
        named = folder.relative_to(self.built).as_posix() if folder else None
        if state.get(kind) and state[kind] != named:
            state[f"previous_{kind}"] = state[kind]
        state[kind] = named
        write_json(path, state)

    def previous(self, kind: str) -> Path | None:
        """The part of this kind that was in use before the present one, if it is still there."""
        path = self.built / "current.json"
        named = read_json(path).get(f"previous_{kind}") if path.exists() else None
        return self.built / named if named and (self.built / named).is_dir() else None

    def state_in(self, path: Path) -> State:
        """The parts that a file of the built folder names, as far as they are still there."""
        if not path.exists():
            return State()
        parts = read_json(path)
        found = {kind: self.built / parts[kind] for kind in PARTS if parts.get(kind)}
        return State(**{kind: folder for kind, folder in found.items() if folder.is_dir()})
