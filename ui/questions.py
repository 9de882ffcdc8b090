"""The questions page: drafts from the documents, each accepted, edited or refused by a person before it counts."""

from collections.abc import Callable

import streamlit as st

from builder.drafts import Draft, accept, draft, refuse
from builder.workspace import Workspace
from knowledge.errors import UserError
from ui.session import workspace
from ui.show import fault, plain

AT_ONCE = 5
DRAFTED = 40


def page() -> None:
    """Draw how many questions there are, and the next drafts."""
    here = workspace()
    st.title("Questions that judge")
    unanswerable = sum(not one.answerable for one in here.questions)
    st.caption(f"{len(here.questions)} so far, {unanswerable} of them that the documents don't answer. A draft counts "
               "only once you accept it, and none that is like a training example is drafted.")
    if left := st.session_state.pop("left_out", ""):
        fault(left)
    drafts = _drafts(here)
    if not drafts:
        st.info("Nothing left to draft: every sentence with an amount, a time or a date is asked for, or was refused.")
    for one in drafts[:AT_ONCE]:
        _card(here, one)
    if len(drafts) > AT_ONCE:
        st.caption(f"{len(drafts) - AT_ONCE} more wait below these.")


def _drafts(here: Workspace) -> list[Draft]:
    """The drafts not decided on yet; made once for each reader, since reading the documents takes seconds."""
    if "drafts" not in st.session_state or st.button("Draft anew", icon=":material/refresh:"):
        with st.spinner("Reading the documents…"):
            st.session_state.drafts = draft(here, DRAFTED)
    kept: list[Draft] = st.session_state.drafts
    return kept


def _card(here: Workspace, one: Draft) -> None:
    """One draft with its fields and what can be done with it."""
    with st.container(border=True), st.form(f"draft {one.key}", border=False):
        question = st.text_input("Question", one.question, key=f"question {one.key}", max_chars=500)
        facts = st.text_input("What a right reply must hold; spellings apart by |", " | ".join(one.facts[0]),
                              key=f"facts {one.key}", max_chars=500)
        st.text(one.answer, width="stretch")
        st.caption(f"{plain(one.source)} · {plain(one.group)}")
        with st.container(horizontal=True):
            wanted = st.form_submit_button("Accept", type="primary", icon=":material/check:", key=f"accept {one.key}")
            refused = st.form_submit_button("Refuse", icon=":material/close:", key=f"refuse {one.key}")
    if wanted:
        _decide(one, lambda: accept(here, one.edited(question, facts)))
    elif refused:
        _decide(one, lambda: refuse(here, one))


def _decide(one: Draft, done: Callable[[], None]) -> None:
    """Do it, take the draft away, and draw the rest; what may not be accepted stays and is told."""
    try:
        done()
    except UserError as error:
        st.session_state.left_out = str(error)
    else:
        st.session_state.drafts = [other for other in st.session_state.drafts if other.key != one.key]
    st.rerun()


page()
