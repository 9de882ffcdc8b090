import json
import re
from dataclasses import replace

import numpy as np
import pytest

from knowledge.errors import UserError
from knowledge.files import hash_bytes
from knowledge.reading.documents import Document
from knowledge.search import index
from knowledge.search.filter import Filter
from knowledge.search.index import Index
from knowledge.text.words import stems
from tests.fakes import LetterEncoder, direction

TEXTS = {"returns": "Send a lamp back within thirty days in its box.",
         "mending": "We mend lamps of any make at our bench in the cellar.",
         "opening": "The door is open from nine to five, never on Sundays.",
         "parcels": "Parcels leave the house on Tuesdays and Fridays.",
         "vouchers": "A voucher of code KX-4471 lasts for three years."}


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


def by_hand(passages, encoder, question):
    """The weighed sum of brute-force cosine, nearest tokens and BM25 from their formulas, each scaled to 0 to 1."""
    cosines = [float(encoder.encode([passage.indexed])[0] @ encoder.encode([question])[0]) for passage in passages]
    bags = [stems(passage.indexed) for passage in passages]
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
    rarities = {stem: np.log((len(bags) + 1) / max(sum(stem in bag for bag in bags), 1)) for stem in stems(question)}
    tokens = [sum(rarities[stem] * max(float(direction(stem) @ direction(other)) for other in bag)
                  for stem in stems(question)) / sum(rarities[stem] for stem in stems(question)) for bag in bags]

    def scaled(values, low):
        return [(value - low) / (max(values) - low or 1) for value in values]

    scores = [0.3 * near + 0.5 * token + 0.2 * worded for near, token, worded in zip(
        scaled(cosines, min(cosines)), scaled(tokens, min(tokens)), scaled(words, 0), strict=True)]
    return sorted(range(len(passages)), key=lambda one: (-scores[one], -cosines[one])), tokens, words


@pytest.mark.parametrize("question", ["May I send my lamp back?", "code KX-4471", "when is the door open",
                                      "Do parcels leave on Fridays?"])
def test_search_orders_as_brute_force_does(built, encoder, question):
    opened = Index.open(built, encoder)
    order, tokens, words = by_hand(opened.passages, encoder, question)
    found = opened.search(question, 5)
    assert [one.number for one in found] == order
    assert [one.words for one in found] == pytest.approx([words[one.number] for one in found], rel=1e-4)
    assert [one.tokens for one in found] == pytest.approx([tokens[one.number] for one in found], abs=0.02)


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
    index.build(changed, [], encoder, tmp_path / "later", earlier=Index.open(built, encoder))
    assert encoder.seen == before + 1
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    index.build(changed, [], encoder, fresh)
    assert (fresh / "passages.jsonl").read_bytes() == (tmp_path / "later" / "passages.jsonl").read_bytes()
    assert np.array_equal(Index.open(fresh, encoder).vectors(), Index.open(tmp_path / "later", encoder).vectors())
    for text in TEXTS.values():  # the numbers of words may differ, what they find may not
        found, wanted = (Index.open(tmp_path / name, encoder).search(text, 5) for name in ("later", "fresh"))
        assert [(one.number, one.words) for one in found] == [(one.number, one.words) for one in wanted]


@pytest.mark.parametrize("name", ["passages.jsonl", "vectors.npy", "owners.npy", "tokens.npy", "token-starts.npy",
                                  "words/stems.npy", "words/vocab.index.json", "index.json"])
def test_a_damaged_file_is_one_line(built, encoder, name):
    (built / name).write_bytes(b"{broken")
    with pytest.raises(UserError) as caught:
        Index.open(built, encoder)
    assert "\n" not in str(caught.value) and "again" in str(caught.value)


def test_the_question_of_a_pair_is_found_by_itself(tmp_path, encoder):
    text = "## May I bring my dog?\n\nAnimals on a lead wait at the counter; there is water and a rug for them.\n"
    index.build([*documents(), Document("documents/faq.md", text, (), "x")], [], encoder, tmp_path)
    opened = Index.open(tmp_path, encoder)
    assert opened.vectors().shape == (7, 64)
    best = opened.search("may I bring my dog?", 6)
    assert best[0].passage.document == "documents/faq.md" and best[0].cosine == pytest.approx(1, abs=1e-5)
    assert len({one.number for one in best}) == 6


def test_passages_that_say_the_same_are_one(tmp_path, encoder):
    copy = replace(documents()[0], path="documents/zz-copy.md")
    index.build([*documents(), copy], [], encoder, tmp_path)
    found = Index.open(tmp_path, encoder).search("send a lamp back", 6)
    assert [len(one.also) for one in found] == [1, 0, 0, 0, 0]
    assert {found[0].number, *found[0].also} == {4, 5} or {found[0].number, *found[0].also} == {0, 5}


@pytest.mark.parametrize("where, names", [
    (Filter(folder="shop"), {"documents/shop/a.md"}), (Filter(language="de"), {"documents/b.md"}),
    (Filter(tag="price"), {"documents/shop/a.md", "documents/b.md"}), (Filter(since="2026-01-01"), {"documents/b.md"}),
    (Filter(until="2025-12-31"), {"documents/shop/a.md"}), (Filter(), None)])
def test_a_filter_leaves_out_other_documents(tmp_path, encoder, where, names):
    given = [Document("documents/shop/a.md", "A lamp costs ten.", (), "a", "", "en", ("price",), "2025-05-01"),
             Document("documents/b.md", "Eine Lampe kostet zehn.", (), "b", "", "de", ("price", "new"), "2026-02-01"),
             Document("documents/c.md", "A lamp is a lamp.", (), "c", "", "en")]
    index.build(given, [], encoder, tmp_path)
    found = Index.open(tmp_path, encoder).search("What does a lamp cost?", 3, where=where)
    assert {one.passage.document for one in found} == (names if names is not None else {one.path for one in given})


def test_a_filter_that_nothing_fits_says_what_there_is(built, encoder):
    with pytest.raises(UserError, match="no document fits the filter; there are folders none; languages none; tags"):
        Index.open(built, encoder).search("What does a lamp cost?", 3, where=Filter(folder="shop"))


def test_another_encoder_is_refused(built, encoder):
    encoder.sha256 = "others"
    with pytest.raises(UserError, match="different encoder"):
        Index.open(built, encoder)


def test_no_text_is_refused(tmp_path, encoder):
    with pytest.raises(UserError, match="add documents"):
        index.build([replace(documents()[0], text="  ")], [], encoder, tmp_path)
