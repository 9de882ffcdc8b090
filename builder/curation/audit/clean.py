"""A cleaned copy of examples and questions beside the originals, and what was left out or changed, and why."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.curation.audit.finding import QUESTIONS, Finding, Material
from builder.curation.audit.private import masked, private
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from knowledge.files import write_text

LEFT_OUT = ("duplicate example", "near duplicate", "leak", "prompt fragment", "wrong language",
            "no supervised token", "row too long", "duplicate question")
"""What needs no person to decide; facts, voice, damaged letters and lengths stay, for only the owner can mend them."""


@dataclass(frozen=True)
class Change:
    """One line of a file that the copy lacks or has otherwise."""

    file: str
    line: int
    action: str
    """left out, or changed."""
    why: str


def fix(workspace: Workspace, findings: Sequence[Finding]) -> tuple[list[Path], list[Change]]:
    """Write examples.cleaned.jsonl and questions.cleaned.jsonl, each only where something is mended in it.

    Lines that stay are copied byte for byte. UserError where a copy is there already: it may have been edited.
    """
    material = Material(workspace)
    made = [(workspace.folder / material.file, _examples(material, findings), _example_lines),
            (workspace.folder / QUESTIONS, _questions(findings), _lines)]
    wanted = [(path, path.with_name(f"{path.stem}.cleaned.jsonl"), changes, lines) for path, changes, lines in made
              if changes]
    for _, copy, _, _ in wanted:
        if copy.exists():
            raise UserError(f"{copy}: already exists; rename or remove it, then run the command again")
    for path, copy, changes, lines in wanted:
        write_text(copy, "".join(_cleaned(lines(material, path), changes, material.own)))
    return [copy for _, copy, _, _ in wanted], [change for _, _, changes, _ in wanted for change in changes.values()]


def _examples(material: Material, findings: Sequence[Finding]) -> dict[int, Change]:
    """What happens to which line of the examples; one reason each, the most serious."""
    changes: dict[int, Change] = {}
    replies = {example.line: example.reply for example in material.examples}
    for one in sorted(findings, key=lambda one: one.rank):
        line = line_of(one, material.file)
        if line is None or line in changes:
            continue
        why = f"leak: {QUESTIONS}:{one.line} tests the same" if one.kind == "leak" else f"{one.kind}: {one.message}"
        if action := remedy(one, replies[line], material.own):
            changes[line] = Change(material.file, line, action, why)
    for line in [line for line, change in changes.items() if change.action == "changed"]:
        if any(one.line == line and one.kind in LEFT_OUT and one.file == material.file for one in findings):
            del changes[line]
    return dict(sorted(changes.items()))


def line_of(one: Finding, file: str) -> int | None:
    """The line of the examples' file that a finding would have mended; None where it concerns none."""
    if one.kind == "leak":
        return one.other
    return one.line if one.file == file else None


def remedy(one: Finding, reply: str, own: str) -> str:
    """What mends the example that a finding concerns: left out, changed (`masked`), or "" where only a person can."""
    if one.kind in LEFT_OUT:
        return "left out"
    if one.kind == "personal data":
        return "left out" if private(reply, own) else "changed"
    return ""


def _questions(findings: Sequence[Finding]) -> dict[int, Change]:
    return {one.line: Change(QUESTIONS, one.line, "left out", f"{one.kind}: {one.message}") for one in findings
            if one.file == QUESTIONS and one.line and one.kind == "duplicate question"}


def _example_lines(material: Material, path: Path) -> Iterator[tuple[int, str]]:
    """The lines of examples.jsonl; of a CSV its rows as such lines."""
    if path.suffix != ".csv":
        yield from _lines(material, path)
        return
    for one in material.examples:
        messages = [{"role": "user", "content": one.question}, {"role": "assistant", "content": one.reply}]
        yield one.line, json.dumps({"messages": messages}, ensure_ascii=False) + "\n"


def _lines(material: Material, path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from enumerate(file, 1)


def _cleaned(lines: Iterator[tuple[int, str]], changes: dict[int, Change], own: str) -> Iterator[str]:
    for number, line in lines:
        change = changes.get(number)
        if change is None:
            yield line
        elif change.action == "changed":
            yield json.dumps(_mapped(json.loads(line), lambda text: masked(text, own)), ensure_ascii=False) + "\n"


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with every text in it changed; keys stay."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_mapped(one, change) for one in value]
    if isinstance(value, dict):
        return {key: _mapped(one, change) for key, one in value.items()}
    return value
