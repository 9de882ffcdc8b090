"""How many leaks from training into the test questions the audit finds, on questions that no threshold was chosen by.

`leaks.jsonl` holds the questions of three organisations. For each there are two examples that give its answer away, one
reworded a little and one in quite other words, and two that come near and don't. Usage: python -m benchmarks.leaks
"""

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from builder.curation.audit.duplicates import leaks, nearness
from builder.curation.audit.finding import Material
from builder.workspace.folder import Workspace, new

DATA = Path(__file__).with_name("leaks.jsonl")
KINDS = {"a little reworded": ("leaks", 0), "in quite other words": ("leaks", 1), "near, but no leak": ("near", None),
         "about something else": ("unrelated", None)}


def found_in(rows: Sequence[dict[str, Any]], folder: Path) -> dict[str, list[str]]:
    """For each kind of example, what the audit said of each against its own question: "error", "warning" or "".

    Under "any other question" stands what it said of examples and questions that have nothing to do with each other.
    """
    new(folder, "blank")
    asked = [row for row in rows if "question" in row]
    examples: list[tuple[str, int, dict[str, str]]] = []
    for number, row in enumerate(asked, 1):
        for place, one in enumerate(row["leaks"]):
            examples.append((tuple(KINDS)[place], number, one))
        examples += [("near, but no leak", number, one) for one in row["near"]]
    examples += [("about something else", 0, row["unrelated"]) for row in rows if "unrelated" in row]
    _write(folder / "questions.jsonl", [{key: row[key] for key in ("question", "answer", "facts")} for row in asked])
    _write(folder / "examples.jsonl", [{"prompt": one["question"], "reply": one["reply"]} for _, _, one in examples])
    material = Material(Workspace(folder))
    said: dict[tuple[int, int], str] = {}
    for finding in leaks(material, nearness(material)[0]):
        said.setdefault((finding.line or 0, finding.other or 0), finding.severity)
    made: dict[str, list[str]] = {kind: [] for kind in (*KINDS, "any other question")}
    for line, (kind, own, _) in enumerate(examples, 1):
        for number in range(1, len(asked) + 1):
            made[kind if number == own else "any other question"].append(said.get((number, line), ""))
        if not own:
            made[kind].append(next((said[number, line] for number in range(1, len(asked) + 1)
                                    if (number, line) in said), ""))
    return made


def _write(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def found() -> dict[str, list[str]]:
    """The same of all organisations together."""
    rows = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
    totals: dict[str, list[str]] = {}
    for name, some in groupby(sorted(rows, key=_organisation), _organisation):
        with TemporaryDirectory() as place:
            for kind, said in found_in(list(some), Path(place) / name.replace(" ", "-")).items():
                totals.setdefault(kind, []).extend(said)
    return totals


def _organisation(row: dict[str, Any]) -> str:
    return str(row["organisation"])


def main() -> None:
    """Print a line for each kind of example."""
    for kind, said in found().items():
        print(f"{kind}: left out of the judging {said.count('error')}, warned of {said.count('warning')}, "  # noqa: T201
              f"of {len(said)}")


if __name__ == "__main__":
    main()
