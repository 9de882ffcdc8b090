"""The report page's part on two releases: what the later one gained or lost, and the replies that changed most."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from builder.evaluation.compare_releases import ChangedReply, changed_replies, changes
from builder.evaluation.report import Report, ScoreTitle
from builder.evaluation.verdict import FEWEST
from builder.workspace.folder import Workspace
from builder.workspace.releases import live_name
from ui.parts.charts import change, changes_chart, outcome, percent, written
from ui.parts.report_replies import card, chosen_row, question
from ui.parts.show import plain


def draw(here: Workspace, known: dict[str, Path], read: Callable[[str], Report]) -> None:
    """Two of the `known` evaluations beside each other; `read` gives the report of one."""
    names = list(known)
    if len(names) < 2:
        st.text("There is only one test report so far. Build again after a change to compare the two.")
        return
    other = [name for name in names[:-1] if known[name] != known[names[-1]]] or names[:-1]
    live = live_name(here)
    left, right = st.columns(2)
    before = left.selectbox("Before", names, index=names.index(live if live in other else other[-1]), key="before",
                            bind="query-params")
    after = right.selectbox("After", [name for name in names if name != before], key="after", bind="query-params",
                            index=len(names) - 2)
    if known[before] == known[after]:
        st.caption("Both releases have the same test report, so nothing differs.")
        return
    earlier, later = read(before), read(after)
    scores = [name for name in later.scores if name in earlier.scores]
    if not scores:
        st.caption("These two reports have no score in common.")
        return
    score = st.selectbox("Score", scores, key="changed", bind="query-params",
                         format_func=lambda name: later.scores[name].title)
    _changes(here, earlier, later, score)
    _moved(earlier, later, score)


def _changes(here: Workspace, before: Report, after: Report, score: str) -> None:
    """Each system's score before and after, around zero and in figures."""
    title, margin = after.scores[score], here.brand.gates.margin
    found, unit = changes(before, after, score, margin), title.unit
    better = {"higher": "Further right is better.", "lower": "Further left is better."}.get(
        title.better, "Neither direction is better.")
    if chart := changes_chart(found, unit):
        st.altair_chart(chart, width="stretch", alt=f"{title.title}: what changed, by system")
    else:
        st.caption(f"Fewer than {FEWEST} groups of questions were scored in both, so there are no intervals.")
    st.dataframe([{"system": one.system, "before": written(one.before, unit), "after": written(one.after, unit),
                   "difference": change(one.difference, unit), "95% interval": "–" if one.low is None else
                   f"{change(one.low, unit)} to {change(one.high, unit)}", "verdict": outcome(one),
                   "questions": one.questions} for one in found], hide_index=True, width="stretch",
                 column_config={"system": st.column_config.TextColumn(pinned=True)})
    st.caption(f"{better} The line is the 95% interval of the difference, question by question. Better: the whole "
               f"interval is better. No worse: at most {percent(margin)} percentage points worse. Worse: more than "
               "that, and the whole interval is worse. Only scores that are shares get a verdict. The verdicts are "
               "not corrected for the number of scores.")


def _moved(before: Report, after: Report, score: str) -> None:
    """The replies whose score changed, and the two that were chosen beside each other."""
    every, title = changed_replies(before, after, score), after.scores[score]
    st.header("Replies that changed most", anchor=False)
    kinds = {"all": every, "lost": [reply for reply in every if reply.better is False],
             "gained": [reply for reply in every if reply.better]}
    kind = st.pills("Which", list(kinds), default="all", required=True, key="kind", bind="query-params",
                    format_func=lambda name: f"{name} ({len(kinds[name])})", label_visibility="collapsed")
    if not kinds[kind]:
        st.caption("No replies.")
        return
    share = title.unit == "share"
    found = {f"{reply.row.line} {reply.system}": reply for reply in kinds[kind]}
    rows = [{"question": reply.row.question, "system": reply.system, **{
        name: percent(value) if share and value is not None else value for name, value in (
            ("before", reply.before.scores[score]), ("after", reply.after.scores[score]),
            ("change", reply.change))}} for reply in found.values()]
    labels = {key: f"{reply.row.line} · {reply.system} · {reply.row.question}" for key, reply in found.items()}
    formats = {"before": "%d%%", "after": "%d%%", "change": "%+d"} if share else {}
    key = chosen_row(rows, labels, "changed_reply", formats)
    if key:
        _beside(found[key], score, title, before.arms | after.arms)


def _beside(changed: ChangedReply, score: str, title: ScoreTitle, arms: dict[str, str]) -> None:
    """A reply before and after, with what the score rests on."""
    question(changed.row)
    for column, name, reply in zip(st.columns(2), ("Before", "After"), (changed.before, changed.after), strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{name}** · {plain(title.title)} {written(reply.scores[score], title.unit)}")
            card(changed.system, reply, arms)
            if why := reply.evidence.get(score):
                st.text(why, width="stretch")
