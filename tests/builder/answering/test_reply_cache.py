"""Replies are made once for what went into them, survive a kill, and are made again where the file is damaged."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from builder.answering.reply_cache import Remembering
from builder.model.engine import Decoding, Generated
from knowledge.errors import UserError


class Counting:
    """Says what it was asked, and counts."""

    slots = 8

    def __init__(self, finish="stop"):
        self.asked, self.opened, self.finish = [], 0, finish

    def open(self):
        self.opened += 1
        return self

    def generate(self, messages, tuned, decoding, emit=None):
        self.asked.append((messages[-1]["content"], tuned, decoding))
        text = f"{messages[-1]['content']} {tuned} {decoding.most_tokens}"
        if emit:
            emit(text)
        return Generated(text, 3, 5, 0.25, self.finish)


def said(text):
    return [{"role": "system", "content": "You mend lamps."}, {"role": "user", "content": text}]


def remembering(tmp_path, engine, identity="weights", adapter="adapter"):
    return Remembering(engine.open, tmp_path / "built" / "replies.sqlite", identity, adapter)


def test_a_reply_is_made_once_and_the_engine_opened_when_first_needed(tmp_path):
    engine = Counting()
    first = remembering(tmp_path, engine)
    assert engine.opened == 0
    made = [first.generate(said("a"), tuned, Decoding(9)) for tuned in (False, True, False)]
    assert made[0] == made[2] != made[1] and len(engine.asked) == 2 and engine.opened == 1
    pieces, later = [], Counting()
    again = remembering(tmp_path, later)
    assert again.generate(said("a"), True, Decoding(9), pieces.append) == made[1] and pieces == [made[1].text]
    assert later.opened == 0 and again.slots == 8


@pytest.mark.parametrize(("change", "asked_again"), [
    ({"messages": said("b")}, True), ({"messages": [{"role": "user", "content": "a"}]}, True),
    ({"decoding": Decoding(9, seed=1)}, True), ({"decoding": Decoding(9, temperature=0.5)}, True),
    ({"identity": "others"}, True), ({"adapter": "other"}, True), ({}, False),
    ({"adapter": "other", "tuned": False}, False)])
def test_whatever_decides_the_reply_is_heeded_and_nothing_else(tmp_path, change, asked_again):
    given = {"messages": said("a"), "decoding": Decoding(9), "tuned": True, "identity": "weights", "adapter": "adapter"}
    engine = Counting()
    for one in (given | {"tuned": change.get("tuned", True)}, given | change):
        remembering(tmp_path, engine, one["identity"], one["adapter"]).generate(
            one["messages"], one["tuned"], one["decoding"])
    assert len(engine.asked) == 1 + asked_again


def test_what_a_reader_cancelled_is_not_kept(tmp_path):
    engine = Counting("cancelled")
    for _ in range(2):
        remembering(tmp_path, engine).generate(said("a"), False, Decoding())
    assert len(engine.asked) == 2


def test_many_threads_open_one_engine_and_lose_nothing(tmp_path):
    engine = Counting()
    ours = remembering(tmp_path, engine)
    threads = [threading.Thread(target=lambda place=place: ours.generate(said(str(place % 10)), False, Decoding()))
               for place in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert engine.opened == 1 and {asked for asked, _, _ in engine.asked} == set(map(str, range(10)))
    count = len(engine.asked)
    for place in range(10):
        remembering(tmp_path, engine).generate(said(str(place)), False, Decoding())
    assert len(engine.asked) == count


@pytest.mark.parametrize("content", [b"nonsense" * 500, b"SQLite format 3\0" + b"\0" * 4000])
def test_a_damaged_file_is_begun_anew(tmp_path, content):
    (tmp_path / "built").mkdir()
    (tmp_path / "built" / "replies.sqlite").write_bytes(content)
    engine = Counting()
    for _ in range(2):
        remembering(tmp_path, engine).generate(said("a"), False, Decoding())
    assert len(engine.asked) == 1


def test_a_file_that_can_not_be_used_any_more_is_one_line(tmp_path):
    ours = remembering(tmp_path, Counting())
    ours._kept.close()
    with pytest.raises(UserError, match="replies.sqlite: can't be used") as caught:
        ours.generate(said("a"), False, Decoding())
    assert "\n" not in str(caught.value)


WRITES = """
import sys
from pathlib import Path
from builder.model.engine import Decoding, Generated
from builder.answering.reply_cache import Remembering
class Slow:
    slots = 1
    def generate(self, messages, tuned, decoding, emit=None):
        return Generated(messages[0]["content"], 1, 1, 0.0, "stop")
ours = Remembering(Slow, Path(sys.argv[1]) / "built" / "replies.sqlite", "weights", "")
for number in range(10**6):
    ours.generate([{"role": "user", "content": str(number)}], False, Decoding())
    print(number, flush=True)
"""


def test_a_kill_loses_no_reply_that_was_kept(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", WRITES, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if int(line) >= 30:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.1)
    engine = Counting()
    ours = Remembering(engine.open, tmp_path / "built" / "replies.sqlite", "weights", "")
    kept = [ours.generate([{"role": "user", "content": str(number)}], False, Decoding()).text for number in range(31)]
    assert kept == list(map(str, range(31))) and engine.opened == 0
