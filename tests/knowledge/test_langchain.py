import pytest
from langchain_tests.integration_tests import RetrieversIntegrationTests

from knowledge import answerable, encoder, index
from knowledge.documents import Document
from knowledge.index import Index
from knowledge.langchain import PassageRetriever
from knowledge.retriever import Retriever


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    text = "\n\n".join(f"## Rule {number}\n\nRule number {number} concerns the {thing}." for number, thing in
                       enumerate(["cat", "boat", "lamp", "garden", "violin", "bread", "bridge", "candle", "river"]))
    real = encoder.prepared()
    index.build([Document("documents/rules.md", text, (), "x")], [], real, folder)
    answerable.fit(Index.open(folder, real)).save(folder)
    return Retriever.open(folder, real)


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


def test_a_found_document_says_where_it_stands(opened):
    best = PassageRetriever(retriever=opened).invoke("Which rule is about the lamp?")[0]
    assert best.page_content == "Rule number 2 concerns the lamp."
    assert best.metadata["source"] == "documents/rules.md" and best.metadata["heading"] == "Rule 2"
    assert 0 <= best.metadata["answerable"] <= 1
