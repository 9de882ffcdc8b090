"""What the command line shows: progress on stderr, tables and replies on stdout, all text as data."""

import sys
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from knowledge.files import Tick

EVERY = 10.0
"""Seconds between two lines of progress where nobody watches a terminal."""


def printable(text: str) -> str:
    """The text without control characters: documents and models can't steer the terminal."""
    return "".join(letter for letter in text if letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cf"))


def say(text: str) -> None:
    """A message for the person, on stderr."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(printable(text)))


def show(text: str) -> None:
    """Data, on stdout."""
    Console(highlight=False, soft_wrap=True).print(Text(printable(text)))


def write(text: str) -> None:
    """A piece of a reply, on stdout, at once."""
    sys.stdout.write(printable(text))
    sys.stdout.flush()


def table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout; the first column is left, the others right; lines too wide for the terminal wrap in cells."""
    console = Console(highlight=False)
    drawn = Table(title=Text(printable(title)), title_justify="left", header_style="bold", title_style="bold")
    for number, header in enumerate(headers):
        drawn.add_column(Text(header), justify="right" if number else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*[Text(printable(cell)) for cell in row])
    if not console.is_terminal:
        console.width = max(console.width, 132)
    console.print(drawn)


@contextmanager
def watching() -> Iterator["Stages"]:
    """Progress of a build while the block runs; afterwards the terminal is as it was."""
    console = Console(stderr=True, highlight=False)
    progress = Progress(TextColumn("{task.description:<16}"), BarColumn(24), TextColumn("{task.percentage:>3.0f} %"),
                        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
                        TextColumn("{task.fields[note]}", markup=False), console=console,
                        disable=not console.is_terminal)
    with progress:
        yield Stages(progress, console)


class Stages:
    """The stages of one run and the seconds each took; calling it with a name begins a stage."""

    def __init__(self, progress: Progress, console: Console) -> None:
        """Use `watching`."""
        self.seconds: dict[str, float] = {}
        self._progress, self._console = progress, console
        self._name, self._started, self._spoke = "", time.monotonic(), 0.0
        self._task: TaskID | None = None
        self._first = 0, 0.0

    def __call__(self, name: str) -> Tick:
        """Begin a stage, and end the one before."""
        self.end()
        self._name, self._started, self._spoke = name, time.monotonic(), time.monotonic()
        self._task = self._progress.add_task(name, total=None, note="")
        self._first = 0, self._started
        if not self._console.is_terminal:
            self._console.print(Text(f"{name} …"))
        return self._tick

    def end(self) -> None:
        """End the stage that runs, and keep its seconds."""
        if self._name:
            self.seconds[self._name] = self.seconds.get(self._name, 0.0) + time.monotonic() - self._started
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._progress.console.print(Text(f"{self._name:<16} {self.seconds[self._name]:7.1f} s"))
            self._name, self._task = "", None

    def _tick(self, done: int, total: int, note: str) -> None:
        if done <= 1:  # what comes before the first step, such as loading, says nothing of how long the others take
            self._first = done, time.monotonic()
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=max(total, 1), note=printable(note))
        if not self._console.is_terminal and time.monotonic() - self._spoke > EVERY:
            self._spoke = time.monotonic()
            steps, since = done - self._first[0], self._spoke - self._first[1]
            left = f" · about {since / steps * (total - done):.0f} s left" if steps > 0 else ""
            self._console.print(Text(f"  {self._name}: {done} of {total} · {printable(note)}{left}"), soft_wrap=True)


def source_lines(reply: Any) -> list[str]:
    """Where each found passage stands, the spans of it that support the reply, and the sentences without support."""
    lines = []
    for number, one in enumerate(reply.found):
        passage = one.passage
        page = f", page {passage.page}" if passage.page else ""
        lines.append(f"  [{number + 1}] {passage.document}{page} · {passage.heading} · characters {passage.start:,} to "
                     f"{passage.end:,}")
        spans = {(cited.passage_start, cited.passage_end) for cited in reply.citations if cited.found == number}
        lines += [f"      “{' '.join(passage.text[start:end].split())}”" for start, end in sorted(spans)]
    lines += [f"  not found in them: “{' '.join(reply.text[cited.start:cited.end].split())}”"
              for cited in reply.citations if cited.needs and cited.found is None]
    return lines
