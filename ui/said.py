"""Votes and better replies on their way into the feedback: what is private in them is flagged before it is kept."""

import streamlit as st

from builder.feedback import Item, private_in, record, without_private
from builder.workspace import Workspace
from ui.show import plain


def keep(here: Workspace, item: Item, own: str) -> None:
    """Keep what was said; where something private is in it, ask first, by `ask` under the same key."""
    if private_in(item, own):
        st.session_state.setdefault("flagged", {})[item.key] = item
    else:
        record(here, item)


def ask(here: Workspace, key: str, own: str) -> None:
    """Draw the question whether and how to keep what was flagged, if anything was."""
    item: Item | None = st.session_state.get("flagged", {}).get(key)
    if item is None:
        return
    with st.container(border=True):
        st.caption(f":material/privacy_tip: Not kept yet, since it holds {plain(', '.join(private_in(item, own)))}.")
        with st.container(horizontal=True):
            st.button("Keep it without", key=f"without {key}", type="primary", on_click=_decided,
                      args=(here, key, without_private(item, own)))
            st.button("Keep all of it", key=f"all {key}", on_click=_decided, args=(here, key, item))
            st.button("Don't keep it", key=f"nothing {key}", on_click=_decided, args=(here, key, None))


def unanswered(here: Workspace, key: str, question: str, own: str) -> None:
    """Keep a question that found no answer, without what is private in it: nobody was asked whether to keep it."""
    record(here, without_private(Item(key, "unanswered", question), own))


def _decided(here: Workspace, key: str, item: Item | None) -> None:
    st.session_state.flagged.pop(key, None)
    if item is not None:
        record(here, item)
