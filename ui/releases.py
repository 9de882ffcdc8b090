"""The releases page: what is live, which gates each release met or missed, and what changed between two."""

import difflib
from collections.abc import Callable

import streamlit as st

from builder.against import against, answering, report_of, told
from builder.evaluation import PRIMARY
from builder.release import details, live_name, names, promote, rollback
from builder.workspace import Workspace
from knowledge.errors import UserError
from ui.session import workspace
from ui.show import command, fault, plain


def page() -> None:
    """Draw the releases, newest first, and below them two of them beside each other."""
    here = workspace()
    st.title("Releases")
    known = names(here)
    if not known:
        st.text("There is no release yet. Run this, and come back:")
        command("build", here.folder)
        return
    live = live_name(here)
    st.caption(f"{live} answers." if live else "Nothing is live, so the newest build answers. Promote one to hold on "
               "to it while you build on.")
    if wrong := st.session_state.pop("not_done", ""):
        fault(wrong)
    if live and st.button("Roll back", icon=":material/undo:", help="The release that was live before answers again."):
        _do(lambda: rollback(here))
    for name in reversed(known):
        _release(here, name, name == live)
    if len(known) > 1:
        _between(here, known)


def _release(here: Workspace, name: str, live: bool) -> None:
    """One release: its figures, its gates, and what may be done with it."""
    known = details(here, name)
    lacking = [gate for gate in known.get("gates", []) if not gate["met"]]
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(plain(name), anchor=False)
            if live:
                st.badge("live", icon=":material/check:", color="green")
            if lacking:
                st.badge(f"{len(lacking)} missed", icon=":material/warning:", color="orange")
        if figures := _figures(here, name):
            st.caption(figures)
        with st.expander(f"{len(known.get('gates', []))} gates", icon=":material/rule:", type="compact"):
            for gate in known.get("gates", []):
                mark = ":material/check:" if gate["met"] else ":material/warning:"
                st.markdown(f"{mark} **{plain(gate['name'])}**: {plain(gate['said'])}")
            st.caption(f"SHA-256 of all its files: {plain(known['sha256'])}")
        if not live:
            sure = not lacking or st.checkbox("Promote it although it missed a gate", key=f"sure {name}")
            if st.button("Promote", key=f"promote {name}", disabled=not sure, icon=":material/publish:"):
                _do(lambda: promote(here, name, bool(lacking)))


def _figures(here: Workspace, name: str) -> str:
    """What its evaluation found of the system that answers; nothing where it was not evaluated."""
    report = report_of(here, name)
    if not report:
        return ""
    system = answering(report)
    scores = [f"{score} {one['value']:.2f}" for score in PRIMARY
              if (one := report["systems"][system].get(score)) and one["value"] is not None]
    return plain(f"{system}: {', '.join(scores)} on {report['questions']} questions, {report['made'][:10]}")


def _between(here: Workspace, known: list[str]) -> None:
    """What the newer of two releases gained or lost, and how its brand.yaml differs."""
    st.subheader("What changed", anchor=False)
    older = st.selectbox("From", known[:-1], index=len(known) - 2, key="older")
    newer = st.selectbox("To", known[known.index(older) + 1:], index=len(known) - 2 - known.index(older), key="newer")
    before, after = details(here, older), details(here, newer)
    for kind in ("index", "adapter"):
        same = before.get(kind) == after.get(kind)
        st.markdown(f"- {kind}: {'the same' if same else 'another'}")
    report = report_of(here, newer)
    if report and report_of(here, older):
        for line in told(against(here, report, older)):
            st.markdown(f"- {plain(line)}")
    changed = "\n".join(difflib.unified_diff(before["brand"].splitlines(), after["brand"].splitlines(), older, newer,
                                             lineterm="", n=1))
    if changed:
        st.code(changed, language=None, wrap_lines=True)
    else:
        st.caption("brand.yaml is the same in both.")


def _do(done: Callable[[], object]) -> None:
    """Do it and draw the page again; what can't be done is told there."""
    try:
        done()
    except UserError as error:
        st.session_state.not_done = str(error)
    st.rerun()


page()
