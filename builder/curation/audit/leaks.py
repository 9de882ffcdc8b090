"""Test questions that training answers: they do not count, whoever evaluates."""

from collections.abc import Iterable

from builder.curation.audit.duplicates import leaks, nearness
from builder.curation.audit.finding import Finding, Material
from builder.evaluation.report import LeftOut
from builder.workspace.examples import Question
from builder.workspace.folder import Workspace


def fair_questions(workspace: Workspace, findings: Iterable[Finding] | None = None
                   ) -> tuple[list[Question], list[LeftOut]]:
    """The test questions that count, and those that don't: the audit's leaks that are errors, not suspected ones.

    `findings` are the audit's, where it has just run. UserError where a file can't be read.
    """
    if not workspace.examples or not workspace.questions:
        return workspace.questions, []
    if findings is None:
        material = Material(workspace)
        findings = leaks(material, nearness(material)[0])
    found: dict[int | None, Finding] = {}
    for finding in findings:
        if (finding.kind, finding.severity) == ("leak", "error"):
            found.setdefault(finding.line, finding)
    return ([question for question in workspace.questions if question.line not in found],
            [LeftOut(line=question.line, question=question.question, reason=found[question.line].message)
             for question in workspace.questions if question.line in found])
