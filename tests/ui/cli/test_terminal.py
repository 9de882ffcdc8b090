import io
import os
import pty
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as some
from rich.console import Console

from ui.cli import terminal
from ui.cli.terminal import BLOCKS, SPARKS, Stages, sparkline

LOSSES = [3.0, 2.8, 2.6, 2.0, 1.9, 1.5]


def figures(losses, held_out=(2.9, 2.1)):
    return {"curve": [[step, loss, 9.0] for step, loss in enumerate(losses, 1)], "held_out_loss": list(held_out),
            "tokens_per_second": 480.3}


def on(encoding="utf-8", width=80, **more):
    """A console that writes into memory, and how to read it."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace", write_through=True)
    console = Console(file=file, highlight=False, width=width, **more)
    return console, lambda: file.buffer.getvalue().decode(encoding)


def train(stages, total=12, losses=LOSSES, note="epoch 1 of 2"):
    tick = stages("train")
    for step in range(1, len(losses) + 1):
        tick(step, total, note, figures(losses[:step]))


def drawn(console, said, stages):
    before = len(said())
    console.print(stages.drawn())
    return said()[before:]


def test_without_a_terminal_each_line_holds_all_facts(monkeypatch):
    monkeypatch.setattr(terminal, "EVERY", -1.0)
    console, said = on()
    stages = Stages(console)
    train(stages)
    stages.end()
    lines = said().splitlines()
    assert lines[0] == "train …" and lines[1].startswith("  train: 1 of 12 · epoch 1 of 2 · loss 3.00 · held-out")
    assert lines[6].startswith("  train: 6 of 12 · epoch 1 of 2 · loss 3.00 → 2.21 · held-out loss 2.10 · "
                               "480 tokens/s · about ") and lines[6].endswith(" left")
    assert lines[7].split() == ["train", "0.0", "s"] and lines[8].startswith("  loss 3.00 → 2.21")
    assert list(stages.seconds) == ["train"]


def test_without_a_terminal_it_speaks_seldom():
    console, said = on()
    train(Stages(console))
    assert said() == "train …\n"


def test_other_stages_have_no_loss(monkeypatch):
    monkeypatch.setattr(terminal, "EVERY", -1.0)
    console, said = on()
    stages = Stages(console)
    stages("index")(1, 2, "passages")
    stages.end()
    assert said().splitlines()[1] == "  index: 1 of 2 · passages" and "loss" not in said()


def test_a_terminal_shows_the_curve_the_speed_and_the_time_left():
    console, said = on(force_terminal=True, color_system=None)
    stages = Stages(console)
    train(stages)
    first, second, third = drawn(console, said, stages).splitlines()
    assert first.startswith("train ━━━━") and "50% after" in first and first.rstrip().endswith("left")
    assert second == "  epoch 1 of 2" and third == "  loss 3.00 █▇▆▄▃▁ 2.21 · held-out loss 2.10 · 480 tokens/s"


@given(width=some.integers(20, 130), steps=some.integers(1, 40), note=some.text(max_size=90))
def test_a_terminal_s_lines_are_never_wider_than_it_is(width, steps, note):
    console, said = on(width=width, force_terminal=True, color_system=None)
    stages = Stages(console)
    train(stages, 40, [3.0 - step / 50 for step in range(steps)], note)
    lines = drawn(console, said, stages).splitlines()
    assert all(console.measure(line).maximum <= width for line in lines)


def test_letters_that_a_terminal_lacks_are_not_used(monkeypatch):
    monkeypatch.setattr(terminal, "EVERY", -1.0)
    for more in ({}, {"force_terminal": True}):
        console, said = on("ascii", **more)
        stages = Stages(console)
        train(stages)
        drawn(console, said, stages)
        stages.end()
        assert "\\" not in said() and "2.21 - held-out loss 2.10 - 480 tokens/s" in said()
    assert "3.00 @%*=-." in said()


def test_no_color_is_honoured(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    console, said = on(force_terminal=True, color_system="truecolor")
    stages = Stages(console)
    train(stages)
    assert "\x1b[" not in drawn(console, said, stages)


def test_a_note_cannot_steer_the_terminal():
    console, said = on(force_terminal=True, color_system=None)
    stages = Stages(console)
    stages("read documents")(1, 2, "\x1b[2Ja.md")
    assert "\x1b" not in drawn(console, said, stages)


@given(some.lists(some.floats(0, 50), min_size=1, max_size=200))
def test_a_sparkline_spans_its_letters(values):
    shown = sparkline(values)
    assert len(shown) == min(len(values), SPARKS) and set(shown) <= set(BLOCKS)
    if len(values) <= SPARKS and max(values) - min(values) > 1e-6:
        assert shown[values.index(max(values))] == "█" and shown[values.index(min(values))] == "▁"


@pytest.mark.parametrize("kind", ["xterm-256color", "dumb"])
def test_a_real_terminal_is_left_as_it_was(kind):
    script = ("from ui.cli.terminal import say, watching\n"
              "with watching() as watch:\n"
              "    tick = watch('train')\n"
              "    for step in range(1, 5):\n"
              "        tick(step, 4, 'epoch 1 of 1', {'curve': [[n, 3 - n / 2, 9.0] for n in range(1, step + 1)],\n"
              "             'held_out_loss': [None, None], 'tokens_per_second': 480.0})\n"
              "    watch.end()\n"
              "    say('said in between')\n")
    ours, theirs = pty.openpty()
    run = subprocess.run([sys.executable, "-c", script], stderr=theirs, timeout=60,
                         env=os.environ | {"TERM": kind, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"})
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # Linux's word for the end of a terminal that nobody holds any more
        pass
    os.close(ours)
    text = shown.decode()
    assert run.returncode == 0 and "train" in text and "said in between" in text
    if kind == "dumb":
        assert "\x1b" not in text and "train …" in text and "loss 2.50 → 1.68 · 480 tokens/s" in text
    else:
        assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1 and "loss 2.50 █▆▃▁ 1.68" in text
