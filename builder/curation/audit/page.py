"""An audit as one HTML page that fetches nothing and runs no script."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from builder.curation.audit.finding import COSTS, SEVERITIES, Finding, by_kind

OPEN = 5
"""Findings of one kind that are shown at once; the rest unfold."""
_PAGE = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
                    trim_blocks=True, lstrip_blocks=True)


def to_html(name: str, findings: Sequence[Finding]) -> str:
    """All findings by what they would cost, the dearest first; every text in it is escaped."""
    kinds = by_kind(findings)
    return _PAGE.get_template("page.html.jinja").render(
        name=name, count=len(findings), open=OPEN,
        severities=[(one, sum(finding.severity == one for finding in findings)) for one in SEVERITIES],
        costs=[(cost, [some for some in kinds if some[0].cost == cost]) for cost in COSTS
               if any(some[0].cost == cost for some in kinds)])
