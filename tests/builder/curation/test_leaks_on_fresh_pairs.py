"""Leaks that the audit finds among pairs that no threshold was chosen by; what docs/benchmarks.md tells of them."""

import pytest

from benchmarks import leaks


@pytest.mark.thorough
def test_most_rewordings_are_found_and_hardly_anything_else():
    reworded, other, near, *others = leaks.found().values()
    assert (len(reworded), len(other), len(near)) == (72, 72, 144) and sum(map(len, others)) > 6000
    assert reworded.count("error") >= 60 and other.count("error") >= 5
    assert near.count("error") <= 3 and sum(found.count("error") for found in others) <= 5
