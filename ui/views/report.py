"""The report page: an evaluation from the verdict down to each single reply, and two of them beside each other."""

from pathlib import Path
from typing import Any

import streamlit as st

from builder.evaluation.arms import ARMS
from builder.evaluation.compare_releases import evaluations
from builder.report.model import read_report
from builder.report.pages import told_apart_line
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from ui.parts import report_releases, report_replies
from ui.parts.charts import (
    change,
    coverage_chart,
    differences_chart,
    label,
    reliability_chart,
    systems_chart,
    written,
)
from ui.parts.jobs import start
from ui.parts.session import workspace
from ui.parts.show import fault, plain

HALVES = {"earned": ("earned its place", ":material/check_circle:", "green"),
          "nothing": ("no gain shown", ":material/remove_circle:", "gray"),
          "harmed": ("did harm", ":material/cancel:", "red"),
          "cannot tell": ("cannot tell yet", ":material/help:", "orange")}
FILES = {"report.html": ("Report as a web page", "text/html"), "report.json": ("Report as data", "application/json"),
         "report.csv": ("Every reply as a table", "text/csv"), "report.junit.xml": ("Report for CI", "application/xml")}
CHARTED = ("facts", "tone")
RETRIEVED = {"recall@k": "the share of questions with a right passage among the first k",
             "mrr": "one over the place of the first right passage, on average; 1 where it is always first",
             "ndcg@10": "how high the right passages stand among the first ten, 0 to 1",
             "AUROC": "how well the probability tells questions that the documents answer from others: 1 always, 0.5 "
                      "as a coin would. Near misses are questions whose own passage was taken out"}
REPLIES, RETRIEVAL, BOTH = "Single replies", "Retrieval", "Two releases"
PARTS = ("Summary", REPLIES, RETRIEVAL, BOTH)


def page() -> None:
    """Draw the part that is chosen of the evaluation that is chosen, or say what is missing."""
    here = workspace()
    known = evaluations(here)
    st.title("Which half earned what")
    if not known:
        st.text("There is no evaluation yet. A build ends with one, where there are questions that judge.")
        with st.container(horizontal=True):
            st.page_link("views/questions.py", label="Write questions", icon=":material/quiz:")
            st.page_link("views/build.py", label="Build it", icon=":material/construction:")
        return
    part = st.pills("Part of the report", PARTS, default=PARTS[0], required=True, key="part", bind="query-params",
                    label_visibility="collapsed")
    try:
        if part == BOTH:
            report_releases.draw(here, known, lambda name: _read(name, known[name]))
        else:
            _one(here, part, known)
    except UserError as error:
        fault(error)


def _one(here: Workspace, part: str, known: dict[str, Path]) -> None:
    """One part of one evaluation: the last one, until another is chosen."""
    names = list(reversed(known))
    name = names[0]
    if len(names) > 1:
        name = st.selectbox("Report of", names, key="of", bind="query-params", width=260)
    report = _read(name, known[name])
    if part == RETRIEVAL:
        _retrieval(report.get("retrieval"))
    elif part == REPLIES:
        report_replies.draw(report)
    else:
        _verdict(report)
        _downloads(known[name].parent)
        _again(here)
        _charts(report)
        _table(report)
        _differences(report)


def _read(name: str, path: Path) -> dict[str, Any]:
    return _kept(name, str(path), path.stat().st_mtime_ns)


@st.cache_resource(max_entries=4, show_spinner=False)
def _kept(name: str, path: str, changed: int) -> dict[str, Any]:
    """A report, read again only when it has changed; nothing that is drawn may change it."""
    return read_report(Path(path), name)


def _verdict(report: dict[str, Any]) -> None:
    first, _, rest = report["verdict"].partition(". ")
    st.header(plain(f"{first}." if rest else first), anchor=False)
    if rest:
        st.text(rest, width="stretch")
    made = plain(report["made"][:16].replace("T", " "))
    st.caption(f"{report['questions']} questions in {report['groups']} groups: {report['answerable']} that the "
               f"documents answer, {report['unanswerable']} that they don't · made {made} · took "
               f"{report['seconds'] / 60:.1f} minutes", help="Questions about one thing, such as the same passage, are "
               "a group. They stand or fall together, so the intervals count groups.")
    for column, (half, found) in zip(st.columns(2), report["halves"].items(), strict=False):
        words, icon, colour = HALVES.get(found, HALVES["cannot tell"])
        with column.container(border=True, gap="xsmall"):
            st.caption(half.capitalize())
            st.header(f":{colour}[{icon} {words}]", anchor=False)


def _again(here: Workspace) -> None:
    """Evaluate again with further arms, in a process of its own; the training page shows how far it is."""
    with st.expander("Ask for more than the four systems", icon=":material/science:"):
        chosen = st.multiselect("Further rows of the table", [arm.name for arm in ARMS], key="arms",
                                placeholder="Baselines, oracles and attacks")
        for arm in ARMS:
            if arm.name in chosen:
                st.caption(f"{arm.name}: {plain(arm.meaning)}")
        wordings = st.checkbox("Ask each question in all its wordings", key="wordings")
        samples = st.number_input("Draw so many replies more to each question", 0, 10, 0, key="samples")
        if st.button("Evaluate", type="primary", icon=":material/play_arrow:"):
            more = [part for name in chosen for part in ("--arm", name)]
            more += ["--paraphrases"] * wordings + (["--samples", str(samples)] if samples else [])
            start(here.folder, "evaluate", *more)
            st.switch_page("views/build.py")


def _downloads(folder: Path | None) -> None:
    with st.container(horizontal=True):
        for name, (label, kind) in FILES.items():
            if folder and (folder / name).is_file():
                st.download_button(label, (folder / name).read_bytes(), file_name=name, mime=kind,
                                   icon=":material/download:", on_click="ignore")


def _charts(report: dict[str, Any]) -> None:
    """A dot with its interval for each system, for the scores that matter most."""
    names = [name for name in CHARTED if name in report["scores"]]
    for column, name in zip(st.columns(max(1, len(names))), names, strict=False):
        score = report["scores"][name]
        with column:
            st.header(plain(score["title"]), anchor=False)
            st.caption(plain(_meaning(score)))
            chart = systems_chart(report, name)
            if chart is None:
                st.caption("Nothing in this evaluation could be scored for it.")
            else:
                st.altair_chart(chart, width="stretch")
    st.caption("A dot is the mean over the questions; the line through it is the 95% interval.")


def _retrieval(found: dict[str, Any] | None) -> None:
    """What the index finds by itself, how far its probability can be trusted, and what it missed."""
    st.header("What retrieval finds", anchor=False)
    if not found:
        st.caption("This evaluation did not judge retrieval by itself: there was no index, or no question names its "
                   "passage.")
        return
    limits = found["answerability"]
    scores = {name: one for name, one in found.items()
              if isinstance(one, dict) and {"value", "low", "high", "n"} <= one.keys()}
    scores |= {f"AUROC, {name.replace('_', ' ')}": limits[name] for name in ("elsewhere", "unanswerable", "near_misses")
               if limits[name]}
    st.dataframe([{"score": name, "value": f"{one['value']:.3f}", "95% interval": "–" if one["low"] is None else
                   f"{one['low']:.3f} to {one['high']:.3f}", "n": one["n"]} for name, one in scores.items()],
                 hide_index=True, width="stretch")
    with st.expander("What each score means", icon=":material/help:", type="compact"):
        st.markdown("\n".join(f"- {name}: {meaning}" for name, meaning in RETRIEVED.items()))
    pictures = {"Can the probability be trusted?": reliability_chart(limits["reliability"]),
                "What is gained by answering less?": coverage_chart(limits["coverage"])}
    for column, (title, chart) in zip(st.columns(2), pictures.items(), strict=True):
        with column:
            st.markdown(f"**{title}**")
            st.altair_chart(chart, width="stretch")
    if found["misses"]:
        with st.expander(f"{len(found['misses'])} questions whose passage was not among those found"):
            for miss in found["misses"]:
                st.markdown(f"**{plain(miss['question'])}**")
                st.text("wanted: " + "; ".join(miss["right"]) + "\ncame: " + "; ".join(miss["came"]), width="stretch")


def _meaning(score: dict[str, Any]) -> str:
    """What a score means, and which way is better."""
    better = {"higher": " Higher is better.", "lower": " Lower is better."}.get(score["better"], "")
    return f"{score['explanation'].rstrip('.')}.{better}"


def _table(report: dict[str, Any]) -> None:
    st.header("All scores", anchor=False)
    rows = []
    for name, score in report["scores"].items():
        cells = {system: _cell(values.get(name), score["unit"]) for system, values in report["systems"].items()}
        rows.append({"score": score["title"], **cells})
    _grid(rows)
    st.caption("In brackets: the 95% interval. A dash: not scored, which is not zero.")
    if said := told_apart_line(report):
        st.caption(plain(said))
    with st.expander("What each score means", icon=":material/help:", type="compact"):
        for score in report["scores"].values():
            st.text(f"{score['title']}: {_meaning(score)}", width="stretch")


def _grid(rows: list[dict[str, Any]]) -> None:
    """A table whose first column stays while the rest is scrolled; its cells are data, never Markdown."""
    st.dataframe(rows, hide_index=True, width="stretch", height="content",
                 column_config={next(iter(rows[0]), ""): st.column_config.TextColumn(pinned=True)})


def _cell(estimate: dict[str, Any] | None, unit: str) -> str:
    if not estimate or estimate["value"] is None:
        return "–"
    value = written(estimate["value"], unit)
    if estimate.get("low") is None:
        return value
    return f"{value}  ({written(estimate['low'], unit)} to {written(estimate['high'], unit)})"


def _differences(report: dict[str, Any]) -> None:
    """One score's differences around zero, and the same in figures."""
    found = report["differences"]
    scores = sorted({one["score"] for one in found}, key=lambda name: (not _primary(found, name), name))
    if not scores:
        return
    st.header("What differs", anchor=False)
    name = st.pills("Score", scores, default=scores[0], required=True,
                    format_func=lambda key: plain(report["scores"][key]["title"]))
    chosen = [one for one in found if one["score"] == name]
    unit = report["scores"][name]["unit"]
    st.altair_chart(differences_chart(chosen, unit), width="stretch")
    st.caption(":green-badge[better] :red-badge[worse] :gray-badge[no difference shown] The line is the 95% interval.")
    _grid([{"difference": label(one), "value": change(one["value"], unit),
            "95% interval": f"{change(one['low'], unit)} to {change(one['high'], unit)}",
            "p, adjusted": "–" if one["adjusted"] is None else f"{one['adjusted']:.3f}",
            "smallest detectable": change(one["detectable"], unit).lstrip("+"), "verdict": one["verdict"],
            "counts for the verdict": "yes" if one["primary"] else "no"} for one in chosen])
    st.caption(f"{'Percentage points' if unit == 'share' else unit.capitalize()}. The adjusted p allows for the number "
               "of comparisons; a difference below the smallest detectable would often go unseen.")


def _primary(differences: list[dict[str, Any]], score: str) -> bool:
    return any(one["primary"] for one in differences if one["score"] == score)


page()
