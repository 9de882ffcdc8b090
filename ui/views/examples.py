"""The examples page: how the assistant speaks, as a table to edit; the audit's findings beside it; import of files."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd
import streamlit as st

from builder.curation.audit.decisions import Concern
from builder.curation.editing import (
    IMPORTED,
    LARGEST,
    import_examples,
    onto,
    open_examples,
    save_examples,
    seen_examples,
)
from builder.workspace.examples import Example
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from ui.parts.findings import audited, cards
from ui.parts.session import workspace
from ui.parts.show import fault, plain

AT_ONCE = 200  # rows that are drawn
TALL = 86  # pixels of a row; more than 64, so that Streamlit breaks lines in it
COLUMNS = ["row", "question", "reply", "before", "findings"]


def page() -> None:
    """Draw the table, what can be done with it, and what the audit says."""
    here = workspace()
    st.title("Examples")
    _opened(here)
    st.caption("How the assistant speaks: a question, and the reply it should learn from. Don't use test questions "
               "as examples.")
    _conflict(here)
    found = audited(here)
    _table(found)
    _saving(here)
    places = {row: number for number, row in enumerate(_now(), 1)}
    cards(here, [one for one in found if one.example is None or one.example in places], places, _accept)
    _importing(here)


def _opened(here: Workspace) -> None:
    """The rows as this reader's changes began with them; as they are now where nothing was changed."""
    held = st.session_state
    if "rows" in held and _table_key() not in held:  # the reader was on another page
        _fold()
    if "rows" not in held or (held.rows_seen != seen_examples(here) and not _changed()):
        _begin(*open_examples(here))


def _begin(rows: Sequence[Example], seen: str) -> None:
    held = st.session_state
    held.rows, held.rows_before, held.rows_seen = list(rows), list(rows), seen
    _draw_anew()


def _draw_anew() -> None:
    held = st.session_state
    held.rows_shown, held.rows_cells, held.rows_edits = [], None, {}
    held.rows_drawn = held.get("rows_drawn", 0) + 1


def _table_key() -> str:
    return f"rows {st.session_state.rows_drawn}"


def _now() -> list[Example]:
    """The rows with what was typed into the table that is drawn."""
    held = st.session_state
    edits = held.get(_table_key(), held.rows_edits)
    rows: list[Example | None] = list(held.rows)
    for place, cells in edits.get("edited_rows", {}).items():
        at = held.rows_shown[int(place)]
        rows[at] = _filled(held.rows[at], cells)
    for place in edits.get("deleted_rows", []):
        rows[held.rows_shown[place]] = None
    return [row for row in rows if row is not None] + [_filled(Example("", "", (), 0), cells)
                                                       for cells in edits.get("added_rows", [])]


def _filled(row: Example, cells: Mapping[str, str | None]) -> Example:
    """A row with what was typed into its cells."""
    question, reply = ((cells[name] or "").strip() if name in cells else said
                       for name, said in (("question", row.question), ("reply", row.reply)))
    return replace(row, question=question, reply=reply)


def _fold() -> None:
    """Take what stands in the table into the rows, so that another part of them can be drawn."""
    held = st.session_state
    held.rows = _now()
    _draw_anew()


def _changed() -> bool:
    return bool(_now() != st.session_state.rows_before)


def _table(found: Sequence[Concern]) -> None:
    """The rows that are asked for, at most so many at once."""
    held = st.session_state
    notes: dict[Example, list[str]] = defaultdict(list)
    for one in found:
        if one.example and one.finding.kind not in notes[one.example]:
            notes[one.example].append(one.finding.kind)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        sought = st.text_input("Find", key="rows_sought", on_change=_fold, placeholder="Words of a question or reply")
        only = st.toggle("Only rows with findings", key="rows_only", on_change=_fold, disabled=not found)
    wanted = [at for at, row in enumerate(held.rows) if sought.casefold() in f"{row.question}\n{row.reply}".casefold()
              and (not only or not found or row in notes)]
    pages = max(1, -(-len(wanted) // AT_ONCE))
    number = 1
    if pages > 1:
        held.rows_page = min(held.get("rows_page", 1), pages)
        number = int(st.number_input(f"Page of {pages}", 1, pages, key="rows_page", on_change=_fold))
    shown = wanted[AT_ONCE * (number - 1):AT_ONCE * number]
    cells = [_cells(at + 1, held.rows[at], notes.get(held.rows[at], [])) for at in shown]
    if held.rows_cells not in (None, cells):  # other content would take what was typed away
        _fold()
        st.rerun()
    held.rows_shown, held.rows_cells = shown, cells
    st.data_editor(pd.DataFrame(cells, columns=COLUMNS),  # which an empty table keeps its columns in
                   key=_table_key(), num_rows="dynamic", hide_index=True, width="stretch", height=520,
                   row_height=TALL, disabled=["row", "before", "findings"], column_order=[
                       name for name in COLUMNS
                       if name not in ("before", "findings") or any(cell[name] for cell in cells)
                   ], column_config={
                       "row": st.column_config.NumberColumn("Row", width=50),
                       "question": st.column_config.TextColumn("Question", width="medium"),
                       "reply": st.column_config.TextColumn("Reply"),
                       "before": st.column_config.TextColumn("Earlier messages", width=140),
                       "findings": st.column_config.TextColumn("Findings", width=140)})
    held.rows_edits = dict(held[_table_key()])  # the table's own are gone once another page is drawn
    st.caption(f"{len(held.rows_shown)} of {len(held.rows)} rows. Double-click or press Enter to edit a cell; the last "
               "line adds a row. Tick rows to delete them.")


def _cells(number: int, row: Example, notes: Sequence[str]) -> dict[str, str | int]:
    return {"row": number, "question": row.question, "reply": row.reply,
            "before": "\n".join(said for _, said in row.history), "findings": "; ".join(notes)}


def _saving(here: Workspace) -> None:
    """The buttons that keep or drop what was changed, and what came of the last save."""
    changed = len(set(_now()) ^ set(st.session_state.rows_before)) or int(_changed())
    with st.container(horizontal=True):
        st.button("Save", type="primary", icon=":material/save:", disabled=not changed, on_click=_save, args=(here,))
        if changed:
            st.button("Discard my changes", icon=":material/undo:", on_click=lambda: _begin(*open_examples(here)))
    well, said = st.session_state.pop("rows_told", (True, ""))
    if changed and not said:
        st.caption("Your changes are not saved yet.")
    if well and said:
        st.success(plain(said), icon=":material/check:")
    elif said:
        fault(said)


def _save(here: Workspace) -> None:
    """Write the rows; what could not be written stays in the table."""
    _fold()
    held = st.session_state
    try:
        save_examples(here, held.rows_seen, held.rows)
    except UserError as error:
        held.rows_told = False, str(error)
        return
    _begin(*open_examples(here))
    held.rows_told = True, "Saved. The next build learns from these examples."


def _conflict(here: Workspace) -> None:
    """Where somebody else changed the examples meanwhile: what they did, and what can be done."""
    held = st.session_state
    if held.rows_seen == seen_examples(here):
        return
    theirs, seen = open_examples(here)
    before, now = ({(row.question, row.reply, row.history) for row in rows} for rows in (held.rows_before, theirs))
    st.warning(f"Someone else changed the examples while you were editing: {len(now - before)} rows added or "
               f"changed, {len(before - now)} removed. No changes were lost. "
               "Use their version, or reapply yours.", icon=":material/group:")
    with st.container(horizontal=True):
        st.button("Use their version", icon=":material/undo:", on_click=_begin, args=(theirs, seen))
        st.button("Reapply mine", icon=":material/merge:", on_click=_onto, args=(theirs, seen))


def _onto(theirs: Sequence[Example], seen: str) -> None:
    """Go on with theirs as what the changes began with."""
    held = st.session_state
    mine = onto(theirs, held.rows_before, _now())
    _begin(theirs, seen)
    held.rows = mine


def _importing(here: Workspace) -> None:
    """Add the rows of a file; what came of it is told until another one is imported."""
    st.header("Import")
    with st.form("import"):
        st.file_uploader("JSONL or CSV with questions and replies; OpenAI messages, ShareGPT and Alpaca also work",
                         type=[ending.removeprefix(".") for ending in IMPORTED],
                         max_upload_size=LARGEST // 1_000_000, key=_import_key())
        st.form_submit_button("Import", icon=":material/upload:", on_click=_import, args=(here,))
    added, left, wrong = st.session_state.get("rows_imported", (None, [], ""))
    if wrong:
        fault(wrong)
    elif added is not None:
        st.success(f"{added} rows added at the end, {len(left)} left out.", icon=":material/check:")
        if left:
            with st.expander("Left out"):
                st.text("\n".join(left), width="stretch")


def _import_key() -> str:
    """What the field for a file is called until that file is imported; the next one begins empty."""
    return f"import {st.session_state.get('rows_imports', 0)}"


def _import(here: Workspace) -> None:
    """Add the rows of the chosen file; a second click finds none, and changes nothing."""
    held = st.session_state
    file = held.get(_import_key())
    if file is None:
        return
    held.rows_imports = held.get("rows_imports", 0) + 1
    try:
        held.rows_imported = *import_examples(here, held.rows_seen, file.name, file.getvalue()), ""
        _onto(*open_examples(here))
    except UserError as error:
        held.rows_imported = None, [], str(error)


def _accept(concern: Concern) -> None:
    """Do to the row what `twofold audit --fix` would; it counts once it is saved."""
    _fold()
    held = st.session_state
    held.rows = [concern.mended if row == concern.example else row for row in held.rows
                 if row != concern.example or concern.mended is not None]


page()
