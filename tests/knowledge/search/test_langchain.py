import numpy as np
import pytest
from langchain_core.documents import Document as Found
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from langchain_tests.integration_tests import (
    EmbeddingsIntegrationTests,
    RetrieversIntegrationTests,
    VectorStoreIntegrationTests,
)
from langchain_tests.unit_tests import EmbeddingsUnitTests

from knowledge.errors import UserError
from knowledge.reading.documents import Document
from knowledge.search import answerable, encoder, index
from knowledge.search.index import Index
from knowledge.search.langchain import EncoderEmbeddings, PassageRetriever, PassageVectorStore
from knowledge.search.langchain_plugins import EmbeddingsEncoder, StoreSearch, named, open_embeddings
from knowledge.search.retriever import Retriever
from knowledge.search.vectors import Vectors

FAKE = "langchain:langchain_core.embeddings:DeterministicFakeEmbedding"
THINGS = ["cat", "boat", "lamp", "garden", "violin", "bread", "bridge", "candle", "river"]


@pytest.fixture(scope="module")
def real():
    return encoder.prepared()


@pytest.fixture(scope="module")
def opened(tmp_path_factory, real):
    folder = tmp_path_factory.mktemp("index")
    text = "\n\n".join(f"## Rule {number}\n\nRule number {number} concerns the {thing}."
                       for number, thing in enumerate(THINGS))
    index.build([Document("documents/rules.md", text, (), "x")], [], real, folder)
    answerable.fit(Index.open(folder, real)).save(folder)
    return Retriever.open(folder, Index.open(folder, real))


@pytest.fixture
def store(real):
    return PassageVectorStore.from_texts(
        [f"the {thing}" for thing in THINGS], EncoderEmbeddings(real),
        [{"even": number % 2 == 0, "thing": thing} for number, thing in enumerate(THINGS)], ids=THINGS)


class TestPassageRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _real(self, opened):
        type(self).kept = opened

    @property
    def retriever_constructor(self):
        return PassageRetriever

    @property
    def retriever_constructor_params(self):
        return {"retriever": self.kept}

    @property
    def retriever_query_example(self):
        return "Which rule is about the lamp?"


class OurEmbeddings:
    @pytest.fixture(autouse=True)
    def _real(self, real):
        type(self).kept = real

    @property
    def embeddings_class(self):
        return EncoderEmbeddings

    @property
    def embedding_model_params(self):
        return {"encoder": self.kept}


class TestEmbeddingsUnit(OurEmbeddings, EmbeddingsUnitTests):
    @pytest.fixture
    def model(self, _real):
        return EncoderEmbeddings(self.kept)


class TestEmbeddingsIntegration(OurEmbeddings, EmbeddingsIntegrationTests):
    @pytest.fixture
    def model(self, _real):
        return EncoderEmbeddings(self.kept)


class TestPassageVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self):
        return PassageVectorStore(self.get_embeddings())


def test_a_found_document_says_where_it_stands(opened):
    best = PassageRetriever(retriever=opened).invoke("Which rule is about the lamp?")[0]
    assert best.page_content == "Rule number 2 concerns the lamp."
    assert best.metadata["source"] == "documents/rules.md" and best.metadata["heading"] == "Rule 2"
    assert 0 <= best.metadata["answerable"] <= 1


def test_the_nearest_document_comes_first_with_its_cosine(store, real):
    (best, cosine), *rest = store.similarity_search_with_score("a kitten", k=9)
    assert best.id == "cat" and len(rest) == 8
    assert cosine == pytest.approx(float(real.encode(["the cat"])[0] @ real.encode(["a kitten"])[0]), abs=1e-5)
    assert store.similarity_search_with_relevance_scores("a kitten", k=1) == [(best, cosine)]
    assert store.similarity_search_by_vector(real.encode(["a kitten"])[0].tolist(), k=1) == [best]


def test_a_filter_is_metadata_or_a_function(store):
    assert {one.metadata["even"] for one in store.similarity_search("a boat", k=9, filter={"even": True})} == {True}
    assert [one.id for one in store.similarity_search("a boat", filter=lambda one: one.id == "bread")] == ["bread"]
    assert store.similarity_search("a boat", filter={"colour": None}) == []


def test_marginal_relevance_leaves_out_what_says_the_same(real):
    store = PassageVectorStore.from_texts(["the cat", "the cat.", "a boat on the river"], EncoderEmbeddings(real))
    found = [one.page_content for one in store.max_marginal_relevance_search("cat", k=2, lambda_mult=0.3)]
    assert len(found) == 2 and "a boat on the river" in found


def test_a_returned_document_is_no_handle_on_the_store(store):
    store.similarity_search("a kitten", k=1)[0].metadata["thing"] = "dog"
    store.get_by_ids(["cat"])[0].metadata["thing"] = "dog"
    assert store.get_by_ids(["cat"])[0].metadata["thing"] == "cat"


def test_ids_must_be_as_many_as_documents(store):
    with pytest.raises(ValueError, match="2 documents, but 1 ids"):
        store.add_documents([Found("one"), Found("two")], ids=["1"])


def test_delete_without_ids_forgets_all(store):
    store.delete()
    assert store.similarity_search("cat") == []


def test_a_saved_store_answers_as_before_and_can_be_changed(store, real, tmp_path):
    store.save(tmp_path / "kept")
    assert {path.suffix for path in (tmp_path / "kept").iterdir()} == {".jsonl", ".json", ".npy"}
    again = PassageVectorStore.load(tmp_path / "kept", EncoderEmbeddings(real))
    assert again.similarity_search_with_score("a kitten", k=9) == store.similarity_search_with_score("a kitten", k=9)
    again.delete(["cat"])
    assert "cat" not in {one.id for one in again.similarity_search("a kitten", k=9)}
    with pytest.raises(UserError, match="already"):
        again.save(tmp_path / "kept")


def test_an_empty_store_can_be_saved(real, tmp_path):
    PassageVectorStore(EncoderEmbeddings(real)).save(tmp_path / "kept")
    assert PassageVectorStore.load(tmp_path / "kept", EncoderEmbeddings(real)).similarity_search("cat") == []


@pytest.mark.parametrize("content", ["{broken", '{"id": "1"}\n', ""])
def test_a_damaged_store_is_one_line(store, real, tmp_path, content):
    store.save(tmp_path / "kept")
    (tmp_path / "kept" / "documents.jsonl").write_text(content)
    if not content:
        (tmp_path / "kept" / "documents.jsonl").unlink()
    with pytest.raises(UserError, match="damaged") as caught:
        PassageVectorStore.load(tmp_path / "kept", EncoderEmbeddings(real))
    assert "\n" not in str(caught.value)


def test_metadata_that_json_cannot_hold_is_refused_and_leaves_no_folder(real, tmp_path):
    store = PassageVectorStore.from_texts(["a"], EncoderEmbeddings(real), [{"set": {1}}])
    with pytest.raises(UserError, match="metadata"):
        store.save(tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_foreign_embeddings_are_an_encoder():
    fake = DeterministicFakeEmbedding(size=24)
    made = EmbeddingsEncoder(fake, "fake")
    question, (passage, tokens) = made.encode(["a", "b"]), made.encode_documents(["a", "b"])
    assert made.dimensions == 24 and question.dtype == np.float32
    assert np.linalg.norm(question, axis=1) == pytest.approx(1)
    expected = np.array(fake.embed_query("b"))
    assert question[1] == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)
    assert np.array_equal(question, passage) and np.array_equal(made.encode_question("b")[0], question[1])
    assert [token.words for token in tokens] == [(), ()]
    assert made.encode_documents([])[0].shape[0] == 0 and made.count("one two three four") == 5


class Turned(DeterministicFakeEmbedding):
    """The same name, other weights."""

    def embed_query(self, text):
        return super().embed_query(text + "!")


def test_a_changed_model_changes_the_hash():
    one = EmbeddingsEncoder(DeterministicFakeEmbedding(size=24), "fake").sha256
    assert EmbeddingsEncoder(DeterministicFakeEmbedding(size=24), "fake").sha256 == one
    others = {EmbeddingsEncoder(DeterministicFakeEmbedding(size=23), "fake").sha256,
              EmbeddingsEncoder(Turned(size=24), "fake").sha256,
              EmbeddingsEncoder(DeterministicFakeEmbedding(size=24), "other").sha256}
    assert len(others | {one}) == 4


def test_an_index_stands_on_foreign_embeddings(tmp_path, real):
    foreign = EmbeddingsEncoder(EncoderEmbeddings(real), "ours as theirs")
    index.build([Document("documents/rules.md", "## Cats\n\nThe cat sleeps.\n\n## Boats\n\nThe boat floats.", (), "x")],
                [], foreign, tmp_path)
    assert "cat" in Index.open(tmp_path, foreign).search("a kitten", 1)[0].passage.text


class Lossy(InMemoryVectorStore):
    """A store that finds at most two, one of them of an index that was longer."""

    def similarity_search_by_vector(self, embedding, k=4, **kwargs):
        return [Found("old", metadata={"number": 999}), *super().similarity_search_by_vector(embedding, 1, **kwargs)]


@pytest.mark.parametrize("kind", [InMemoryVectorStore, PassageVectorStore, Lossy])
def test_a_foreign_store_searches_as_our_vectors_do(real, kind):
    rows = real.encode([f"the {thing}" for thing in THINGS])
    ours, theirs = Vectors.build(rows), StoreSearch(kind, rows, real)
    query = real.encode(["a kitten"])[0]
    odd = np.arange(len(THINGS)) % 2 == 1
    for count, allowed in ((1, None), (3, None), (50, None), (2, odd), (9, odd), (3, ~odd & odd), (0, None)):
        expected, found = ours.search(query, count, allowed), theirs.search(query, count, allowed)
        assert np.array_equal(expected[0], found[0]) and np.array_equal(expected[1], found[1])
    assert len(theirs) == 9 and np.array_equal(theirs.rows([3, 1]), rows[[3, 1]]) and kind.__name__ in theirs.why


def test_a_store_that_cannot_be_made_is_one_line(real):
    with pytest.raises(UserError, match="InMemoryVectorStore: failed") as caught:
        StoreSearch(InMemoryVectorStore, real.encode(["a"]), real, metadatas=[])
    assert "\n" not in str(caught.value)


def test_a_class_is_found_by_its_name():
    assert named("langchain:langchain_core.vectorstores:InMemoryVectorStore", VectorStore) is InMemoryVectorStore
    assert open_embeddings(FAKE, {"size": 12}).dimensions == 12


@pytest.mark.parametrize(("setting", "reason"), [
    ("langchain:no_such_package.here:Thing", "not found"),
    ("langchain:langchain_core.embeddings:Nothing", "not found.*Nothing"),
    ("langchain:langchain_core.vectorstores:InMemoryVectorStore", "is not a LangChain Embeddings"),
    ("langchain:os:getcwd", "is not a LangChain Embeddings"),
    ("langchain:langchain_core.embeddings", "write langchain:"),
    ("langchain:os:system('ls')", "write langchain:"),
    ("langchain:.os:path", "write langchain:"),
    ("langchain::", "write langchain:")])
def test_a_name_that_is_none_is_one_line(setting, reason):
    with pytest.raises(UserError, match=reason) as caught:
        named(setting, Embeddings)
    assert "\n" not in str(caught.value)


def test_settings_that_do_not_fit_are_one_line():
    with pytest.raises(UserError, match="check its settings") as caught:
        open_embeddings(FAKE, {"length": 12})
    assert "\n" not in str(caught.value)
