"""The commands that build: audit, plan, build, index, train."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from builder.workspace.folder import FINDINGS, PLANNING, WATCHING, Watch, Workspace
from knowledge.errors import UserError
from knowledge.files import held, write_json
from ui.cli.common import Folder, Json, gate_line, lines_of, print_json, run_stage

SHOWN = 3
"""Findings of one kind that the audit shows as text."""


def audit(folder: Folder, as_json: Json = False,
          html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write it as a page, too.")] = None,
          fix: Annotated[bool, typer.Option("--fix", help="Write cleaned copies beside the data.")] = False) -> None:
    """What is wrong with the data, the dearest first, before a build; exit 1 if something spoils the result."""
    from builder.curation.audit import audit as auditing
    from builder.curation.audit.clean import fix as fixing
    from builder.curation.audit.page import to_html
    from knowledge.files import write_text
    from ui.cli.terminal import say

    workspace = Workspace(folder)
    findings = auditing.audit(workspace)
    files, changes = fixing(workspace, findings) if fix else ([], [])
    if html:
        write_text(html, to_html(workspace.brand.name, findings))
    if as_json:
        print_json(auditing.as_json(findings) | (auditing.fixed_as_json(files, changes) if fix else {}))
    else:
        _show_findings(findings)
        for change in changes:
            say(f"{change.action}: {change.file}:{change.line}: {change.why}")
        if fix:
            say(f"wrote {', '.join(map(str, files))}; check and rename what you want to keep" if files else
                "nothing can be mended without a person: no copy is written")
    if any(one.severity == "error" for one in findings):
        raise typer.Exit(1)


def _show_findings(findings: list[Any], most: int | None = None) -> None:
    """The findings under what they would cost, the first few of each kind; or one line for each of `most` kinds."""
    from builder.curation.audit.audit import by_kind
    from ui.cli.terminal import say, show

    speak = show if most is None else say
    kinds, cost = by_kind(findings), ""
    for some in kinds[:most]:
        if some[0].cost != cost and most is None:
            cost = some[0].cost
            speak(f"{cost}:")
        shown = some[:SHOWN if most is None else 1]
        for one in shown:
            speak(f"  {one.severity}: {one.place}: {one.kind}: {one.message}; {one.next}")
        if len(some) > len(shown):
            speak(f"  … and {len(some) - len(shown)} more of this kind; "
                  + ("--json and --html list them" if most is None else "`twofold audit` lists them"))
    if most is not None and len(kinds) > most:
        say(f"  … and {len(kinds) - most} more kinds; `twofold audit` lists them")
    if not findings:
        speak("audit: nothing is wrong")


def plan(folder: Folder,
         gpu: Annotated[str, typer.Option(metavar="NAME", help="Price the training on this GPU, such as L4.")] = "",
         price: Annotated[float | None, typer.Option(min=0, help="USD an hour, of the GPU or of this machine.")] = None,
         as_json: Json = False) -> None:
    """Time, peak memory, disk and money of the build, before it starts, from a minute of its real parts."""
    from builder.pipeline.plan import plan as planned
    from ui.cli.terminal import show, table, watching

    workspace = Workspace(folder)
    try:
        with held(workspace.built / PLANNING, wait=False), watching() as watch:
            watch("rehearse")
            made = planned(workspace, gpu, price)
            watch.end()
    except BlockingIOError:  # the two would slow each other down, and both plans be wrong
        raise UserError(f"{folder}: is planned already; wait for that plan") from None
    if as_json:
        print_json(made)
        return
    rows = [[stage["name"], _minutes(stage["seconds"]), f"{_minutes(stage['low'])} to {_minutes(stage['high'])}",
             f"{stage['memory_bytes'] / 1e9:.1f} GB", f"{stage['disk_bytes'] / 1e6:.0f} MB"]
            for stage in [*made["stages"], made | {"name": "whole"}]]
    table("The build on this machine", ["stage", "time", "range", "peak memory", "disk"], rows)
    show(f"Money: {_dollars(made['money'])}" if made["price_per_hour"] else
         "Money: no charge on this machine; --price N counts N USD an hour")
    if there := made["gpu"]:
        fits = "fits" if there["fits"] else "does NOT fit"
        show(f"The training alone on one {there['name']}: {_minutes(there['low'])} to {_minutes(there['high'])}, "
             f"{there['memory_bytes'] / 1e9:.1f} GB ({fits}), {_dollars(there['money'])}, prices of {there['priced']}. "
             f"{there['note']}")


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 100 else f"{seconds:.0f} s"


def _dollars(money: dict[str, float]) -> str:
    return f"{money['low']:.2f} to {money['high']:.2f} USD" if money["high"] >= 0.01 else "less than 0.01 USD"


def build(folder: Folder,
          force: Annotated[bool, typer.Option("--force", help="Go on even if questions lose their passage.")] = False,
          as_json: Json = False) -> None:
    """Audit, index, train, check, evaluate: a release candidate; resumes where it stopped; exit 1 on a missed gate."""
    if not run_build(Workspace(folder), as_json, force):
        raise typer.Exit(1)


def run_build(workspace: Workspace, as_json: bool, force: bool = False) -> bool:
    """Run all stages, showing each as it goes, and at the end what each half earned; whether all gates are met."""
    from builder.curation.audit.audit import as_json as as_findings
    from builder.curation.audit.audit import audit as audited
    from builder.pipeline import stages
    from builder.workspace.progress import recorded
    from ui.cli.evaluate import show_report
    from ui.cli.terminal import say, watching

    results: dict[str, Any] = {}
    with stages.building(workspace), watching() as shown, recorded(shown, workspace) as watch:
        watch("audit")
        findings = audited(workspace)
        write_json(workspace.built / FINDINGS, as_findings(findings))
        shown.end()
        if not as_json:
            _show_findings(findings, most=5)
        for stage, result in stages.build(workspace, watch, force):
            shown.end()
            results[stage] = result
            if not as_json:
                for line in lines_of(stage, result):
                    say(line)
    if as_json:
        print_json(results | {"audit": len(findings), "seconds": shown.seconds})
    elif results["evaluate"]:
        show_report(results["evaluate"], workspace)
        for gate in results["evaluate"]["gates"]:
            say(gate_line(gate))
    place = shlex.quote(str(workspace.folder))
    say(f"built in {sum(shown.seconds.values()):.0f} s; next: twofold ask {place} \"…\", or twofold app {place}")
    missed = [gate["name"] for stage in ("check", "evaluate") for gate in (results[stage] or {}).get("gates", [])
              if not gate["met"]]
    if missed:
        say(f"missed: {', '.join(missed)}; {results['release']} can be promoted with --force only")
    return not missed


def index(folder: Folder,
          force: Annotated[bool, typer.Option("--force", help="Swap even if questions lose their passage.")] = False,
          fetch: Annotated[bool, typer.Option("--fetch", help="First fetch the pages that .urls files list.")] = False,
          rollback: Annotated[bool, typer.Option("--rollback", help="Go back to the index before.")] = False,
          watch: Annotated[bool, typer.Option("--watch", help="Stay, and index again after each change.")] = False,
          as_json: Json = False) -> None:
    """Read the documents and index their passages; only what changed is read again."""
    from builder.pipeline.index_stage import build_index, fetch_pages, roll_back_index
    from builder.pipeline.stages import building
    from ui.cli.terminal import say
    from ui.cli.watch import changes

    workspace = Workspace(folder)
    if rollback:
        with building(workspace):
            say(f"index {roll_back_index(workspace)} is in use again, until the next `twofold index`")
        return

    def run(workspace: Workspace, watch: Watch) -> dict[str, Any]:
        failed = fetch_pages(workspace, watch) if fetch else []
        made = build_index(workspace, watch, force)
        return made | {"failed": failed + made["failed"]}

    if not watch:
        run_stage("index", run, workspace, as_json)
        return
    if not (folder / "documents").is_dir():
        raise UserError(f"{folder / 'documents'}: not found; make the folder, then run the command again")
    try:
        with held(workspace.built / WATCHING, wait=False):
            for _ in changes(folder / "documents"):
                try:
                    run_stage("index", run, Workspace(folder), as_json, wait=True)
                except UserError as error:  # the old index still answers; the next change may mend it
                    say(f"twofold: {error}")
                say("watching; Ctrl-C ends it")
    except BlockingIOError:
        raise UserError(f"{folder}: is watched already; stop that one first") from None


def train(folder: Folder, as_json: Json = False) -> None:
    """Fine-tune the adapter on the examples."""
    from builder.pipeline.train_stage import train as fine_tune

    run_stage("train", fine_tune, Workspace(folder), as_json)
