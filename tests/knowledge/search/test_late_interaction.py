import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.search import encoder
from knowledge.search.late_interaction import NO_TOKENS, ONE, TokenRows, Tokens, rounded
from knowledge.text.words import content_words


def unit(seed, count, numbers=16):
    rows = np.random.default_rng(seed).normal(size=(count, numbers)).astype(np.float32)
    return rounded(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9))


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(0, 7), min_size=1, max_size=8), asked=st.integers(1, 5), seed=st.integers(0, 9))
def test_closeness_is_the_weighed_sum_of_maxima(tmp_path_factory, lengths, asked, seed):
    folder = tmp_path_factory.mktemp("tokens")
    parts = [unit(seed + number, length) for number, length in enumerate(lengths)]
    TokenRows.save(parts, folder)
    opened = TokenRows.open(folder)
    question = Tokens(tuple(f"stem {number % 3}" for number in range(asked)), unit(99 + seed, asked))
    weights = question.weights(lambda stem: 1.0 + int(stem[-1]))
    assert weights.sum() == pytest.approx(1)
    numbers = list(range(len(lengths)))[::-1]
    found = opened.closeness(question, weights, numbers)
    for number, value in zip(numbers, found, strict=True):
        near = [max((float(row.astype(float) @ other.astype(float)) / ONE**2 for other in parts[number]), default=0.0)
                for row in question.rows]
        assert value == pytest.approx(sum(weight * one for weight, one in zip(weights, near, strict=True)), abs=1e-4)
    assert len(opened) == len(lengths) and bool(opened) == any(lengths)
    assert all(np.array_equal(opened.part(number), parts[number]) for number in numbers if lengths[number])


def test_a_word_counts_once_however_many_tokens_it_has():
    tokens = Tokens(("umbrella", "umbrella", "open"), unit(0, 3))
    assert tokens.weights(lambda stem: 2.0) == pytest.approx([0.25, 0.25, 0.5])
    assert len(NO_TOKENS.weights(lambda stem: 1.0)) == 0


def test_without_tokens_all_are_equally_far(tmp_path):
    TokenRows.save([NO_TOKENS.rows, NO_TOKENS.rows], tmp_path)
    opened = TokenRows.open(tmp_path)
    assert not opened and len(opened) == 2
    assert opened.closeness(NO_TOKENS, NO_TOKENS.weights(lambda stem: 1.0), [1, 0]).tolist() == [0, 0]


@pytest.fixture(scope="module")
def real():
    return encoder.prepared()


def test_tokens_keep_the_cosines_of_the_original(real):
    """A projection to a third of the numbers moves a cosine by 0.06 or so (Johnson and Lindenstrauss), rarely more."""
    from sentence_transformers import SentenceTransformer

    text = "Unbreakable umbrellas aren't mended on Sundays; ring €5.00 déjà-vu \U0001f327 first."
    model = SentenceTransformer(str(encoder.source("all-MiniLM-L6-v2")), device="cpu")
    whole = np.asarray(model.encode(text, output_value="token_embeddings").cpu())
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    read = model.tokenizer(text, return_offsets_mapping=True)
    words = content_words(text)
    kept = [number for number, (start, end) in enumerate(read["offset_mapping"])
            if any(start < until and end > since and start < end for since, until, _ in words)]
    _, tokens = real.encode_question(text)
    assert len(tokens.rows) == len(tokens.words) == len(kept) > 8
    assert set(tokens.words) == {stem for _, _, stem in words}
    ours = tokens.rows.astype(float) @ tokens.rows.astype(float).T / ONE**2
    theirs = whole[kept] @ whole[kept].T
    assert np.abs(ours - theirs).mean() < 0.06 and np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("text", ["", "   ", "to be or not to be", "\u0130\u00df \ufb01\u00e9\u0301",
                                  "雨の日の傘", "a" * 3000])
def test_any_text_has_as_many_stems_as_rows(real, text):
    vectors, [tokens] = real.encode_documents([text])
    assert vectors.shape == (1, real.dimensions) and len(tokens.words) == len(tokens.rows)
    assert np.array_equal(tokens.rows, real.encode_documents([text, "another text"])[1][0].rows)
