"""The compare page: one question, the four systems side by side."""

from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from builder.assistant import LONGEST_QUESTION, SYSTEMS, Reply
from ui.session import Opened, opened, starters, workspace
from ui.show import ability, citations, command, missing, notes, plain, sources


def page() -> None:
    """Draw the question, then a card a system: asked now, or kept from before."""
    here, now = workspace(), opened()
    st.title("Four systems, one question")
    st.caption(f":material/smart_toy: {plain(here.brand.name)} is an AI. It is one model, with its adapter on or off, "
               "and with passages or without; so what differs between the replies is what each half does.")
    question = _question(starters(here))
    if question:
        st.session_state.compared = {}
    kept: dict[str, Reply] = st.session_state.setdefault("compared", {})
    status = st.empty()
    places = _cards(now, here.folder)
    if question:
        _ask_all(now, question, places, status, kept)
    if kept:
        status.text(f"“{next(iter(kept.values())).question}”", width="stretch")
    for name, reply in kept.items():
        with places[name]:
            _fill(reply)
    _looked_up(kept)


def _question(suggestions: list[str]) -> str | None:
    """The question to ask now, or None; the suggestion is asked where nothing was written."""
    suggestion = next(iter(suggestions), "")
    with st.form("question", border=False):
        written = st.text_input("Question", key="written", max_chars=LONGEST_QUESTION,
                                placeholder=suggestion or "What do you want to know?")
        pressed = st.form_submit_button("Ask all", type="primary", icon=":material/play_arrow:")
    return (written.strip() or suggestion) if pressed else None


def _cards(now: Opened, folder: Path) -> dict[str, DeltaGenerator]:
    """A card for each system; where replies go, by system, for those that can answer."""
    places = {}
    for column, system in zip(st.columns(len(SYSTEMS)), SYSTEMS, strict=True):
        lacks = missing(system, now.assistant)
        with column.container(border=True, height="stretch"):
            st.markdown(f":gray[**{system.name}**]" if lacks else f"**{system.name}**")
            st.caption(ability(system.name))
            for reason, name in lacks:
                st.caption(f":material/block: {reason} Run this:")
                command(name, folder)
            if not lacks:
                places[system.name] = st.empty()
    return places


def _ask_all(now: Opened, question: str, places: dict[str, DeltaGenerator], status: DeltaGenerator,
             kept: dict[str, Reply]) -> None:
    """Ask one system after another, and keep each reply as soon as it is whole."""
    systems = now.assistant.systems
    try:
        for number, system in enumerate(systems):
            status.progress(number / len(systems), f"Asking {system.name} ({number + 1} of {len(systems)})…")
            kept[system.name] = now.answer(question, system, places[system.name])
    finally:
        status.empty()


def _fill(reply: Reply) -> None:
    """One reply with what it cost."""
    with st.container():
        st.text(reply.text, width="stretch")
        notes(reply)
        citations(reply)
        st.caption(f"{reply.seconds:.1f} s · {len(reply.text.split())} words")


def _looked_up(kept: dict[str, Reply]) -> None:
    """The passages found, once for all the systems that were shown the same."""
    shown: dict[tuple[int, ...], list[Reply]] = {}
    for reply in kept.values():
        if reply.found:
            shown.setdefault(tuple(one.number for one in reply.found), []).append(reply)
    for replies in shown.values():
        st.subheader("What was looked up", anchor=False)
        st.caption(f"Found for {' and '.join(reply.system for reply in replies)}, best first.")
        sources(replies[0].found)


page()
