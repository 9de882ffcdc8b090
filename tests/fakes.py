"""Small true stand-ins for the slow parts."""

import shutil

import numpy as np
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

from knowledge.files import hash_bytes
from knowledge.search.encoder import source
from knowledge.search.late_interaction import Tokens, rounded
from knowledge.text.words import stems

LIMIT = 64
"""Tokens that the cross-encoders here read."""


def direction(word):
    """A unit vector of the word's own."""
    drawn = np.random.default_rng(int(hash_bytes(word)[:8], 16)).normal(size=64)
    return drawn / np.linalg.norm(drawn)


class LetterEncoder:
    """A small true encoder: each word has a direction of its own, so that shared words mean nearness."""

    sha256 = "letters"
    dimensions = 64
    most_tokens = 100
    languages = None

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


def pair_tokenizer(kind):
    """BERT's own words, or RoBERTa's bytes: no types, and other marks between question and text."""
    from transformers import AutoTokenizer, RobertaTokenizer

    if kind == "bert":
        return AutoTokenizer.from_pretrained(str(source("all-MiniLM-L6-v2")), model_max_length=LIMIT)
    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    words = {word: number for number, word in enumerate([*marks, *sorted(ByteLevel.alphabet())])}
    return RobertaTokenizer(vocab=words, merges=[], model_max_length=LIMIT)


def save_cross_encoder(folder, kind="bert", labels=1, seed=0, half=False, broken=False):
    """A real model of two layers with random weights, large enough to tell texts apart."""
    import torch
    from transformers import (
        BertConfig,
        BertForSequenceClassification,
        RobertaConfig,
        RobertaForSequenceClassification,
    )

    words = pair_tokenizer(kind)
    shape = {"vocab_size": len(words), "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
             "intermediate_size": 128, "num_labels": labels, "initializer_range": 0.2}
    torch.manual_seed(seed)
    if kind == "bert":
        model = BertForSequenceClassification(BertConfig(**shape, max_position_embeddings=LIMIT))
    else:
        model = RobertaForSequenceClassification(RobertaConfig(**shape, max_position_embeddings=LIMIT + 2,
                                                               type_vocab_size=1))
    if broken:
        model.classifier.weight.data.fill_(float("nan"))
    (model.half() if half else model).save_pretrained(folder, safe_serialization=True)
    words.save_pretrained(folder)
    return folder


def save_tiny_model(folder):
    """A llama of two layers with random weights, with the tokenizer and the template of the embedded model."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from builder.model.prepare import prepared

    embedded = prepared(precision="f16")
    words = Tokenizer.from_file(str(embedded.tokenizer))
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=words.get_vocab_size(), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048, initializer_range=0.1,
        bos_token_id=1, eos_token_id=2, pad_token_id=2, tie_word_embeddings=True))
    model.save_pretrained(folder)
    shutil.copy(embedded.tokenizer, folder / "tokenizer.json")
    (folder / "chat_template.jinja").write_text(embedded.template, encoding="utf-8")
    return folder
