"""The build page: what a build would take, the one that runs with its loss as it falls, and the last training."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import altair as alt
import streamlit as st

from builder.pipeline.plan import last_plan
from builder.pipeline.train_stage import documents_changed
from builder.training.mix import FEWEST_EXAMPLES
from builder.workspace.folder import FINDINGS, PLANNING, Workspace
from builder.workspace.progress import Curve, Progress, held_out_points, in_words, read_progress, smoothed
from builder.workspace.releases import read_release, release_names
from knowledge.files import holder, read_json
from ui.parts.jobs import fault_of, start, stop
from ui.parts.session import workspace
from ui.parts.show import counted, fault, plain

# Comments, not strings: Streamlit would show a string that stands alone on the page.
STARTS = 100  # tenths of a second that a command may take until it says that it works
REFRESH = 2.0  # seconds between two looks at the build that runs
PLAN_LOG = "plan.log"
POINTS = 400  # steps that a curve is drawn with at most
AFTERWARDS = (("views/report.py", "Read the test report", ":material/bar_chart:"),
              ("views/releases.py", "See the releases", ":material/publish:"),
              ("views/chat.py", "Chat", ":material/chat:"))
LINES = {"loss per step": "#8a8f98", "smoothed": "#2f7ed8", "held-out loss": "#e08a1e"}
KINDS = {"tone": "how to speak", "closed": "facts by heart, without passages", "grounded": "answering from passages",
         "abstaining": "saying that the passages don't answer", "replay": "keeping general abilities"}


def page() -> None:
    """Draw what runs, which looks again by itself, and below it the last adapter."""
    here = workspace()
    st.title("Build")
    _build(here)
    if not st.session_state.building:
        _begin(here)
    _adapter(here)


@st.fragment(run_every=REFRESH)
def _build(here: Workspace) -> None:
    """The newest build as far as it is; once one has begun or ended, the whole page is drawn again."""
    progress = read_progress(here)
    runs = progress is not None and progress.runs
    before = st.session_state.get("building", runs)
    st.session_state.building = runs
    if before != runs:
        st.rerun()
    if not runs and (wrong := fault_of(here.folder)):
        fault(wrong)
    if progress is None:
        return
    if runs:
        _running(progress, here)
    else:
        _ended(progress, here)


def _begin(here: Workspace) -> None:
    """What a build would take, and the button that starts it."""
    rehearses = holder(here.built / PLANNING) is not None
    with st.container(horizontal=True):
        if st.button("How long will it take?", icon=":material/schedule:", disabled=rehearses):
            start(here.folder, "plan", log=PLAN_LOG)
            _until(lambda: holder(here.built / PLANNING) is not None or fault_of(here.folder, PLAN_LOG) != "")
        if st.button("Build", type="primary", icon=":material/play_arrow:"):
            start(here.folder, "build", *["--retrain"] * bool(st.session_state.get("again")))
            _until(lambda: (now := read_progress(here)) is not None and now.runs or fault_of(here.folder) != "")
    if documents_changed(here):
        st.checkbox("Train again on the changed documents", key="again", help=(
            "Only documents changed since the last training. It taught the assistant how to speak, not what the "
            "documents say, so it can stay as it is."))
    st.caption("A build checks the data, reads the documents, trains and tests. Finished parts are reused, and a "
               "stopped build resumes. It keeps running when you close this page.")
    st.fragment(_plan, run_every=REFRESH if rehearses else None)(here, rehearses)


def _plan(here: Workspace, rehearses: bool) -> None:
    """The plan that was made last; once one that was being made stands, the whole page is drawn again."""
    if rehearses:
        if holder(here.built / PLANNING) is None:
            st.rerun()
        st.info("Measuring this machine, for a minute or two…", icon=":material/schedule:")
        return
    if wrong := fault_of(here.folder, PLAN_LOG):
        fault(wrong)
    if not (known := last_plan(here)):
        return
    at, plan = known
    counts = ", ".join(counted(count, name.removesuffix("s")) for name, count in plan.counts.items() if count)
    st.caption(f"Planned on {at:%Y-%m-%d %H:%M} for {counts or 'documents only'}, if everything is built again:")
    st.dataframe([{"stage": stage.name, "about": in_words(stage.seconds),
                   "between": f"{in_words(stage.low)} and {in_words(stage.high)}",
                   "memory": f"{stage.memory_bytes / 1e9:.1f} GB"} for stage in [*plan.stages, plan]],
                 hide_index=True, width="stretch")


def _until(begun: Callable[[], bool]) -> None:
    """Wait until what was just started says so itself; then draw the page again."""
    for _ in range(STARTS):
        time.sleep(0.1)
        if begun():
            break
    st.rerun()


def _running(progress: Progress, here: Workspace) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(f"Building: {plain(progress.stage)}", anchor=False)
        if st.button("Stop", icon=":material/stop:"):
            stop(here.folder)
    steps = f"step {progress.done:,} of {progress.total:,}" if progress.total else "getting ready"
    left = f"about {in_words(progress.left)} left" if progress.left and progress.share < 1 else ""
    st.progress(progress.share, " · ".join(filter(None, [f"{progress.share:.0%}", steps, plain(progress.note), left])))
    if curve := progress.curve:
        _figures({"Loss (smoothed)": f"{smoothed([loss for _, loss in curve.losses])[-1]:.2f}",
                  "Held-out loss": f"{curve.held_out[-1][1]:.2f}" if curve.held_out else "–",
                  "Tokens per second": f"{curve.tokens_per_second:,.0f}"})
        _chart(curve)
    _stages(progress, "Done so far")


def _ended(progress: Progress, here: Workspace) -> None:
    """How the newest build ended."""
    where = f"in the stage {plain(progress.stage)}" + (
        f", at step {progress.done:,} of {progress.total:,}" if progress.total else "")
    if progress.state == "failed":
        fault(f"The last build failed in the stage {progress.stage}: {progress.error}")
    elif progress.state == "stopped":
        st.warning(f"The last build was stopped {where}. Build again to resume.",
                   icon=":material/pause_circle:")
    elif known := release_names(here):
        _released(here, known[-1])
    _found(here)
    if progress.state != "finished" and progress.curve:
        _chart(progress.curve)
    _stages(progress, f"The last build, {progress.at.astimezone():%Y-%m-%d %H:%M}")


def _released(here: Workspace, name: str) -> None:
    """The newest release in a line, and where to look at it."""
    if doubts := read_release(here, name).doubts:
        st.warning(plain(f"{name} is built, but not all checks passed ({doubts})."), icon=":material/warning:")
    else:
        st.success(plain(f"{name} is built and passed its checks."), icon=":material/check:")
    with st.container(horizontal=True):
        for target, label, icon in AFTERWARDS:
            st.page_link(target, label=label, icon=icon)


def _found(here: Workspace) -> None:
    """What the audit found wrong when the last build began."""
    kept = here.built / FINDINGS
    wrong = [one for one in read_json(kept)["findings"] if one["severity"] == "error"] if kept.is_file() else []
    if wrong:
        place = wrong[0]["file"] + (f":{wrong[0]['line']}" if wrong[0]["line"] else "")
        st.warning(plain(f"The data check found {counted(len(wrong), 'error')}, for example: {place}: "
                         f"{wrong[0]['message']}."), icon=":material/rule:")
        st.page_link("views/examples.py", label="All findings", icon=":material/rule:")


def _stages(progress: Progress, what: str) -> None:
    if progress.seconds:
        each = " · ".join(f"{plain(name)} {in_words(seconds)}" for name, seconds in progress.seconds.items())
        st.caption(f"{what}: {each}")


def _adapter(here: Workspace) -> None:
    """What made the adapter of the last build, or what makes one."""
    folder = here.current().adapter
    if folder is None:
        if not st.session_state.building:
            st.text(f"Not trained yet. Training needs at least {FEWEST_EXAMPLES} examples and a build.")
        return
    made: dict[str, Any] = read_json(folder / "training.json")
    st.header("Last training", anchor=False)
    losses = [(step, loss) for step, loss, *_ in made["curve"]]
    held_out = held_out_points(made["held_out_loss"], made["steps"], made["settings"]["epochs"])
    kept = _kept(made)
    _figures({"Final loss (smoothed)": f"{smoothed([loss for _, loss in losses])[-1]:.2f}",
              "Held-out loss": f"{kept[1]:.2f}" if kept else "–",
              "Tokens per second": f"{made['tokens_per_second']:,.0f}", "Time": in_words(made["seconds"])})
    _chart(Curve(losses, held_out, made["step"], made["tokens_per_second"]))
    _rows(made)
    st.markdown("\n".join(f"- {plain(line)}" for line in _said(made)))


def _kept(made: Mapping[str, Any]) -> tuple[int, float] | None:
    """The epoch whose weights were kept, the last where none is named, and its held-out loss; None without any."""
    losses = made["held_out_loss"]
    epoch = made.get("best_epoch") or len(losses) - 1
    return (epoch, losses[epoch]) if losses[1:] and losses[epoch] is not None else None


def _rows(made: Mapping[str, Any]) -> None:
    """Rows by kind, and what each kind teaches."""
    learnt, apart = made["rows"], made.get("held_out_rows", {})
    st.dataframe([{"rows": kind, "learnt": learnt.get(kind, 0), "held out": apart.get(kind, 0),
                   "teaches": KINDS.get(kind, "")} for kind in sorted({*learnt, *apart})],
                 hide_index=True, width="stretch", height="content",
                 column_config={"rows": st.column_config.TextColumn(pinned=True)})


def _said(made: Mapping[str, Any]) -> list[str]:
    """The course of a training in sentences."""
    where = "the GPU" if made.get("device") == "cuda" else "the CPU"
    return [_epochs(made), _rate(made), _dtype(made),
            f"Read {made['tokens']:,} tokens in {in_words(made['seconds'])} on {where}.",
            *_preferred(made.get("preferences"))]


def _epochs(made: Mapping[str, Any]) -> str:
    """The held-out loss before and after each epoch, and which epoch was kept."""
    losses, kept = made["held_out_loss"], _kept(made)
    if not kept:
        return "There are too few examples to hold some out, so there is no held-out loss. The last epoch was kept."
    after = ", ".join(f"{loss:.3f} after epoch {epoch}" for epoch, loss in enumerate(losses[1:], 1))
    early = "; training stopped early because the loss no longer fell" if made.get("stopped_early") else ""
    return f"Held-out loss: {losses[0]:.3f} before training, {after}. Epoch {kept[0]} was kept{early}."


def _rate(made: Mapping[str, Any]) -> str:
    rate = made.get("learning_rate", made["settings"]["learning_rate"])
    tried = ", ".join(f"{float(one):g} gave {loss:.3f}" for one, loss in made.get("rates_tried", {}).items())
    return f"Learning rate {rate:g}" + (f", the best of those tried for one epoch: {tried}." if tried else ".")


def _dtype(made: Mapping[str, Any]) -> str:
    """The number format, and why."""
    speeds = ", ".join(f"{name} {speed:.0f}" for name, speed in made["measured_tokens_per_second"].items())
    weights = f"{made['learning_weights']:,} weights trained in " if "learning_weights" in made else "Trained in "
    why = f", the faster format on this machine (tokens per second: {speeds})" if speeds else ""
    return f"{weights}{made['dtype']}{why}."


def _preferred(made: Mapping[str, Any] | None) -> list[str]:
    if not made:
        return []
    return [f"{made['pairs']} preferences trained with {made['objective']}: the model prefers the better reply in "
            f"{made['prefers_better_before']:.0%} of pairs before and {made['prefers_better']:.0%} after."]


def _figures(figures: Mapping[str, str]) -> None:
    with st.container(horizontal=True):
        for name, value in figures.items():
            st.metric(name, value, width="content")


def _chart(curve: Curve) -> None:
    """Each step's loss as a dot, smoothed as a line, and the held-out losses as marks with their figures."""
    every = max(1, len(curve.losses) // POINTS)
    smooth = zip([step for step, _ in curve.losses], smoothed([loss for _, loss in curve.losses]), strict=True)
    drawn = (curve.losses[::every], list(smooth)[::every], curve.held_out)
    rows = [{"step": step, "loss": loss, "line": kind} for kind, points in zip(LINES, drawn, strict=True)
            for step, loss in points]
    kinds = list(LINES)
    base = alt.Chart(alt.Data(values=rows), height=300).encode(
        x=alt.X("step:Q", title="step", scale=alt.Scale(domain=[0, curve.steps], nice=False),
                axis=alt.Axis(tickMinStep=1, format=",d")),
        y=alt.Y("loss:Q", title="loss", scale=alt.Scale(zero=False)),
        color=alt.Color("line:N", title=None, legend=alt.Legend(orient="top"),
                        scale=alt.Scale(domain=kinds, range=list(LINES.values()))),
        tooltip=[alt.Tooltip("line:N", title="line"), alt.Tooltip("step:Q"), alt.Tooltip("loss:Q", format=".3f")])
    dots, line, marks = (base.transform_filter(alt.datum.line == kind) for kind in kinds)
    layers = [dots.mark_point(filled=True, size=22, opacity=0.5), line.mark_line(strokeWidth=2.5)]
    if curve.held_out:  # an empty layer would be a picture without a name to a screen reader
        layers += [marks.mark_point(filled=True, size=120, shape="diamond", opacity=1),
                   marks.mark_text(dy=-13, fontSize=12, fontWeight=600).encode(text=alt.Text("loss:Q", format=".2f"))]
    st.altair_chart(alt.layer(*layers), width="stretch")


page()
