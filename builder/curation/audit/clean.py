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
    for finding in sorted(findings, key=lambda finding: finding.rank):
        line = line_of(finding, material.file)
        if line is None or line in changes:
            continue
        why = f"{finding.kind}: " + (
            f"{QUESTIONS}:{finding.line} tests the same" if finding.kind == "leak" else finding.message)
        if action := remedy(finding, replies[line], material.own):
            changes[line] = Change(material.file, line, action, why)
    for line in [line for line, change in changes.items() if change.action == "changed"]:
        here = [finding for finding in findings if (finding.line, finding.file) == (line, material.file)]
        if any(finding.kind in LEFT_OUT for finding in here):
            del changes[line]
    return dict(sorted(changes.items()))


def line_of(finding: Finding, file: str) -> int | None:
    """The line of the examples' file that a finding would have mended; None where it concerns none."""
    if finding.kind == "leak":
        return finding.other
    return finding.line if finding.file == file else None


def remedy(finding: Finding, reply: str, own: str) -> str:
    """What mends the example that a finding concerns: left out, changed (`masked`), or "" where only a person can."""
    if finding.kind in LEFT_OUT:
        return "left out"
    if finding.kind == "personal data":
        return "left out" if private(reply, own) else "changed"
    return ""


def _questions(findings: Sequence[Finding]) -> dict[int, Change]:
    return {finding.line: Change(QUESTIONS, finding.line, "left out", f"{finding.kind}: {finding.message}")
            for finding in findings
            if finding.file == QUESTIONS and finding.line and finding.kind == "duplicate question"}


def _example_lines(material: Material, path: Path) -> Iterator[tuple[int, str]]:
    """The lines of examples.jsonl; of a CSV its rows as such lines."""
    if path.suffix != ".csv":
        yield from _lines(material, path)
        return
    for example in material.examples:
        messages = [{"role": "user", "content": example.question}, {"role": "assistant", "content": example.reply}]
        yield example.line, json.dumps({"messages": messages}, ensure_ascii=False) + "\n"


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
