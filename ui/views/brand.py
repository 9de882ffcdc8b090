"""The brand page: who speaks and how, as a form; beside it what the model is told and which replies keep the rules."""

import re
from collections.abc import Mapping
from typing import Any

import streamlit as st

from builder.curation.editing import changes, edited, open_brand, save_brand, seen_examples
from builder.model.prompt import render
from builder.scoring.text import Score
from builder.scoring.tone import Habits, habits, rules
from builder.workspace.brand import Brand, Voice
from builder.workspace.examples import Example
from builder.workspace.folder import Workspace
from builder.workspace.yaml_edit import Keys, put
from knowledge.errors import UserError
from ui.parts.session import workspace
from ui.parts.show import fault, plain
from ui.parts.theme import ACCENTS

LISTS = {"do": ("Always", "What the brand does, one per line. The model sees these."),
         "dont": ("Never", "What the brand avoids, one per line. The model sees these."),
         "required": ("Phrases in every reply", "Word for word, one per line: the greeting, the sign-off."),
         "banned": ("Words in no reply", "One per line. The model does not see these; replies are checked for them.")}
COLOURS = {"primary": ACCENTS["light"], "accent": ACCENTS["light"], "background": "#ffffff", "text": "#171614"}
HEX = re.compile("#[0-9a-fA-F]{6}")
JUDGED = 500  # examples that are held to the rules at each change
SHOWN = 3  # replies that break a rule


def page() -> None:
    """Draw the form, what it comes to, and the button that saves it."""
    here = workspace()
    st.title("Brand")
    before = _opened(here)
    form, preview = st.columns([3, 2], gap="large")
    with form:
        values = _form(before)
    mine, wrong = before, ""
    try:
        mine = edited(before, _changes(before, values))
    except UserError as error:
        wrong = str(error)
    other = changes(before, mine)
    with form:
        if wrong:
            fault(wrong)
        _conflict(here, before, other)
        with st.container(horizontal=True):
            st.button("Save", type="primary", icon=":material/save:", disabled=bool(wrong) or not other,
                      on_click=_save, args=(here, before, mine))
            if other or wrong:
                st.button("Discard my changes", icon=":material/undo:", on_click=_forget)
        _told()
    with preview:
        _preview(here, mine)


def _opened(here: Workspace) -> Brand:
    """The brand as this reader's changes began with it; as it is now where nothing was changed."""
    held = st.session_state
    now, seen = open_brand(here)
    if "brand_before" in held:  # what was just typed comes with this very run, and counts before anybody else's change
        shown = _fields(held.brand_before)
        if f"brand {next(iter(shown))}" in held:
            held.brand_form = {name: typed for name in shown if (typed := held[f"brand {name}"]) != shown[name]}
    if "brand_before" not in held or (not held.get("brand_form") and held.brand_seen != seen):
        told = held.get("brand_told")
        _forget()  # the fields, too: they show what was before
        held.brand_before, held.brand_seen, held.brand_form, held.brand_told = now, seen, {}, told
    before: Brand = held.brand_before
    return before


def _form(before: Brand) -> dict[str, Any]:
    """The fields with what the reader left in them; what differs from brand.yaml is kept when the page is left."""
    shown, kept = _fields(before), st.session_state.brand_form
    for name, value in shown.items():
        st.session_state.setdefault(f"brand {name}", kept.get(name, value))
    st.text_input("Name", key="brand name")
    st.text_area("Persona", key="brand persona", height="content",
                 help="Who the assistant is and how it sounds. The model sees this.")
    st.text_area("Reply when the documents don't have the answer", key="brand abstain", height="content")
    for row in (("do", "dont"), ("required", "banned")):
        for column, name in zip(st.columns(2), row, strict=True):
            column.text_area(LISTS[name][0], key=f"brand {name}", help=LISTS[name][1], height=150)
    left, right = st.columns(2)
    left.number_input("Maximum words", 5, 2000, None, key="brand words", placeholder="No limit", step=1)
    right.number_input("Reading level (school grade)", 1.0, 20.0, None, key="brand grade", placeholder="No limit",
                       step=0.5, help="The highest Flesch-Kincaid grade of a reply: 8 suits most readers.")
    st.text_area("Links", key="brand links", help="One per line, as Label: address.")
    with st.container(horizontal=True):
        for name in COLOURS:
            st.color_picker(name.capitalize(), key=f"brand {name}")
    st.text_input("Logo", key="brand logo", help="Path of a PNG, JPEG, SVG or WebP file in the assistant's folder.")
    values = {name: st.session_state[f"brand {name}"] for name in shown}
    st.session_state.brand_form = {name: value for name, value in values.items() if value != shown[name]}
    return values


def _fields(brand: Brand) -> dict[str, Any]:
    """A brand as the fields show it."""
    return {"name": brand.name, "persona": brand.persona.strip(), "abstain": brand.abstain.strip(),
            "logo": brand.logo, "words": brand.voice.words, "grade": brand.voice.grade,
            **{name: "\n".join(getattr(brand.voice, name)) for name in LISTS},
            "links": "\n".join(f"{label}: {address}" for label, address in brand.links.items()),
            **{name: brand.colours[name] if HEX.fullmatch(brand.colours.get(name, "")) else usual
               for name, usual in COLOURS.items()}}


def _changes(before: Brand, values: Mapping[str, Any]) -> dict[Keys, Any]:
    """What the fields say otherwise than the brand, by the keys of brand.yaml; UserError where it can't be read."""
    shown = _fields(before)
    found: dict[Keys, Any] = {}
    for name, value in values.items():
        if value == shown[name]:
            continue
        if name in LISTS:
            found["voice", name] = _lines(value)
        elif name in ("words", "grade"):
            found["voice", name] = value
        elif name == "links":
            found["links",] = _links(value)
        elif name in COLOURS:
            found["colours", name] = value
        else:
            found[name,] = value.strip()
    return found


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _links(text: str) -> dict[str, str]:
    pairs = [line.rpartition(": ") for line in _lines(text)]
    if lacking := next((address for label, _, address in pairs if not label.strip() or not address.strip()), None):
        raise UserError(f"links: “{lacking}” has no label; write Label: address")
    return {label.strip(): address.strip() for label, _, address in pairs}


def _preview(here: Workspace, mine: Brand) -> None:
    """What the form comes to before it is saved."""
    examples = here.examples
    st.header("Preview")
    st.caption("Instructions that the model gets before each question")
    question = examples[0].question if examples else "What can you do for me?"
    with st.container(border=True):
        st.text(render(mine, question, [])[0]["content"], width="stretch")
    st.caption("Reply when the documents don't have the answer")
    with st.container(border=True):
        st.text(mine.abstain, width="stretch")
    reply = st.text_area("Check a reply against these rules", examples[0].reply if examples else mine.abstain,
                         key="brand tried", height="content")
    learned, scores = _scored(examples, seen_examples(here), mine.voice.model_dump_json())
    _judged(rules(reply, mine.voice, learned, False))
    broken = [(example, score) for example, score in zip(examples, scores, strict=False) if score.value == 0]
    if any(score.value is not None for score in scores):
        first = "" if len(scores) == len(examples) else "first "
        st.caption(f"{len(scores) - len(broken)} of your {first}{len(scores)} examples follow all these rules"
                   + ("; the first ones that don't:" if broken else "."))
    for example, score in broken[:SHOWN]:
        with st.container(border=True):
            st.text(example.reply, width="stretch")
            _judged(score, f"line {example.line}: ")


@st.cache_data(max_entries=20, show_spinner=False)
def _scored(_examples: list[Example], seen: str, voice: str) -> tuple[Habits, list[Score]]:
    """What the first of the examples share, and how each keeps the rules; `seen` and `voice` are what is kept by."""
    some, wanted = _examples[:JUDGED], Voice.model_validate_json(voice)
    learned = habits(some)
    return learned, [rules(one.reply, wanted, learned, False) for one in some]


def _judged(score: Score, place: str = "") -> None:
    """A reply's score by the rules, in words."""
    mark = ":material/help:" if score.value is None else ":material/check:" if score.value else ":material/close:"
    st.caption(f"{mark} {plain(place + score.evidence)}")


def _conflict(here: Workspace, before: Brand, other: Mapping[Keys, Any]) -> None:
    """Where somebody else changed brand.yaml meanwhile: both versions, and what can be done."""
    theirs, seen = open_brand(here)
    if seen == st.session_state.brand_seen or not st.session_state.brand_form:
        return
    st.warning("Someone else changed brand.yaml while you were editing. No changes were lost. "
               "Use their version, or reapply yours.", icon=":material/group:")
    changed = changes(before, theirs)
    st.dataframe([{"setting": ".".join(keys), "theirs": _said(theirs, keys),
                   "yours": _said(edited(before, other), keys)} for keys in {**changed, **other}],
                 hide_index=True, width="stretch")
    with st.container(horizontal=True):
        st.button("Use their version", icon=":material/undo:", on_click=_forget)
        st.button("Reapply mine", icon=":material/merge:", on_click=_onto, args=(theirs, seen, dict(other)))


def _said(brand: Brand, keys: Keys) -> str:
    value: Any = brand.model_dump(mode="json")
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return "" if value is None else "; ".join(map(str, value)) if isinstance(value, list) else str(value)


def _onto(theirs: Brand, seen: str, other: Mapping[Keys, Any]) -> None:
    """Go on with theirs as what the changes began with."""
    mine = _fields(Brand.model_validate(put(theirs.model_dump(mode="json"), other)))
    _forget()
    held = st.session_state
    held.brand_before, held.brand_seen = theirs, seen
    held.brand_form = {name: value for name, value in mine.items() if value != _fields(theirs)[name]}


def _save(here: Workspace, before: Brand, mine: Brand) -> None:
    """Write brand.yaml; what could not be written stays in the fields."""
    try:
        save_brand(here, st.session_state.brand_seen, mine)
    except UserError as error:
        st.session_state.brand_told = False, str(error)
        return
    _forget()
    again = render(before, "", []) != render(mine, "", [])
    st.session_state.brand_told = True, (
        "Saved. The model's instructions have changed, so build again: it was trained with the old ones." if again
        else "Saved. The model's instructions are the same; the next build uses this.")


def _told() -> None:
    """What came of the last save, until the next change."""
    well, said = st.session_state.get("brand_told") or (True, "")
    if well and st.session_state.brand_form:
        return
    if said and well:
        st.success(said, icon=":material/check:")
        if st.button("Build", icon=":material/build:"):
            st.switch_page("views/build.py")
    elif said:
        fault(said)


def _forget() -> None:
    """Begin anew with brand.yaml as it is."""
    for key in [key for key in st.session_state if str(key).startswith(("brand ", "brand_"))]:
        del st.session_state[key]


page()
