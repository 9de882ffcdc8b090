"""The commands for what people decide on: drafted questions, one by one, and what was said of replies."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from builder.workspace.folder import Workspace
from ui.cli.common import Folder, Json, print_json

if TYPE_CHECKING:
    from builder.curation.drafts import Draft
    from builder.curation.feedback import Item


def questions(folder: Folder,
              count: Annotated[int, typer.Option(min=1, max=500, help="Maximum number of drafts.")] = 20,
              reword: Annotated[bool, typer.Option(help="Also draft another wording of each.")] = False,
              source: Annotated[Path | None, typer.Option(
                  "--from", help="Import the questions of a promptfoo or inspect file instead.")] = None,
              as_json: Json = False) -> None:
    """Draft test questions from the documents. You accept, edit or discard each."""
    from builder.curation.drafts import EXHAUSTED, accept, draft, refuse
    from builder.pipeline.train_stage import base_replies
    from knowledge.errors import UserError
    from ui.cli.terminal import say, show

    workspace = Workspace(folder)
    if source:
        _taken(workspace, source, as_json)
        return
    drafts = draft(workspace, count, base_replies(workspace, workspace.brand) if reword else None)
    if as_json:
        print_json({"drafts": [asdict(draft) for draft in drafts]})
        return
    accepted = 0
    for number, one in enumerate(drafts, 1):
        _show(number, len(drafts), one)
        answer = _ask("[a]ccept, [e]dit, [d]iscard, [s]kip, [q]uit")
        if answer.startswith("q"):
            break
        if answer.startswith("e"):
            one, answer = _edited(one), "a"
        if answer.startswith("a"):
            try:
                accept(workspace, one)
                accepted += 1
            except UserError as error:
                say(f"left out: {error}")
        elif answer.startswith("d"):
            refuse(workspace, one)
    if not drafts:
        show(f"No more drafts. {EXHAUSTED}")
    say(f"{_counted(accepted, 'test question')} added to {workspace.folder / 'questions.jsonl'}")


def feedback(folder: Folder, as_json: Json = False) -> None:
    """Show people's feedback, their blind choices and unanswered questions. Decide about them in the app."""
    from builder.answering.opening import open_retriever
    from builder.curation.feedback import items, lacks
    from builder.curation.votes import tally
    from builder.workspace.releases import unit
    from ui.cli.terminal import say, show, table

    workspace = Workspace(folder)
    waiting, answering = items(workspace), unit(workspace)
    found = tally(items(workspace, ("choice",), None))
    index = answering.state.index
    missing = lacks(workspace, open_retriever(answering.brand, index)) if index else []
    if as_json:
        print_json({"waiting": [asdict(one) for one in waiting], "choices": asdict(found) | {
            "halves": [asdict(half) | {"said": half.said} for half in found.halves]},
            "lacks": [asdict(one) for one in missing]})
        return
    for one in waiting:
        show("\n".join(_said(one)))
    if found.choices:
        table(f"{_counted(found.choices, 'blind choice')} on {_counted(found.questions, 'question')}",
              ["system", "won", "95 % interval"],
              [[name, f"{won.value:.0%}", "–" if won.low is None else f"{won.low:.0%} to {won.high:.0%}"]
               for name, won in found.wins.items()])
        show("\n".join(half.said for half in found.halves))
    for lack in missing:
        show(f"asked {_counted(len(lack.items), 'time')}, not answered by the documents: {lack.question}")
    say(f"{len(waiting)} to decide about, on the app's Feedback page")


def _said(item: "Item") -> list[str]:
    """A question with what was said to it, each named for what it is; later lines of a reply are set in deeper."""
    who = item.system or "the assistant"
    named = [(f"{who}, chosen without seeing its name" if item.kind == "choice" else f"{who} replied", item.reply),
             ("a person's better reply", item.better)]
    lines = [f"{item.kind}: {item.question}", *(f"  {name}: {text}" for name, text in named if text)]
    if item.kind == "choice" and not item.reply:
        lines.append("  no reply was chosen")
    return ["\n    ".join(line.splitlines()) for line in lines]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _taken(workspace: Workspace, source: Path, as_json: bool) -> None:
    """Add a file's questions, and say which were left out and why."""
    from builder.curation.drafts import add
    from builder.evaluation.interchange.imports import questions_from
    from ui.cli.terminal import say

    added, left = add(workspace, questions_from(source), str(source))
    if as_json:
        print_json({"added": added, "left_out": left})
        return
    for why in left:
        say(f"left out: {why}")
    say(f"{_counted(added, 'test question')} added to {workspace.folder / 'questions.jsonl'}")


def _show(number: int, total: int, draft: "Draft") -> None:
    from ui.cli.terminal import show

    show(f"{number} of {total}  {draft.question}")
    show(f"   fact    {' | '.join(draft.facts[0])}")
    show(f"   source  {draft.source}, {draft.group}: {draft.answer}")
    for said in draft.paraphrases:
        show(f"   or      {said}")


def _edited(draft: "Draft") -> "Draft":
    """The draft with what a person writes in place of question and fact; an empty line keeps it."""
    question = _ask("question (Enter keeps it)")
    return draft.edited(question, _ask("fact, alternative spellings separated by | (Enter keeps it)"))


def _ask(what: str) -> str:
    """One line from the person; the end of input means to quit."""
    try:
        return input(f"{what}: ").strip()
    except EOFError:
        return "q"
