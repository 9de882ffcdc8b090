"""The home page: the workspaces, their state and what to do next; and a new assistant from a template."""

import re
from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from builder.curation.editing import change_brand
from builder.pipeline.overview import Next, Overview, overview, workspaces
from builder.workspace.folder import Workspace, new, templates
from builder.workspace.progress import in_words, read_progress
from knowledge.errors import UserError
from ui.parts.jobs import start
from ui.parts.session import choose, home
from ui.parts.show import counted, fault, local, plain

REFRESH = 2.0  # seconds between two looks at a build that runs
AFTER: Mapping[Next, tuple[str, str]] = {
    "mend": ("Fix it", "views/brand.py"), "wait": ("See progress", "views/build.py"),
    "fill": ("Add documents", "views/documents.py"),
    "build": ("Build", "views/build.py"), "questions": ("Write test questions", "views/questions.py"),
    "promote": ("See the releases", "views/releases.py"), "ask": ("Chat", "views/chat.py")}
LONGEST_NAME = 100
TEMPLATES = {"blank": "Empty: add your own documents and examples", "support": "The support bot of an umbrella shop"}


def page() -> None:
    """Draw a card for each workspace, and below them the form for a new one."""
    st.title("Assistants")
    known = workspaces(home())
    if known:
        _cards(known)
    else:
        st.caption("You have no assistant yet. Create one here; it answers from your documents within a minute.")
    with st.expander("New assistant", icon=":material/add:", expanded=not known):
        _new()


def _cards(known: list[Path]) -> None:
    """All workspaces; drawn anew by itself while one of them builds."""
    progress = (read_progress(Workspace(folder)) for folder in known)
    runs = any(one and one.runs for one in progress)
    st.fragment(_all, run_every=REFRESH if runs else None)(known)


def _all(known: list[Path]) -> None:
    for folder in known:
        _card(overview(folder))


def _card(one: Overview) -> None:
    label, target = AFTER[one.next]
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.header(plain(one.name), anchor=False)
            if one.live:
                st.badge(f"{one.live} is live", icon=":material/check:", color="green")
            if one.builds and one.progress:
                st.badge("building", icon=":material/construction:", color="blue")
        holds = (counted(one.documents, "document"), counted(one.examples, "example"),
                 counted(one.questions, "test question"), _halves(one))
        st.caption(f"{plain(one.folder.name)} · {' · '.join(holds)}")
        if one.next == "mend":
            fault(one.why)
        else:
            st.text(local(one.why), width="stretch")
        if one.builds and (progress := one.progress):
            left = f", about {in_words(progress.left)} left" if progress.left else ""
            st.progress(progress.share, f"{plain(progress.stage)}{left}")
        with st.container(horizontal=True):
            if st.button(label, key=f"next {one.folder.name}", type="primary"):
                _go(one, target)
            if target != "views/chat.py" and st.button("Chat", key=f"chat {one.folder.name}", icon=":material/chat:"):
                _go(one, "views/chat.py")


def _halves(one: Overview) -> str:
    """What of it can answer already."""
    if one.indexed and one.adapted:
        return "Ready"
    if one.indexed:
        return "Answers from documents; voice not trained yet"
    return "Voice trained; documents not indexed yet" if one.adapted else "Not built yet"


def _go(one: Overview, target: str) -> None:
    choose(one.folder.name)
    st.switch_page(target)


def _new() -> None:
    """The form; a workspace is made whole or not at all, and its build starts at once if wished."""
    with st.form("new", border=False):
        name = st.text_input("Name", placeholder="Lamp House")
        template = st.radio("Start from", templates(), format_func=lambda one: TEMPLATES.get(one, one))
        persona = st.text_area("Who is the assistant, and how does it speak?", height=80, placeholder=(
            "You answer for a small shop that makes and mends lamps. Friendly and brief."))
        abstain = st.text_area("Reply when the documents don't have the answer", height=80,
                               placeholder="That is not in our notes. Please ring us.")
        building = st.checkbox("Build now", help="You can chat as soon as the documents are indexed.")
        sent = st.form_submit_button("Create", type="primary", icon=":material/add:")
    if not sent:
        return
    folder = home() / re.sub(r"\W+", "-", name.casefold()).strip("-_")
    try:
        if folder == home():
            raise UserError("the name has no letter or digit; type a name")
        if len(name) > LONGEST_NAME:
            raise UserError(f"the name has {len(name):,} characters, and {LONGEST_NAME} are allowed; shorten it")
        new(folder, template)
        written = {"name": name, "persona": persona, "abstain": abstain}
        change_brand(Workspace(folder), {key: text.strip() for key, text in written.items() if text.strip()})
    except UserError as error:
        fault(error)
        return
    if building:
        start(folder, "build")
    choose(folder.name)
    st.switch_page("views/build.py" if building else "views/documents.py")


page()
