"""Data on the page: replies, passages and names drawn as plain text, whatever they hold."""

import re
from collections.abc import Sequence

import streamlit as st

from builder.answering.assistant import Assistant, Reply
from builder.answering.systems import SYSTEMS, System
from knowledge.errors import UserError
from knowledge.search.index import Found
from ui.parts.session import home

ABILITIES = {(False, False): "Plain model: only the brand's instructions.",
             (False, True): "Documents only: uses passages, not fine-tuned.",
             (True, False): "Voice only: fine-tuned, uses no passages.",
             (True, True): "Full assistant: fine-tuned, and uses passages."}
"""What each pair of switches (tuned, retrieves) amounts to."""
PLACE = re.compile(r"(?<![\w/:.<])/(?:[^\s/:;,()“”\"'`]+/)+(?=[^\s/:;,()“”\"'`])")
"""The folders of an absolute path."""
SPECIAL = re.compile(r"[!-/:-@\[-`{-~]")
BREAK = "\u200b"
"""A zero-width space."""


def plain(text: str) -> str:
    """`text` as Markdown that shows as itself, on one line: no image, link, HTML, emphasis, formula or icon.

    For labels and headings, which Streamlit reads as Markdown; longer data goes through st.text, which doesn't.
    """
    text = " ".join("".join(letter for letter in text if letter.isprintable() or letter.isspace()).split())
    # Bare addresses, mail addresses and :names: are found after the escapes are undone, so these must be broken up.
    text = re.sub(r":(?=\S)", ":" + BREAK, text)
    text = re.sub(r"(?i)\bwww(?=\.)", r"\g<0>" + BREAK, text).replace("@", "@" + BREAK)
    return SPECIAL.sub(r"\\\g<0>", text)


def local(message: str) -> str:
    """A message without where this server keeps its files: paths begin at the assistant's folder or are one name."""
    return PLACE.sub("", message.replace(f"{home()}/", "").replace(str(home()), home().name))


def missing(system: System, assistant: Assistant) -> list[str]:
    """What this system lacks to answer here; nothing when it can."""
    lacks = []
    if system.retrieves and assistant.retriever is None:
        lacks.append("The documents are not indexed yet.")
    if system.tuned and not assistant.adapted:
        lacks.append("Not trained yet.")
    return lacks


def fault(error: UserError | str) -> None:
    """An error of the user's, as its one line."""
    st.error(plain(local(str(error))), icon=":material/error:")


def notes(reply: Reply) -> None:
    """What a reader should know about a reply: whether it abstained, looked anything up, or broke off."""
    if reply.abstained:
        st.badge("abstained", icon=":material/do_not_disturb_on:", color="orange")
        st.caption(f"The documents don't seem to answer this (confidence: {reply.confidence or 'low'}), "
                   "so the assistant says so instead of guessing.")
    elif reply.probability is None:
        st.caption(":material/visibility_off: No documents were used: this comes from the model alone.")
    else:
        st.caption(f":material/fact_check: Found {counted(len(reply.found), 'passage')}. "
                   f"Confidence: {reply.confidence}.")
        if reply.searched and reply.searched != (reply.question.strip(),):
            st.caption(f":material/search: Searched for: {plain(' · '.join(reply.searched))}")
    if reply.finish == "length":
        st.caption(":material/content_cut: Cut off at the maximum reply length.")
    elif reply.finish == "loop":
        st.caption(":material/replay: Cut off because the model started to repeat itself.")


def warning(reply: Reply) -> None:
    """Above a reply: what of the message it leaves open, and, where nothing supports it, that it may be made up."""
    for part in reply.unanswered:
        st.info(f"The documents don't answer: {plain(part)}", icon=":material/help:")
    if reply.unsupported:
        st.warning("No passage of your documents supports this reply. It may be made up.", icon=":material/warning:")


def sources(found: Sequence[Found]) -> None:
    """The passages, each in its own expander, best first."""
    for number, one in enumerate(found, 1):
        passage = one.passage
        page = f", page {passage.page}" if passage.page else ""
        with st.expander(f"{number} · {plain(passage.heading)} — {plain(passage.document)}{page}",
                         icon=":material/description:", type="compact"), st.container(border=True):
            st.text(passage.shown, width="stretch")
            st.caption(f"Characters {passage.start:,} to {passage.end:,} · closeness {one.cosine:.2f}")


def citations(reply: Reply) -> None:
    """Each sentence that states something, with the passage that supports it, opened at the words that do."""
    stated = [citation for citation in reply.citations if citation.needs]
    loose = sum(one.found is None for one in stated)
    if not stated or reply.abstained:
        return
    label = f"{len(stated) - loose} of {counted(len(stated), 'sentence')} supported by a passage"
    icon = ":material/warning:" if loose else ":material/format_quote:"
    with st.expander(label, icon=icon, type="compact"), st.container(border=True):
        for one in stated:
            st.text(reply.text[one.start:one.end], width="stretch")
            if one.found is None:
                st.caption(":orange[:material/warning: No passage says this.]")
                continue
            passage = reply.found[one.found].passage
            page = f", page {passage.page}" if passage.page else ""
            with st.popover(f"{plain(passage.document)}{page} · {plain(passage.heading)}", type="tertiary",
                            icon=":material/format_quote:"):
                st.markdown(marked(passage.text, one.passage_start, one.passage_end))
        st.caption("Checked automatically; may be wrong. Read the passage before you rely on it.")


def marked(text: str, start: int, end: int) -> str:
    """`text` as Markdown that shows as itself, its lines kept, with what lies from `start` to `end` marked."""
    lines = []
    at = 0
    for line in text.split("\n"):
        first, last = (min(max(place - at, 0), len(line)) for place in (start, end))
        said = plain(line[first:last])
        lines.append(f"{plain(line[:first])} :primary-background[{said}] {plain(line[last:])}" if said else plain(line))
        at += len(line) + 1
    return "  \n".join(lines)


def counted(count: int, noun: str) -> str:
    """So many of them: 1 document, 12 documents."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def ability(name: str) -> str:
    """What the system of this name does, in a few words."""
    return next((ABILITIES[system.tuned, system.retrieves] for system in SYSTEMS if system.name == name), "")
