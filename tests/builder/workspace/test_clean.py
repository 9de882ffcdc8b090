"""Cleaning: what is in use or can be gone back to stays, and all else goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.workspace import releases
from builder.workspace.clean import NEWEST, clean, remove_unused_indexes
from builder.workspace.folder import Workspace
from knowledge.files import write_json


@pytest.fixture
def workspace(tmp_path):
    return made(tmp_path)


def made(folder):
    (folder / "brand.yaml").write_text("name: Acme\npersona: Helps.\nabstain: No.\n")
    return Workspace(folder)


def part(workspace, kind, name, beside=None):
    folder = workspace.place(kind, name)
    folder.mkdir(parents=True)
    write_json(folder / "adapter.json", {"index": beside})
    return folder


def build(workspace, number):
    """A build with parts of its own, which is a release."""
    index, adapter = part(workspace, "index", f"i{number}"), part(workspace, "adapters", f"a{number}")
    workspace.use("index", index)
    workspace.use("adapter", adapter)
    return releases.freeze(workspace)


def left(workspace, kind):
    return {folder.name for folder in (workspace.built / kind).iterdir()}


def test_old_releases_go_with_their_parts_and_those_that_were_live_stay(workspace):
    for number in range(NEWEST + 4):
        name = build(workspace, number)
        if number in (1, 2):
            releases.promote(workspace, name)
    part(workspace, "evaluations", "e")
    (workspace.built / "replies.sqlite").write_text("replies")
    gone = clean(workspace)
    assert (gone.releases, gone.parts) == (["r001", "r004"], 5) and gone.bytes > 0
    assert left(workspace, "index") == {f"i{number}" for number in range(NEWEST + 4)} - {"i0", "i3"}
    assert releases.live_name(workspace) == "r003" and releases.rollback(workspace) == "r002"
    assert not list(workspace.built.glob("replies*")) and not left(workspace, "evaluations")
    for name in releases.release_names(workspace):
        releases.promote(workspace, name)  # all their files are there, as they were
    assert clean(workspace).parts == 0


def test_what_was_in_use_before_and_what_an_adapter_was_trained_beside_stay(workspace):
    beside, before, now = (part(workspace, "index", name) for name in ("beside", "before", "now"))
    adapter = part(workspace, "adapters", "a", beside.name)
    for index in (before, now):
        workspace.use("index", index)
    workspace.use("adapter", adapter)
    part(workspace, "index", "nobody's")
    part(workspace, "training", "stopped")
    remove_unused_indexes(workspace)
    assert left(workspace, "index") == {"beside", "before", "now"} and left(workspace, "adapters") == {"a"}
    clean(workspace)
    assert left(workspace, "training") == {"stopped"} and left(workspace, "index") == {"beside", "before", "now"}


def test_little_is_left_lying_and_what_an_interruption_left_goes(workspace):
    build(workspace, 1)
    unused = part(workspace, "checks", "c")
    (workspace.built / "adapters" / ".removing-x").mkdir()
    assert clean(workspace, spare=10_000).parts == 0 and unused.exists()
    assert clean(workspace, spare=1).parts == 2 and not unused.exists()


@given(st.lists(st.booleans(), min_size=1, max_size=NEWEST + 6))
def test_whatever_was_promoted_the_newest_and_the_live_ones_answer_as_before(tmp_path_factory, promoted):
    workspace = made(tmp_path_factory.mktemp("some"))
    for number, live in enumerate(promoted):
        name = build(workspace, number)
        if live:
            releases.promote(workspace, name)
    before, live = releases.release_names(workspace), releases.live_names(workspace)
    state = workspace.current()
    clean(workspace)
    assert (workspace.current(), releases.live_names(workspace)) == (state, live)
    assert set(releases.release_names(workspace)) == {*before[-NEWEST:], *live}
