"""The report page's single replies: charts and filters that narrow them down, and one with all that is known of it."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from builder.evaluation.failures import CAUSES
from builder.evaluation.report import Report, Row, ScoredReply, Source
from builder.report.single_replies import EVERY_CAUSE, Single, Wanted, counts, meeting, singles
from knowledge.search.answerable import Confidence
from ui.parts.charts import boxed, causes_chart, percent, replies_chart, scattered, written
from ui.parts.show import ability, plain

EVERY = {"systems": [], "causes": [], "groups": [], "answering": "all", "disagree": False, "by": "", "words": ""}
"""The filters, also by their names in the address, and what each is while it asks for nothing."""
ASKED = {"all": None, "answerable": True, "unanswerable": False}
AXES = {"tone by facts": ("facts", "tone"), "facts by probability": ("probability", "facts")}
DRAWN = 2_000
"""Replies in the chart and in the table; with more a browser grows slow."""
BESIDE = 4  # replies side by side


def draw(report: Report) -> None:
    """Filters, two charts that are filters too, the replies that are left, and the one that is opened."""
    every = singles(report)
    asked = meeting(every, _filters(report, every))
    # What is chosen in a chart is kept by the browser; a chart of another name begins anew.
    turn = st.session_state.setdefault("turn", 0)
    left, right = st.columns(2, gap="medium")
    with left:
        asked = _by_cause(asked, turn)
    with right:
        asked = _by_score(report, asked, turn)
    with st.container(horizontal=True, vertical_alignment="center"):
        used = sum(st.session_state[name] != nothing for name, nothing in EVERY.items())
        st.markdown(f"**{len(asked):,} of {len(every):,} replies**" + (f" · filters in use: {used}" if used else ""))
        st.button("Clear all filters", icon=":material/filter_list_off:", on_click=_clear)
    if not asked:
        st.caption("No reply matches all filters. Clear one of them.")
        return
    if len(every) > DRAWN:
        st.caption(f"Only the first {DRAWN:,} are shown; use filters to see others.")
    if one := _opened(report, asked[:DRAWN]):
        _single(report, one)


def _filters(report: Report, every: Sequence[Single]) -> Wanted:
    """What is asked for by hand; all of it is in the address, so that a view can be passed on."""
    with st.expander("Filters", icon=":material/filter_list:"):
        first, second, third = st.columns(3)
        systems = first.multiselect("Systems", list(report.systems), key="systems", bind="query-params",
                                    placeholder="all")
        causes = second.multiselect("Problem", EVERY_CAUSE, key="causes", bind="query-params",
                                    placeholder="any")
        groups = third.multiselect("Topics", list(dict.fromkeys(single.row.group for single in every)), key="groups",
                                   bind="query-params", placeholder="all")
        words = first.text_input("Words in question or reply", key="words", bind="query-params")
        score = second.selectbox("Score", ["", *report.scores], key="by", bind="query-params",
                                 format_func=lambda key: report.scores[key].title if key else "any")
        with third:
            low, high = _range(report, every, score) if score else (0.0, 1.0)
        with first:
            asked = st.pills("Questions", list(ASKED), default="all", required=True, key="answering",
                             bind="query-params")
        disagree = second.checkbox("Only where the systems disagree on facts", key="disagree", bind="query-params")
    return Wanted(systems, causes, groups, ASKED[asked], disagree, score, low, high, words)


def _range(report: Report, every: Sequence[Single], score: str) -> tuple[float, float]:
    """From where to where a score may lie."""
    values = [value for single in every if (value := single.score(score)) is not None]
    share = report.scores[score].unit == "share"
    low, high = (0.0, 1.0) if share else (min(values, default=0.0), max(values, default=0.0))
    if low == high:
        st.caption("All replies have the same score.")
        return low, high
    chosen: tuple[float, float] = st.slider("Score from, to", low, high, (low, high), key=f"range_{score}",
                                            step=0.05 if share else (high - low) / 100, bind="query-params",
                                            format="percent" if share else "%.1f")
    return chosen


def _clear() -> None:
    """Ask for nothing again."""
    for name in [name for name in st.session_state if str(name).startswith("range_")]:
        del st.session_state[name]
    st.session_state.update(EVERY)
    st.session_state.turn = st.session_state.get("turn", 0) + 1


def _by_cause(some: list[Single], turn: int) -> list[Single]:
    """The causes by system as a chart, and the replies in the cells that were clicked."""
    st.header("What went wrong", anchor=False)
    st.caption("Click a cell to see its replies; hold Shift to add more cells. By keyboard, use the filters above.")
    counted = counts(some)
    state: Any = st.altair_chart(causes_chart(counted), key=f"cells {turn}", on_select="rerun", alt="; ".join(
        f"{system}, {cause}: {count}" for cause, system, count in counted if count))
    with st.expander("What each problem means", icon=":material/help:", type="compact"):
        for cause, meaning in CAUSES.items():
            st.text(f"{cause}: {meaning}", width="stretch")
    cells = {(cell["cause"], cell["system"]) for cell in (state.selection if state else {}).get("cells", ())}
    return [single for single in some if not cells or (single.cause, single.system) in cells]


def _by_score(report: Report, some: list[Single], turn: int) -> list[Single]:
    """Each reply as a point, and those that were clicked or lie in the box that was drawn."""
    st.header("Every reply as a point", anchor=False)
    st.caption("Click a point, or draw a box around several. Click outside to clear the selection.")
    axes = st.pills("Axes", list(AXES), default=next(iter(AXES)), required=True, key="axes", bind="query-params",
                    label_visibility="collapsed")
    across, up = AXES[axes]
    points = scattered([(single.key, single.system, single.row.question, _value(single, across), _value(single, up))
                        for single in some[:DRAWN]])
    chart = replies_chart(points, across, up, list(report.systems))
    state: Any = st.altair_chart(chart, key=f"points {axes} {turn}", on_select="rerun",
                                 alt=f"{len(points)} replies as points: {axes}")
    chosen = boxed(points, state.selection if state else {})
    return [single for single in some if chosen is None or single.key in chosen]


def _value(single: Single, axis: str) -> float | None:
    return single.reply.probability if axis == "probability" else single.score(axis)


def _opened(report: Report, some: list[Single]) -> Single | None:
    """The replies as a table, and the one that was chosen in it or by keyboard; one alone is open already."""
    scores = dict.fromkeys(("facts", "tone", st.session_state.get("by") or "facts"))
    columns = [name for name in scores if name in report.scores]
    rows = [{"question": single.row.question, "system": single.system, "problem": single.cause,
             **{report.scores[name].title: _cell(single.score(name), report.scores[name].unit)
                for name in columns}, "reply": single.reply.text} for single in some]
    formats = {report.scores[name].title: "%d%%" for name in columns if report.scores[name].unit == "share"}
    labels = {single.key: f"{single.row.line} · {single.system} · {single.row.question}" for single in some}
    key = chosen_row(rows, labels, "reply", formats)
    return next((single for single in some if single.key == key), some[0] if len(some) == 1 else None)


def chosen_row(rows: list[dict[str, Any]], labels: dict[str, str], name: str, formats: dict[str, str]) -> str | None:
    """The key of the row that was chosen, in a table or, by keyboard too, in the list below it; None while none is.

    `labels` name each row by its key, and `name` is what the choice is called in the address. `formats`
    say how numbers are written in their columns.
    """
    keys, place, turn = list(labels), st.container(), f"{name} turn"
    # Another table where other rows stand in it, or another was chosen by keyboard: the browser keeps what was chosen.
    table = f"{name} {hash(tuple(keys))} {st.session_state.get(turn, 0)}"

    def pick() -> None:
        picked = st.session_state[table].selection.rows
        st.session_state[name] = keys[picked[0]] if picked else None

    def again() -> None:
        st.session_state[turn] = st.session_state.get(turn, 0) + 1

    chosen = st.selectbox("Open a reply", keys, index=None, key=name, bind="query-params", on_change=again,
                          format_func=labels.__getitem__, placeholder="Choose here, or select a row above")
    place.dataframe(rows, hide_index=True, height=min(38 * (len(rows) + 1), 340), key=table, on_select=pick,
                    selection_mode="single-row",
                    selection_default={"selection": {"rows": [keys.index(chosen)] if chosen else []}},
                    column_config={"question": st.column_config.TextColumn(width="medium"),
                                   "reply": st.column_config.TextColumn(width="large"),
                                   **{column: st.column_config.NumberColumn(format=form)
                                      for column, form in formats.items()}})
    return chosen


def _cell(value: float | None, unit: str) -> float | None:
    return value if value is None or unit != "share" else percent(value)


def _single(report: Report, single: Single) -> None:
    """One reply with its question, scores, their evidence and its sources; the other systems' replies beside it."""
    left, right = st.columns(2, gap="medium")
    with left:
        question(single.row)
        with st.container(border=True):
            card(single.system, single.reply, report.arms)
            _sources(single.reply.sources)
    with right.container(border=True, gap="xsmall"):
        st.markdown("**Scores and reasons**")
        for name, score in report.scores.items():
            if (value := single.score(name)) is not None:
                st.text(" · ".join(filter(None, (f"{score.title} {written(value, score.unit)}",
                                                 single.reply.evidence.get(name)))), width="stretch")
        unscored = [score.title for name, score in report.scores.items() if single.score(name) is None]
        if unscored:
            st.caption(plain(f"Not scored: {', '.join(unscored)}"))
    others = [(name, reply) for name, reply in single.row.replies.items() if name != single.system]
    with st.expander(f"Replies of {len(others)} other systems", icon=":material/compare_arrows:"):
        for first in range(0, len(others), BESIDE):
            for column, (name, reply) in zip(st.columns(min(BESIDE, len(others))), others[first:first + BESIDE],
                                             strict=False):
                with column.container(border=True, height="stretch"):
                    card(name, reply, report.arms)


def question(row: Row) -> None:
    """The question, and what would be right."""
    with st.container(border=True):
        st.caption(f"Question {row.line} · {plain(row.group)}")
        st.text(row.question, width="stretch")
        if row.answerable:
            st.caption("Reference answer")
            st.text(row.answer or "none given", width="stretch")
        else:
            st.caption("The documents don't answer this, so the assistant should say that it doesn't know.")


def card(name: str, reply: ScoredReply, arms: dict[str, str]) -> None:
    """One system's reply, why it fell short if it did, and what it took."""
    st.markdown(f"**{plain(name)}**")
    st.caption(ability(name) or plain(arms.get(name, "")))
    st.text(reply.text, width="stretch")
    if reply.abstained:
        st.badge("abstained", icon=":material/do_not_disturb_on:", color="orange")
    if reply.cause:
        st.badge(plain(reply.cause), color="red")
    sure = "" if reply.probability is None else f" · confidence {Confidence.of(reply.probability)}"
    st.caption(f"{reply.seconds:.1f} s · {reply.tokens} tokens{sure}")


def _sources(sources: Sequence[Source]) -> None:
    """The passages that the reply was shown, each opening."""
    for number, one in enumerate(sources, 1):
        with st.expander(f"{number} · {plain(one.heading)} — {plain(one.document)}",
                         icon=":material/description:", type="compact"):
            st.text(one.text or "An older report: the text of this passage is not stored.", width="stretch")
            st.caption(f"Characters {one.start:,} to {one.end:,}")
