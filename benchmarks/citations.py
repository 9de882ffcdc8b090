"""How well a sentence that its passage supports is told from others, by kind, with the built-in encoder.

Usage: python -m benchmarks.citations
"""

from builder.evaluation.report import SupportCheck
from builder.evaluation.support_check import Half, support_check
from knowledge.search.encoder import prepared

HALVES: tuple[Half, ...] = ("development", "final")


def main() -> None:
    """Print precision and recall of each half, and what was called supported of each kind."""
    for half in HALVES:
        found: SupportCheck = support_check(prepared(), half)
        kinds = ", ".join(f"{kind} {called} of {count}" for kind, (called, count) in found.called.items())
        print(f"{half}: {found}\n  called supported: {kinds}")  # noqa: T201


if __name__ == "__main__":
    main()
