import json
import re
from dataclasses import replace

import faiss
import numpy as np
import pytest

from knowledge import index
from knowledge.documents import Document
from knowledge.errors import UserError
from knowledge.files import hash_bytes
from knowledge.index import Index
from knowledge.words import stems

TEXTS = {"returns": "Send a lamp back within thirty days in its box.",
         "mending": "We mend lamps of any make at our bench in the cellar.",
         "opening": "The door is open from nine to five, never on Sundays.",
         "parcels": "Parcels leave the house on Tuesdays and Fridays.",
         "vouchers": "A voucher of code KX-4471 lasts for three years."}


class LetterEncoder:
    """A small true encoder: each word has a direction of its own, so that shared words mean nearness."""

    sha256 = "letters"

    def __init__(self):
        self.seen = 0

    def encode(self, texts):
        self.seen += len(texts)
        vectors = np.zeros((len(texts), 64), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in stems(text) or ["-"]:
                vectors[row] += np.random.default_rng(int(hash_bytes(word)[:8], 16)).normal(size=64)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def count(self, text):
        return len(text.split())


@pytest.fixture
def encoder():
    return LetterEncoder()


def documents(texts=TEXTS):
    return [Document(f"documents/{name}.md", f"## {name}\n\n{text}\n", (), hash_bytes(text))
            for name, text in texts.items()]


@pytest.fixture
def built(tmp_path, encoder):
    (tmp_path / "index").mkdir()
    index.build(documents(), [], encoder, tmp_path / "index")
    return tmp_path / "index"


def by_hand(passages, encoder, question, leave_out=()):
    """Reciprocal rank fusion over brute-force cosine and BM25 written from the formula."""
    cosines = [float(encoder.encode([one.indexed])[0] @ encoder.encode([question])[0]) for one in passages]
    bags = [stems(one.indexed) for one in passages]
    mean = sum(map(len, bags)) / len(bags)
    words = []
    for bag in bags:
        score = 0.0
        for stem in stems(question):
            holding = sum(stem in other for other in bags)
            rarity = np.log(1 + (len(bags) - holding + 0.5) / (holding + 0.5))
            times = bag.count(stem)
            score += rarity * times / (times + 1.5 * (1 - 0.75 + 0.75 * len(bag) / mean)) if times else 0
        words.append(score)
    scores = dict.fromkeys(range(len(passages)), 0.0)
    for values in (cosines, words):
        ranked = [number for number in np.argsort(-np.array(values), kind="stable") if number not in leave_out]
        for rank, number in enumerate(ranked, 1):
            if values is cosines or values[number] > 0:
                scores[int(number)] += 1 / (60 + rank)
    order = sorted((one for one in scores if one not in leave_out), key=lambda one: (-scores[one], -cosines[one]))
    return order, words


@pytest.mark.parametrize("question", ["May I send my lamp back?", "code KX-4471", "when is the door open",
                                      "Do parcels leave on Fridays?"])
def test_search_orders_as_brute_force_does(built, encoder, question):
    opened = Index.open(built, encoder)
    order, words = by_hand(opened.passages, encoder, question)
    found = opened.search(question, 5)
    assert [one.number for one in found] == order
    assert [one.words for one in found] == pytest.approx([words[one.number] for one in found], rel=1e-4)


def test_what_is_left_out_does_not_exist(built, encoder):
    opened = Index.open(built, encoder)
    best = opened.search("send a lamp back", 1)[0].number
    found = opened.search("send a lamp back", 5, {best})
    assert len(found) == 4 and best not in {one.number for one in found}


@pytest.mark.parametrize("question", ["", "???", "zzzz qqqq", "the of and", "\U0001f600"])
def test_a_question_of_unknown_words_still_gets_an_order(built, encoder, question):
    assert len(Index.open(built, encoder).search(question, 3)) == 3


def test_the_folder_describes_itself_and_holds_no_pickle(built):
    settings = json.loads((built / "index.json").read_text())
    assert settings["passages"] == 5 and len(settings["documents"]) == 5 and settings["encoder"] == "letters"
    assert not [file for file in built.rglob("*") if re.search(r"\.(pkl|pickle|bin|pt)$", file.name)]
    assert all(np.load(file, allow_pickle=False) is not None for file in built.rglob("*.npy"))


def test_only_what_changed_is_encoded_again(built, tmp_path, encoder):
    before = encoder.seen
    (tmp_path / "later").mkdir()
    changed = documents(TEXTS | {"returns": "Send a lamp back within sixty days."})
    index.build(changed, [], encoder, tmp_path / "later", earlier=built)
    assert encoder.seen == before + 1
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    index.build(changed, [], encoder, fresh)
    assert (fresh / "passages.jsonl").read_bytes() == (tmp_path / "later" / "passages.jsonl").read_bytes()
    assert np.array_equal(faiss.read_index(str(fresh / "vectors.faiss")).reconstruct_n(0, 5),
                          Index.open(tmp_path / "later", encoder).vectors())


@pytest.mark.parametrize("name", ["passages.jsonl", "vectors.faiss", "words/vocab.index.json", "index.json"])
def test_a_damaged_file_is_one_line(built, encoder, name):
    (built / name).write_bytes(b"{broken")
    with pytest.raises(UserError) as caught:
        Index.open(built, encoder)
    assert "\n" not in str(caught.value) and "again" in str(caught.value)


def test_another_encoder_is_refused(built, encoder):
    encoder.sha256 = "others"
    with pytest.raises(UserError, match="another encoder"):
        Index.open(built, encoder)


def test_no_text_is_refused(tmp_path, encoder):
    with pytest.raises(UserError, match="add documents"):
        index.build([replace(documents()[0], text="  ")], [], encoder, tmp_path)
