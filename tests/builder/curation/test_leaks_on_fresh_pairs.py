"""Leaks that the audit finds among pairs that no threshold was chosen by; what docs/benchmarks.md tells of them."""

import json
from itertools import groupby

import pytest

from benchmarks import leaks


@pytest.mark.thorough
def test_most_rewordings_are_found_and_hardly_anything_else(tmp_path):
    rows = [json.loads(line) for line in leaks.DATA.read_text(encoding="utf-8").splitlines()]
    said = {}
    for name, some in groupby(rows, lambda row: row["organisation"]):
        for kind, found in leaks.found_in(list(some), tmp_path / name.replace(" ", "-")).items():
            said.setdefault(kind, []).extend(found)
    reworded, other, near, *others = said.values()
    assert (len(reworded), len(other), len(near)) == (72, 72, 144) and sum(map(len, others)) > 6000
    assert reworded.count("error") >= 60 and other.count("error") >= 5
    assert near.count("error") <= 3 and sum(found.count("error") for found in others) <= 3
