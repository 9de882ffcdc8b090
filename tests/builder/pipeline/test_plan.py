import sys
from pathlib import Path

import pytest

from builder.pipeline import plan as planning
from builder.pipeline.rehearsal import rehearse
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from tests.conftest import write_workspace


def test_a_gpu_that_is_not_known_is_refused_before_anything_runs(written):
    with pytest.raises(UserError, match="there are L4, .*H100"):
        planning.plan(Workspace(written), "abacus")
    assert not (written / ".twofold").exists()


@pytest.fixture(scope="module")
def rehearsed(tiny, tmp_path_factory):
    """Rehearses a variant of the lamp house; gives its stages by name, and what the training computes."""
    def run(change=lambda folder: None):
        folder = write_workspace(tmp_path_factory.mktemp("plan") / "lamps", tiny)
        change(folder)
        made = rehearse(Workspace(folder), tmp_path_factory.mktemp("rehearsal"))
        assert [stage.name for stage in made.stages] == ["index", "train", "check", "evaluate"]
        return {stage.name: stage for stage in made.stages}, made.training

    return run


@pytest.fixture(scope="module")
def usual(rehearsed):
    return rehearsed()


@pytest.mark.thorough
def test_a_rehearsal_costs_every_stage(usual):
    stages, load = usual
    assert all(0 < stage.low < stage.seconds < stage.high for stage in stages.values())
    assert all(stage.memory_bytes > 100_000_000 and stage.disk_bytes > 0 for stage in stages.values())
    peaks = [stage.memory_bytes for stage in stages.values()]
    assert peaks == sorted(peaks) and load.steps > 0


@pytest.mark.thorough
def test_more_documents_take_more_disk(rehearsed, usual):
    def enlarge(folder: Path) -> None:
        for file in list((folder / "documents").glob("*.md")):
            for copy in range(60):
                text = file.read_text(encoding="utf-8").replace("lamp", f"lamp{copy}")
                (folder / "documents" / f"{file.stem}-{copy}.md").write_text(text, encoding="utf-8")

    stages, _ = rehearsed(enlarge)
    before, _ = usual
    assert stages["index"].disk_bytes > 20 * before["index"].disk_bytes
    assert stages["index"].memory_bytes > before["index"].memory_bytes - 200_000_000


@pytest.mark.thorough
@pytest.mark.parametrize(("gone", "free"), [("examples.jsonl", {"train", "check"}), ("questions.jsonl", {"evaluate"}),
                                            ("documents", {"index"})])
def test_a_stage_costs_nothing_where_there_is_nothing_for_it(rehearsed, gone, free):
    def remove(folder: Path) -> None:
        (folder / gone).rename(folder.parent / "away")

    stages, load = rehearsed(remove)
    assert {name for name, stage in stages.items() if not stage.seconds} == free
    assert (load is None) == ("train" in free)


@pytest.mark.thorough
def test_a_plan_is_kept_and_held_against_what_a_build_took(written):
    workspace = Workspace(written)
    assert planning.last_plan(workspace) is None and planning.against(workspace, {"train": 10.0}) == []
    made = planning.plan(workspace, "L4", 1.0)
    assert made.gpu.name == "L4" and (made.money.low, made.money.high) == (0, 0)
    assert made.seconds == pytest.approx(sum(stage.seconds for stage in made.stages))
    assert planning.last_plan(workspace)[1] == made
    index, train = made.stages[:2]
    rows = planning.against(workspace, {"train": 2 * train.high, "index": index.seconds})
    assert [row.name for row in rows] == ["index", "train", "whole"]
    assert rows[0].ratio == pytest.approx(1) and rows[0].within
    assert rows[1].ratio > 2 and not rows[1].within
    assert rows[2].actual == pytest.approx(rows[0].actual + rows[1].actual)
    (written / "documents" / "more.md").write_text("# More\n\nWe mend clocks as well.", encoding="utf-8")
    assert planning.against(Workspace(written), {"train": 10.0}) == []


def test_a_plan_of_an_older_version_is_no_plan(written):
    (written / ".twofold").mkdir()
    (written / ".twofold" / "plan.json").write_text('{"key": "0", "stages": [{"seconds": 3}]}', encoding="utf-8")
    assert planning.last_plan(Workspace(written)) is None


def test_what_a_build_would_refuse_is_refused_in_its_words(written):
    (written / "examples.jsonl").write_text('{"messages": 3}\n', encoding="utf-8")
    with pytest.raises(UserError, match="examples.jsonl:1: "):
        planning.plan(Workspace(written))


@pytest.mark.skipif(sys.platform != "linux", reason="ends a process by its memory limit as Linux does")
def test_a_rehearsal_ended_by_the_system_is_told(written, monkeypatch):
    ended = written / "ended.py"
    ended.write_text(f"#!{sys.executable}\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    ended.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(ended))
    with pytest.raises(UserError, match="memory ran out; lower training.batch"):
        planning.plan(Workspace(written))
