import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from knowledge.reading.documents import Document
from knowledge.search import answerable, encoder, index
from knowledge.search.answerable import Answerability
from knowledge.search.index import Index
from knowledge.search.retriever import Retriever

TOPICS = {
    "Sending things back": "You may send a lamp back within thirty days if it is unused and in its own box.",
    "Mending": "We mend lamps of any make at the bench in our cellar, and a repair takes about nine days.",
    "Opening hours": "The shop door is open from nine until five on weekdays, and never on Sundays.",
    "Parcels": "Parcels leave the warehouse on Tuesdays and Fridays with the green post van.",
    "Vouchers": "A gift voucher lasts for three years and can be spent on anything but repairs.",
    "Shades": "Linen shades are cut by hand in sizes from twenty to sixty centimetres.",
    "Bulbs": "Every table lamp comes with a warm bulb of four watts that can be dimmed.",
    "Wiring": "Old wiring is replaced with braided cable, tested twice, and labelled with the date.",
    "Wood care": "Oil the oak base once a year with linseed oil and a soft cotton cloth.",
    "Visits": "Groups of up to ten people can visit the workshop on the first Saturday of a month.",
    "Guarantee": "The guarantee covers the switch and the socket for six years, not the shade.",
    "Courses": "An evening course teaches how to rewire a lamp; it costs forty crowns with material."}


@pytest.fixture(scope="module")
def real():
    return encoder.prepared()


@pytest.fixture(scope="module")
def built(tmp_path_factory, real):
    folder = tmp_path_factory.mktemp("index")
    text = "# Lamp house\n\n" + "\n\n".join(f"## {name}\n\n{text}" for name, text in TOPICS.items())
    index.build([Document("documents/house.md", text, (), "x")], [], real, folder)
    answerable.fit(Index.open(folder, real)).save(folder)
    return folder


def test_it_tells_what_the_documents_answer_from_what_they_do_not(built, real):
    retriever = Retriever.open(built, Index.open(built, real))
    asked = ["How long do I have to return a lamp?", "How many days does a repair take?", "Are you open on Sunday?",
             "On which days are parcels sent?", "How long is a gift voucher good for?",
             "May our club see the workshop?"]
    strange = ["Who won the chess match?", "How do I bake sourdough bread?", "What is the tallest mountain in Peru?",
               "Can my dog eat grapes?", "How do I install a printer driver?", "When was the steam engine invented?"]
    judged = [retriever.find(question).probability for question in asked + strange]
    assert roc_auc_score([1] * 6 + [0] * 6, judged) >= 0.95
    assert all(0 <= probability <= 1 for probability in judged)
    assert sum(retriever.find(question).answerable for question in strange) == 0


def test_what_was_learned_survives_saving(built, real):
    opened = Index.open(built, real)
    fresh, kept = answerable.fit(opened), Answerability.open(built)
    found = opened.search("How long do I have to return a lamp?", 5)
    assert kept == fresh
    assert kept.probability("How long?", found, opened.words) == fresh.probability(
        "How long?", found, opened.words)


def test_the_wish_for_few_false_answers_raises_the_threshold(built, real):
    opened = Index.open(built, real)
    strict, lax = answerable.fit(opened, 0.01), answerable.fit(opened, 0.6)
    assert lax.threshold < strict.threshold
    assert strict.quality["refused_answerable"] <= answerable.REFUSED + 0.05


def test_nothing_found_answers_nothing(built):
    assert Answerability.open(built).probability("anything", [], lambda stem: 1.0) == 0.0


def test_few_passages_fall_back_to_nearness_alone(tmp_path, real):
    index.build([Document("documents/a.md", "## Parcels\n\nParcels leave the warehouse on Tuesdays.", (), "x")], [],
                real, tmp_path)
    answerable.fit(Index.open(tmp_path, real)).save(tmp_path)
    retriever = Retriever.open(tmp_path, Index.open(tmp_path, real))
    assert retriever.find("When do parcels leave the warehouse?").answerable
    assert not retriever.find("Who painted the Mona Lisa?").answerable


def test_the_export_encodes_as_sentence_transformers_does(real):
    from sentence_transformers import SentenceTransformer

    texts = ["hello", "How do I return a broken lamp? " * 30, "x " * 700, "Ünïcödé — 42 %"]
    reference = SentenceTransformer(str(encoder.source("all-MiniLM-L6-v2")), device="cpu")
    cosines = (reference.encode(texts, normalize_embeddings=True) * real.encode(texts)).sum(1)
    assert cosines.min() >= 0.999
    assert np.allclose(np.linalg.norm(real.encode(texts), axis=1), 1, atol=1e-5)
