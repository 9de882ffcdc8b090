"""What a workspace holds, what is built of it, and what to do next; quick enough for a list of many."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from builder.training.mix import FEWEST_EXAMPLES
from builder.workspace.contents import changed
from builder.workspace.folder import Workspace
from builder.workspace.progress import Progress, read_progress
from builder.workspace.releases import live_name, read_release, release_names
from knowledge.errors import UserError
from knowledge.reading.documents import FORMATS

Next = Literal["mend", "wait", "fill", "build", "questions", "promote", "ask"]
"""mend what can't be read; wait for the build that runs; fill in documents or examples; build; write questions;
promote the newest release; ask."""


@dataclass(frozen=True)
class Overview:
    """One workspace at a glance; `why` says in a sentence why `next` is what to do."""

    folder: Path
    name: str
    documents: int
    examples: int
    questions: int
    indexed: bool
    adapted: bool
    live: str | None
    progress: Progress | None
    next: Next
    why: str

    @property
    def builds(self) -> bool:
        """Whether a build runs."""
        return self.progress is not None and self.progress.runs


def workspaces(home: Path) -> list[Path]:
    """The folders in `home` that are workspaces, by name."""
    return sorted(path for path in home.iterdir() if (path / "brand.yaml").is_file() and not path.name.startswith("."))


def overview(folder: Path) -> Overview:
    """A workspace at a glance; a file of it that can't be read is told in `why`. UserError where it is no workspace."""
    here = Workspace(folder)
    documents = sum(1 for path in (folder / "documents").rglob("*") if path.suffix.lower() in (*FORMATS, ".urls"))
    state, live, progress = here.current(), live_name(here), read_progress(here)
    try:
        name, examples, questions = here.brand.name, len(here.examples), len(here.questions)
    except UserError as error:
        return Overview(folder, folder.name, documents, 0, 0, state.index is not None, state.adapter is not None, live,
                        progress, "mend", str(error))
    following, why = _next(here, documents, examples, questions)
    if progress and progress.runs:
        following, why = "wait", f"A build is running (stage: {progress.stage})."
    return Overview(folder, name, documents, examples, questions, state.index is not None, state.adapter is not None,
                    live, progress, following, why)


def _next(here: Workspace, documents: int, examples: int, questions: int) -> tuple[Next, str]:
    """What to do next where nothing runs, and why."""
    state, known = here.current(), release_names(here)
    if not documents and examples < FEWEST_EXAMPLES:
        return "fill", f"It needs documents to answer from, or at least {FEWEST_EXAMPLES} examples of how to speak."
    if not known:
        return "build", "Not built yet." if not state.index else "Answers from documents; voice not trained yet."
    if parts := changed(here):
        return "build", f"{', '.join(parts)} changed since the last build."
    if not questions:
        return "questions", "It has no test questions yet, so nothing shows how good it is."
    if known[-1] != live_name(here):
        if doubts := read_release(here, known[-1]).doubts:
            return "promote", f"{known[-1]} is built, but not all checks passed ({doubts}). Look at them."
        return "promote", f"{known[-1]} is built and passed its checks. Promote it to make it live."
    return "ask", f"{known[-1]} is live."
