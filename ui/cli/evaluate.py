"""The commands that judge: check, evaluate, ablate."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from ui.cli.common import Folder, Json, gate_line, print_json, run_stage

if TYPE_CHECKING:
    from builder.evaluation.model_judge import ModelJudge

def check(folder: Folder, as_json: Json = False) -> None:
    """Is the adapter served as it was trained, what did it forget and memorise; exit 1 if a gate is missed."""
    from builder.pipeline.stages import check as checked

    result = run_stage("check", checked, Workspace(folder), as_json)
    if result is None:
        raise UserError(f"{folder}: has no adapter to check; run `twofold train {shlex.quote(str(folder))}`")
    if not all(gate["met"] for gate in result["gates"]):
        raise typer.Exit(1)


def evaluate(folder: Folder, retrieval: Annotated[bool, typer.Option(help="Judge the index alone.")] = False,
             arm: Annotated[list[str] | None, typer.Option(
                 "--arm", help="One arm more: few-shot, few-shot-rag, oracle-rag, oracle-hybrid, wrong-rag, "
                 "wrong-hybrid, ordered-rag, ordered-hybrid, stuffed, untaught (trains for minutes); or all.")] = None,
             paraphrases: Annotated[bool, typer.Option(help="Ask each question in all its wordings too.")] = False,
             samples: Annotated[int, typer.Option(
                 min=0, max=10, help="Draw so many replies more to each question: do they hold?")] = 0,
             replies: Annotated[Path | None, typer.Option(
                 help="Other systems' replies, as promptfoo or inspect wrote them: rows more.")] = None,
             seeds: Annotated[int, typer.Option(
                 min=1, max=10, help="Train with so many seeds in all, minutes each.")] = 1,
             judge: Annotated[str, typer.Option(
                 help="Ask this model's opinion too: URL#MODEL of an OpenAI-compatible endpoint.")] = "",
             price: Annotated[float, typer.Option(min=0, help="Money for an hour of this machine.")] = 0,
             against: Annotated[str, typer.Option(help="A release to compare with, such as r001.")] = "",
             power: Annotated[float | None, typer.Option(
                 min=0.001, max=1, help="How many questions a difference of this size needs; asks nothing.")] = None,
             as_json: Json = False) -> None:
    """Judge the four systems on the questions: a table, differences with intervals, a verdict; exit 1 on a missed gate.
    """
    from builder.evaluation import evaluate as evaluation
    from builder.evaluation.arms import ARMS, Extras
    from builder.evaluation.compare_releases import against as compared_with
    from builder.evaluation.compare_releases import told
    from builder.pipeline import index_stage, stages
    from builder.workspace.progress import recorded
    from ui.cli.terminal import show, watching

    workspace = Workspace(folder)
    if retrieval:
        made = index_stage.evaluate_retrieval(workspace)
        if as_json:
            print_json(made)
            return
        _show_retrieval(made)
        return
    if power:
        _show_power(evaluation.power(workspace.report(), power), power, as_json)
        return
    with stages.building(workspace), watching() as shown, recorded(shown, workspace) as watch:
        arms = tuple(one.name for one in ARMS) if arm == ["all"] else tuple(arm or ())
        report = stages.evaluate(workspace, watch, Extras(arms, paraphrases, samples, seeds, replies, _model(judge)))
        shown.end()
    if report is None:
        raise UserError(f"{workspace.folder / 'questions.jsonl'}: holds no questions; add some to be judged")
    compared = compared_with(workspace, report, against) if against else None
    if as_json:
        print_json({key: value for key, value in report.items() if key != "rows"} | ({"against": compared} if compared
                                                                                   else {}))
    else:
        show_report(report, workspace, price)
        for line in told(compared) if compared else ():
            show(line)
        for gate in report["gates"]:
            show(gate_line(gate))
    if not all(gate["met"] for gate in report["gates"]):
        raise typer.Exit(1)


def _model(named: str) -> "ModelJudge | None":
    """The model that URL#MODEL names; UserError where it names none."""
    from builder.evaluation.model_judge import ModelJudge

    url, _, model = named.partition("#")
    if named and not (url.startswith(("http://", "https://")) and model):
        raise UserError(f"--judge {named}: is no URL#MODEL; write it as http://localhost:8000/v1#name")
    return ModelJudge(url, model) if named else None


def _show_power(needed: list[dict[str, Any]], difference: float, as_json: bool) -> None:
    from ui.cli.terminal import table

    if as_json:
        print_json({"difference": difference, "needed": needed})
        return
    table(f"Questions that show a difference of {difference:g} in 80 % of studies",
          ["score", "pair", "asked", "needed"],
          [[one["score"], f"{one['left']} − {one['right']}".strip(" −") or "not evaluated yet: a wide guess",
            str(one["asked"]), f"{one['needed']:,}"] for one in needed])


def _show_retrieval(made: dict[str, Any]) -> None:
    """Scores, what they don't say, and each miss with what came instead."""
    from ui.cli.terminal import show, table

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


def show_report(report: dict[str, Any], workspace: Workspace, price: float = 0) -> None:
    """The table, the verdict, and where the whole report lies; with the `price` of an hour what replies cost."""
    from builder.evaluation.model_judge import lines
    from builder.report.pages import rows_for_terminal
    from builder.report.section_costs import COSTS, cost_rows, seed_rows
    from ui.cli.terminal import show, table

    headers, rows = rows_for_terminal(report)
    table(f"{report['name']}: {report['questions']} questions, {report['unanswerable']} of them unanswerable; "
          "[95 % interval]", headers, rows)
    if price:
        table(f"What a reply costs, at {price:g} an hour", ["System", *COSTS.values(), "Money for 1,000"],
              [[*row, f"{report['costs'][row[0]]['hours_per_thousand'] * price:.3f}"] for row in cost_rows(report)])
    if seeds := seed_rows(report):
        table(f"Seeds of training: {', '.join(map(str, report['seeds']['seeds']))}",
              ["Score", "Pair", "By seed", "Spread", "Mean over seeds [95 % interval over questions]"], seeds)
    show(report["verdict"])
    for line in lines(report):
        show(line)
    folder = workspace.current().evaluation
    if folder:
        show(f"Whole report: {folder / 'report.html'}")


def ablate(folder: Folder,
           arm: Annotated[list[str] | None, typer.Option("--arm", help="One of its arms; else all.")] = None,
           as_json: Json = False) -> None:
    """What each part of the training mix is worth: the build without it, trained and judged; minutes an arm."""
    from builder.pipeline.ablation import ablate as ablated
    from builder.pipeline.stages import building
    from builder.workspace.progress import recorded
    from ui.cli.terminal import watching

    workspace = Workspace(folder)
    with building(workspace), watching() as shown, recorded(shown, workspace) as watch:
        made = ablated(workspace, arm or (), watch)
        shown.end()
    if as_json:
        print_json(made)
    else:
        _show_ablation(made)


def _show_ablation(made: dict[str, Any]) -> None:
    """Each arm's scores, and its differences from the build as it is set."""
    from ui.cli.terminal import table

    def told(one: dict[str, Any]) -> str:
        return "–" if one["value"] is None else f"{one['value']:.2f} [{one['low']:.2f}, {one['high']:.2f}]"

    rows = [[arm, f"{one['held_out_loss'][-1]:.3f}" if one["held_out_loss"][-1] else "–", f"{one['seconds']:.0f}",
             *(told(one["systems"][system][score]) if system in one["systems"] else "–"
               for system in ("hybrid", "fine-tune-only") for score in ("facts", "tone"))]
            for arm, one in made["arms"].items()]
    table(f"Ablation on {made['questions']} questions; [95 % interval]",
          ["arm", "held-out loss", "training s", "hybrid facts", "hybrid tone", "tuned facts", "tuned tone"], rows)
    rows = [[one["arm"], one["system"], one["score"], f"{one['value']:+.2f} [{one['low']:+.2f}, {one['high']:+.2f}]",
             f"{one['adjusted']:.3f}", f"{one['detectable']:.2f}"] for one in made["differences"] if "adjusted" in one]
    table("Against the build as it is set", ["arm", "system", "score", "difference", "p (Holm)", "detectable"], rows)
