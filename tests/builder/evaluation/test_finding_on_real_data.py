"""What is found in real workspaces; figures fall here before they fall for users."""

import shutil
from pathlib import Path

import pytest

from benchmarks import retrieval as benchmark
from builder.pipeline import index_stage
from builder.workspace.folder import Workspace, new

HEALTH = Path(__file__).parents[4] / "shared" / "data" / "harbor-health"

pytestmark = pytest.mark.thorough


def judged(workspace):
    """By how much our nDCG@10 lies above stock's, and the index judged alone."""
    gain, _recall = benchmark.found_rows(workspace, "it")
    return gain["ours"] - gain["theirs"], index_stage.evaluate_retrieval(workspace).as_json()


def test_the_built_in_bot(tmp_path):
    new(tmp_path / "shop")
    lead, made = judged(Workspace(tmp_path / "shop"))
    assert lead >= 0.05 and made["hit@3"]["value"] >= 0.9
    limits = made["answerability"]
    assert limits["elsewhere"]["value"] >= 0.95 and limits["near_misses"]["value"] >= 0.75


@pytest.mark.skipif(not HEALTH.is_dir(), reason=f"{HEALTH} is absent: nothing is judged on it")
def test_public_health_questions(tmp_path):
    shutil.copytree(HEALTH, tmp_path / "health", copy_function=shutil.copyfile)
    for folder in [tmp_path / "health", *(tmp_path / "health").rglob("*")]:
        folder.chmod(0o755)
    lead, made = judged(Workspace(tmp_path / "health"))
    assert lead >= 0.05 and made["hit@3"]["value"] >= 0.95
    limits = made["answerability"]
    assert limits["elsewhere"]["value"] >= 0.99 and limits["near_misses"]["value"] >= 0.88
