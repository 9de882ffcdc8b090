"""The chat page: one question after another, each reply streamed, with its sources, and what people say of it."""

from dataclasses import dataclass, field
from uuid import uuid4

import streamlit as st

from builder.answering.assistant import Reply
from builder.answering.systems import System
from builder.curation.feedback import Item, Kind
from builder.workspace.folder import Workspace
from builder.workspace.releases import release_names
from knowledge.errors import UserError
from ui.parts.private_first import ask, keep, kept, take_back, unanswered
from ui.parts.session import Opened, opened, starters, workspace
from ui.parts.show import ability, citations, fault, notes, plain, sources, warning

# What a vote of st.feedback stands for.
VOTES: tuple[Kind, Kind] = ("down", "up")


@dataclass(frozen=True)
class Turn:
    """A question, and its reply or why there is none."""

    question: str
    reply: Reply | None
    release: str
    fault: str = ""
    key: str = field(default_factory=lambda: uuid4().hex)


def page() -> None:
    """Draw the page; questions that wait are answered one after another, at the end of the history."""
    here = workspace()
    st.title(plain(here.brand.name))
    st.caption(":material/smart_toy: You are talking to an AI. It can be wrong, so check its sources. "
               "It does not remember earlier messages.")
    now = opened(_release(here))
    turns: list[Turn] = st.session_state.setdefault("turns", [])
    waiting: list[str] = st.session_state.setdefault("asked", [])
    system = _picker(now.assistant.systems)
    if now.assistant.retriever is None:
        st.page_link("views/documents.py", label="No documents to answer from yet. Add some.",
                     icon=":material/upload:")
    if not turns and not waiting:
        with st.container():  # at the page's end it would lie over it, and the page open at its end
            _input()
        _blank()
        _starters(starters(here))
        return
    for turn in turns:
        _asked(turn.question)
        with st.chat_message("assistant", avatar=":material/smart_toy:"):
            _answered(here, now, turn)
    _blank()
    _input()
    places = [st.empty() for _ in waiting]
    for place, question in zip(places, waiting, strict=True):
        with place.container():
            _asked(question)
    for place, question in zip(places, list(waiting), strict=True):
        with place.container():
            turns.append(_answer(here, now, question, system, [turn.question for turn in turns]))
        waiting.remove(question)  # only now: whatever is clicked meanwhile ends this run, and the next one goes on


def _input() -> None:
    st.chat_input("Ask a question", key="typed", on_submit=_take_typed)


def _blank() -> None:
    """That nothing was asked, if what was sent last was blank."""
    if st.session_state.pop("blank", False):
        fault("the question is empty; write what you want to know")


def _release(here: Workspace) -> str | None:
    """The release that is to answer; None for the live one, or the last build."""
    known = release_names(here)
    if not known:
        return None
    return st.selectbox("Release", known[::-1], index=None, key="release", placeholder="The live release")


def _picker(systems: tuple[System, ...]) -> System:
    """The system that answers, hybrid where it can; and the button that clears."""
    named = {system.name: system for system in systems}
    if st.session_state.get("system") not in named:
        st.session_state.system = list(named)[-1]
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        name = st.pills("System", list(named), key="system", required=True, wrap=True) or list(named)[-1]
        st.button("Clear", icon=":material/delete_sweep:", type="tertiary", on_click=_clear)
    st.caption(ability(name))
    return named[name]


def _starters(questions: list[str]) -> None:
    if questions:
        st.markdown("**Try one of these**")
    for number, question in enumerate(questions):
        st.button(plain(question), key=f"starter {number}", icon=":material/chat_bubble:", width="stretch",
                  on_click=_ask, args=(question,))


def _asked(question: str) -> None:
    with st.chat_message("user", avatar=":material/person:"):
        st.text(question, width="stretch")


def _answer(here: Workspace, now: Opened, question: str, system: System, earlier: list[str]) -> Turn:
    """Ask, and draw the reply as it comes; a question that found no answer is kept as one."""
    _asked(question)
    with st.chat_message("assistant", avatar=":material/smart_toy:"):
        place = st.empty()
        try:
            turn = Turn(question, now.answer(question, system, place, earlier), now.release)
        except UserError as error:
            turn = Turn(question, None, now.release, str(error))
        if turn.reply and turn.reply.abstained:
            unanswered(here, f"{turn.key} unanswered", question, now.own)
        with place.container():
            _answered(here, now, turn)
    return turn


def _answered(here: Workspace, now: Opened, turn: Turn) -> None:
    """A reply with its notes, sources and votes, or the error in its place."""
    reply = turn.reply
    if reply is None:
        fault(turn.fault)
        return
    warning(reply)
    st.text(reply.text, width="stretch")
    notes(reply)
    with st.container(gap="xsmall"):
        citations(reply)
        sources(reply.found)
    release = f" · {plain(turn.release)}" if turn.release else ""
    st.caption(f"{reply.system}{release} · {reply.seconds:.1f} s · {reply.tokens} tokens")
    _votes(here, now, turn, reply)


def _votes(here: Workspace, now: Opened, turn: Turn, reply: Reply) -> None:
    """Thumbs, and a better reply; both go to the feedback, where somebody decides what becomes of them."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.feedback("thumbs", key=f"vote {turn.key}", on_change=_voted, args=(here, now, turn, reply))
        with st.popover("Write a better reply", icon=":material/edit:", type="tertiary"), st.form(
                f"better {turn.key}", border=False):
            st.text_area("Better reply", reply.text, key=f"reply {turn.key}", height=160)
            st.form_submit_button("Save", type="primary", on_click=_voted, args=(here, now, turn, reply))
    ask(here, turn.key, now.own)
    if kept(turn.key):
        st.caption(":material/check: Saved. It is used once someone accepts it on the Feedback page.")


def _voted(here: Workspace, now: Opened, turn: Turn, reply: Reply) -> None:
    """Keep the vote and the better reply as they are now; a vote taken back is forgotten."""
    vote, better = (st.session_state.get(f"{what} {turn.key}") for what in ("vote", "reply"))
    better = (better or "").strip()
    better = "" if better == reply.text else better
    if vote is None and not better:
        take_back(here, turn.key)
        return
    keep(here, Item(turn.key, VOTES[vote or 0], turn.question, reply.text, better, reply.system, turn.release), now.own)


def _take_typed() -> None:
    if (typed := st.session_state.typed) and typed.strip():
        _ask(typed)
    else:
        st.session_state.blank = True


def _ask(question: str) -> None:
    st.session_state.setdefault("asked", []).append(question)


def _clear() -> None:
    st.session_state.turns, st.session_state.asked = [], []


page()
