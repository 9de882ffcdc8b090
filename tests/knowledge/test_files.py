"""Durable files: the old content or the new, never a half."""

import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import UserError
from knowledge.files import (
    BLOCK,
    LEAVING,
    hash_bytes,
    held,
    holder,
    make_folder,
    read_json,
    remove_folder,
    write_json,
    write_text,
)


def test_text_comes_back_and_leaves_nothing_beside_it(tmp_path):
    write_text(tmp_path / "a" / "b.txt", "line\r\nä")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "line\r\nä".encode()
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_not_a_number_is_refused_and_the_old_file_stays(tmp_path):
    write_json(tmp_path / "a.json", {"value": 1})
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"value": float("nan")})
    assert read_json(tmp_path / "a.json") == {"value": 1}


def test_damaged_json_is_one_line(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(UserError) as error:
        read_json(tmp_path / "a.json")
    assert "a.json" in str(error.value) and "\n" not in str(error.value)


def test_a_folder_that_fails_half_way_does_not_exist(tmp_path):
    def fill(folder):
        (folder / "one").write_text("1")
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left"):
        make_folder(tmp_path / "made", fill)
    assert list(tmp_path.iterdir()) == []


def test_killed_in_the_middle_the_folder_is_made_anew(tmp_path):
    code = ("import os, signal; from pathlib import Path; from knowledge.files import make_folder\n"
            "def fill(folder):\n (folder / 'half').write_text('x'); os.kill(os.getpid(), signal.SIGKILL)\n"
            f"make_folder(Path({str(tmp_path / 'made')!r}), fill)")
    done = subprocess.run([sys.executable, "-c", code], cwd=os.getcwd())
    assert done.returncode == -signal.SIGKILL and not (tmp_path / "made").exists()
    make_folder(tmp_path / "made", lambda folder: (folder / "whole").write_text("y"))
    assert [file.name for file in (tmp_path / "made").iterdir()] == ["whole"]
    assert [folder.name for folder in tmp_path.iterdir()] == ["made"]


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_two_lists_share_a_hash_only_when_they_are_equal(left, right):
    assert (hash_bytes(*left) == hash_bytes(*right)) == (left == right)


def test_two_processes_that_want_a_folder_make_it_once(tmp_path):
    code = ("import os, sys, time; from pathlib import Path; from knowledge.files import make_folder\n"
            f"place = Path({str(tmp_path)!r})\n"
            "def fill(folder):\n"
            "    (place / f'began-{os.getpid()}').touch()\n"
            "    (folder / 'first').touch(); time.sleep(0.5); (folder / 'second').touch()\n"
            "print(sorted(one.name for one in make_folder(place / 'kept' / 'made', fill).iterdir()))")
    runs = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [run.communicate()[0].strip() for run in runs] == ["['first', 'second']"] * 4
    assert len(list(tmp_path.glob("began-*"))) == 1
    assert [one.name for one in (tmp_path / "kept").iterdir()] == ["made"]


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, 2 * BLOCK + 7])
def test_a_file_read_in_blocks_has_the_hash_of_its_content(tmp_path, size):
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    assert hash_bytes("a", tmp_path / "file", b"z") == hash_bytes("a", content, b"z")


def test_whoever_looks_at_a_lock_keeps_nobody_from_taking_it(tmp_path):
    lock, over = tmp_path / "lock", threading.Event()
    lock.touch()
    seen = set()

    def look():
        while not over.is_set():
            seen.add(holder(lock))

    looking = [threading.Thread(target=look) for _ in range(6)]
    for one in looking:
        one.start()
    try:
        for _ in range(300):
            with held(lock, wait=False):  # BlockingIOError where a look stood in its way
                assert holder(lock) == os.getpid()
                with pytest.raises(BlockingIOError), held(lock, wait=False):
                    pass
    finally:
        over.set()
        for one in looking:
            one.join()
    assert seen == {None, os.getpid()} and holder(lock) is None


def test_a_folder_is_removed_whole_or_not_at_all(tmp_path, monkeypatch):
    part = tmp_path / "part"

    def fill(folder):
        (folder / "one").write_text("1")

    make_folder(part, fill)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(UserError, match="can't be written"):
        remove_folder(part)
    assert part.exists()  # what an earlier removal left could not be cleared away, so nothing was begun
    monkeypatch.setattr(shutil, "rmtree", lambda folder, ignore_errors=False: None)  # as if killed right before it
    remove_folder(part)
    assert not part.exists() and (tmp_path / f"{LEAVING}part").exists()
    monkeypatch.undo()
    assert (make_folder(part, fill) / "one").read_text() == "1"
    for name in ("part", f"{LEAVING}part", "never there"):
        remove_folder(tmp_path / name)
    assert not list(tmp_path.iterdir())
