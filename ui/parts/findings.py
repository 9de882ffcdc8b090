"""The audit on the page: run once for the files as they are, and its findings as cards to mend or keep."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import streamlit as st

from builder.curation.audit.audit import Finding
from builder.curation.audit.decisions import Concern, concerns, refuse, refused, state, take_back
from builder.workspace.examples import Example
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from ui.parts.show import fault, plain

CARDS = 20  # findings that are drawn
SHOWN = 80  # characters of a row's question
MENDS = {"left out": "Delete the example", "changed": "Mask the private part"}
LINE = re.compile(r"(?:examples\.(?:jsonl|csv):|(?<=same as )line |(?<=” against )line )(\d+)")
"""An example's line in the file, as the findings' messages name it."""
SEVERITIES: dict[str, tuple[Literal["red", "orange", "blue"], str]] = {
    "error": ("red", ":material/error:"), "warning": ("orange", ":material/warning:"),
    "note": ("blue", ":material/info:")}


def audited(here: Workspace) -> list[Concern]:
    """What the audit of these very files found that was not refused; nothing where this reader asked for none."""
    files = state(here)
    if st.session_state.get("audited") != files:
        return []
    hidden = refused(here)
    return [concern for concern in _concerns(str(here.folder), files) if concern.key not in hidden]


def cards(here: Workspace, found: Sequence[Concern], places: Mapping[Example, int],
          accept: Callable[[Concern], None]) -> None:
    """The findings that are `found`, most serious first, or the button that looks for them; and the refused ones.

    `places` are the rows' numbers on the page; `accept` is called where one is accepted.
    """
    st.header("Findings")
    files = state(here)
    if st.session_state.get("audited") != files:
        _ask(here, files)
        return
    if not found:
        st.caption(":material/check: No open findings.")
    for concern in found[:CARDS]:
        with _card(concern, places):
            if concern.action and concern.example:
                st.button(MENDS[concern.action], icon=":material/check:", key=f"accept {concern.key}", on_click=accept,
                          args=(concern,), help="Takes effect when you save.")
            st.button("Ignore", icon=":material/close:", key=f"refuse {concern.key}", on_click=refuse,
                      args=(here, concern.key), help="Hides this finding until the row changes.")
    if len(found) > CARDS:
        st.caption(f"and {len(found) - CARDS} more findings")
    hidden = refused(here)
    _hidden(here, [concern for concern in _concerns(str(here.folder), files) if concern.key in hidden], places)


def _ask(here: Workspace, files: str) -> None:
    """The button that audits."""
    st.caption("The files have changed since the last check." if "audited" in st.session_state else
               "This looks for duplicates, leaked test questions, personal data, contradictions and off-brand replies.")
    if st.button("Check the data", icon=":material/fact_check:"):
        try:
            _concerns(str(here.folder), files)
        except UserError as error:
            fault(error)
            return
        st.session_state.audited = files
        st.rerun()


def _hidden(here: Workspace, found: Sequence[Concern], places: Mapping[Example, int]) -> None:
    """The findings that were refused, and the way back."""
    if found and st.toggle(f"Show ignored findings ({len(found)})", key="refused"):
        for concern in found[:CARDS]:
            with _card(concern, places):
                st.button("Show again", icon=":material/undo:", key=f"again {concern.key}", on_click=take_back,
                          args=(here, concern.key))


@st.cache_data(max_entries=8, show_spinner="Checking the examples, questions and documents…")
def _concerns(folder: str, files: str) -> list[Concern]:
    """The audit of a folder whose files have this hash; in a process of its own, for it may need what trains."""
    command = [sys.executable, "-m", "ui.cli", "audit", "--json", "--", folder]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    try:
        found = [Finding(**row) for row in json.loads(run.stdout)["findings"]]
    except ValueError:
        lines = run.stderr.strip().splitlines() or ["the check failed; run `twofold audit` to see why"]
        raise UserError(lines[-1].removeprefix("twofold: ")) from None
    made: dict[str, Concern] = {}
    for concern in concerns(Workspace(Path(folder)), found):  # of two with one key, the more serious
        made.setdefault(concern.key, concern)
    return list(made.values())


def _card(concern: Concern, places: Mapping[Example, int]) -> st.delta_generator.DeltaGenerator:
    """One finding; where its buttons go."""
    finding = concern.finding
    colour, icon = SEVERITIES[finding.severity]
    place, message = finding.place, finding.message
    if concern.example and concern.example in places:
        message = _by_row(message, places)
        other = f" · {finding.place}" if finding.line != concern.example.line else ""  # a leak is a question's, too
        place = f"row {places[concern.example]}: {concern.example.question[:SHOWN]}{other}"
    box = st.container(border=True)
    with box.container(horizontal=True):
        st.badge(plain(finding.kind), icon=icon, color=colour)
        st.caption(f"{plain(place)} · {plain(finding.cost)}")
    box.text(f"{message}; {finding.next}", width="stretch")
    return box.container(horizontal=True)


def _by_row(message: str, places: Mapping[Example, int]) -> str:
    """The message with the page's rows for the file's lines, which are others once a row was deleted."""
    rows = {example.line: row for example, row in places.items()}
    return LINE.sub(lambda one: f"row {rows[int(one[1])]}" if int(one[1]) in rows else "a deleted row", message)
