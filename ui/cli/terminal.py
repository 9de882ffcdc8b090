"""What the command line shows: progress on stderr, tables and replies on stdout, all text as data."""

import sys
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from builder.workspace.progress import Pace, in_words, smoothed
from knowledge.files import Tick

EVERY = 10.0
"""Seconds between two lines of progress where nobody watches a terminal."""
BLOCKS, ASCII_BLOCKS = "▁▂▃▄▅▆▇█", ".:-=+*%@"
ASCII = str.maketrans({"·": "-", "…": "...", "→": "to"})
SPARKS = 16
"""Letters that a loss curve is drawn with."""


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
    stages = Stages(Console(stderr=True, highlight=False))
    if stages.moves:
        with Live(get_renderable=stages.drawn, console=stages.console, refresh_per_second=4, transient=True):
            yield stages
    else:
        yield stages


class Stages:
    """The stages of one run and the seconds each took; calling it with a name begins a stage."""

    def __init__(self, console: Console) -> None:
        """Use `watching`."""
        self.console, self.moves = console, console.is_terminal and not console.is_dumb_terminal
        self.seconds: dict[str, float] = {}
        self._blocks = ASCII_BLOCKS if console.options.ascii_only else BLOCKS
        self._name, self._started, self._spoke = "", 0.0, 0.0
        self._begin("")

    def _begin(self, name: str) -> None:
        self._name, self._started, self._spoke = name, time.monotonic(), time.monotonic()
        self._done, self._total, self._note, self._pace = 0, 0, "", Pace()
        self._ends: float | None = None
        self._figures: Mapping[str, Any] | None = None

    def __call__(self, name: str) -> Tick:
        """Begin a stage, and end the one before."""
        self.end()
        self._begin(name)
        if not self.moves:
            self.console.print(self._text(f"{name} …"))
        return self._tick

    def end(self) -> None:
        """End the stage that runs, keep its seconds, and leave what it came to on the screen."""
        if not self._name:
            return
        self.seconds[self._name] = self.seconds.get(self._name, 0.0) + time.monotonic() - self._started
        self.console.print(self._text(f"{self._name:<16} {self.seconds[self._name]:7.1f} s"), soft_wrap=True)
        if learnt := self._learnt():
            self.console.print(self._text(f"  {learnt}"), soft_wrap=True)
        self._begin("")

    def _tick(self, done: int, total: int, note: str, figures: Mapping[str, Any] | None = None) -> None:
        now = time.monotonic()
        self._done, self._total, self._note, self._figures = done, total, printable(note), figures
        left = self._pace.left(done, total, now)
        self._ends = None if left is None else now + left
        if not self.moves and now - self._spoke > EVERY:
            self._spoke = now
            said = [f"  {self._name}: {done} of {total}", self._note, self._learnt(), self._left()]
            self.console.print(self._text(" · ".join(filter(None, said))), soft_wrap=True)

    def _left(self) -> str:
        if self._ends is None or self._done >= self._total:
            return ""
        return f"about {in_words(max(self._ends - time.monotonic(), 1))} left"

    def _learnt(self) -> str:
        """What a training has come to so far: its loss from then to now, with its curve between, and its speed."""
        figures = self._figures
        if not figures:
            return ""
        losses = smoothed([loss for _, loss, *_ in figures["curve"]])
        curve = sparkline(losses, self._blocks) if self.moves else "→"
        held_out = [loss for loss in figures["held_out_loss"] if loss is not None][-1:]
        fall = f"loss {losses[0]:.2f} {curve} {losses[-1]:.2f}" if losses[1:] else f"loss {losses[0]:.2f}"
        return " · ".join([fall,
                           *[f"held-out loss {loss:.2f}" for loss in held_out],
                           f"{figures['tokens_per_second']:.0f} tokens/s"])

    def drawn(self) -> RenderableType:
        """The stage that runs: how far it is, what it does, and what it has learnt, each on a line of its own."""
        if not self._name:
            return Text()
        since = in_words(time.monotonic() - self._started)
        share = f"{min(self._done / self._total, 1.0):4.0%} after " if self._total else ""
        tail = " · ".join(filter(None, [share + since, self._left()]))
        room = self.console.width - len(self._name) - len(tail) - 2
        line = Table.grid(padding=(0, 1))
        line.add_row(Text(self._name), ProgressBar(self._total or None, self._done, width=max(4, min(24, room))),
                     self._text(tail))
        return Group(line, *[self._text(f"  {below}") for below in (self._note, self._learnt()) if below])

    def _text(self, text: str) -> Text:
        """`text` on one line, in letters that the terminal has."""
        ascii_only = self.console.options.ascii_only
        return Text(text.translate(ASCII) if ascii_only else text, no_wrap=True,
                    overflow="crop" if ascii_only else "ellipsis")


def sparkline(values: Sequence[float], blocks: str = BLOCKS) -> str:
    """`values` as a curve of at most SPARKS letters, the lowest as the first of `blocks`, the highest as the last."""
    count = min(len(values), SPARKS)
    shown = [values[round(place * (len(values) - 1) / max(count - 1, 1))] for place in range(count)]
    low, high = min(shown), max(shown)
    return "".join(blocks[round((value - low) / ((high - low) or 1) * (len(blocks) - 1))] for value in shown)


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
    lines += [f"  not in these passages: “{' '.join(reply.text[cited.start:cited.end].split())}”"
              for cited in reply.citations if cited.needs and cited.found is None]
    return lines
