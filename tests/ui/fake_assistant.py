"""An assistant for tests of pages: it answers at once, and the pages see the same class as in earnest."""

from builder.answering.assistant import Assistant, Reply, checked
from builder.answering.citations import Citation
from knowledge.errors import UserError
from knowledge.search.index import Found
from knowledge.search.passages import Passage

HOSTILE = "![x](https://evil.example/p.png) <img src=x> [go](https://evil.example) **bold** www.evil.example :mask: $x$"
PASSAGE = Passage("documents/returns.md", f"Returns {HOSTILE}", f"You have 30 days. {HOSTILE}", 10, 27, 2)


class FakeAssistant(Assistant):
    """Answers at once with a fixed text; the pages see the same class as in earnest."""

    def __init__(self, brand, retriever=True, adapted=True):
        super().__init__(brand, None, retriever or None, adapted)

    def answer(self, question, system, emit=None, history=(), earlier=()):
        question = checked(question)
        if question == "too long":
            raise UserError("the prompt leaves no room; `lower` retrieval.found\nin brand.yaml")
        abstained = system.retrieves and question == "unknown"
        text = self.brand.abstain if abstained else f"{system.name} says {HOSTILE}"
        for piece in text.split():
            emit(piece + " ")
        return Reply(question, system.name, text, abstained, 0.07 if abstained else 0.9 if system.retrieves else None,
                     (Found(PASSAGE, 3, 0.1, 0.8, 2.0),) if system.retrieves else (), 9, 90, 0.5, "stop",
                     (Citation(0, 12, True, 0, 0, 10, 0.9), Citation(13, len(text), True, None, 0, 0, 0.2))
                     if system.retrieves and question == "cited" else ())
