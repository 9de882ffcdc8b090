"""The workspace and its assistant as the pages get them: opened once, shared by all sessions."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from builder.assistant import Assistant, Reply, System, open_assistant
from builder.workspace import Workspace
from knowledge.errors import UserError

SLOTS = 2
"""Replies that may be written at once; each costs memory for its context."""
STARTERS = 3
LONGEST_STARTER = 110
"""Characters; a longer question is no inviting start."""


@dataclass(frozen=True)
class Opened:
    """An assistant that is loaded, and the turnstile before it."""

    assistant: Assistant
    gate: BoundedSemaphore

    def answer(self, question: str, system: System, place: DeltaGenerator, earlier: Sequence[str] = ()) -> Reply:
        """One reply, written into `place` as it comes; waits while the slots are taken. UserError as Assistant.answer.

        Streamlit ends a run, say when the reader clicks on, by raising from whatever draws. An engine may not let that
        through, so it stops the engine first and is raised again once the engine is done.
        """
        pieces: list[str] = []
        ended: list[BaseException] = []

        def emit(piece: str) -> bool:
            pieces.append(piece)
            try:
                place.text("".join(pieces), width="stretch")
            except BaseException as error:
                ended.append(error)
            return bool(ended)

        place.caption("Thinking…")
        with self.gate:
            reply = self.assistant.answer(question, system, emit=emit, earlier=earlier)
        if ended:
            raise ended[0]
        return reply


def workspace() -> Workspace:
    """The workspace that the command line named, else the folder it runs in; UserError when it is none."""
    return Workspace(Path(sys.argv[1] if len(sys.argv) > 1 else "."))


def opened() -> Opened:
    """The assistant of the workspace, loaded again only when brand.yaml or a built part has changed."""
    here = workspace()
    live = here.live()
    changed = (here.folder / "brand.yaml").stat().st_mtime_ns
    return _loaded(str(here.folder), changed, str(live.index), str(live.adapter))


def starters(here: Workspace) -> list[str]:
    """The first few short questions of the examples, to begin with; none where there are no readable examples."""
    chosen: dict[str, None] = {}
    with suppress(UserError):  # broken examples are the audit's business; they don't stop a chat
        chosen = dict.fromkeys(example.question for example in here.examples
                               if not example.history and len(example.question) <= LONGEST_STARTER)
    return list(chosen)[:STARTERS]


@st.cache_resource(max_entries=1, show_spinner="Loading the assistant…")
def _loaded(folder: str, changed: int, index: str, adapter: str) -> Opened:
    """What the arguments name is loaded; they are also the key of what is kept."""
    return Opened(open_assistant(Workspace(Path(folder)), slots=SLOTS), BoundedSemaphore(SLOTS))
