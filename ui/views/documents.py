"""The documents page: upload and watch, what was read and what failed and why, a document's passages, and search."""

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from builder.answering.assistant import checked
from builder.pipeline.index_stage import add_documents, unread, unserved_lines, waiting
from builder.workspace.folder import WATCHING, Workspace
from builder.workspace.progress import read_progress
from builder.workspace.releases import live_name, read_release, release_names
from knowledge.files import holder
from knowledge.reading.documents import FORMATS, LARGEST, Failure, document_files, printable, remove_file
from knowledge.search.retriever import Retriever
from ui.parts.jobs import fault_of, start, stop
from ui.parts.session import searching, workspace
from ui.parts.show import counted, fault, plain, sources

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
    failed = unread(here)
    _waiting(here, failed)
    _live(here)
    _watching(here)
    retriever = searching()
    if retriever is None:
        _unindexed(here)
        return
    _searched(retriever)
    _listed(retriever)
    _unread(here, failed)
    _passages(here, retriever)


def _upload(here: Workspace) -> None:
    """Take files into the workspace; what came of it is told until others are added or all are indexed."""
    with st.form("upload"):
        chosen, replacing = _upload_keys()
        st.file_uploader("Add documents", accept_multiple_files=True, max_upload_size=LARGEST // 1_000_000,
                         type=[ending.removeprefix(".") for ending in FORMATS], key=chosen)
        st.checkbox("Replace documents of the same name", key=replacing)
        st.form_submit_button("Add", type="primary", icon=":material/upload:", on_click=_add, args=(here,))
    added, offered, left = st.session_state.get("added", (0, 0, []))
    for wrong in left:
        fault(wrong)
    if offered:
        then = " Index them now, so that the assistant can use them." if added else ""
        st.caption(f"{added} of {offered} files added.{then}")


def _upload_keys() -> tuple[str, str]:
    """What the fields of the upload are called until it is made; the next ones begin empty."""
    number = st.session_state.get("uploads", 0)
    return f"upload {number}", f"replacing {number}"


def _add(here: Workspace) -> None:
    """Put the chosen files into documents/; a second click finds none, and changes nothing."""
    held = st.session_state
    chosen, replacing = _upload_keys()
    files = held.get(chosen)
    if not files:
        return
    held.uploads = held.get("uploads", 0) + 1
    added, left = add_documents(here, ((file.name, file.getvalue()) for file in files), held.get(replacing, False))
    held.added = added, len(files), left


@st.fragment(run_every=REFRESH)
def _working(here: Workspace) -> None:
    """Which file is being read while an index is made; as it begins and ends, the whole page is drawn again."""
    progress = read_progress(here)
    runs = progress is not None and progress.runs
    if st.session_state.get("reading", False) != runs:
        st.session_state.reading = runs
        st.rerun()
    if progress and runs:
        steps = f"{progress.done} of {progress.total}" if progress.total else ""
        st.progress(progress.share, " · ".join(filter(None, (plain(progress.stage), steps, plain(progress.note)))))
    elif wrong := fault_of(here.folder):
        fault(wrong)


def _waiting(here: Workspace, failed: Sequence[tuple[Failure, str]]) -> None:
    """The documents that are not indexed as they are, and the button that does it."""
    names, there, held = waiting(here), document_files(here.folder), st.session_state
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Index", icon=":material/manage_search:", disabled=not there or held.get("reading", False),
                     type="primary" if names and there else "secondary", help="Only changed documents are read again."):
            start(here.folder, "index")
            held.reading = True
            held.pop("added", None)
            st.rerun()
        if there:
            st.text(_stands(names, len({one.document for one, _ in failed})))
        else:
            st.text("There is nothing to index: add documents above." + (
                " What was indexed before answers until then." if names else ""))
    if held.get("reading"):
        st.caption("You can't index while a build or another indexing is running.")


def _live(here: Workspace) -> None:
    """That a live release answers from earlier documents, and what makes it answer from these."""
    live, known = live_name(here), release_names(here)
    if live is None:
        return
    index = here.current().index
    held = next((name for name in reversed(known) if index and read_release(here, name).index == f"index/{index.name}"),
                None)
    if held == live and not waiting(here):
        return
    st.warning(f"{live} is live. It answers from the documents that it was built with, not from later changes.",
               icon=":material/publish:")
    if held and held != live and not waiting(here):
        st.page_link("views/releases.py", label=f"{held} has the changes. Promote it.", icon=":material/publish:")
    elif st.button("Build, and make it live if all checks pass", icon=":material/construction:",
                   disabled=st.session_state.get("reading", False)):
        start(here.folder, "build", "--promote")
        st.session_state.reading = True
        st.rerun()


def _stands(names: Sequence[str], failed: int) -> str:
    """How the index stands to the documents: those that wait, else how many of them could not be read."""
    if names:
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        return f"Waiting to be indexed: {', '.join(map(printable, names[:LISTED]))}{more}"
    but = f" except {counted(failed, 'document')} that could not be read (listed below)" if failed else ""
    return f"All documents are indexed{but}."


def _watching(here: Workspace) -> None:
    """The switch that keeps the folder indexed, by a process that outlives the page."""
    watched = holder(here.built / WATCHING) is not None
    wanted = st.toggle("Watch the folder and index after each change", watched, key=f"watch {watched}")
    if wanted and not watched:
        (here.folder / "documents").mkdir(exist_ok=True)
        start(here.folder, "index", "--watch", log=WATCH_LOG)
    elif watched and not wanted:
        stop(here.folder, WATCHING)
    if watched and (wrong := fault_of(here.folder, WATCH_LOG)):
        fault(wrong)


def _unindexed(here: Workspace) -> None:
    """What can be done while nothing is indexed: add files, index them, or take one out that can't be."""
    st.text("No documents are indexed yet. Upload files, or copy them into documents/, then index them.")
    files = [file.relative_to(here.folder).as_posix() for file in document_files(here.folder)]
    if files:
        chosen = st.selectbox("Files in documents/", files, index=None, key="lying", format_func=printable,
                              placeholder="Choose a document")
        if chosen is not None:
            _taking_out(here, chosen, "lying")


def _listed(retriever: Retriever) -> None:
    """Each document with its passages."""
    settings, counts = retriever.index.settings, Counter(passage.document for passage in retriever.index.passages)
    st.header("Documents in use", anchor=False)
    st.caption(f"{counted(len(settings['documents']), 'document')} in "
               f"{counted(len(retriever.index.passages), 'passage')}.")
    left_out = sum(len(one.get("left_out", ())) for one in settings["documents"].values())
    if left_out:
        st.caption(f"Not in the text: {counted(left_out, 'thing')} that could not be read, or was left out on purpose. "
                   "The last column names each.")
    languages = Counter(one["language"] for one in settings["documents"].values() if one["language"])
    served = retriever.encoder.languages
    for line in unserved_lines({language: many for language, many in languages.items()
                                if served is not None and language not in served}, workspace().brand.retrieval.encoder):
        st.warning(plain(line))
    st.dataframe([{"document": path, "passages": counts[path], "language": one["language"], "date": one["date"],
                   "hidden text": "; ".join(one["flags"]), "left out": "; ".join(one.get("left_out", ()))}
                  for path, one in settings["documents"].items()], hide_index=True, width="stretch")


def _unread(here: Workspace, failed: Sequence[tuple[Failure, str]]) -> None:
    """What could not be read and why, and beside each file the button that takes it out."""
    drawn = {""}  # a list of addresses may fail in several lines
    for one, file in failed:
        with st.container(horizontal=True, vertical_alignment="center"):
            fault(f"{one.document}: {one.reason}")
            if file not in drawn:
                _taking_out(here, file, "unread")
        drawn.add(file)


def _searched(retriever: Retriever) -> None:
    """What the assistant would be shown for a question, and how sure it would be."""
    question = st.text_input("Search like the assistant", key="searched")
    if question.strip():
        finding = retriever.find(checked(question))
        action = "would answer" if finding.answerable else "would not answer"
        st.caption(f"Confidence: {finding.confidence}. The assistant {action}.")
        sources(finding.found)


def _passages(here: Workspace, retriever: Retriever) -> None:
    """A document as it was cut, and the button that takes it out."""
    chosen = st.selectbox("Show passages of", sorted(retriever.index.settings["documents"]), index=None, key="document",
                          placeholder="Choose a document")
    if chosen is None:
        return
    if chosen in {file.relative_to(here.folder).as_posix() for file in document_files(here.folder)}:
        _taking_out(here, chosen, "read", "It stays in use until you index again.")
    held = [passage for passage in retriever.index.passages if passage.document == chosen]
    for number, one in enumerate(held[:SHOWN], 1):
        with st.container(border=True):
            page_of = f", page {one.page}" if one.page else ""
            st.caption(f"{number} · {plain(one.heading)}{page_of} · characters {one.start:,} to {one.end:,}")
            st.text(one.shown, width="stretch")
    if len(held) > SHOWN:
        st.caption(f"and {len(held) - SHOWN} more passages")


def _taking_out(here: Workspace, name: str, list_of: str, until: str = "") -> None:
    """The button that takes a file of one of the page's lists out of documents/, behind what becomes of it."""
    key = f"{list_of} {printable(name)} out"  # of the file's own, or a second click would take out the next one
    with st.popover("Remove", icon=":material/delete:", key=f"{key} asked"):
        st.caption(f"The file is moved to .twofold/removed. {until}")
        if st.button("Remove this document", key=key):
            remove_file(here.folder, name)
            st.rerun()


page()
