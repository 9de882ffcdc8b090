"""The documents page: upload and watch, what was read and what failed and why, a document's passages, and search."""

from collections import Counter

import streamlit as st

from builder.indexing import waiting
from builder.progress import read_progress
from builder.workspace import WATCHING, Workspace
from knowledge.documents import FORMATS, LARGEST, add_file, document_files, remove_file
from knowledge.errors import UserError
from knowledge.files import holder, read_json
from knowledge.retriever import Retriever
from ui.session import searching, workspace
from ui.show import counted, fault, plain, sources
from ui.work import fault_of, start, stop

SHOWN = 60  # passages of one document that are drawn
LISTED = 8  # names of documents that wait
REFRESH = 1.0  # seconds between two looks at what is read
WATCH_LOG = "watch.log"


def page() -> None:
    """Draw the upload, the documents of the index in use, and what they hold."""
    here = workspace()
    st.title("Documents")
    _upload(here)
    _working(here)
    _waiting(here)
    _watching(here)
    retriever = searching()
    if retriever is None:
        st.text("Nothing is indexed yet. Upload files, or put them into documents/, and index them.")
        return
    _searched(retriever)
    _listed(here, retriever)
    _passages(here, retriever)


def _upload(here: Workspace) -> None:
    """Take files into the workspace; each that can't be one of its documents is told."""
    with st.form("upload", clear_on_submit=True):
        files = st.file_uploader("Add documents", accept_multiple_files=True, max_upload_size=LARGEST // 1_000_000,
                                 type=[ending.removeprefix(".") for ending in FORMATS])
        replacing = st.checkbox("Replace documents of the same name")
        sent = st.form_submit_button("Add", type="primary", icon=":material/upload:")
    if not sent:
        return
    added = 0
    for file in files or []:
        try:
            add_file(here.folder, file.name, file.getvalue(), replacing)
            added += 1
        except UserError as error:
            fault(error)
    st.caption(f"{added} of {len(files or [])} files added. Index them, and the assistant answers from them.")


@st.fragment(run_every=REFRESH)
def _working(here: Workspace) -> None:
    """Which file is being read while an index is made; once it stands, the whole page is drawn again."""
    progress = read_progress(here)
    runs = progress is not None and progress.runs
    if st.session_state.get("reading") and not runs:
        st.session_state.reading = False
        st.rerun()
    st.session_state.reading = runs
    if progress and runs:
        steps = f"{progress.done} of {progress.total}" if progress.total else ""
        st.progress(progress.share, " · ".join(filter(None, (plain(progress.stage), steps, plain(progress.note)))))
    elif wrong := fault_of(here.folder):
        fault(wrong)


def _waiting(here: Workspace) -> None:
    """The documents that are not indexed as they are, and the button that does it."""
    names = waiting(here)
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Index", icon=":material/manage_search:", disabled=bool(st.session_state.get("reading")),
                     type="primary" if names else "secondary", help="Only what changed is read again."):
            start(here.folder, "index")
            st.session_state.reading = True
            st.rerun()
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        st.text(f"Not indexed as they are: {', '.join(names[:LISTED])}{more}" if names else
                "Everything in documents/ is indexed as it is.")


def _watching(here: Workspace) -> None:
    """The switch that keeps the folder indexed, by a process that outlives the page."""
    watched = holder(here.built / WATCHING) is not None
    wanted = st.toggle("Watch the folder: index again after each change in it", watched, key=f"watch {watched}")
    if wanted and not watched:
        (here.folder / "documents").mkdir(exist_ok=True)
        start(here.folder, "index", "--watch", log=WATCH_LOG)
    elif watched and not wanted:
        stop(here.folder, WATCHING)
    if watched and (wrong := fault_of(here.folder, WATCH_LOG)):
        fault(wrong)


def _listed(here: Workspace, retriever: Retriever) -> None:
    """Each document with its passages, and what could not be read."""
    settings, counts = retriever.index.settings, Counter(one.document for one in retriever.index.passages)
    st.header("What answers now", anchor=False)
    st.caption(f"{counted(len(settings['documents']), 'document')} in "
               f"{counted(len(retriever.index.passages), 'passage')}.")
    st.dataframe([{"document": path, "passages": counts[path], "language": one["language"], "date": one["date"],
                   "hidden text": "; ".join(one["flags"])} for path, one in settings["documents"].items()],
                 hide_index=True, width="stretch")
    current = here.current().index
    for one in (read_json(current / "index.json") if current else settings)["failed"]:
        fault(f"{one['document']}: {one['reason']}")


def _searched(retriever: Retriever) -> None:
    """What the assistant would be shown for a question, and how sure it would be."""
    question = st.text_input("Search as the assistant would", key="searched", max_chars=1000)
    if question.strip():
        finding = retriever.find(question)
        said = "it would answer" if finding.answerable else "it would abstain"
        st.caption(f"These answer with probability {finding.probability:.0%}, so {said}.")
        sources(finding.found)


def _passages(here: Workspace, retriever: Retriever) -> None:
    """A document as it was cut, and the button that takes it out."""
    chosen = st.selectbox("Passages of", sorted(retriever.index.settings["documents"]), index=None, key="document",
                          placeholder="Choose a document")
    if chosen is None:
        return
    if chosen in {file.relative_to(here.folder).as_posix() for file in document_files(here.folder)}:
        with st.popover("Take it out", icon=":material/delete:"):
            st.caption("The file goes to .twofold/removed. It answers until the documents are indexed again.")
            if st.button("Take this document out"):
                remove_file(here.folder, chosen)
                st.rerun()
    held = [one for one in retriever.index.passages if one.document == chosen]
    for number, one in enumerate(held[:SHOWN], 1):
        with st.container(border=True):
            page_of = f", page {one.page}" if one.page else ""
            st.caption(f"{number} · {plain(one.heading)}{page_of} · characters {one.start:,} to {one.end:,}")
            st.text(one.shown, width="stretch")
    if len(held) > SHOWN:
        st.caption(f"{len(held) - SHOWN} more follow.")


page()
