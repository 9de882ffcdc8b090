"""The feedback page: what people said, to be made an example, a preference or a question; and what documents lack."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import streamlit as st

from builder.curation.feedback import (
    Item,
    Lack,
    as_example,
    as_preference,
    as_question,
    check_reply,
    decide,
    items,
    lacks,
    made_public,
)
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from knowledge.search.answerable import Confidence
from ui.parts.private_first import Store, ask, hold, waits
from ui.parts.session import searching, workspace
from ui.parts.show import counted, fault, plain
from ui.parts.typed import typed

AT_ONCE = 5
SAID: dict[str, tuple[str, str, Literal["green", "red", "blue"]]] = {
    "up": ("good", ":material/thumb_up:", "green"), "down": ("bad", ":material/thumb_down:", "red"),
    "choice": ("blind choice", ":material/how_to_vote:", "blue")}


def page() -> None:
    """Draw what was said and not decided on yet, and below it the questions that found no answer."""
    here = workspace()
    st.title("Feedback")
    st.caption("What people said in Chat and Compare. Nothing is used until you accept it here; then the next build "
               "uses it. Test questions are never used for training, so they can't become examples.")
    if done := st.session_state.pop("feedback done", ""):
        st.success(done, icon=":material/check:")
    waiting = items(here)
    if not waiting:
        st.info("Nothing to decide. Thumbs, better replies and blind choices appear here.")
    for item in waiting[:AT_ONCE]:
        _card(here, item)
    if len(waiting) > AT_ONCE:
        st.caption(f"and {len(waiting) - AT_ONCE} more")
    _lacks(here)


def _card(here: Workspace, item: Item) -> None:
    """One thing that was said, open for editing, with what can become of it."""
    said, icon, colour = SAID[item.kind]
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(said, icon=icon, color=colour)
            st.caption(plain(" · ".join(filter(None, (item.system, item.release, item.at[:16].replace("T", " "))))))
        worse = _worse(item)
        question = typed(f"question {item.key}", item.question, partial(st.text_input, "Question"))
        better = typed(f"reply {item.key}", item.proposed, partial(
            st.text_area, "Correct reply", height=120, placeholder="Write what the assistant should have said"))
        facts = typed(f"facts {item.key}", "", partial(
            st.text_input, "For a test: facts a correct answer must contain (separate spellings with |)"))
        with st.container(horizontal=True):
            example = st.button("Use as example", type="primary", icon=":material/school:", key=f"example {item.key}",
                                help="Training shows the model this reply to this question.")
            preference = st.button("Use as preference", icon=":material/compare_arrows:", disabled=not worse,
                                   help="Training teaches that this reply is the better one.",
                                   key=f"preference {item.key}")
            judging = st.button("Use as test", icon=":material/gavel:", key=f"judging {item.key}",
                                help="Test questions are never used for training.")
            refused = st.button("Discard", icon=":material/close:", key=f"refuse {item.key}")
    if example:
        _accept(here, item, "Saved as an example.", as_example, question, better)
    elif preference:
        _accept(here, item, "Saved as a preference.", as_preference, question, better, worse)
    elif judging:
        _accept(here, item, "Saved as a test question.", _judges, question, better, facts)
    elif refused:
        _do("Discarded.", lambda: decide(here, item, "refused"))
    if waits(_flag(item)):
        ask(here, _flag(item), _own(here))


def _accept(here: Workspace, item: Item, words: str, store: Store, question: str, reply: str, *more: str) -> None:
    """Make of it what `store` does, unless something private is in what is written: `ask` then asks first."""
    def stored(here: Workspace, *texts: str) -> None:
        store(here, item, *texts)
        st.session_state["feedback done"] = words

    try:
        check_reply(item, reply)  # before it is flagged: without what is private in it, it would seem another
        hold(here, _flag(item), (question, reply, *more), _own(here), stored)
    except UserError as error:
        fault(error)
        return
    if not waits(_flag(item)):
        st.rerun()


def _judges(here: Workspace, item: Item, question: str, answer: str, facts: str) -> None:
    as_question(here, item, question, answer, [facts])


def _flag(item: Item) -> str:
    """The key under which something private is asked about here; its own key is that of the chat it comes from."""
    return f"accept {item.key}"


def _own(here: Workspace) -> str:
    """What the brand itself makes public, and so is nothing private."""
    retriever = searching()
    return made_public(here.brand, retriever.index if retriever else None)


def _worse(item: Item) -> str:
    """The reply that is to lose: one voted down, one that a better one was written for, or one not chosen."""
    if item.kind == "choice" and item.reply:
        others = [system for system, text in item.others.items() if text != item.reply]
        if not others:
            return ""
        chosen = st.selectbox("Better than the reply of", others, key=f"worse {item.key}")
        st.text(item.others[chosen], width="stretch")
        return item.others[chosen]
    if item.better or item.kind == "down":
        st.caption("The assistant's reply")
        st.text(item.reply, width="stretch")
        return item.reply
    return ""


def _lacks(here: Workspace) -> None:
    """The questions that found no answer, by meaning: what the documents lack."""
    st.header("Missing in the documents", anchor=False)
    retriever = searching()
    if retriever is None:
        st.caption("No documents are indexed yet.")
        return
    found = lacks(here, retriever)
    if not found:
        st.caption("All chat questions found an answer so far.")
        return
    st.caption("The assistant could not answer these questions; similar ones are grouped. The documents may still have "
               "the answer, so search them first. If it is really missing, add it to the documents and index "
               "them: the question then disappears from this list. Or add the question as a test: the correct "
               "reply is then \"I don't know\".")
    st.page_link("views/documents.py", label="Search or add documents", icon=":material/search:")
    for lack in found:
        _lack(here, lack)


def _lack(here: Workspace, lack: Lack) -> None:
    times = f"asked {len(lack.items)} times" if len(lack.items) > 1 else "asked once"
    with st.container(border=True):
        st.text(lack.question, width="stretch")
        st.caption(f"{times}, last on {plain(lack.items[0].at[:10])} · confidence that the documents answer it: "
                   f"{Confidence.of(lack.probability)}")
        others = {item.question for item in lack.items} - {lack.question}
        if others:
            with st.expander(counted(len(others), "other wording"), type="compact"):
                for question in sorted(others):
                    st.text(question, width="stretch")
        key = lack.items[0].key
        with st.container(horizontal=True):
            if st.button("Add as a test: should say \"I don't know\"", key=f"lack {key}", icon=":material/gavel:",
                         help="Only if the documents really don't answer it. It becomes a test question without an "
                              "answer, and is never used for training."):
                _do("Saved as a test: the assistant should say that it doesn't know.",
                    lambda: _unanswerable(here, lack))
            if st.button("Dismiss", key=f"dismiss {key}", icon=":material/close:"):
                _do("Dismissed.", lambda: _dismiss(here, lack))


def _unanswerable(here: Workspace, lack: Lack) -> None:
    middle = next(item for item in lack.items if item.question == lack.question)
    as_question(here, middle, lack.question, "", answerable=False)
    _dismiss(here, lack, but=middle)


def _dismiss(here: Workspace, lack: Lack, but: Item | None = None) -> None:
    for item in lack.items:
        if item != but:
            decide(here, item, "refused")


def _do(words: str, done: Callable[[], None]) -> None:
    """Do it and draw the page again; what may not be done is told, and what was written stays."""
    try:
        done()
    except UserError as error:
        fault(error)
        return
    st.session_state["feedback done"] = words
    st.rerun()


page()
