"""What a reader typed into a field, kept when the page is left: Streamlit itself forgets it with the field."""

from collections.abc import Callable

import streamlit as st


def typed(key: str, usual: str, field: Callable[..., str]) -> str:
    """Draw a field with what was typed into it before, or else with what is `usual` in it; what stands in it now.

    The field lies in no form: of what is typed in one the server hears only when the form is sent.
    """
    kept: dict[str, str] = st.session_state.setdefault("typed_before", {})
    st.session_state.setdefault(key, kept.get(key, usual))
    now = field(key=key)
    if now == usual:
        kept.pop(key, None)
    else:
        kept[key] = now
    return now
