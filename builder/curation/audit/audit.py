"""What is wrong with a workspace's data, before a minute is spent on training, ranked by what it would cost."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from builder.curation.audit import contradictions, coverage, documents, duplicates, private, token_limits, voice
from builder.curation.audit.clean import Change
from builder.curation.audit.finding import COSTS, Finding, Material, by_kind
from builder.workspace.folder import Workspace

__all__ = ["COSTS", "Finding", "as_json", "audit", "by_kind", "fixed_as_json"]


def audit(workspace: Workspace) -> list[Finding]:
    """Everything wrong that can be seen before a build, most serious first; UserError where a file isn't readable."""
    material = Material(workspace)
    near, findings = duplicates.nearness(material)
    for found in (documents.check(material), private.check(material), duplicates.check(material, near),
                  contradictions.check(material), voice.check(material), token_limits.check(material),
                  coverage.check(material, near.examples if near else None)):
        findings += found
    return sorted(findings, key=lambda finding: finding.rank)


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """What `twofold audit --json` prints."""
    return {"findings": [asdict(finding) for finding in findings]}


def fixed_as_json(files: Sequence[Path], changes: Sequence[Change]) -> dict[str, Any]:
    """What `--fix` adds to it: the copies written, and what was left out or changed, and why."""
    return {"fixed": {"files": [str(file) for file in files], "changes": [asdict(change) for change in changes]}}
