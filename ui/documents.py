"""The documents page: upload, what was read and what failed and why, a document's passages, and search."""

from collections import Counter

import streamlit as st

from builder.workspace import Workspace
from knowledge.documents import FORMATS, LARGEST, add_file
from knowledge.errors import UserError
from knowledge.files import read_json
from knowledge.retriever import Retriever
from ui.session import searching, workspace
from ui.show import fault, plain, sources
from ui.work import start

SHOWN = 60  # passages of one document that are drawn


def page() -> None:
    """Draw the upload, the documents of the index in use, and what they hold."""
    here = workspace()
    st.title("Documents")
    _upload(here)
    retriever = searching()
    if retriever is None:
        st.text("Nothing is indexed yet. Upload files, or put them into documents/, and index them.")
        return
    _listed(here, retriever)
    _searched(retriever)
    _passages(retriever)


def _upload(here: Workspace) -> None:
    """Take files, and index them in a process of its own; the training page shows how far it is."""
    with st.form("upload", clear_on_submit=True):
        files = st.file_uploader("Add documents", accept_multiple_files=True, max_upload_size=LARGEST // 1_000_000,
                                 type=[ending.removeprefix(".") for ending in FORMATS])
        replacing = st.checkbox("Replace documents of the same name")
        sent = st.form_submit_button("Add", type="primary", icon=":material/upload:")
    if sent:
        added = 0
        for file in files or []:
            try:
                add_file(here.folder, file.name, file.getvalue(), replacing)
                added += 1
            except UserError as error:
                fault(error)
        st.caption(f"{added} of {len(files or [])} files added. Index them, and the assistant answers from them.")
    if st.button("Index", icon=":material/manage_search:", help="Only what changed is read again."):
        start(here.folder, "index")
        st.switch_page("build.py")


def _listed(here: Workspace, retriever: Retriever) -> None:
    """Each document with its passages, and what could not be read."""
    settings, counts = retriever.index.settings, Counter(one.document for one in retriever.index.passages)
    st.caption(f"{len(settings['documents'])} documents in {len(retriever.index.passages)} passages answer now.")
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


def _passages(retriever: Retriever) -> None:
    """A document as it was cut."""
    chosen = st.selectbox("Passages of", sorted(retriever.index.settings["documents"]), index=None, key="document",
                          placeholder="Choose a document")
    if chosen is None:
        return
    held = [one for one in retriever.index.passages if one.document == chosen]
    for number, one in enumerate(held[:SHOWN], 1):
        with st.container(border=True):
            page_of = f", page {one.page}" if one.page else ""
            st.caption(f"{number} · {plain(one.heading)}{page_of} · characters {one.start:,} to {one.end:,}")
            st.text(one.shown, width="stretch")
    if len(held) > SHOWN:
        st.caption(f"{len(held) - SHOWN} more follow.")


page()
