"""The compare page: one question, the four systems side by side; and blind, with what people chose so far."""

from collections.abc import Mapping, Sequence
from uuid import uuid4

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from builder.answering.assistant import Reply, checked
from builder.answering.systems import SYSTEMS, System
from builder.curation.feedback import Item, items
from builder.curation.votes import shuffled, tally
from builder.evaluation.report import Estimate
from builder.workspace.folder import Workspace
from ui.parts.charts import systems_chart
from ui.parts.private_first import ask, keep
from ui.parts.session import Opened, opened, starters, workspace
from ui.parts.show import ability, citations, counted, missing, notes, plain, sources, warning

LETTERS = "ABCD"  # what replies are called until somebody has chosen


def page() -> None:
    """Draw the question, then a card a system: asked now, or kept from before."""
    here = workspace()
    st.title("Compare the four systems")
    st.caption(f":material/smart_toy: {plain(here.brand.name)} is an AI. All four are the same model, with or without "
               "fine-tuning and with or without passages. The replies show what each half does.")
    question, blind = _question(starters(here))
    now = opened()
    if question is not None:
        question = checked(question)
        st.session_state.update(compared={}, comparison=uuid4().hex, hidden=blind)
    kept: dict[str, Reply] = st.session_state.setdefault("compared", {})
    hidden = bool(st.session_state.get("hidden")) and bool(question or kept)
    order = shuffled(now.assistant.systems, st.session_state.comparison) if hidden else SYSTEMS
    status = st.empty()
    places = _cards(now, order, hidden)
    if question:
        for place in places.values():
            place.caption("Thinking…")  # in the place of the former reply, which else stays in sight until the new one
        with st.spinner("Asking all four…", show_time=True):
            now.answer_all(question, {} if hidden else places, kept)
    if kept:
        status.text(f"“{next(iter(kept.values())).question}”", width="stretch")
    for name, reply in kept.items():
        with places[name]:
            _fill(reply, hidden)
    if kept and hidden:
        _choose(here, now, order, kept)
    elif kept:
        ask(here, st.session_state.comparison, now.own)
        _looked_up(kept)
    _chosen(here)


def _question(suggestions: Sequence[str]) -> tuple[str | None, bool]:
    """The question to ask now, or None, and whether blind."""
    suggestion = next(iter(suggestions), "")
    with st.form("question", border=False):
        written = st.text_input("Question", key="written", placeholder=(
            f"For example: {suggestion}" if suggestion else "What do you want to know?"))
        blind = st.checkbox("Hide the system names until I have chosen the best reply", key="blind")
        pressed = st.form_submit_button("Ask all", type="primary", icon=":material/play_arrow:")
    return written if pressed else None, blind


def _cards(now: Opened, order: Sequence[System], hidden: bool) -> dict[str, DeltaGenerator]:
    """A card for each system; where replies go, by system, for those that can answer."""
    places = {}
    for letter, column, system in zip(LETTERS, st.columns(len(order)), order, strict=False):
        lacks = missing(system, now.assistant)
        with column.container(border=True, height="stretch"):
            name = letter if hidden else system.name
            st.markdown(f":gray[**{name}**]" if lacks else f"**{name}**")
            if not hidden:
                st.caption(ability(system.name))
            for reason in lacks:
                st.caption(f":material/block: {reason}")
            if lacks:
                st.page_link("views/build.py", label="Build", icon=":material/construction:")
            else:
                places[system.name] = st.empty()
    return places


def _fill(reply: Reply, hidden: bool) -> None:
    """One reply with what it cost; alone where that would tell who made it."""
    with st.container():
        if not hidden:
            warning(reply)
        st.text(reply.text, width="stretch")
        if not hidden:
            notes(reply)
            citations(reply)
            st.caption(f"{reply.seconds:.1f} s · {reply.tokens} tokens · {len(reply.text.split())} words")


def _choose(here: Workspace, now: Opened, order: Sequence[System], kept: Mapping[str, Reply]) -> None:
    """A button for each reply and one for none of them; then the names are shown."""
    st.markdown("**Which reply is best?**")
    with st.container(horizontal=True):
        for letter, system in zip(LETTERS, order, strict=False):
            st.button(letter, key=f"best {letter}", on_click=_vote, args=(here, now, system.name, dict(kept)))
        st.button("None is better", key="best none", on_click=_vote, args=(here, now, "", dict(kept)))


def _vote(here: Workspace, now: Opened, system: str, kept: Mapping[str, Reply]) -> None:
    st.session_state.hidden = False
    reply = kept[system].text if system else ""
    keep(here, Item(st.session_state.comparison, "choice", next(iter(kept.values())).question, reply, system=system,
                    release=now.release, others={name: one.text for name, one in kept.items()}), now.own)


def _chosen(here: Workspace) -> None:
    """What was chosen blind so far: each system's share of wins, and what each half won, with doubt."""
    found = tally(items(here, ("choice",), None))
    if not found.choices:
        return
    st.header("Blind choices so far", anchor=False)
    st.caption(f"{counted(found.choices, 'choice')} on {counted(found.questions, 'question')}; in {found.undecided} "
               "no reply was better. The line is the 95% interval over questions.")
    wins = {name: Estimate(value=won.value, low=won.value if won.low is None else won.low,
                           high=won.value if won.high is None else won.high, n=found.questions)
            for name, won in found.wins.items()}
    if chart := systems_chart(wins, "share"):
        st.altair_chart(chart, width="stretch")
    for half in found.halves:
        st.text(half.said, width="stretch")


def _looked_up(kept: Mapping[str, Reply]) -> None:
    """The passages found, once for all the systems that were shown the same."""
    shown: dict[tuple[int, ...], list[Reply]] = {}
    for reply in kept.values():
        if reply.found:
            shown.setdefault(tuple(hit.number for hit in reply.found), []).append(reply)
    for replies in shown.values():
        st.header("Passages found", anchor=False)
        st.caption(f"Found for {' and '.join(reply.system for reply in replies)}, best first.")
        sources(replies[0].found)


page()
