"""A cleaned copy of examples and questions beside the originals, and what was left out or changed, and why."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.curation.audit.finding import QUESTIONS, Finding, Material
from builder.curation.audit.private import masked, private
from builder.workspace.examples import as_line, is_by_line
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from knowledge.files import write_text

LEFT_OUT = ("no example", "duplicate example", "near duplicate", "leak", "prompt fragment", "wrong language",
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
    changes = {workspace.folder / material.file: _examples(material, findings),
               workspace.folder / QUESTIONS: _questions(findings)}
    copies = {path: path.with_name(f"{path.stem}.cleaned.jsonl") for path, lines in changes.items() if lines}
    for copy in copies.values():
        if copy.exists():
            raise UserError(f"{copy}: already exists; rename or remove it, then run the command again")
    for path, copy in copies.items():
        write_text(copy, "".join(_cleaned(_lines(material, path), changes[path], material.own)))
    return list(copies.values()), [change for lines in changes.values() for change in lines.values()]


def _examples(material: Material, findings: Sequence[Finding]) -> dict[int, Change]:
    """What happens to which line of the examples: left out rather than changed, and for the most serious reason."""
    replies = {example.line: example.reply for example in material.examples}
    changes = []
    for finding in sorted(findings, key=lambda finding: finding.rank, reverse=True):
        line = line_of(finding, material.file)
        if line is not None and (action := remedy(finding, replies.get(line, ""), material.own)):
            why = f"{QUESTIONS}:{finding.line} tests the same" if finding.kind == "leak" else finding.message
            changes.append(Change(material.file, line, action, f"{finding.kind}: {why}"))
    changes.sort(key=lambda change: change.action == "left out")
    last = {change.line: change for change in changes}
    return dict(sorted(last.items()))


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
            for finding in findings if finding.kind == "duplicate question" and finding.line}


def _lines(material: Material, path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file with their numbers; rows that are no lines, as a CSV's, as those of examples.jsonl."""
    if path.name == material.file and not is_by_line(path.read_bytes(), path.name):
        yield from ((example.line, as_line(example)) for example in material.examples)
        return
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
        return [_mapped(item, change) for item in value]
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    return value
