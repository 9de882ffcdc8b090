"""The commands that build: audit, plan, build, index, train."""

import shlex
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from builder.workspace.folder import PLANNING, WATCHING, Watch, Workspace
from knowledge.errors import UserError
from knowledge.files import held
from ui.cli.common import (
    Folder,
    Json,
    check_lines,
    failed,
    index_lines,
    print_json,
    run_stage,
    show_findings,
    training_lines,
)
from ui.cli.evaluate import show_report

if TYPE_CHECKING:
    from builder.pipeline.index_stage import IndexSummary
    from builder.pipeline.stages import Results
    from builder.training.gpus import Range


def audit(folder: Folder, as_json: Json = False,
          fix: Annotated[bool, typer.Option("--fix", help="Write cleaned copies beside the files.")] = False) -> None:
    """Check the data, most serious problems first. Exit 1 if a problem spoils the result."""
    from builder.curation.audit import audit as auditing
    from builder.curation.audit.clean import fix as fixing
    from ui.cli.terminal import say

    workspace = Workspace(folder)
    findings = auditing.audit(workspace)
    files, changes = fixing(workspace, findings) if fix else ([], [])
    if as_json:
        print_json(auditing.as_json(findings) | (auditing.fixed_as_json(files, changes) if fix else {}))
    else:
        show_findings(findings)
        for change in changes:
            say(f"{change.action}: {change.file}:{change.line}: {change.why}")
        if fix:
            say(f"wrote {', '.join(map(str, files))}; check them, then rename those you want to use" if files else
                "nothing can be corrected automatically; no copy was written")
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


def plan(folder: Folder,
         gpu: Annotated[str, typer.Option(metavar="NAME", help="Also price the training on this GPU, e.g. L4.")] = "",
         price: Annotated[float | None, typer.Option(min=0, help="USD per hour of the GPU or this machine.")] = None,
         as_json: Json = False) -> None:
    """Show the time, memory, disk and money that a build needs. Measures for about a minute first."""
    from builder.pipeline.plan import plan as planned
    from ui.cli.terminal import show, table, watching

    workspace = Workspace(folder)
    try:
        with held(workspace.built / PLANNING, wait=False), watching() as watch:
            watch("rehearse")
            forecast = planned(workspace, gpu, price)
            watch.end()
    except BlockingIOError:  # the two would slow each other down, and both plans be wrong
        raise UserError(f"{folder}: another plan is running here; wait for it") from None
    if as_json:
        print_json(forecast.model_dump())
        return
    rows = [[stage.name, _minutes(stage.seconds), f"{_minutes(stage.low)} to {_minutes(stage.high)}",
             f"{stage.memory_bytes / 1e9:.1f} GB", f"{stage.disk_bytes / 1e6:.0f} MB"]
            for stage in [*forecast.stages, forecast]]
    table("The build on this machine", ["stage", "time", "range", "peak memory", "disk"], rows)
    show(f"Cost: {_dollars(forecast.money)}" if forecast.price_per_hour else
         "Cost: free on this machine; use --price to count USD per hour")
    if there := forecast.gpu:
        fits = "fits" if there.fits else "does NOT fit"
        show(f"The training alone on one {there.name}: {_minutes(there.low)} to {_minutes(there.high)}, "
             f"{there.memory_bytes / 1e9:.1f} GB ({fits}), {_dollars(there.money)}, prices of {there.priced}. "
             f"{there.note}")


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 100 else f"{seconds:.0f} s"


def _dollars(money: "Range") -> str:
    return f"{money.low:.2f} to {money.high:.2f} USD" if money.high >= 0.01 else "less than 0.01 USD"


Retrain = Annotated[bool, typer.Option("--retrain", help="Train again, even if only documents changed.")]


def build(folder: Folder, force: Annotated[bool, typer.Option(
        "--force", help="Continue even if test questions lose their passage.")] = False, retrain: Retrain = False,
          promote: Annotated[bool, typer.Option("--promote", help="Make the release live if all checks pass.")] = False,
          as_json: Json = False) -> None:
    """Audit, index, train, check and evaluate. Makes a release candidate; resumes if stopped. Exit 1 if a check fails.
    """
    from builder.workspace import releases
    from ui.cli.terminal import say

    workspace = Workspace(folder)
    passed = run_build(workspace, as_json, force, retrain)
    if promote:
        newest = releases.release_names(workspace)[-1]
        releases.promote(workspace, newest)
        say(f"{newest} is live")
    if not passed:
        raise typer.Exit(1)


def run_build(workspace: Workspace, as_json: bool, force: bool = False, retrain: bool = False) -> bool:
    """Run all stages, showing each as it goes, and at the end the verdict; whether all checks passed.

    Where a person sits at the terminal and only documents changed since the training, asks whether to train again.
    """
    from builder.pipeline import stages
    from builder.pipeline.train_stage import documents_changed
    from builder.workspace.progress import recorded
    from ui.cli.terminal import say, watching

    if not retrain and not as_json and sys.stdin.isatty() and documents_changed(workspace):
        retrain = typer.confirm("Only documents changed since the training. It taught how to speak, not what the "
                                "documents say, so it can stay. Train again?", err=True)
    results = stages.Results()
    with stages.building(workspace), watching() as shown, recorded(shown, workspace) as watch:
        for stage, results in stages.build(workspace, watch, force, retrain):
            shown.end()
            if not as_json:
                _show_stage(stage, results)
    if as_json:
        print_json({"audit": len(results.findings or []), "index": results.index, "train": results.training,
                    "check": results.checks, "evaluate": results.report, "release": results.release,
                    "seconds": shown.seconds})
    elif results.report:
        show_report(results.report, workspace)
        for gate in results.report.gates:
            say(str(gate))
    from builder.workspace.releases import doubts_of

    place = shlex.quote(str(workspace.folder))
    say(f"built in {sum(shown.seconds.values()):.0f} s; next: twofold ask {place} \"…\", or twofold app {place}")
    if doubts := doubts_of(results.gates):
        say(f"{doubts}; to promote {results.release} anyway, use --force")
    return not failed(results.gates)


def _show_stage(stage: str, results: "Results") -> None:
    """What a finished stage has to say, as messages."""
    from ui.cli.terminal import say

    if stage == "audit":
        show_findings(results.findings or [], most=5)
    elif stage == "index" and results.index:
        _say_all(index_lines(results.index))
    elif stage == "train":
        _say_all(training_lines(results.training))
    elif stage == "check":
        _say_all(check_lines(results.checks))
    elif stage == "evaluate" and results.report is None:
        say("no test questions, so nothing is tested; add some to questions.jsonl")
    elif stage == "release":
        say(f"release candidate {results.release}")


def _say_all(lines: list[str]) -> None:
    from ui.cli.terminal import say

    for line in lines:
        say(line)


def index(folder: Folder,
          force: Annotated[bool, typer.Option("--force", help="Switch even if questions lose their passage.")] = False,
          fetch: Annotated[bool, typer.Option("--fetch", help="First fetch the pages listed in .urls files.")] = False,
          rollback: Annotated[bool, typer.Option("--rollback", help="Go back to the previous index.")] = False,
          watch: Annotated[bool, typer.Option("--watch", help="Keep running; index again after each change.")] = False,
          as_json: Json = False) -> None:
    """Read the documents and index their passages. Only changed documents are read again."""
    from builder.pipeline.index_stage import build_index, fetch_pages, roll_back_index
    from builder.pipeline.stages import building
    from ui.cli.terminal import say
    from ui.cli.watch import changes

    workspace = Workspace(folder)
    if rollback:
        with building(workspace):
            say(f"index {roll_back_index(workspace)} is in use again, until the next `twofold index`")
        return

    def run(workspace: Workspace, watch: Watch) -> "IndexSummary":
        failed = fetch_pages(workspace, watch) if fetch else []
        summary = build_index(workspace, watch, force)
        return replace(summary, failed=[*failed, *summary.failed])

    if not watch:
        run_stage(run, workspace, as_json, index_lines)
        return
    if not (folder / "documents").is_dir():
        raise UserError(f"{folder / 'documents'}: not found; make this folder, then run the command again")
    try:
        with held(workspace.built / WATCHING, wait=False):
            for _ in changes(folder / "documents"):
                try:
                    run_stage(run, Workspace(folder), as_json, index_lines, wait=True)
                except UserError as error:  # the old index still answers; the next change may mend it
                    say(f"twofold: {error}")
                say("watching for changes; press Ctrl-C to stop")
    except BlockingIOError:
        raise UserError(f"{folder}: is already being watched; stop that process first") from None


def train(folder: Folder, retrain: Retrain = False, as_json: Json = False) -> None:
    """Fine-tune the adapter on the examples."""
    from builder.pipeline.train_stage import train as fine_tune

    run_stage(partial(fine_tune, again=retrain), Workspace(folder), as_json, training_lines)


def clean(folder: Folder, as_json: Json = False) -> None:
    """Remove what nothing needs: old releases that never were live, unused parts, remembered replies."""
    from builder.pipeline.stages import building
    from builder.workspace.clean import clean as cleaning
    from ui.cli.terminal import say

    workspace = Workspace(folder)
    with building(workspace):
        gone = cleaning(workspace)
    if as_json:
        print_json(gone)
        return
    names = f" and the releases {', '.join(gone.releases)}" if gone.releases else ""
    say(f"removed {gone.parts} unused parts{names}: {gone.bytes / 1e6:.0f} MB" if gone.bytes else "nothing to remove")
