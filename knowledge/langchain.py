"""The retriever as a LangChain retriever."""

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict

from knowledge.retriever import Retriever


class PassageRetriever(BaseRetriever):
    """Found passages as LangChain documents; the metadata says where each stands and how sure one may be."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    retriever: Retriever
    k: int | None = None
    """How many passages; None for the retriever's own count."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun,
                                k: int | None = None, **_: Any) -> list[Document]:
        finding = self.retriever.find(query, k or self.k)
        return [Document(page_content=one.passage.text, metadata={
            "source": one.passage.document, "heading": one.passage.heading, "start": one.passage.start,
            "end": one.passage.end, "page": one.passage.page, "score": one.score, "answerable": finding.probability})
                for one in finding.found]
