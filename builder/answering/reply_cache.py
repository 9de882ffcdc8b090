"""Replies remembered by all that went into them, so that what was asked before isn't asked again."""

import importlib.metadata
import json
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple
from pathlib import Path

from builder.answering.opening import SLOTS, open_engine
from builder.model import prepare
from builder.model.engine import VERSION, Decoding, Emit, Engine, Generated
from builder.model.openvino_engine import precision
from builder.model.prompt import Message
from builder.workspace.brand import Brand
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from knowledge.files import hash_bytes

WAIT = 30.0
"""Seconds that one process waits for another that writes."""


def remembering(workspace: Workspace, brand: Brand, adapter: Path | None) -> "Remembering":
    """The engine that brand.yaml names, opened only when a reply is wanted that the workspace doesn't remember."""
    model = brand.model
    base = prepare.prepared(model.base, model.precision)
    library = {"llama.cpp": "xllamacpp", "openvino": "openvino-genai"}.get(model.engine, model.engine)
    try:
        version = importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"model.engine: {model.engine}: its library isn't installed; run `pip install {library}`, or "
                        "name another in brand.yaml") from None
    computed = precision() if model.engine == "openvino" else model.precision
    identity = hash_bytes(VERSION, base.sha256, computed, str(model.context), library, version)
    return Remembering(lambda: open_engine(brand, adapter, SLOTS), workspace.built / "replies.sqlite", identity,
                       adapter.name if adapter else "")


class Remembering:
    """An engine that keeps each reply in an SQLite file, under a hash of weights, messages and decoding.

    A remembered reply has the seconds that it took when it was made. What a reader cancelled is not kept.
    """

    slots = SLOTS

    def __init__(self, opened: Callable[[], Engine], file: Path, identity: str, adapter: str) -> None:
        """`identity` stands for everything but the adapter that decides what the engine says; `adapter` for that one.

        A damaged file is begun anew: it holds nothing that can't be made again.
        """
        self._opened, self._identity, self._adapter = opened, identity, adapter
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._kept = _open(file)
        except sqlite3.DatabaseError:
            file.unlink(missing_ok=True)
            self._kept = _open(file)
        self._file = file

    def generate(self, messages: Sequence[Message], tuned: bool, decoding: Decoding,
                 emit: Emit | None = None) -> Generated:
        """The reply as it was made before, or else now; UserError as the engine's, or where it can't be kept."""
        key = hash_bytes(self._identity, self._adapter if tuned else "", json.dumps(list(messages)),
                         json.dumps(astuple(decoding)))
        try:
            with self._lock:
                row = self._kept.execute("select reply from replies where key = ?", (key,)).fetchone()
            if row:
                made = Generated(**json.loads(row[0]))
                if emit:
                    emit(made.text)
                return made
            made = self._real().generate(messages, tuned, decoding, emit)
            if made.finish != "cancelled":
                with self._lock, self._kept:
                    self._kept.execute("insert or ignore into replies values (?, ?)", (key, json.dumps(asdict(made))))
            return made
        except sqlite3.Error as error:
            raise UserError(f"{self._file}: can't be used ({error}); free some disk space, or delete it; the replies "
                            "will be made again") from None

    def _real(self) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = self._opened()
            return self._engine


def _open(file: Path) -> sqlite3.Connection:
    kept = sqlite3.connect(file, timeout=WAIT, check_same_thread=False)
    kept.execute("pragma journal_mode = wal")
    kept.execute("pragma synchronous = normal")
    kept.execute("create table if not exists replies (key text primary key, reply text not null) without rowid")
    return kept
