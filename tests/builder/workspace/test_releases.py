"""Releases: immutable and named, promoted and rolled back as one unit."""

import pytest

from builder.workspace import releases
from builder.workspace.folder import Workspace
from knowledge.errors import JudgedFailure, UserError


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "brand.yaml").write_text("name: Acme\npersona: Helps.\nabstain: No.\n")
    return Workspace(tmp_path)


def build(workspace, key):
    folder = workspace.place("index", key)
    folder.mkdir(parents=True)
    (folder / "index.json").write_text(key)
    workspace.use("index", folder)
    return folder


def test_promote_and_roll_back(workspace):
    first = build(workspace, "a" * 20)
    assert releases.freeze(workspace) == releases.freeze(workspace) == "r001"
    releases.promote(workspace, "r001")
    second = build(workspace, "b" * 20)
    assert releases.freeze(workspace) == "r002"
    assert (releases.unit(workspace).state.index, workspace.current().index) == (first, second)
    releases.promote(workspace, "r002")
    assert releases.unit(workspace).state.index == second
    assert releases.rollback(workspace) == "r001" and releases.unit(workspace).state.index == first
    with pytest.raises(UserError, match="no earlier release"):
        releases.rollback(workspace)


def test_a_release_whose_files_changed_is_refused(workspace):
    folder = build(workspace, "a" * 20)
    name = releases.freeze(workspace)
    (folder / "index.json").write_text("tampered")
    with pytest.raises(UserError, match="were changed after the build"):
        releases.promote(workspace, name)
    assert releases.live_name(workspace) is None


def test_nothing_built_and_unknown_names_are_one_line(workspace):
    with pytest.raises(UserError, match="twofold build"):
        releases.freeze(workspace)
    with pytest.raises(UserError, match="no such release"):
        releases.promote(workspace, "r009")


def test_a_release_that_missed_a_gate_is_promoted_only_by_force(workspace):
    build(workspace, "a" * 20)
    gates = [releases.Gate(name="facts left to the documents", outcome="failed", reason="3 of 60 are stated",
                           next="train less")]
    name = releases.freeze(workspace, gates)
    assert releases.read_release(workspace, name).missed == gates
    why = "failed the check “facts left to the documents”: 3 of 60 are stated; train less"
    with pytest.raises(JudgedFailure, match=why):
        releases.promote(workspace, name)
    assert releases.live_name(workspace) is None
    releases.promote(workspace, name, force=True)
    assert releases.live_name(workspace) == name


def test_a_release_is_one_unit_with_its_own_brand(workspace):
    build(workspace, "a" * 20)
    first = releases.freeze(workspace, fixed=["Hello!"])
    releases.promote(workspace, first)
    brand = workspace.folder / "brand.yaml"
    brand.write_text(brand.read_text().replace("Acme", "Apex"))
    again = Workspace(workspace.folder)
    second = releases.freeze(again)
    assert second != first
    assert (releases.unit(again).brand.name, releases.unit(again).fixed) == ("Acme", ("Hello!",))
    assert releases.unit(again, second).brand.name == "Apex"
    releases.promote(again, second)
    assert releases.unit(again).brand.name == "Apex"
    assert releases.rollback(again) == first and releases.unit(again).brand.name == "Acme"


def test_a_release_whose_brand_was_changed_is_refused(workspace):
    build(workspace, "a" * 20)
    name = releases.freeze(workspace)
    file = workspace.built / "releases" / name / "release.json"
    file.write_text(file.read_text().replace("Acme", "Evil"))
    with pytest.raises(UserError, match="were changed after the build"):
        releases.promote(workspace, name)


def test_without_a_release_the_last_build_answers_with_the_brand_as_it_is(workspace):
    folder = build(workspace, "a" * 20)
    now = releases.unit(workspace)
    assert (now.release, now.brand, now.state.index, now.fixed) == (None, workspace.brand, folder, None)
    with pytest.raises(UserError, match="no such release"):
        releases.unit(workspace, "r009")


def test_the_thousandth_release_comes_after_the_hundredth_and_a_damaged_one_is_one_line(workspace):
    build(workspace, "a" * 20)
    first = releases.freeze(workspace)
    for name in ("r999", "r1000"):
        place = releases.release_file(workspace, name)
        place.parent.mkdir()
        place.write_text('{"name": "x"}')
    assert releases.release_names(workspace) == [first, "r999", "r1000"]
    with pytest.raises(UserError, match=r"r999/release.json: is damaged \(brand is missing or wrong\)"):
        releases.read_release(workspace, "r999")
