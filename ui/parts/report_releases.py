"""The report page's part on two releases: what the later one gained or lost, and the replies that changed most."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from builder.evaluation.compare_releases import changes, moved
from builder.evaluation.verdict import FEWEST
from builder.workspace.folder import Workspace
from builder.workspace.releases import live_name
from ui.parts.charts import change, changes_chart, outcome, percent, written
from ui.parts.report_replies import card, chosen_row, question
from ui.parts.show import plain

Report = dict[str, Any]


def draw(here: Workspace, known: dict[str, Path], read: Callable[[str], Report]) -> None:
    """Two of the `known` evaluations beside each other; `read` gives the report of one."""
    names = list(known)
    if len(names) < 2:
        st.text("There is only one evaluation yet. Build again after a change, and come back to see what it did.")
        return
    other = [name for name in names[:-1] if known[name] != known[names[-1]]] or names[:-1]
    live = live_name(here)
    left, right = st.columns(2)
    before = left.selectbox("Before", names, index=names.index(live if live in other else other[-1]), key="before",
                            bind="query-params")
    after = right.selectbox("After", [name for name in names if name != before], key="after", bind="query-params",
                            index=len(names) - 2)
    if known[before] == known[after]:
        st.caption("Both have the same evaluation, so nothing differs.")
        return
    earlier, later = read(before), read(after)
    scores = [name for name in later["scores"] if name in earlier["scores"]]
    if not scores:
        st.caption("The two have no score in common.")
        return
    score = st.selectbox("Score", scores, key="changed", bind="query-params",
                         format_func=lambda name: str(later["scores"][name]["title"]))
    _changes(here, earlier, later, score)
    _moved(earlier, later, score)


def _changes(here: Workspace, before: Report, after: Report, score: str) -> None:
    """Each system's score before and after, around zero and in figures."""
    title, margin = after["scores"][score], here.brand.gates.margin
    found = changes(before, after, score, margin)
    unit = title["unit"]
    better = {"higher": "Further right is better.", "lower": "Further left is better."}.get(
        title["better"], "Neither way is better.")
    if chart := changes_chart(found, unit):
        st.altair_chart(chart, width="stretch", alt=f"{title['title']}: what changed, by system")
    else:
        st.caption(f"Fewer than {FEWEST} groups of questions were scored in both, so there are no intervals.")
    st.dataframe([{"system": one["system"], "before": written(one["before"], unit), "after":
                   written(one["after"], unit), "difference": change(one["difference"], unit),
                   "95% interval": "–" if one["low"] is None else
                   f"{change(one['low'], unit)} to {change(one['high'], unit)}",
                   "verdict": outcome(one), "questions": one["questions"]} for one in found], hide_index=True,
                 width="stretch", column_config={"system": st.column_config.TextColumn(pinned=True)})
    st.caption(f"{better} Paired by question; the line is the 95% interval of the difference. Better: the whole "
               "interval is on that side. No worse: it ends less "
               f"than {percent(margin)} percentage points on the worse side. Worse: the difference is larger than "
               "that, and the whole interval is on that side. Scores that are no shares are not judged. The intervals "
               "make no allowance for how many there are.")


def _moved(before: Report, after: Report, score: str) -> None:
    """The replies whose score changed, and the two that were chosen beside each other."""
    every, title = moved(before, after, score), after["scores"][score]
    st.header("Replies that changed most", anchor=False)
    kinds = {"all": every, "lost": [one for one in every if one["better"] is False],
             "gained": [one for one in every if one["better"]]}
    kind = st.pills("Which", list(kinds), default="all", required=True, key="kind", bind="query-params",
                    format_func=lambda name: f"{name} ({len(kinds[name])})", label_visibility="collapsed")
    if not kinds[kind]:
        st.caption("There is none.")
        return
    share = title["unit"] == "share"
    found = {f"{one['row']['line']} {one['system']}": one for one in kinds[kind]}
    rows = [{"question": one["row"]["question"], "system": one["system"], **{
        name: percent(value) if share else value for name, value in (
            ("before", one["before"]["scores"][score]), ("after", one["after"]["scores"][score]),
            ("change", one["change"]))}} for one in found.values()]
    labels = {key: f"{one['row']['line']} · {one['system']} · {one['row']['question']}" for key, one in found.items()}
    formats = {"before": "%d%%", "after": "%d%%", "change": "%+d"} if share else {}
    key = chosen_row(rows, labels, "changed_reply", formats)
    if key:
        _beside(found[key], title["title"], score, before | after)


def _beside(one: dict[str, Any], title: str, score: str, report: Report) -> None:
    """A reply before and after, with what the score rests on."""
    question(one["row"])
    unit = report["scores"][score]["unit"]
    for column, name in zip(st.columns(2), ("before", "after"), strict=True):
        reply = one[name]
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{name.capitalize()}** · {plain(title)} {written(reply['scores'][score], unit)}")
            card(one["system"], reply, report.get("arms", {}))
            if why := reply["evidence"].get(score):
                st.text(why, width="stretch")
