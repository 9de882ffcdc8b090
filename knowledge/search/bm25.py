"""Texts one can find by their words: BM25, and how rare each word is among them."""

from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
from bm25s.tokenization import Tokenized
from numpy.typing import NDArray

from knowledge.errors import UserError
from knowledge.text.words import ENGLISH, stemmed, stems

Numbers = NDArray[np.int32]


class WordSearch:
    """Numbered texts, each as the numbers of its stems."""

    def __init__(self, search: Any, stem_numbers: Numbers, starts: NDArray[np.int64], holding: Numbers,
                 languages: Sequence[str] = ENGLISH) -> None:
        """Use `WordSearch.build` or `WordSearch.open`."""
        self._search, self._stems, self._starts, self._holding = search, stem_numbers, starts, holding
        self.languages = tuple(languages)
        self._vocabulary: dict[str, int] = search.vocab_dict

    @classmethod
    def build(cls, texts: Sequence[str], earlier: "WordSearch | None" = None,
              known: Sequence[int | None] = (), languages: Sequence[str] = ()) -> "WordSearch":
        """Make texts searchable; `known` tells for each the number it has in `earlier`, or None where it is new.

        `languages` are the texts' own, one for each, by which their words are stemmed; English where there are none.
        """
        vocabulary = dict(earlier._vocabulary) if earlier else {}
        rows: list[Numbers] = []
        for number, text in enumerate(texts):
            before = known[number] if known else None
            if earlier is not None and before is not None:
                rows.append(earlier._row(before))
            else:
                rows.append(np.array([vocabulary.setdefault(stem, len(vocabulary)) for stem in
                                      stems(text, languages[number:number + 1] or ENGLISH) or [""]],
                                     dtype=np.int32))
        used, compact = np.unique(np.concatenate(rows), return_inverse=True)  # without stems that no text holds now
        names = list(vocabulary)
        starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        flat = compact.astype(np.int32)
        search = bm25s.BM25()
        search.index(Tokenized([flat[start:end].tolist() for start, end in zip(starts, starts[1:], strict=False)],
                               {names[stem]: place for place, stem in enumerate(used)}), show_progress=False)
        holding = np.diff(search.scores["indptr"]).astype(np.int32)  # a column of scores for each stem, a row a text
        return cls(search, flat, starts, holding, sorted(set(languages)) or ENGLISH)

    def save(self, folder: Path) -> None:
        """Write into a new folder."""
        self._search.save(folder, show_progress=False)
        for name, values in (("stems", self._stems), ("starts", self._starts), ("holding", self._holding)):
            np.save(folder / f"{name}.npy", values, allow_pickle=False)

    @classmethod
    def open(cls, folder: Path, languages: Sequence[str] = ENGLISH) -> "WordSearch":
        """Open what `save` wrote of texts in `languages`; UserError when a file is damaged."""
        try:
            search = bm25s.BM25.load(folder, show_progress=False)
            stem_numbers, starts, holding = (np.load(folder / f"{name}.npy", allow_pickle=False)
                                             for name in ("stems", "starts", "holding"))
            if starts[-1] != len(stem_numbers) or len(holding) > len(search.vocab_dict):
                raise ValueError("its parts don't fit together")
        except (OSError, ValueError, EOFError, KeyError, TypeError, IndexError) as error:
            raise UserError(f"{folder.parent}: damaged ({error}); delete it and run `twofold index` again") from None
        return cls(search, stem_numbers, starts, holding, languages)

    def __len__(self) -> int:
        """How many texts."""
        return len(self._starts) - 1

    def scores(self, question: str) -> NDArray[np.float32]:
        """Every text's BM25 score for the words of a question."""
        known = [stem for stem in stems(question, self.languages) if stem in self._vocabulary]
        if not known:
            return np.zeros(len(self), dtype=np.float32)
        return np.array(self._search.get_scores(known), dtype=np.float32)

    def rarity(self, word: str) -> float:
        """The logarithm of texts over those that hold the word, in lower case; one that none holds counts as held once.

        In several languages it is the least of them, and 0 where the word carries no content in one.
        """
        return min(self._rarity(stemmed([word], language)[0]) for language in self.languages)

    def holds(self, word: str) -> bool:
        """Whether a text holds the word, in lower case, in any of its forms."""
        return any(stem in self._vocabulary for stem in stems(word, self.languages))

    def _rarity(self, stem: str) -> float:
        number = self._vocabulary.get(stem)
        holding = int(self._holding[number]) if number is not None and number < len(self._holding) else 1
        return log((len(self) + 1) / max(holding, 1)) if stem else 0.0

    def alike(self, one: int, other: int) -> float:
        """The share of stems that two texts have in common, 0 to 1 (Jaccard)."""
        first, second = set(self._row(one).tolist()), set(self._row(other).tolist())
        return len(first & second) / len(first | second)

    def _row(self, number: int) -> Numbers:
        return self._stems[self._starts[number]:self._starts[number + 1]]
