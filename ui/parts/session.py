"""The workspace and its assistant as the pages get them: opened once, shared by all sessions."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from builder.answering.assistant import Assistant, Reply, answer_at_once
from builder.answering.opening import open_assistant, open_retriever
from builder.answering.systems import System
from builder.curation.feedback import made_public
from builder.pipeline.overview import workspaces
from builder.workspace.folder import State, Workspace
from builder.workspace.releases import live_name, unit
from knowledge.errors import UserError
from knowledge.search.retriever import Retriever

SLOTS = 4
"""Replies that may be written at once; each costs memory for its context."""
CHOSEN = "assistant"
"""What the choice is called, in the address and in a reader's session."""
STARTERS = 3
LONGEST_STARTER = 110
"""Characters; a longer question is no inviting start."""


@dataclass(frozen=True)
class Opened:
    """An assistant that is loaded, and the turnstile before it."""

    assistant: Assistant
    release: str
    """Which one it is; empty for the last build."""
    own: str
    """What the brand itself makes public, and so is nothing private."""
    gate: BoundedSemaphore

    def answer(self, question: str, system: System, place: DeltaGenerator, earlier: Sequence[str] = ()) -> Reply:
        """One reply, written into `place` as it comes; waits while slots are taken. UserError as Assistant.answer."""
        kept: dict[str, Reply] = {}
        self._write(question, (system,), {system.name: place}, kept, earlier)
        return kept[system.name]

    def answer_all(self, question: str, places: Mapping[str, DeltaGenerator], kept: dict[str, Reply]) -> None:
        """Every system's reply at once, each written into its place, if it has one, and kept once it is whole."""
        self._write(question, self.assistant.systems, places, kept)

    def _write(self, question: str, systems: Sequence[System], places: Mapping[str, DeltaGenerator],
               kept: dict[str, Reply], earlier: Sequence[str] = ()) -> None:
        """Streamlit ends a run, say when the reader clicks on, by raising from what draws; the engine stops too."""
        pieces = dict.fromkeys(places, "")
        for place in places.values():
            place.caption("Thinking…")
        with closing(answer_at_once(self.assistant, question, systems, self.gate, earlier)) as coming:
            for system, said in coming:
                if isinstance(said, Reply):
                    kept[system.name] = said
                elif system.name in places:
                    pieces[system.name] += said
                    places[system.name].text(pieces[system.name], width="stretch")


def home() -> Path:
    """The folder of the workspaces: the one that the command line named, or that of the workspace it named."""
    named = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    return named.parent if (named / "brand.yaml").is_file() else named


def workspace() -> Workspace:
    """The workspace that was chosen, else the one that the command line named; UserError while there is none."""
    folder = chosen()
    if folder is None:
        raise UserError("no assistant is chosen; choose or make one on the page Home")
    return Workspace(folder)


def chosen() -> Path | None:
    """The folder of the chosen workspace, kept in the address so that a reload keeps it; else the one named, or None.

    What the address holds is a stranger's: only the name of a workspace in the home folder counts.
    """
    name = st.session_state.get(CHOSEN) or st.query_params.get(CHOSEN, "")
    known = {path.name: path for path in workspaces(home())}
    if name in known:
        choose(name)
        return known[name]
    named = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    return named if (named / "brand.yaml").is_file() else None


def choose(name: str) -> None:
    """From now on the pages of this reader are about the workspace of this name."""
    if st.session_state.get(CHOSEN, name) != name:
        for key in [key for key in st.session_state if key != CHOSEN]:  # turns, drafts: they are the other's
            del st.session_state[key]
    st.session_state[CHOSEN] = name
    if st.query_params.get(CHOSEN) != name:
        st.query_params[CHOSEN] = name


def opened(release: str | None = None) -> Opened:
    """The assistant of the workspace, or one release of it; loaded again only when what it is made of has changed."""
    here, name, changed, state = _answering(release)
    return _loaded(str(here.folder), name, changed, str(state.index or ""), str(state.adapter or ""))


def searching() -> Retriever | None:
    """The retriever of what answers, shared with `opened`, but without its language model; None without an index."""
    here, name, changed, state = _answering(None)
    return _found(str(here.folder), name, changed, str(state.index or ""))


def _answering(release: str | None) -> tuple[Workspace, str | None, int, State]:
    """What answers: the workspace, the release, what its brand is known by, and its parts."""
    here = workspace()
    name = release or live_name(here)
    changed = 0 if name else (here.folder / "brand.yaml").stat().st_mtime_ns
    return here, name, changed, here.current() if name is None else unit(here, name).state


def starters(here: Workspace) -> list[str]:
    """The first few short questions of the examples, to begin with; none where there are no readable examples."""
    chosen: dict[str, None] = {}
    with suppress(UserError):  # broken examples are the audit's business; they don't stop a chat
        chosen = dict.fromkeys(example.question for example in here.examples
                               if not example.history and len(example.question) <= LONGEST_STARTER)
    return list(chosen)[:STARTERS]


# The arguments say what is loaded, and are the key of what is kept.
@st.cache_resource(max_entries=2, show_spinner="Loading the assistant…")
def _loaded(folder: str, release: str | None, changed: int, index: str, adapter: str) -> Opened:
    here, retriever = Workspace(Path(folder)), _found(folder, release, changed, index)
    assistant = open_assistant(here, SLOTS, release, retriever)
    own = made_public(assistant.brand, retriever.index if retriever else None)
    return Opened(assistant, release or "", own, BoundedSemaphore(SLOTS))


@st.cache_resource(max_entries=2, show_spinner="Opening the index…")
def _found(folder: str, release: str | None, changed: int, index: str) -> Retriever | None:
    return open_retriever(unit(Workspace(Path(folder)), release).brand, Path(index)) if index else None
