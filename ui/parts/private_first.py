"""What people say of replies, on its way to where it is kept: what is private in it is flagged before it is kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import streamlit as st

from builder.curation.feedback import Item, forget, private_in, record, without_private
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from ui.parts.show import fault, plain

Store = Callable[..., None]
"""Keeps texts: called with the workspace and each of them."""


@dataclass(frozen=True)
class Flagged:
    """Texts that hold something private and so wait, how they are to be kept, and why they couldn't be."""

    texts: Sequence[str]
    store: Store
    fault: str = ""


def keep(here: Workspace, item: Item, own: str) -> None:
    """Keep what was said; where something private is in it, ask first, by `ask` under the same key."""
    hold(here, item.key, item.texts, own, lambda here, *texts: record(here, item.saying(*texts)))


def hold(here: Workspace, key: str, texts: Sequence[str], own: str, store: Store) -> None:
    """Keep texts by `store`; where something private is in them, ask first, by `ask` under the same key."""
    if private_in(texts, own):
        st.session_state.setdefault("flagged", {})[key] = Flagged(texts, store)
        return
    _drop(key)
    store(here, *texts)
    st.session_state[f"kept {key}"] = True


def take_back(here: Workspace, key: str) -> None:
    """Forget what was said, kept or flagged."""
    _drop(key)
    forget(here, key)


def waits(key: str) -> bool:
    """Whether what was said last under this key is flagged, and not kept yet."""
    return key in st.session_state.get("flagged", {})


def kept(key: str) -> bool:
    """Whether what was said last under this key is kept."""
    return bool(st.session_state.get(f"kept {key}")) and not waits(key)


def ask(here: Workspace, key: str, own: str) -> None:
    """Draw the question whether and how to keep what was flagged, if anything was."""
    if not waits(key):
        return
    held: Flagged = st.session_state.flagged[key]
    names = ", ".join(private_in(held.texts, own))
    with st.container(border=True):
        st.caption(f":material/privacy_tip: Not saved yet, because it contains {plain(names)}.")
        if held.fault:
            fault(held.fault)
        with st.container(horizontal=True):
            st.button("Save without private data", key=f"without {key}", type="primary", on_click=_decided,
                      args=(here, key, without_private(held.texts, own)))
            st.button("Save everything", key=f"all {key}", on_click=_decided, args=(here, key, held.texts))
            st.button("Don't save", key=f"nothing {key}", on_click=_drop, args=(key,))


def unanswered(here: Workspace, key: str, question: str, own: str) -> None:
    """Keep a question that found no answer, without what is private in it: nobody was asked whether to keep it."""
    record(here, Item(key, "unanswered", without_private([question], own)[0]))


def _decided(here: Workspace, key: str, texts: Sequence[str]) -> None:
    """Keep what was flagged, in these words; where that can't be, it waits on, with why."""
    if not waits(key):
        return
    held: Flagged = st.session_state.flagged[key]
    try:
        held.store(here, *texts)
    except UserError as error:
        st.session_state.flagged[key] = replace(held, fault=str(error))
        return
    _drop(key)
    st.session_state[f"kept {key}"] = True


def _drop(key: str) -> None:
    """Let go of what was flagged, and say no more that anything is kept."""
    st.session_state.get("flagged", {}).pop(key, None)
    st.session_state.pop(f"kept {key}", None)
