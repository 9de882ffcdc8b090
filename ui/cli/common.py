"""What the commands share: the argument for the folder, JSON on stdout, one stage run alone, its result in words."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from builder.workspace.folder import Watch, Workspace
from knowledge.errors import JudgedFailure

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The workspace's folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def print_json(value: Any) -> None:
    """JSON on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1))


def run_stage(name: str, run: Callable[[Workspace, Watch], Any], workspace: Workspace, as_json: bool,
              wait: bool = False) -> Any:
    """Run one stage alone, say what came of it, and return that; with `wait`, once no build is at work any more."""
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
        for line in lines_of(name, result):
            say(line)
    return result


def lines_of(stage: str, result: Any) -> list[str]:
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
    if stage == "check":
        return [gate_line(gate) for gate in (result["gates"] if result else [])]
    if stage == "evaluate" and result is None:
        return ["no questions: nothing is judged; add questions.jsonl to see what each half earned"]
    return [f"release candidate {result}"] if stage == "release" else []


def gate_line(gate: dict[str, Any]) -> str:
    """A gate in one line: met or missed, by what, and what to do."""
    return (f"{'met' if gate['met'] else 'MISSED'}: {gate['name']}: {gate['said']}"
            + (f"; {gate['next']}" if gate["next"] else ""))


def _expected(learned: dict[str, float]) -> list[str]:
    """How often the index will answer, as far as it could learn that from its own passages and the examples."""
    if "auroc" not in learned:
        return []
    return [f"it should answer {1 - learned['refused_answerable']:.0%} of the questions that the documents answer, and "
            f"{learned['answered_unanswerable']:.0%} of those that they don't or only nearly do "
            f"({learned['wished_false_answers']:.0%} wished)"]
