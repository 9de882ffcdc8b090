import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.errors import UserError
from knowledge.search import vectors
from knowledge.search.vectors import Vectors

FILES = {"flat": ["vectors.json", "vectors.npy"], "hnsw": ["vectors.faiss", "vectors.json", "vectors.npy"],
         "ivf-pq": ["vectors.faiss", "vectors.json", "vectors.npy"]}


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def clustered(count, dimensions, seed=0):
    """Rows around some hundreds of themes, as passages are."""
    random = np.random.default_rng(seed)
    themes = random.normal(size=(max(count // 200, 1), dimensions))
    return unit(themes[random.integers(len(themes), size=count)] + 0.6 * random.normal(size=(count, dimensions)))


def by_hand(rows, query, count, allowed=None):
    """Every row's cosine, sorted: the slow way."""
    cosines = [float(np.vecdot(row, query)) for row in rows]
    numbers = [number for number in range(len(rows)) if allowed is None or allowed[number]]
    best = sorted(numbers, key=lambda number: (-cosines[number], number))[:count]
    return best, [cosines[number] for number in best]


def recall(kept, rows, queries, allowed=None):
    """The share of the ten truly nearest rows that are found."""
    hits = 0
    for query in queries:
        cosines = rows @ query if allowed is None else np.where(allowed, rows @ query, -2)
        hits += len(set(kept.search(query, 10, allowed)[0]) & set(np.argsort(-cosines)[:10]))
    return hits / (10 * len(queries))


@pytest.fixture(scope="module", params=["hnsw", "ivf-pq"])
def large(request):
    rows = clustered(40_100, 32)
    return Vectors.build(rows[100:], kind=request.param), rows[100:], rows[:100]


@pytest.fixture(scope="module")
def flat():
    rows = clustered(1200, 16)
    return Vectors.build(rows), rows


@pytest.mark.parametrize(("count", "kind"), [(1, "flat"), (29_999, "flat"), (30_000, "hnsw")])
def test_the_kind_follows_the_number_of_rows(count, kind):
    kept = Vectors.build(clustered(count, 4))
    assert kept.kind == kind and kept.why.startswith(f"{kind}: {count:,} vectors of 4 numbers")


def test_a_flat_search_is_exactly_the_slow_one(flat):
    kept, rows = flat
    for query in clustered(20, 16, seed=1):
        numbers, cosines = kept.search(query, 25)
        assert (numbers.tolist(), cosines.tolist()) == by_hand(rows, query, 25)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_ties_and_masks_are_exactly_the_slow_search(data):
    kinds = data.draw(st.integers(1, 6), label="different rows")
    picks = data.draw(st.lists(st.integers(0, kinds - 1), min_size=1, max_size=120), label="rows")
    allowed = data.draw(st.none() | st.lists(st.booleans(), min_size=len(picks), max_size=len(picks)).map(np.array))
    count = data.draw(st.integers(0, 130), label="count")
    rows = clustered(kinds, 8)[picks]
    numbers, cosines = Vectors.build(rows).search(clustered(1, 8, seed=2)[0], count, allowed)
    assert (numbers.tolist(), cosines.tolist()) == by_hand(rows, clustered(1, 8, seed=2)[0], count, allowed)


def test_a_large_search_finds_what_is_near_with_exact_cosines(large):
    kept, rows, queries = large
    assert recall(kept, rows, queries) >= 0.95
    for query in queries[:10]:
        numbers, cosines = kept.search(query, 50)
        assert np.array_equal(cosines, np.vecdot(rows[numbers], query))
        assert len(set(numbers)) == 50 and np.all(cosines[:-1] >= cosines[1:])


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_a_large_search_keeps_to_a_random_mask(large, share):
    kept, rows, queries = large
    allowed = np.random.default_rng(3).random(len(rows)) < share
    assert all(np.all(allowed[kept.search(query, 30, allowed)[0]]) for query in queries[:20])
    assert recall(kept, rows, queries[:20], allowed) >= 0.95


def test_a_large_search_finds_enough_where_all_that_is_near_is_left_out(large, monkeypatch):
    kept, rows, queries = large
    monkeypatch.setattr(vectors, "FLAT", 100)  # or it would compare them one by one at once
    for query in queries[:10]:
        near = rows @ query
        allowed = near < np.sort(near)[len(near) // 4]
        numbers, cosines = kept.search(query, 40, allowed)
        assert len(numbers) == 40 and np.all(allowed[numbers])
        assert cosines[0] <= near[allowed].max() + 1e-6


@pytest.mark.parametrize("kind", ["hnsw", "ivf-pq"])
def test_more_copies_of_a_row_than_candidates_come_by_number(kind):
    rows = clustered(2000, 16)
    copies = np.sort(np.random.default_rng(4).choice(2000, 700, replace=False))
    rows[copies] = rows[copies[0]]
    numbers, _ = Vectors.build(rows, kind=kind).search(rows[copies[0]], 5)
    assert numbers.tolist() == copies[:5].tolist()


@pytest.mark.parametrize("kind", FILES)
def test_a_search_for_more_than_there_are_finds_all(kind):
    rows = clustered(300, 8)
    kept = Vectors.build(rows, kind=kind)
    assert sorted(kept.search(rows[7], 1000)[0]) == list(range(300))
    assert [len(found) for found in kept.search(rows[7], 5, np.zeros(300, bool))] == [0, 0]
    assert [len(found) for found in kept.search(rows[7], 0)] == [0, 0]


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_one_row_is_found(kind):
    numbers, cosines = Vectors.build(clustered(1, 8), kind=kind).search(clustered(1, 8)[0], 3)
    assert numbers.tolist() == [0] and cosines.tolist() == pytest.approx([1])


def test_a_query_of_other_dimensions_is_refused(flat):
    with pytest.raises(ValueError, match="16"):
        flat[0].search(np.ones(8, np.float32), 3)


@pytest.mark.parametrize("kind", FILES)
def test_what_was_saved_answers_as_before(kind, tmp_path):
    rows = clustered(3000, 16)
    kept = Vectors.build(rows, kind=kind)
    kept.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES[kind]
    opened = Vectors.open(tmp_path)
    assert (opened.kind, opened.why, len(opened), opened.dimensions) == (kind, kept.why, 3000, 16)
    assert np.array_equal(opened.rows(), rows) and np.array_equal(opened.rows([5, 2]), rows[[5, 2]])
    for query in clustered(10, 16, seed=5):
        for before, after in zip(kept.search(query, 20), opened.search(query, 20), strict=True):
            assert np.array_equal(before, after)


def test_the_same_rows_and_seed_give_the_same_graph(tmp_path):
    rows = clustered(3000, 16)
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        (tmp_path / name).mkdir()
        Vectors.build(rows, seed, kind="hnsw").save(tmp_path / name)
    one, again, other = ((tmp_path / name / "vectors.faiss").read_bytes() for name in ("one", "again", "other"))
    assert one == again != other


def damaged(path):
    """The content of a file as it may look after an accident."""
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    return {"empty": b"", "cut": whole[: len(whole) // 2], "broken": b"{broken", "flipped": bytes(flipped)}


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_is_one_line(kind, tmp_path):
    good = tmp_path / "good"
    good.mkdir()
    Vectors.build(clustered(3000, 16), kind=kind).save(good)
    for name in FILES[kind]:
        contents = damaged(good / name)
        # a flipped number among the rows is a number still, and flipped JSON may be another word of `why`
        for accident in contents if name == "vectors.faiss" else ["empty", "cut", "broken"]:
            bad = shutil.copytree(good, tmp_path / "bad", dirs_exist_ok=True)
            (bad / name).write_bytes(contents[accident])
            with pytest.raises(UserError, match="damaged") as caught:
                Vectors.open(bad)
            assert str(caught.value).startswith(str(bad)) and "\n" not in str(caught.value)


def test_a_lost_file_or_rows_of_another_index_are_one_line(tmp_path):
    Vectors.build(clustered(3000, 16), kind="hnsw").save(tmp_path)
    np.save(tmp_path / "vectors.npy", clustered(2999, 16))
    with pytest.raises(UserError, match="3000 rows"):
        Vectors.open(tmp_path)
    np.save(tmp_path / "vectors.npy", clustered(3000, 8))
    with pytest.raises(UserError, match="damaged"):
        Vectors.open(tmp_path)
    (tmp_path / "vectors.faiss").unlink()
    with pytest.raises(UserError, match="damaged"):
        Vectors.open(tmp_path)


def test_an_unknown_kind_is_damage(tmp_path):
    Vectors.build(clustered(300, 8)).save(tmp_path)
    settings_ = json.loads((tmp_path / "vectors.json").read_text())
    (tmp_path / "vectors.json").write_text(json.dumps(settings_ | {"kind": "tree"}))
    with pytest.raises(UserError, match="tree"):
        Vectors.open(tmp_path)


def test_searches_at_the_same_time_answer_as_one_after_another(large):
    kept, rows, queries = large
    allowed = np.random.default_rng(6).random(len(rows)) < 0.9
    alone = [kept.search(query, 20, allowed)[0].tolist() for query in queries]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda query: kept.search(query, 20, allowed)[0].tolist(), queries))
    assert together == alone
