"""The commands that build and judge: audit, plan, build, index, train, evaluate."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from builder.workspace import Workspace
from knowledge.errors import JudgedFailure, UserError

if TYPE_CHECKING:
    from builder.pipeline import Watch

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The workspace's folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def print_json(value: Any) -> None:
    """JSON on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1))


def audit(folder: Folder, as_json: Json = False) -> None:
    """What is wrong with the data, before a minute is spent on training; exit 1 if something spoils the result."""
    from builder import audit as auditing

    findings = auditing.audit(Workspace(folder))
    if as_json:
        print_json(auditing.as_json(findings))
    else:
        _show_findings(findings)
    if any(one.severity == "error" for one in findings):
        raise typer.Exit(1)


def _show_findings(findings: list[Any], most: int | None = None) -> None:
    from ui.terminal import say, show

    speak = show if most is None else say
    for one in findings[:most]:
        place = f"{one.file}:{one.line}" if one.line else one.file
        speak(f"{one.severity}: {place}: {one.kind}: {one.message}; {one.next}")
    if most is not None and len(findings) > most:
        say(f"… and {len(findings) - most} more; `twofold audit` lists them")
    if not findings:
        speak("audit: nothing is wrong")


def plan(folder: Folder, as_json: Json = False) -> None:
    """Time, memory and disk of the build on this machine, before it starts."""
    from builder.plan import plan as planned
    from ui.terminal import table

    made = planned(Workspace(folder))
    if as_json:
        print_json(made)
        return
    rows = [[stage["name"], f"{stage['seconds']:.0f} s", f"{stage['memory_bytes'] / 1e9:.1f} GB",
             f"{stage['disk_bytes'] / 1e6:.0f} MB"] for stage in made["stages"]]
    table(f"About {made['seconds'] / 60:.0f} minutes on this machine", ["stage", "time", "memory", "disk"], rows)


def build(folder: Folder,
          force: Annotated[bool, typer.Option("--force", help="Go on even if questions lose their passage.")] = False,
          as_json: Json = False) -> None:
    """Audit, index, train, evaluate: a release candidate; resumes where it was stopped."""
    run_build(Workspace(folder), as_json, force)


def run_build(workspace: Workspace, as_json: bool, force: bool = False) -> None:
    """Run all stages, showing each as it goes, and at the end what each half earned."""
    from builder import pipeline
    from builder.audit import audit as audited
    from ui.terminal import say, watching

    results: dict[str, Any] = {}
    with pipeline.building(workspace), watching() as watch:
        watch("audit")
        findings = audited(workspace)
        watch.end()
        if not as_json:
            _show_findings(findings, most=5)
        for stage, result in pipeline.build(workspace, watch, force):
            watch.end()
            results[stage] = result
            if not as_json:
                for line in _lines(stage, result):
                    say(line)
    if as_json:
        print_json(results | {"audit": len(findings), "seconds": watch.seconds})
    elif results["evaluate"]:
        _show_report(results["evaluate"], workspace)
    place = shlex.quote(str(workspace.folder))
    say(f"built in {sum(watch.seconds.values()):.0f} s; next: twofold ask {place} \"…\", or twofold app {place}")


def _lines(stage: str, result: Any) -> list[str]:
    """What a finished stage has to say in words."""
    if stage == "index":
        failed = [f"left out {one['document']}: {one['reason']}" for one in result["failed"]]
        failed += [f"hidden text in {path}, {line}" for path, lines in result["flags"].items() for line in lines]
        if not result["documents"]:
            return [*failed, "no documents: nothing is retrieved, so only two of the four systems exist"]
        broke = [f"no longer finds its passage: {question}" for question in result["broke"]]
        return [*failed, *broke, f"{result['documents']} documents, {result['passages']} passages "
                f"({result['read']} read, {result['unchanged']} unchanged, {result['removed']} removed)", result["why"],
                *_expected(result["answerability"])]
    if stage == "train":
        if result is None:
            return ["too few examples: nothing is fine-tuned, so only two of the four systems exist"]
        rows = ", ".join(f"{count} {kind}" for kind, count in result["rows"].items())
        return [f"adapter made from {rows} rows"]
    if stage == "evaluate" and result is None:
        return ["no questions: nothing is judged; add questions.jsonl to see what each half earned"]
    return [f"release candidate {result}"] if stage == "release" else []


def _expected(learned: dict[str, float]) -> list[str]:
    """How often the index will answer, as far as it could learn that from its own passages and the examples."""
    if "auroc" not in learned:
        return []
    return [f"it should answer {1 - learned['refused_answerable']:.0%} of the questions that the documents answer, and "
            f"{learned['answered_unanswerable']:.0%} of those that they don't or only nearly do "
            f"({learned['wished_false_answers']:.0%} wished)"]


def _show_report(report: dict[str, Any], workspace: Workspace) -> None:
    from builder.report import rows_for_terminal
    from ui.terminal import show, table

    headers, rows = rows_for_terminal(report)
    table(f"{report['name']}: {report['questions']} questions, {report['unanswerable']} of them unanswerable; "
          "[95 % interval]", headers, rows)
    show(report["verdict"])
    folder = workspace.current().evaluation
    if folder:
        show(f"Whole report: {folder / 'report.html'}")


def index(folder: Folder,
          force: Annotated[bool, typer.Option("--force", help="Swap even if questions lose their passage.")] = False,
          fetch: Annotated[bool, typer.Option("--fetch", help="First fetch the pages that .urls files list.")] = False,
          rollback: Annotated[bool, typer.Option("--rollback", help="Go back to the index before.")] = False,
          watch: Annotated[bool, typer.Option("--watch", help="Stay, and index again after each change.")] = False,
          as_json: Json = False) -> None:
    """Read the documents and index their passages; only what changed is read again."""
    from builder.pipeline import build_index, building, fetch_pages, roll_back_index
    from ui.terminal import say
    from ui.watch import changes

    workspace = Workspace(folder)
    if rollback:
        with building(workspace):
            say(f"index {roll_back_index(workspace)} is in use again, until the next `twofold index`")
        return

    def run(workspace: Workspace, watch: "Watch") -> dict[str, Any]:
        failed = fetch_pages(workspace, watch) if fetch else []
        made = build_index(workspace, watch, force)
        return made | {"failed": failed + made["failed"]}

    if not watch:
        _run_stage("index", run, workspace, as_json)
        return
    if not (folder / "documents").is_dir():
        raise UserError(f"{folder / 'documents'}: not found; make the folder, then run the command again")
    for _ in changes(folder / "documents"):
        try:
            _run_stage("index", run, Workspace(folder), as_json)
        except UserError as error:  # the old index still answers; the next change may mend it
            say(f"twofold: {error}")
        say("watching; Ctrl-C ends it")


def train(folder: Folder, as_json: Json = False) -> None:
    """Fine-tune the adapter on the examples."""
    from builder.pipeline import train as fine_tune

    _run_stage("train", fine_tune, Workspace(folder), as_json)


def _run_stage(name: str, run: Callable[[Workspace, "Watch"], Any], workspace: Workspace, as_json: bool) -> None:
    """Run one stage alone and say what came of it."""
    from builder.pipeline import building
    from ui.terminal import say, watching

    try:
        with building(workspace), watching() as watch:
            result = run(workspace, watch)
            watch.end()
    except JudgedFailure as failure:
        if as_json:
            print_json({"held_back": True, "broke": failure.broke})
        raise
    if as_json:
        print_json(result)
    else:
        for line in _lines(name, result):
            say(line)


def evaluate(folder: Folder, retrieval: Annotated[bool, typer.Option(help="Judge the index alone.")] = False,
             as_json: Json = False) -> None:
    """Judge the four systems on the questions: a table, differences with intervals, a verdict."""
    from builder import pipeline
    from ui.terminal import watching

    workspace = Workspace(folder)
    if retrieval:
        made = pipeline.evaluate_retrieval(workspace)
        if as_json:
            print_json(made)
            return
        _show_retrieval(made)
        return
    with pipeline.building(workspace), watching() as watch:
        report = pipeline.evaluate(workspace, watch)
        watch.end()
    if report is None:
        raise UserError(f"{workspace.folder / 'questions.jsonl'}: holds no questions; add some to be judged")
    if as_json:
        print_json({key: value for key, value in report.items() if key != "rows"})
    else:
        _show_report(report, workspace)


def _show_retrieval(made: dict[str, Any]) -> None:
    """Scores, what they don't say, and each miss with what came instead."""
    from ui.terminal import show, table

    limits = made["answerability"]
    scores = {name: value for name, value in made.items() if isinstance(value, dict) and "value" in value}
    scores |= {f"AUROC, {name.replace('_', ' ')}": limits[name] for name in ("elsewhere", "unanswerable", "near_misses")
               if limits[name]}
    rows = [[name, f"{one['value']:.3f}", f"[{one['low']:.3f}, {one['high']:.3f}]" if one["low"] is not None else "",
             str(one["n"])] for name, one in scores.items()]
    table(f"Retrieval on {made['questions']} questions", ["score", "value", "95 % interval", "n"], rows)
    show("Right passage told by: " + ", ".join(f"{name} {count}" for name, count in made["right_by"].items()))
    false = ", ".join(f"{value:.0%} of {name.replace('_', ' ')}" for name, value in limits["false_answers"].items()
                      if value is not None)
    show(f"From probability {limits['threshold']:.2f} on it answers: {limits['answered']:.0%} of the answerable, "
         f"{false} ({limits['wished_false_answers']:.0%} wished)")
    table("How far the probability can be trusted", ["it says", "found its passage", "questions"],
          [[f"{one['predicted']:.0%}", f"{one['observed']:.0%}", str(one["n"])] for one in limits["reliability"]])
    for miss in made["misses"]:
        show(f"missed (line {miss['line']}): {miss['question']}\n  wanted {'; '.join(miss['right'])}\n  came   "
             + "\n         ".join(miss["came"]))
