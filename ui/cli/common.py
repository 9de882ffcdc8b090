"""What the commands share: arguments, JSON on stdout, one stage run alone, and a stage's result in words."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from pydantic_core import to_jsonable_python

from builder.workspace.folder import Watch, Workspace
from knowledge.errors import JudgedFailure

if TYPE_CHECKING:
    from builder.curation.audit.finding import Finding
    from builder.evaluation.report import Checks
    from builder.pipeline.index_stage import IndexSummary
    from builder.pipeline.train_stage import TrainingSummary
    from builder.workspace.releases import Gate

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The assistant's folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Result = TypeVar("Result")
SHOWN = 3
"""Findings of one kind that the audit shows as text."""


def print_json(value: Any) -> None:
    """JSON on stdout, of anything that is made of dataclasses, pydantic models, dicts and lists."""
    typer.echo(json.dumps(to_jsonable_python(value, by_alias=True), ensure_ascii=False, indent=1))


def run_stage(run: Callable[[Workspace, Watch], Result], workspace: Workspace, as_json: bool,
                      lines: Callable[[Result], Sequence[str]], wait: bool = False) -> Result:
    """Run one stage alone, print its result, and return it; with `wait`, once no build is running any more."""
    from builder.pipeline.stages import building
    from builder.workspace.progress import recorded
    from ui.cli.terminal import say, watching

    try:
        with building(workspace, wait), watching() as shown, recorded(shown, workspace) as watch:
            result = run(workspace, watch)
            shown.end()
    except JudgedFailure as failure:
        if as_json:
            print_json({"held_back": True, "broke": failure.broke})
        raise
    if as_json:
        print_json(result)
    else:
        for line in lines(result):
            say(line)
    return result


def show_findings(findings: "Sequence[Finding]", most: int | None = None) -> None:
    """The findings, most serious first, a few of each kind; or one line for each of `most` kinds, as messages."""
    from builder.curation.audit.audit import by_kind
    from ui.cli.terminal import say, show

    speak = show if most is None else say
    kinds, cost = by_kind(findings), ""
    for findings_of_kind in kinds[:most]:
        if findings_of_kind[0].cost != cost and most is None:
            cost = findings_of_kind[0].cost
            speak(f"{cost}:")
        shown = findings_of_kind[:SHOWN if most is None else 1]
        for finding in shown:
            speak(f"  {finding.severity}: {finding.place}: {finding.kind}: {finding.message}; {finding.next}")
        if len(findings_of_kind) > len(shown):
            speak(f"  … and {len(findings_of_kind) - len(shown)} more of this kind; "
                  + ("--json lists them all" if most is None else "`twofold audit` lists them"))
    if most is not None and len(kinds) > most:
        say(f"  … and {len(kinds) - most} more kinds; `twofold audit` lists them")
    if not findings:
        speak("audit: no problems found")


def index_lines(summary: "IndexSummary") -> list[str]:
    """What became of the documents."""
    from builder.pipeline.index_stage import unserved_lines

    lines = [f"can't read {failure.document}: {failure.reason}" for failure in summary.failed]
    lines += [f"left out of {path}: {line}" for path, left_out in summary.left_out.items() for line in left_out]
    lines += [f"hidden text in {path}: {flag}" for path, flags in summary.flags.items() for flag in flags]
    lines += unserved_lines(summary.unserved, summary.encoder)
    if not summary.documents:
        return [*lines, "no documents: only plain model and voice only can answer"]
    lines += [f"no longer finds its passage: {question}" for question in summary.broke]
    lines += [f"{summary.documents} documents, {summary.passages} passages ({summary.read} read, {summary.unchanged} "
              f"unchanged, {summary.removed} removed)", summary.why]
    learned = summary.answerability
    if "auroc" in learned:
        lines.append(f"Expected: answers {1 - learned['refused_answerable']:.0%} of answerable questions, and "
                     f"{learned['answered_unanswerable']:.0%} of unanswerable ones (target: "
                     f"{learned['wished_false_answers']:.0%})")
    return lines


def training_lines(summary: "TrainingSummary | None") -> list[str]:
    """What the adapter was trained on."""
    if summary is None:
        return ["too few examples to fine-tune: only plain model and documents only can answer"]
    lines = ["adapter trained on " + ", ".join(f"{count} {kind}" for kind, count in summary.rows.items()) + " rows"]
    return [*lines, "the documents changed since then; it learnt how to speak, not what they say, so it is kept "
            "(--retrain trains it again)"] if summary.outdated else lines


def check_lines(checks: "Checks | None") -> list[str]:
    """Each check in a line."""
    return [str(gate) for gate in checks.gates] if checks else []


def failed(gates: "Sequence[Gate]") -> bool:
    """Whether a gate failed, which makes a command's exit code 1; an undecided one doesn't."""
    from builder.workspace.releases import GateOutcome, gates_with

    return bool(gates_with(gates, GateOutcome.MISSED))
