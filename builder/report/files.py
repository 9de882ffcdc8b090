"""All files of a report: what people read, and for other programs CSV, JUnit XML, promptfoo and inspect."""

import csv
import io
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from builder.evaluation.interchange import inspect, promptfoo
from builder.evaluation.judge import SCORES
from builder.evaluation.report import Report
from builder.report import pages as reporting
from builder.workspace.folder import Workspace
from builder.workspace.releases import GateOutcome
from knowledge.files import write_json, write_text

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to hold (section 2.2)."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_report(workspace: Workspace, folder: Path, report: Report) -> None:
    """Write a report into a folder in all forms."""
    questions = workspace.questions
    write_json(folder / "report.json", report.as_json())
    write_text(folder / "report.html", reporting.to_html(report))
    write_text(folder / "report.md", reporting.to_markdown(report))
    write_text(folder / "report.csv", to_csv(report))
    write_text(folder / "report.junit.xml", to_junit(report))
    write_text(folder / "promptfoo.json", promptfoo.config(report, questions, workspace.brand.abstain))
    (folder / "inspect").mkdir(exist_ok=True)
    write_text(folder / "inspect" / "questions.jsonl", inspect.samples(questions))
    made = report.made[:19].replace(":", "-")  # inspect lists no log whose name doesn't begin with its time
    for place, system in enumerate(report.systems):
        name = system if system.replace("-", "").isalnum() else f"outside-{place}"
        write_text(folder / "inspect" / f"{made}_{name}.json", inspect.log(report, questions, system))


def to_csv(report: Report) -> str:
    """One line for each question and system, with all scores; an unscored one is empty, not 0.

    Text that a spreadsheet would take for a formula begins with an apostrophe, as OWASP advises.
    """
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(["line", "group", "question", "answerable", "system", "reply", "abstained", "probability",
                    "found_right", "cause", *SCORES])
    for row in report.rows:
        for system, reply in row.replies.items():
            table.writerow([row.line, _safe(row.group), _safe(row.question), row.answerable, system,
                            _safe(reply.text), reply.abstained, _written(reply.probability),
                            _written(reply.found_right), reply.cause,
                            *(_written(reply.scores.get(name)) for name in SCORES)])
    return written.getvalue()


def to_junit(report: Report) -> str:
    """Each gate and each system's reply to each question as a test case; one fails where the reply fell short."""
    whole = ElementTree.Element("testsuites", name=_text(report.name))
    suites: dict[str, list[tuple[str, str, float, str]]] = {}
    for gate in report.build.gates if report.build else []:
        why = "" if gate.outcome == GateOutcome.MET else gate.outcome.value
        suites.setdefault("gates", []).append((gate.name, why, 0.0, gate.reason))
    for row in report.rows:
        for system, reply in row.replies.items():
            suites.setdefault(system, []).append((f"line {row.line}: {row.question}", reply.cause,
                                                  reply.seconds, reply.text))
    for name, cases in suites.items():
        failed = sum(bool(why) for _, why, _, _ in cases)
        suite = ElementTree.SubElement(whole, "testsuite", name=name, tests=str(len(cases)), failures=str(failed),
                                       errors="0", time=f"{sum(case[2] for case in cases):.3f}")
        for title, why, seconds, said in cases:
            case = ElementTree.SubElement(suite, "testcase", classname=name, name=_text(title), time=f"{seconds:.3f}")
            if why:
                ElementTree.SubElement(case, "failure", message=_text(why)).text = _text(said)
    return ElementTree.tostring(whole, encoding="unicode", xml_declaration=True) + "\n"


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _written(value: Any) -> Any:
    return "" if value is None else value


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
