"""The chat page: one question after another, each reply streamed, with its sources."""

from dataclasses import dataclass

import streamlit as st

from builder.assistant import LONGEST_QUESTION, Reply, System
from knowledge.errors import UserError
from ui.session import Opened, opened, starters, workspace
from ui.show import ability, citations, fault, notes, plain, sources


@dataclass(frozen=True)
class Turn:
    """A question, and its reply or why there is none."""

    question: str
    reply: Reply | None
    fault: str = ""


def page() -> None:
    """Draw the page; a question that waits is answered at the end of the history."""
    here, now = workspace(), opened()
    turns: list[Turn] = st.session_state.setdefault("turns", [])
    st.title(plain(here.brand.name))
    st.caption(":material/smart_toy: You are talking to an AI. It can be wrong, so check its sources. "
               "The model sees each question by itself; one that leans on the last is looked up with it.")
    system = _picker(now.assistant.systems)
    if not turns and not st.session_state.get("asked"):
        _starters(starters(here))
    for turn in turns:
        _asked(turn.question)
        with st.chat_message("assistant", avatar=":material/smart_toy:"):
            _answered(turn)
    st.chat_input("Ask a question", key="typed", max_chars=LONGEST_QUESTION, on_submit=_take_typed)
    if question := st.session_state.get("asked"):
        turns.append(_answer(now, question, system, [turn.question for turn in turns]))
        st.session_state.asked = None


def _picker(systems: tuple[System, ...]) -> System:
    """The system that answers, hybrid where it can; and the button that clears."""
    named = {system.name: system for system in systems}
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        name = st.pills("System", list(named), default=list(named)[-1], key="system", required=True, wrap=True)
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


def _answer(now: Opened, question: str, system: System, earlier: list[str]) -> Turn:
    """Ask, and draw the reply as it comes."""
    _asked(question)
    with st.chat_message("assistant", avatar=":material/smart_toy:"):
        place = st.empty()
        try:
            turn = Turn(question, now.answer(question, system, place, earlier))
        except UserError as error:
            turn = Turn(question, None, str(error))
        with place.container():
            _answered(turn)
    return turn


def _answered(turn: Turn) -> None:
    """A reply with its notes and sources, or the error in its place."""
    reply = turn.reply
    if reply is None:
        fault(turn.fault)
        return
    st.text(reply.text, width="stretch")
    notes(reply)
    with st.container(gap="xsmall"):
        citations(reply)
        sources(reply.found)
    st.caption(f"{reply.system} · {reply.seconds:.1f} s · {reply.tokens} tokens")


def _take_typed() -> None:
    _ask(st.session_state.typed)


def _ask(question: str) -> None:
    st.session_state.asked = question


def _clear() -> None:
    st.session_state.turns, st.session_state.asked = [], None


page()
