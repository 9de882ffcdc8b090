"""The commands that test: check, evaluate, ablate."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from ui.cli.common import Folder, Json, check_lines, failed, print_json, run_stage

if TYPE_CHECKING:
    from builder.evaluation.evaluate import Power
    from builder.evaluation.model_judge import ModelJudge
    from builder.evaluation.report import Estimate, Report, Retrieval
    from builder.pipeline.experiments import Ablation


def check(folder: Folder, as_json: Json = False) -> None:
    """Check the adapter: is it served as trained, what did it forget and memorise. Exit 1 if a check fails."""
    from builder.pipeline.stages import check as check_stage

    checks = run_stage(check_stage, Workspace(folder), as_json, check_lines)
    if checks is None:
        raise UserError(f"{folder}: has no adapter to check; run `twofold train {shlex.quote(str(folder))}`")
    if failed(checks.gates):
        raise typer.Exit(1)


def evaluate(folder: Folder, retrieval: Annotated[bool, typer.Option(help="Test the index alone.")] = False,
             arm: Annotated[list[str] | None, typer.Option(
                 "--arm", help="Add a comparison arm (repeatable): few-shot, few-shot-rag, oracle-rag, oracle-hybrid, "
                 "wrong-rag, wrong-hybrid, ordered-rag, ordered-hybrid, stuffed, untaught (trains for minutes); or "
                 "all.")] = None,
             paraphrases: Annotated[bool, typer.Option(help="Also ask each question in its other wordings.")] = False,
             samples: Annotated[int, typer.Option(
                 min=0, max=10, help="Sample N extra replies per question to test consistency.")] = 0,
             replies: Annotated[Path | None, typer.Option(
                 help="Adds other systems' replies as rows, from a promptfoo or inspect file.")] = None,
             seeds: Annotated[int, typer.Option(
                 min=1, max=10, help="Train with N seeds in total; takes minutes per seed.")] = 1,
             judge: Annotated[str, typer.Option(
                 help="Also ask this model's opinion: URL#MODEL of an OpenAI-compatible endpoint.")] = "",
             price: Annotated[float, typer.Option(min=0, help="Price of one hour of this machine.")] = 0,
             against: Annotated[str, typer.Option(help="Compare with this release, e.g. r001.")] = "",
             power: Annotated[float | None, typer.Option(
                 min=0.001, max=1, help="Show how many questions are needed to detect a difference of this size; runs "
                 "nothing.")] = None,
             as_json: Json = False) -> None:
    """Test the four systems: scores, differences with intervals, and a verdict. Exit 1 if a check fails."""
    from builder.evaluation import evaluate as evaluation
    from builder.evaluation.arms import ARMS, Extras
    from builder.evaluation.compare_releases import compare_with_release
    from builder.evaluation.report import last_report
    from builder.pipeline import index_stage, stages
    from builder.workspace.progress import recorded
    from ui.cli.terminal import show, watching

    workspace = Workspace(folder)
    if retrieval:
        found = index_stage.evaluate_retrieval(workspace)
        print_json(found) if as_json else _show_retrieval(found)
        return
    if power:
        needed = evaluation.power(last_report(workspace), power)
        print_json({"difference": power, "needed": needed}) if as_json else _show_power(needed, power)
        return
    with stages.building(workspace), watching() as shown, recorded(shown, workspace) as watch:
        arms = tuple(known.name for known in ARMS) if arm == ["all"] else tuple(arm or ())
        report = stages.evaluate(workspace, watch, Extras(arms, paraphrases, samples, seeds, replies, _model(judge)))
        shown.end()
    if report is None:
        raise UserError(f"{workspace.folder / 'questions.jsonl'}: has no test questions; add some, then try again")
    compared = compare_with_release(workspace, report, against) if against else None
    if as_json:
        content = report.as_json()
        del content["rows"]
        print_json(content | ({"against": compared} if compared else {}))
    else:
        show_report(report, workspace, price)
        for line in compared.lines() if compared else ():
            show(line)
        for gate in report.gates:
            show(str(gate))
    if failed(report.gates):
        raise typer.Exit(1)


def _model(address: str) -> "ModelJudge | None":
    """The model that URL#MODEL names; UserError where it names none."""
    from builder.evaluation.model_judge import ModelJudge

    url, _, model = address.partition("#")
    if address and not (url.startswith(("http://", "https://")) and model):
        raise UserError(f"--judge {address}: is not URL#MODEL; write it like http://localhost:8000/v1#name")
    return ModelJudge(url, model) if address else None


def _show_power(needed: "Sequence[Power]", difference: float) -> None:
    from ui.cli.terminal import table

    table(f"Questions needed to detect a difference of {difference:g} in 80 % of tests",
          ["score", "pair", "asked", "needed"],
          [[pair.score, f"{pair.left} − {pair.right}".strip(" −") or "not evaluated yet: a rough guess",
            str(pair.asked), f"{pair.needed:,}"] for pair in needed])


def _show_retrieval(found: "Retrieval") -> None:
    """Scores, what they don't say, and each miss with what came instead."""
    from ui.cli.terminal import show, table

    limits = found.answerability
    kinds = {"elsewhere": limits.elsewhere, "unanswerable": limits.unanswerable, "near misses": limits.near_misses}
    scores = found.scores | {f"AUROC, {kind}": auroc for kind, auroc in kinds.items() if auroc}
    rows = [[name, f"{one.value:.3f}", "" if one.low is None else f"[{one.low:.3f}, {one.high:.3f}]", str(one.n)]
            for name, one in scores.items()]
    table(f"Retrieval on {found.questions} questions", ["score", "value", "95 % interval", "n"], rows)
    show("How the right passage was identified: "
         + ", ".join(f"{rule} {count}" for rule, count in found.right_by.items()))
    false = ", ".join(f"{value:.0%} of {name.replace('_', ' ')}" for name, value in limits.false_answers.items()
                      if value is not None)
    show(f"It answers from probability {limits.threshold:.2f} on: {limits.answered:.0%} of answerable questions, "
         f"{false} (target: {limits.wished_false_answers:.0%})")
    table("Can you trust the probability?", ["stated", "passage found", "questions"],
          [[f"{one.predicted:.0%}", f"{one.observed:.0%}", str(one.n)] for one in limits.reliability])
    for miss in found.misses:
        show(f"missed (line {miss.line}): {miss.question}\n  right  {'; '.join(miss.right)}\n  found  "
             + "\n         ".join(miss.came))


def show_report(report: "Report", workspace: Workspace, price: float = 0) -> None:
    """The table, the verdict, and where the whole report lies; with the `price` of an hour what replies cost."""
    from builder.evaluation.model_judge import lines
    from builder.report.pages import rows_for_terminal
    from builder.report.sections import COSTS, cost_rows, seed_rows
    from ui.cli.terminal import show, table

    headers, rows = rows_for_terminal(report)
    table(f"{report.name}: {report.questions} test questions, {report.unanswerable} of them unanswerable; "
          "[95 % interval]", headers, rows)
    if price:
        table(f"What a reply costs, at {price:g} per hour", ["System", *COSTS.values(), "Money for 1,000"],
              [[*row, f"{report.costs[row[0]].hours_per_thousand * price:.3f}"] for row in cost_rows(report)])
    if report.seeds and (seeds := seed_rows(report)):
        table(f"Training seeds {', '.join(map(str, report.seeds.seeds))}",
              ["Score", "Pair", "By seed", "Spread", "Mean over seeds [95 % interval over questions]"], seeds)
    show(report.verdict)
    for line in lines(report.model_judge):
        show(line)
    if folder := workspace.current().evaluation:
        show(f"Full report: {folder / 'report.html'}")


def ablate(folder: Folder,
           arm: Annotated[list[str] | None, typer.Option("--arm", help="Only this arm (repeatable).")] = None,
           as_json: Json = False) -> None:
    """Train without one part of the training data at a time, to see what each is worth. Takes minutes per arm."""
    from builder.pipeline.experiments import ablate as run_ablation
    from builder.pipeline.stages import building
    from builder.workspace.progress import recorded
    from ui.cli.terminal import watching

    workspace = Workspace(folder)
    with building(workspace), watching() as shown, recorded(shown, workspace) as watch:
        ablation = run_ablation(workspace, arm or (), watch)
        shown.end()
    print_json(ablation) if as_json else _show_ablation(ablation)


def _show_ablation(ablation: "Ablation") -> None:
    """Each arm's scores, and its differences from the build as it is set."""
    from ui.cli.terminal import table

    def figures(score: "Estimate | None") -> str:
        return "–" if score is None or score.value is None else f"{score.value:.2f} [{score.low:.2f}, {score.high:.2f}]"

    rows = [[name, f"{arm.held_out_loss[-1]:.3f}" if arm.held_out_loss[-1] else "–", f"{arm.seconds:.0f}",
             *(figures(arm.systems.get(system, {}).get(score))
               for system in ("hybrid", "fine-tune-only") for score in ("facts", "tone"))]
            for name, arm in ablation.arms.items()]
    table(f"Ablation on {ablation.questions} test questions; [95 % interval]",
          ["arm", "held-out loss", "training s", "hybrid facts", "hybrid tone", "tuned facts", "tuned tone"], rows)
    rows = [[pair.arm, pair.system, pair.score, f"{pair.value:+.2f} [{pair.low:+.2f}, {pair.high:+.2f}]",
             f"{pair.adjusted:.3f}", f"{pair.detectable:.2f}"]
            for pair in ablation.differences if pair.adjusted is not None]
    table("Compared with the build as set", ["arm", "system", "score", "difference", "p (Holm)", "detectable"], rows)
