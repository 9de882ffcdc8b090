"""What a person decides about findings: accepted, their row is mended; refused, they are not shown again."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from builder.curation.audit.clean import line_of, remedy
from builder.curation.audit.finding import Finding, Material
from builder.curation.audit.private import masked
from builder.workspace.examples import NAMES, Example
from builder.workspace.folder import Workspace
from knowledge.files import hash_bytes, read_json, write_json

REFUSED = "refused_findings.json"


@dataclass(frozen=True)
class Concern:
    """A finding beside the example that it concerns, and what accepting it would do to that."""

    finding: Finding
    example: Example | None
    action: str
    """left out, changed, or "" where only a person can mend it."""
    mended: Example | None
    """The example as it would be; None where it would be left out."""
    key: str
    """What it is known by once it was refused: its kind and the row's content, not where it stands."""


def concerns(workspace: Workspace, findings: Sequence[Finding]) -> list[Concern]:
    """The findings of an audit of the workspace as it is now, in their order."""
    material = Material(workspace)
    lines = {example.line: example for example in material.examples}
    return [_concern(finding, lines.get(line_of(finding, material.file) or 0), material) for finding in findings]


def _concern(finding: Finding, example: Example | None, material: Material) -> Concern:
    action = remedy(finding, example.reply, material.own) if example else ""
    mended = _masked(example, material.own) if example and action == "changed" else None
    said = (example.question, example.reply) if example else ()
    # Without its digits, for lines move and distances shift when other rows change.
    message = re.sub(r"\d+", "", finding.message)
    return Concern(finding, example, action, mended, hash_bytes(finding.kind, finding.file, message, *said))


def _masked(example: Example, own: str) -> Example:
    """The example with what is private in its question and earlier turns masked."""
    history = tuple((role, masked(said, own)) for role, said in example.history)
    return replace(example, question=masked(example.question, own), history=history)


def state(workspace: Workspace) -> str:
    """A hash of all that an audit looks at; of documents their names, sizes and times."""
    files = [workspace.folder / name for name in ("brand.yaml", *NAMES, "questions.jsonl")]
    documents = sorted(path for path in (workspace.folder / "documents").rglob("*") if path.is_file())
    return hash_bytes(*(part for file in files if file.is_file() for part in (file.name, file.read_bytes())), *(
        f"{document} {document.stat().st_size} {document.stat().st_mtime_ns}" for document in documents))


def refused(workspace: Workspace) -> set[str]:
    """The keys of the findings that are not to be shown."""
    file = workspace.built / REFUSED
    return set(read_json(file)) if file.exists() else set()


def refuse(workspace: Workspace, key: str) -> None:
    """Don't show this finding again while its row is as it is."""
    with workspace.alone():
        write_json(workspace.built / REFUSED, sorted({*refused(workspace), key}))


def take_back(workspace: Workspace, key: str) -> None:
    """Show a refused finding again."""
    with workspace.alone():
        write_json(workspace.built / REFUSED, sorted(refused(workspace) - {key}))
