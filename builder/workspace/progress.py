"""A build's progress as lines of JSON: written while it runs, read by whoever watches it."""

import json
import math
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, Literal

from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from knowledge.files import Tick

NAME = "progress.jsonl"
EVERY = 0.5
"""Seconds between two events of one stage."""
STEPS = 2
"""Steps that must be measured before anything is said of the time that is left."""
SMOOTHING = 0.9
"""How much of the smoothed loss stays at each step; it then follows the last ten steps or so."""
FIGURES = ("tokens_per_second", "held_out_loss", "epochs")

State = Literal["running", "finished", "stopped", "failed"]
Point = tuple[int, float]
"""A step and its loss."""


@dataclass(frozen=True)
class Curve:
    """How a training of `steps` goes: its losses, those held out (at first and after each epoch), and its speed."""

    losses: list[Point]
    held_out: list[Point]
    steps: int
    tokens_per_second: float


@dataclass(frozen=True)
class Progress:
    """How far the newest run has come; `seconds` are those of each stage that is done, `left` this stage's or None.

    `curve` is the run's last training, if it came to one; `error` says why it failed.
    """

    state: State
    began: datetime
    at: datetime
    stage: str
    done: int
    total: int
    note: str
    left: float | None
    seconds: dict[str, float]
    curve: Curve | None
    error: str = ""

    @property
    def runs(self) -> bool:
        """Whether the run is at work."""
        return self.state == "running"

    @property
    def share(self) -> float:
        """How much of the stage is done, 0 to 1."""
        return min(self.done / self.total, 1.0) if self.total else 0.0


class Pace:
    """The time that is left, from the mean time of a step; anew where the steps begin anew.

    What comes before the first step, such as loading, doesn't count.
    """

    def __init__(self) -> None:
        """Nothing is measured yet."""
        self._first, self._done = (0, 0.0), -1

    def left(self, done: int, total: int, at: float) -> float | None:
        """Seconds left after step `done`, which was done at second `at`; None before there are STEPS to go by."""
        if done <= 1 or done < self._done or self._done < 0:
            self._first = done, at
        self._done = done
        steps = done - self._first[0]
        return (at - self._first[1]) / steps * (total - done) if steps >= STEPS else None


def smoothed(losses: Sequence[float]) -> list[float]:
    """An exponential moving average, corrected for its start as in Adam (Kingma and Ba 2015, section 3)."""
    mean, made = 0.0, []
    for number, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        made.append(mean / (1 - SMOOTHING**number))
    return made


def held_out_points(losses: Sequence[float | None], steps: int, epochs: int) -> list[Point]:
    """The held-out losses at their steps: the first before training, the others after one epoch each."""
    return [(round(number * steps / epochs), loss) for number, loss in enumerate(losses) if loss is not None]


def in_words(seconds: float) -> str:
    """A length of time as a person says it: 45 s, 3 min 20 s, 12 min, 2 h 5 min."""
    whole = math.ceil(seconds)
    minutes = round(whole / 60)
    parts = ((whole // 60, "min"), (whole % 60, "s")) if whole < 600 else ((minutes // 60, "h"), (minutes % 60, "min"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


@contextmanager
def recorded(watch: Callable[[str], Tick], workspace: Workspace) -> Iterator[Callable[[str], Tick]]:
    """`watch`, which also writes each stage down for `read_progress`, and at the end how the block ended.

    Each run begins a new file. It never fails: what can't be written is left out.
    """
    lines = _Lines(workspace.built / NAME)
    recording = _Recording(watch, lines)
    ended: State = "failed"
    error = ""
    try:
        yield recording
        ended = "finished"
    except KeyboardInterrupt:
        ended = "stopped"
        raise
    except BaseException as fault:
        error = str(fault) if isinstance(fault, UserError) else f"{type(fault).__name__}: {fault}"
        raise
    finally:
        recording.settle()
        lines.write(ended=ended, error=error)
        lines.close()


class _Lines:
    """A file of events, locked while the run lives: the system lets go of it, however the run ends."""

    def __init__(self, path: Path) -> None:
        import fcntl

        self._file: BinaryIO | None = None
        self._torn = False
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)  # who still reads the old file goes on with it
            self._file = path.open("ab", buffering=0)
            fcntl.flock(self._file, fcntl.LOCK_EX)
        self.write(run=uuid.uuid4().hex, pid=os.getpid())

    def write(self, **event: Any) -> None:
        """One event, whole or not at all for whoever reads."""
        if self._file is None:
            return
        line = json.dumps({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **event}) + "\n"
        data = ("\n" + line if self._torn else line).encode()
        try:
            self._torn = self._file.write(data) < len(data)
        except OSError:
            self._torn = True

    def close(self) -> None:
        """Let go of the file."""
        if self._file:
            with suppress(OSError):
                self._file.close()


class _Recording:
    """A watch around another one that writes down what passes, at most one event in EVERY seconds."""

    def __init__(self, watch: Callable[[str], Tick], lines: _Lines) -> None:
        self._watch, self._lines = watch, lines
        self._stage, self._waiting = "", dict[str, Any]()
        self._figures: Mapping[str, Any] | None = None
        self._wrote, self._done, self._points = -math.inf, 0, 0

    def __call__(self, name: str) -> Tick:
        self.settle()
        shown = self._watch(name)
        self._stage, self._wrote, self._done, self._points = name, -math.inf, 0, 0
        self._lines.write(stage=name, done=0, total=0, note="")

        def tick(done: int, total: int, note: str, figures: Mapping[str, Any] | None = None) -> None:
            shown(done, total, note, figures)
            self._keep(done, total, note, figures)

        return tick

    def _keep(self, done: int, total: int, note: str, figures: Mapping[str, Any] | None) -> None:
        if done < self._done:  # another training within the stage, with a curve of its own
            self._wrote, self._points = -math.inf, 0
        self._done, self._figures = done, figures
        self._waiting = {"stage": self._stage, "done": done, "total": total, "note": note}
        if done >= total or time.monotonic() - self._wrote >= EVERY:
            self.settle()

    def settle(self) -> None:
        """Write down the last tick, if it isn't yet."""
        if not self._waiting:
            return
        if self._figures:
            curve = [[step, loss] for step, loss, *_ in self._figures["curve"][self._points:]]
            self._points += len(curve)
            kept = {name: self._figures[name] for name in FIGURES if name in self._figures}
            self._waiting["figures"] = kept | {"curve": curve}
        self._lines.write(**self._waiting)
        self._waiting, self._wrote = {}, time.monotonic()


def read_progress(workspace: Workspace) -> Progress | None:
    """How far the newest run has come; None where none is written down. Lines that are damaged are passed over."""
    try:
        with (workspace.built / NAME).open("rb") as file:
            alive = _locked(file)  # asked first: a run that ends in between has then written how it ended
            events = [event for line in file.read().split(b"\n") if (event := _event(line))]
    except OSError:
        return None
    try:
        return _progress(events, alive) if events else None
    except (KeyError, TypeError, ValueError):
        return None  # of another version


def _locked(file: BinaryIO) -> bool:
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event: dict[str, Any] = json.loads(line)
        event["at"] = datetime.fromisoformat(event["at"])
    except (ValueError, TypeError, KeyError):
        return None
    return event


def _progress(events: list[dict[str, Any]], alive: bool) -> Progress:
    ended = events[-1] if "ended" in events[-1] else None
    staged = groupby([event for event in events if "stage" in event], lambda event: str(event["stage"]))
    stages = [(name, list(some)) for name, some in staged]
    began = [some[0]["at"] for _, some in stages]
    until = began[1:] + ([ended["at"]] if ended and ended["ended"] == "finished" else [])
    seconds: dict[str, float] = {}
    for (name, _), start, end in zip(stages, began, until, strict=False):
        seconds[name] = seconds.get(name, 0.0) + (end - start).total_seconds()
    name, last = stages[-1] if stages else ("", [{"done": 0, "total": 0, "note": "", "at": events[0]["at"]}])
    pace, left = Pace(), None
    for event in last[1:]:
        left = pace.left(event["done"], event["total"], event["at"].timestamp())
    return Progress(ended["ended"] if ended else "running" if alive else "stopped", events[0]["at"], events[-1]["at"],
                    name, last[-1]["done"], last[-1]["total"], last[-1]["note"], left, seconds,
                    _curve(stages), ended["error"] if ended else "")


def _curve(stages: list[tuple[str, list[dict[str, Any]]]]) -> Curve | None:
    """The last training of all stages; where steps begin anew, it is another one."""
    losses: list[Point] = []
    made, done = None, 0
    for event in (event for _, some in stages for event in some):
        if event["done"] < done:
            losses = []
        done = event["done"]
        if figures := event.get("figures"):
            losses += [(step, loss) for step, loss in figures["curve"]]
            held_out = held_out_points(figures["held_out_loss"], event["total"], figures["epochs"])
            made = Curve(losses, held_out, event["total"], figures["tokens_per_second"])
    return made
