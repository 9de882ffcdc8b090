"""Small true stand-ins for the slow parts."""

import numpy as np

from knowledge.files import hash_bytes
from knowledge.late_interaction import Tokens, rounded
from knowledge.words import stems


def direction(word):
    """A unit vector of the word's own."""
    drawn = np.random.default_rng(int(hash_bytes(word)[:8], 16)).normal(size=64)
    return drawn / np.linalg.norm(drawn)


class LetterEncoder:
    """A small true encoder: each word has a direction of its own, so that shared words mean nearness."""

    sha256 = "letters"
    dimensions = 64
    most_tokens = 100

    def __init__(self):
        self.seen = 0

    def encode(self, texts):
        self.seen += len(texts)
        vectors = np.zeros((len(texts), 64), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in stems(text) or ["-"]:
                vectors[row] += direction(word)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def encode_question(self, text):
        return self.encode([text])[0], self.tokens(text)

    def encode_documents(self, texts):
        return self.encode(texts), [self.tokens(text) for text in texts]

    def tokens(self, text):
        words = tuple(stems(text))
        rows = np.stack([direction(word) for word in words] or [np.zeros(64)])[:len(words)]
        return Tokens(words, rounded(rows))

    def count(self, text):
        return len(text.split())
