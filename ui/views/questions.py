"""The questions page: what a person writes, brings along, or accepts of the drafts from the documents; all judge."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import streamlit as st

from builder.curation.audit.coverage import FEW_QUESTIONS, FEW_UNANSWERABLE
from builder.curation.drafts import EXHAUSTED, Draft, accept, append_question, draft, import_questions, refuse
from builder.curation.editing import LARGEST, seen_examples
from builder.scoring.statistics import visible
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from ui.parts.session import workspace
from ui.parts.show import counted, fault, plain

AT_ONCE = 5
DRAFTED = 40
MUST_HOLD = "Facts a correct answer must contain (separate alternative spellings with |)"


def page() -> None:
    """Draw how many questions there are, a form for one more, the next drafts, and the import."""
    here = workspace()
    st.session_state.setdefault("questions_told", {})
    st.session_state.setdefault("questions_turn", Lock())  # a second click runs while the first one still does
    st.title("Test questions")
    unanswerable = sum(not question.answerable for question in here.questions)
    st.caption(f"{len(here.questions)} test questions, {unanswerable} of them that the documents don't answer. "
               f"With {FEW_QUESTIONS} questions you can detect differences of {visible(FEW_QUESTIONS):.0%} or more. "
               f"Include at least {FEW_UNANSWERABLE} questions that the documents don't answer.")
    _writing(here)
    _drafting(here)
    _importing(here)


def _writing(here: Workspace) -> None:
    """A question of one's own."""
    st.header("Write a question", anchor=False)
    with st.form("written"):
        st.text_input("Your question", key="written_question")
        st.text_input(MUST_HOLD, key="written_facts", placeholder="five days | 5 days")
        st.checkbox("The documents don't answer this: the assistant should say that it doesn't know",
                    key="written_unanswerable")
        st.form_submit_button("Add", type="primary", icon=":material/add:", on_click=_write, args=(here,))
    _told("written")


def _write(here: Workspace) -> None:
    """Add what was written; what is refused stays to be mended. The second of two clicks changes nothing."""
    held, told = st.session_state, st.session_state.questions_told
    typed = held.written_question, held.written_facts, held.written_unanswerable
    with held.questions_turn:
        if "typed" in told and not any(typed):
            return
        if told.get("typed") != typed:
            try:
                append_question(here, typed[0], typed[1], not typed[2])
            except UserError as error:
                _tell(told, "written", False, str(error))
                return
            _tell(told, "written", True, f"Added: {typed[0]}")
            told["typed"] = typed
    held.written_question, held.written_facts, held.written_unanswerable = "", "", False


def _drafting(here: Workspace) -> None:
    """The next drafts, and what is to be known of the others."""
    st.header("Drafts from the documents", anchor=False)
    st.caption("A draft becomes a test question when you accept it. Drafts never repeat a training example in similar "
               "words; the data check also compares by meaning.")
    st.button("New drafts", icon=":material/refresh:", on_click=_forget)
    _told("drafts")
    try:
        drafts = _drafts(here)
    except UserError as error:  # what stands above and below needs no documents
        fault(error)
        return
    if not drafts:
        st.info(f"No more drafts. {EXHAUSTED} Write further questions yourself.")
    for one in drafts[:AT_ONCE]:
        _card(here, one)
    if len(drafts) > AT_ONCE:
        st.caption(f"and {len(drafts) - AT_ONCE} more drafts")


def _forget() -> None:
    st.session_state.pop("drafts", None)
    st.session_state.questions_told.clear()


def _drafts(here: Workspace) -> list[Draft]:
    """The drafts not decided on yet; made once for each reader, since reading the documents takes seconds.

    They are made anew where the examples have changed since, and where all are decided on: a refused one makes way for
    what was like it.
    """
    held, seen = st.session_state, seen_examples(here)
    if "drafts" not in held or held.drafts_seen != seen or (not held.drafts and held.drafts_more):
        with st.spinner("Reading the documents…"):
            held.drafts = draft(here, DRAFTED)
        held.drafts_seen, held.drafts_more = seen, bool(held.drafts)
    kept: list[Draft] = held.drafts
    return kept


def _card(here: Workspace, one: Draft) -> None:
    """One draft with its fields and what can be done with it."""
    with st.container(border=True), st.form(f"draft {one.key}", border=False):
        question = st.text_input("Question", one.question, key=f"question {one.key}")
        facts = st.text_input(MUST_HOLD, " | ".join(one.facts[0]), key=f"facts {one.key}")
        st.text(one.answer, width="stretch")
        st.caption(f"{plain(one.source)} · {plain(one.group)}")
        with st.container(horizontal=True):
            wanted = st.form_submit_button("Accept", type="primary", icon=":material/check:", key=f"accept {one.key}")
            refused = st.form_submit_button("Discard", icon=":material/close:", key=f"refuse {one.key}")
    if wanted:
        _decide(one, lambda: accept(here, one.edited(question, facts)))
    elif refused:
        _decide(one, lambda: refuse(here, one))


def _decide(one: Draft, done: Callable[[], None]) -> None:
    """Do it, take the draft away, and draw the rest; what may not be accepted stays and is told."""
    held, told, drafts = st.session_state, st.session_state.questions_told, st.session_state.drafts
    with held.questions_turn:
        if any(other.key == one.key for other in drafts):  # else the first of two clicks has done it
            told.clear()
            try:
                done()
                drafts[:] = [other for other in drafts if other.key != one.key]
            except UserError as error:
                _tell(told, "drafts", False, str(error))
    st.rerun()


def _importing(here: Workspace) -> None:
    """Add the questions of a file."""
    st.header("Import", anchor=False)
    with st.form("import", clear_on_submit=True):
        st.file_uploader("Test questions as JSONL, a promptfoo configuration or inspect samples", key="questions_file",
                         type=["jsonl", "json", "yaml", "yml"], max_upload_size=LARGEST // 1_000_000)
        st.form_submit_button("Import", icon=":material/upload:", on_click=_import, args=(here,))
    _told("import")


def _import(here: Workspace) -> None:
    """Add the chosen file's questions; a second click finds none chosen and does nothing."""
    held, told = st.session_state, st.session_state.questions_told
    file = held.questions_file
    with held.questions_turn:
        if file is None:
            return
        try:
            added, left = import_questions(here, file.name, file.getvalue())
        except UserError as error:
            _tell(told, "import", False, str(error))
        else:
            _tell(told, "import", True, f"{counted(added, 'test question')} added, {len(left)} left out.", left)


def _tell(told: dict[str, Any], place: str, well: bool, said: str, left: Sequence[str] = ()) -> None:
    """Say it at that place of the page until the next action.

    In place: to reach into the session after the work would lose it where a second click has come meanwhile.
    """
    told.clear()
    told.update(place=place, well=well, said=said, left=left)


def _told(place: str) -> None:
    """What the last action came to, where that is to be said here."""
    told = st.session_state.questions_told
    if told.get("place") != place:
        return
    if told["well"]:
        st.success(plain(told["said"]), icon=":material/check:")
    else:
        fault(told["said"])
    if told["left"]:
        with st.expander("Left out"):
            st.text("\n".join(told["left"]), width="stretch")


page()
