"""The report page: an evaluation from the verdict down to each single reply, and two of them beside each other."""

from pathlib import Path

import streamlit as st

from builder.evaluation.arms import ARMS
from builder.evaluation.compare_releases import evaluations
from builder.evaluation.report import Difference, Estimate, HalfOutcome, Report, Retrieval, ScoreTitle, read_report
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

HALVES = {HalfOutcome.EARNED: ("clearly helps", ":material/check_circle:", "green"),
          HalfOutcome.NOTHING: ("no gain shown", ":material/remove_circle:", "gray"),
          HalfOutcome.HARMED: ("did harm", ":material/cancel:", "red"),
          HalfOutcome.CANNOT_TELL: ("not clear yet", ":material/help:", "orange")}
FILES = {"report.html": ("Report as a web page", "text/html"), "report.json": ("Report as data", "application/json"),
         "report.csv": ("Every reply as a table", "text/csv"), "report.junit.xml": ("Report for CI", "application/xml")}
CHARTED = ("facts", "tone")
RETRIEVED = {"hit@k": "share of questions with a right passage among the first k",
             "recall@k": "share of all right passages among the first k, where questions have several",
             "mrr": "1 divided by the rank of the first right passage, on average; 1 means that it is always first",
             "ndcg@10": "how high the right passages rank among the first ten, 0 to 1",
             "AUROC": "how well the probability separates questions that the documents answer from others: 1 is "
                      "perfect, 0.5 is a coin toss. Near misses are questions whose own passage was removed"}
REPLIES, RETRIEVAL, BOTH = "Single replies", "Retrieval", "Two releases"
PARTS = ("Summary", REPLIES, RETRIEVAL, BOTH)


def page() -> None:
    """Draw the part that is chosen of the evaluation that is chosen, or say what is missing."""
    here = workspace()
    known = evaluations(here)
    st.title("Test report")
    if not known:
        st.text("There is no test report yet. A build makes one if there are test questions.")
        with st.container(horizontal=True):
            st.page_link("views/questions.py", label="Write test questions", icon=":material/quiz:")
            st.page_link("views/build.py", label="Build", icon=":material/construction:")
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
        _retrieval(report.retrieval)
        if report.support:
            st.header("Sentences and their passages", anchor=False)
            st.text(str(report.support), width="stretch")
    elif part == REPLIES:
        report_replies.draw(report)
    else:
        _verdict(report)
        _downloads(known[name].parent)
        _again(here)
        _charts(report)
        _table(report)
        _differences(report)


def _read(name: str, path: Path) -> Report:
    return _kept(name, str(path), path.stat().st_mtime_ns)


@st.cache_resource(max_entries=4, show_spinner=False)
def _kept(name: str, path: str, changed: int) -> Report:
    """A report, read again only when it has changed; nothing that is drawn may change it."""
    return read_report(Path(path), name)


def _verdict(report: Report) -> None:
    first, _, rest = report.verdict.partition(". ")
    st.header(plain(f"{first}." if rest else first), anchor=False)
    if rest:
        st.text(rest, width="stretch")
    made = plain(report.made[:16].replace("T", " "))
    st.caption(f"{report.questions} test questions in {report.groups} groups: {report.answerable} that the documents "
               f"answer, {report.unanswerable} that they don't · made {made} · took {report.seconds / 60:.1f} minutes",
               help="Questions about the same thing, for example the same passage, form a group. They tend to succeed "
               "or fail together, so the intervals count groups.")
    for column, (half, found) in zip(st.columns(2), report.halves.items(), strict=False):
        words, icon, colour = HALVES[found]
        with column.container(border=True, gap="xsmall"):
            st.caption(half.capitalize())
            st.header(f":{colour}[{icon} {words}]", anchor=False)


def _again(here: Workspace) -> None:
    """Evaluate again with further arms, in a process of its own; the training page shows how far it is."""
    with st.expander("Run extra tests", icon=":material/science:"):
        chosen = st.multiselect("More systems to compare", [arm.name for arm in ARMS], key="arms",
                                placeholder="Baselines, upper limits and attacks")
        for arm in ARMS:
            if arm.name in chosen:
                st.caption(f"{arm.name}: {plain(arm.meaning)}")
        wordings = st.checkbox("Also ask each question in its other wordings", key="wordings")
        samples = st.number_input("Extra replies per question", 0, 10, 0, key="samples")
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


def _charts(report: Report) -> None:
    """A dot with its interval for each system, for the scores that matter most."""
    names = [name for name in CHARTED if name in report.scores]
    for column, name in zip(st.columns(max(1, len(names))), names, strict=False):
        score = report.scores[name]
        with column:
            st.header(plain(score.title), anchor=False)
            st.caption(plain(_meaning(score)))
            chart = systems_chart({system: report.estimate(system, name) for system in report.systems}, score.unit)
            if chart is None:
                st.caption("Not scored in this test.")
            else:
                st.altair_chart(chart, width="stretch")
    st.caption("The dot is the mean over the questions; the line is the 95% interval.")


def _retrieval(found: Retrieval | None) -> None:
    """What the index finds by itself, how far its probability can be trusted, and what it missed."""
    st.header("Retrieval alone", anchor=False)
    if not found:
        st.caption("Retrieval was not tested alone: there was no index, or no test question names its passage.")
        return
    limits = found.answerability
    kinds = {"elsewhere": limits.elsewhere, "unanswerable": limits.unanswerable, "near misses": limits.near_misses}
    scores = found.scores | {f"AUROC, {kind}": auroc for kind, auroc in kinds.items() if auroc}
    st.dataframe([{"score": name, "value": f"{one.value:.3f}", "95% interval": "–" if one.low is None else
                   f"{one.low:.3f} to {one.high:.3f}", "n": one.n} for name, one in scores.items()],
                 hide_index=True, width="stretch")
    with st.expander("What each score means", icon=":material/help:", type="compact"):
        st.markdown("\n".join(f"- {name}: {meaning}" for name, meaning in RETRIEVED.items()))
    pictures = {"Can you trust the probability?": reliability_chart(limits.reliability),
                "What do you gain by answering fewer questions?": coverage_chart(limits.coverage)}
    for column, (title, chart) in zip(st.columns(2), pictures.items(), strict=True):
        with column:
            st.markdown(f"**{title}**")
            st.altair_chart(chart, width="stretch")
    if found.misses:
        with st.expander(f"{len(found.misses)} questions whose passage was not found"):
            for miss in found.misses:
                st.markdown(f"**{plain(miss.question)}**")
                st.text("right: " + "; ".join(miss.right) + "\nfound: " + "; ".join(miss.came), width="stretch")


def _meaning(score: ScoreTitle) -> str:
    """What a score means, and which way is better."""
    better = {"higher": " Higher is better.", "lower": " Lower is better."}.get(score.better, "")
    return f"{score.explanation.rstrip('.')}.{better}"


def _table(report: Report) -> None:
    st.header("All scores", anchor=False)
    rows = []
    for name, score in report.scores.items():
        cells = {system: _cell(report.estimate(system, name), score.unit) for system in report.systems}
        rows.append({"score": score.title, **cells})
    _grid(rows)
    st.caption("In brackets: the 95% interval. A dash means not scored, which is not zero.")
    if said := told_apart_line(report):
        st.caption(plain(said))
    with st.expander("What each score means", icon=":material/help:", type="compact"):
        for score in report.scores.values():
            st.text(f"{score.title}: {_meaning(score)}", width="stretch")


def _grid(rows: list[dict[str, str]]) -> None:
    """A table whose first column stays while the rest is scrolled; its cells are data, never Markdown."""
    st.dataframe(rows, hide_index=True, width="stretch", height="content",
                 column_config={next(iter(rows[0]), ""): st.column_config.TextColumn(pinned=True)})


def _cell(estimate: Estimate, unit: str) -> str:
    value = written(estimate.value, unit)
    if estimate.low is None:
        return value
    return f"{value}  ({written(estimate.low, unit)} to {written(estimate.high, unit)})"


def _differences(report: Report) -> None:
    """One score's differences around zero, and the same in figures."""
    found = report.differences
    scores = sorted({pair.score for pair in found}, key=lambda name: (not _primary(found, name), name))
    if not scores:
        return
    st.header("What differs", anchor=False)
    name = st.pills("Score", scores, default=scores[0], required=True,
                    format_func=lambda key: plain(report.scores[key].title))
    chosen, unit = [pair for pair in found if pair.score == name], report.scores[name].unit
    st.altair_chart(differences_chart(chosen, unit), width="stretch")
    st.caption(":green-badge[better] :red-badge[worse] :gray-badge[no difference shown] The line is the 95% interval.")
    _grid([{"difference": label(pair), "value": change(pair.value, unit),
            "95% interval": f"{change(pair.low, unit)} to {change(pair.high, unit)}",
            "p, adjusted": f"{pair.adjusted:.3f}", "smallest detectable": change(pair.detectable, unit).lstrip("+"),
            "verdict": pair.verdict.value, "counts for the verdict": "yes" if pair.primary else "no"}
           for pair in chosen])
    st.caption(f"{'Percentage points' if unit == 'share' else unit.capitalize()}. The adjusted p takes the number "
               "of comparisons into account. A difference below the smallest detectable one often goes unseen.")


def _primary(differences: list[Difference], score: str) -> bool:
    return any(pair.primary for pair in differences if pair.score == score)


page()
