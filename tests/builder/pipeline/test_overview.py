"""A workspace at a glance: what it holds, what is built, and what to do next."""

import fcntl
import json
import os
import time

import pytest

from builder.pipeline.overview import overview, workspaces
from builder.workspace import releases
from builder.workspace.contents import contents, keep
from builder.workspace.folder import Workspace, new
from knowledge.errors import UserError


def indexed(workspace):
    """Give it an index that is only a folder: the overview looks no deeper."""
    folder = workspace.place("index", "a" * 20)
    folder.mkdir(parents=True)
    (folder / "index.json").write_text("{}")
    workspace.use("index", folder)


def test_what_to_do_next_goes_from_filling_to_asking(written):
    workspace = Workspace(written)
    assert (overview(written).next, overview(written).documents, overview(written).examples) == ("build", 1, 10)
    indexed(workspace)
    now = overview(written)
    assert (now.next, now.indexed, now.adapted) == ("build", True, False)
    assert now.why == "Answers from documents; voice not trained yet."
    releases.freeze(workspace, [{"name": "facts", "met": False, "said": "", "next": ""}])
    assert overview(written).next == "promote" and "not all checks passed (failed: facts)" in overview(written).why
    releases.promote(workspace, "r001", force=True)
    assert (overview(written).next, overview(written).live) == ("ask", "r001")


def test_what_changed_since_the_build_began_is_told_by_content_and_not_by_time(written):
    workspace = Workspace(written)
    indexed(workspace)
    keep(workspace, before_all := contents(workspace))
    releases.freeze(workspace)
    releases.promote(workspace, "r001")
    for file in written.rglob("*.*"):
        os.utime(file, (time.time() + 50, time.time() + 50))
    assert overview(written).next == "ask"  # copied, or written again as it was
    house = written / "documents" / "house.md"
    before, text = house.stat(), house.read_text()
    house.write_text(text.replace("33 days", "44 days"))
    os.utime(house, ns=(before.st_atime_ns, before.st_mtime_ns - 10**9))  # of before the build, by its time
    (written / "examples.jsonl").write_text("\n" + (written / "examples.jsonl").read_text())
    assert overview(written).why == "documents, examples changed since the last build."
    house.unlink()
    (written / "documents" / ".house.md.swp").write_text("an editor's own")
    (written / "feedback.sqlite").write_text("a vote")
    assert overview(written).why == "documents, examples changed since the last build."
    house.write_text(text)
    (written / "examples.jsonl").write_text((written / "examples.jsonl").read_text()[1:])
    assert overview(written).next == "ask" and contents(workspace).key == before_all.key


def test_an_empty_one_is_to_be_filled_and_without_questions_they_are_asked_for(tmp_path, written):
    new(tmp_path / "bare", "blank")
    assert overview(tmp_path / "bare").next == "fill"
    (written / "questions.jsonl").unlink()
    indexed(Workspace(written))
    releases.freeze(Workspace(written))
    assert overview(written).next == "questions"


def test_a_file_that_cannot_be_read_is_named_and_a_folder_that_is_none_refused(written, tmp_path):
    (written / "examples.jsonl").write_text("{broken\n")
    now = overview(written)
    assert (now.next, now.name) == ("mend", written.name) and "examples.jsonl:1" in now.why
    with pytest.raises(UserError, match="has no brand.yaml"):
        overview(tmp_path)


def test_a_build_that_runs_is_waited_for(written):
    (written / ".twofold").mkdir()
    event = {"at": "2026-11-24T09:00:00+00:00", "stage": "train", "done": 1, "total": 4, "note": ""}
    with (written / ".twofold" / "progress.jsonl").open("w") as file:
        file.write(json.dumps(event) + "\n")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        now = overview(written)
        assert (now.next, now.builds) == ("wait", True) and "train" in now.why
    assert overview(written).next == "build"


def test_only_folders_with_a_brand_are_workspaces(tmp_path, written):
    (tmp_path / "notes").mkdir()
    (tmp_path / "file").write_text("x")
    new(tmp_path / "another", "blank")
    assert workspaces(tmp_path) == [tmp_path / "another", written]
