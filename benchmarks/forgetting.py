"""What a workspace's adapter forgot, by the requests that settings were chosen by and by those that nothing was.

Usage: python -m benchmarks.forgetting [WORKSPACE]
"""

import sys
from pathlib import Path

from builder.answering.opening import SLOTS, open_engine
from builder.evaluation.checks.forgetting import TITLES, Margins, figures, judge_requests, requests
from builder.workspace.folder import Workspace

DEVELOPMENT = Path(__file__).parent / "forgetting_development"
"""Training's share of replayed requests was raised because of these."""


def main(folder: Path) -> None:
    """Print a line for each part of both sets, and the requests that were lost."""
    workspace = Workspace(folder)
    engine = open_engine(workspace.brand, workspace.current().adapter, SLOTS)
    for name, asked in (("development", requests(DEVELOPMENT)), ("fresh", requests())):
        parts, items = judge_requests(engine, asked, Margins())
        for part, found in parts.items():
            print(f"{name}, {TITLES[part].lower()}: {found.outcome}: {figures(found)}")  # noqa: T201
        for item in items:
            if item.right_before and not item.right_after:
                print(f"  lost: {item.request} {item.before!r} -> {item.after!r}")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "twofold-demo"))
