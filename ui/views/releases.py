"""The releases page: what is live, which gates each release met or missed, and what changed between two."""

import difflib
from collections.abc import Callable

import streamlit as st

from builder.evaluation.compare_releases import built_at, compare_with_release, contents, evaluations
from builder.evaluation.evaluate import PRIMARY
from builder.evaluation.report import read_report
from builder.workspace.folder import Workspace
from builder.workspace.releases import (
    GateOutcome,
    live_name,
    live_names,
    promote,
    read_release,
    release_names,
    rollback,
)
from knowledge.errors import UserError
from ui.parts.session import CHOSEN, workspace
from ui.parts.show import fault, local, plain

MARKS = {GateOutcome.MET: "check", GateOutcome.MISSED: "warning", GateOutcome.UNDECIDED: "help"}
PARTS = {"index": "index and threshold", "check": "checks", "evaluation": "report"}
"""What a reader calls those parts whose name here is another."""


def page() -> None:
    """Draw the releases, newest first, and below them two of them beside each other."""
    here = workspace()
    st.title("Releases")
    known = release_names(here)
    if not known:
        st.text("There is no release yet. Every build makes one.")
        st.page_link("views/build.py", label="Build", icon=":material/construction:")
        return
    live = live_name(here)
    st.caption(f"{live} answers." if live else "No release is live; the newest build answers. Promote one to keep "
               "it while you continue.")
    if wrong := st.session_state.pop("not_done", ""):
        fault(wrong)
    earlier = len(live_names(here)) > 1
    if live and st.button("Roll back", icon=":material/undo:", disabled=not earlier, help=(
            "Make the previous release live again." if earlier else "No other release was live before this one.")):
        _do(lambda: rollback(here))
    for name in reversed(known):
        _release(here, name, name == live)
    if len(known) > 1:
        _between(here, known)


def _release(here: Workspace, name: str, live: bool) -> None:
    """One release: its figures, its gates, and what may be done with it."""
    release = read_release(here, name)
    judged = name in evaluations(here)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.header(plain(name), anchor=False)
            if live:
                st.badge("live", icon=":material/check:", color="green")
            for gates, title, icon in ((release.missed, "failed", "warning"), (release.undecided, "undecided", "help")):
                if gates:
                    st.badge(f"{len(gates)} {title}", icon=f":material/{icon}:", color="orange")
        st.caption(f"Built {built_at(here, name):%Y-%m-%d %H:%M}" + (f" · {_figures(here, name)}" if judged else ""))
        checks = len(release.gates)
        with st.expander(f"{checks} check{'' if checks == 1 else 's'}", icon=":material/rule:", type="compact"):
            for gate in release.gates:
                st.markdown(f":material/{MARKS[gate.outcome]}: **{plain(gate.name)}**: {plain(local(gate.reason))}")
        with st.expander("Contents", icon=":material/package_2:", type="compact"):
            st.markdown("\n".join(f"- {PARTS.get(part, part)} `{sha256}`"
                                  for part, sha256 in contents(here, name).items()))
            st.caption(f"SHA-256 of everything: {plain(release.sha256)}")
        if judged:
            st.page_link("views/report.py", label="Test report", icon=":material/bar_chart:",
                         query_params={CHOSEN: here.folder.name, "of": name})
        if not live:
            sure = not release.doubts or st.checkbox(f"Promote it anyway ({plain(release.doubts)})", key=f"sure {name}")
            if st.button("Promote", key=f"promote {name}", disabled=not sure, icon=":material/publish:"):
                _do(lambda: promote(here, name, bool(release.doubts)))


def _figures(here: Workspace, name: str) -> str:
    """What its evaluation found of the system that answers, or why that can't be told."""
    try:
        report = read_report(evaluations(here)[name], name)
    except UserError as error:
        return plain(local(str(error)))
    scores = [f"{score} {value:.2f}" for score in PRIMARY
              if (value := report.estimate(report.best, score).value) is not None]
    return plain(f"{report.best}: {', '.join(scores)} on {report.questions} test questions")


def _between(here: Workspace, known: list[str]) -> None:
    """What the newer of two releases gained or lost, and how its brand.yaml differs."""
    st.header("What changed", anchor=False)
    older = st.selectbox("From", known[:-1], index=len(known) - 2, key="older")
    newer = st.selectbox("To", known[known.index(older) + 1:], index=len(known) - 2 - known.index(older), key="newer")
    before, after = contents(here, older), contents(here, newer)
    said = {part: "only in one of them" if None in (before.get(part), after.get(part)) else
            "the same" if before[part] == after[part] else "changed" for part in dict.fromkeys((*before, *after))}
    st.markdown("\n".join(f"- {PARTS.get(part, part)}: {what}" for part, what in said.items()))
    if {older, newer} <= evaluations(here).keys():
        _judged(here, older, newer)
    was, now = (read_release(here, name).brand.splitlines() for name in (older, newer))
    changed = "\n".join(difflib.unified_diff(was, now, older, newer, lineterm="", n=1))
    if changed:
        st.code(changed, language=None, wrap_lines=True)
    else:
        st.caption("brand.yaml is the same in both.")


def _judged(here: Workspace, older: str, newer: str) -> None:
    """What the newer one's answers gained or lost, in a line each, and where all replies are compared."""
    try:
        compared = compare_with_release(here, read_report(evaluations(here)[newer], newer), older)
    except UserError as error:
        fault(error)
        return
    st.markdown("\n".join(f"- {plain(line)}" for line in compared.lines()))
    st.page_link("views/report.py", label="Compare their replies", icon=":material/compare_arrows:", query_params={
        CHOSEN: here.folder.name, "part": "Two releases", "before": older, "after": newer})


def _do(done: Callable[[], object]) -> None:
    """Do it and draw the page again; what can't be done is told there."""
    try:
        done()
    except UserError as error:
        st.session_state.not_done = str(error)
    st.rerun()


page()
