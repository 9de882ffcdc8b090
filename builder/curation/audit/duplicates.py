"""Duplicates, and leaks between the examples that train and the questions that judge, by words and by meaning."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from builder.curation.audit.finding import BRAND, KNOW, PROOF, QUESTIONS, RUN, VOICE, Finding, Material, bags
from builder.scoring.text import places, plain, without
from builder.workspace.examples import Example, Question
from knowledge.errors import UserError
from knowledge.search.encoder import Encoder, Vectors
from knowledge.text.words import stems

ALIKE = 0.8
"""The overlap of content words (Jaccard) from which two texts count as the same."""
MEANS = 0.7
"""The cosine, after the mean of all texts is taken out, from which two questions count as paraphrases.

Measured on the support template's 80 questions and 160 paraphrases (28,440 pairs that ask different things, 240 that
ask the same in deliberately other words): at 0.7 precision 1.00 and recall 0.13, at 0.62 0.94 and 0.21, at 0.5 0.70
and 0.42. Without taking out the mean, which every question of one shop shares, the same precision has a recall of 0.08.
"""
TOUCHES = 0.3
"""The same cosine, from which an example whose reply also states all of a question's keyed facts is a leak.

On the same data, each paraphrase with the reference answer as an example: at 0.3 recall 0.59 with 1 false alarm in
12,640 pairs, at 0.2 0.69 with 4, at 0.4 0.45 with none; together with MEANS the recall is 0.7.
"""
KINDRED = 0.5
"""The same cosine, from which it is looked at whether the example's reply means what the reference answer does."""
SAME, UNLIKE = 0.8, 0.65
"""The plain cosine of reply and reference answer from which kindred questions are a leak, and below which paraphrases
are none. On 68 public-health examples and 81 questions, all of them kindred, MEANS alone had 4 false alarms among 6."""
TWINS = 0.85
"""The cosine of the questions from which no answer, such as a mere yes, tells them apart."""
SHRINK = 20
"""Texts: the mean of fewer is held near zero, since it would be that of the very pair compared."""
NEAR = 0.6
"""The overlap of the replies' content words from which examples with paraphrased questions are near duplicates."""
FEWEST_WORDS = 4
"""Content words; two replies with fewer are alike by chance."""
CANNED = 4
BLOCK = 1000


@dataclass(frozen=True)
class Near:
    """Unit vectors of the examples' questions and of `wordings`, the mean of them all taken out."""

    examples: Vectors
    judging: Vectors
    encoder: Encoder


def check(material: Material, near: Near | None) -> Iterator[Finding]:
    """Everything that stands twice; by words alone where there are no vectors (from `nearness`)."""
    yield from _examples(material, near.examples if near else None)
    yield from leaks(material, near)
    yield from _questions(material, near.judging if near else None)


def nearness(material: Material) -> tuple[Near | None, list[Finding]]:
    """The questions as vectors by the workspace's own encoder, opened only where there are two texts to compare.

    Where it can't be used there are none, and a finding says so.
    """
    import numpy as np

    texts = [example.question for example in material.examples] + [text for _, text in wordings(material.questions)]
    if len(texts) < 2:
        return None, []
    from builder.answering.opening import open_encoder

    try:
        encoder = open_encoder(material.brand)
        vectors = encoder.encode(texts)
    except (UserError, OSError, ValueError, RuntimeError, ImportError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        return None, [Finding("paraphrases not compared", BRAND, None, "note", f"the encoder can't be used ({reason}), "
                              "so texts are compared only by their words",
                              "correct retrieval.encoder in brand.yaml", KNOW)]
    away = vectors - vectors.sum(0) / (len(vectors) + SHRINK)
    unit = np.asarray(away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9), dtype=np.float32)
    return Near(unit[:len(material.examples)], unit[len(material.examples):], encoder), []


def wordings(questions: Sequence[Question]) -> list[tuple[int, str]]:
    """Every wording of the questions that judge, with the question's place."""
    return [(place, text) for place, one in enumerate(questions) for text in (one.question, *one.paraphrases)]


def _examples(material: Material, vectors: Vectors | None) -> Iterator[Finding]:
    first: dict[tuple[str, str], Example] = {}
    for example in material.examples:
        key = plain(example.question), plain(example.reply)
        if key in first and example.history == first[key].history:
            yield Finding("duplicate example", material.file, example.line, "warning",
                          f"is the same as line {first[key].line}", "remove one of them", RUN)
        first.setdefault(key, example)
    replies: dict[str, list[Example]] = {}
    for example in material.examples:
        replies.setdefault(plain(example.reply), []).append(example)
    for same in replies.values():
        if len(same) >= CANNED:
            yield Finding("canned reply", material.file, same[0].line, "note",
                          f"{len(same)} examples have the same reply",
                          "vary the replies, or the model will say this all the time", VOICE)
    yield from _near(material, vectors)


def _near(material: Material, vectors: Vectors | None) -> Iterator[Finding]:
    """Pairs that say nearly the same; the later of each pair, once."""
    examples, told = material.examples, set()
    for left, right, overlap in overlaps(material.replies, NEAR):
        one, other = examples[left], examples[right]
        if plain(one.reply) == plain(other.reply) or right in told:
            continue
        meaning = float(vectors[left] @ vectors[right]) if vectors is not None else 0.0
        if overlap >= ALIKE or meaning >= MEANS or _alike(one.question, other.question, NEAR):
            told.add(right)
            yield Finding("near duplicate", material.file, other.line, "warning",
                          f"is nearly the same as line {one.line} ({overlap:.0%} of the reply's words)",
                          "remove one of them, or change one", RUN, one.line)


def overlaps(texts: Sequence[str], least: float) -> Iterator[tuple[int, int, float]]:
    """Pairs of texts, the earlier first, whose content words overlap (Jaccard) by at least `least`."""
    import numpy as np

    if not any(map(stems, texts)):
        return
    rows, _ = bags(texts, [])
    sizes = np.asarray(rows.sum(1)).ravel()
    for start in range(0, len(texts), BLOCK):
        shared = (rows[start:start + BLOCK] @ rows.T).tocoo()
        left, right = shared.row + start, shared.col
        overlap = shared.data / (sizes[left] + sizes[right] - shared.data)
        kept = (left < right) & (overlap >= least) & (np.minimum(sizes[left], sizes[right]) >= FEWEST_WORDS)
        yield from zip(left[kept].tolist(), right[kept].tolist(), overlap[kept].tolist(), strict=True)


def leaks(material: Material, near: Near | None) -> Iterator[Finding]:
    """Questions that judge and stand among the examples: what was trained on can't judge."""
    questions, examples = material.questions, material.examples
    found: dict[tuple[int, int], tuple[str, str]] = {}
    for number, at in _same_words(material, exactly=near is not None):
        found.setdefault((number, at), ("error", "asks what {} trains on"))
    for number, at in _same_answer(material):
        found.setdefault((number, at), ("error", "has the answer that {} trains on"))
    for number, at, cosine in _meant(material, near) if near else ():
        stated = _states(questions[number], material.replies[at])
        found.setdefault((number, at), ("error", f"asks for “{questions[number].facts[0][0]}”, which {{}} trains on")
                         if stated else ("warning", f"probably asks what {{}} trains on (cosine {cosine:.2f}: "
                                         f"“{examples[at].question}”)"))
    for (number, at), (severity, message) in found.items():
        place = f"{material.file}:{examples[at].line}"
        yield Finding("leak", QUESTIONS, questions[number].line, severity,
                      f"{message.replace('{}', place, 1)}, so it is no fair test", "remove one of the two", PROOF,
                      examples[at].line)


def _same_words(material: Material, exactly: bool) -> Iterator[tuple[int, int]]:
    """(question, example) that ask in the same words, or, unless `exactly`, in nearly the same.

    Where each has a word that the other lacks, as in risks from food and risks from animals, they ask different things.
    """
    words = [frozenset(stems(example.question)) for example in material.examples]
    first = {said: number for number, said in reversed(list(enumerate(words))) if said}
    exact = {plain(one.question): number for number, one in reversed(list(enumerate(material.examples)))}
    for number, wording in wordings(material.questions):
        said = frozenset(stems(wording))
        at = exact.get(plain(wording), first.get(said))
        if at is None and said and not exactly:
            at = next((place for place, other in enumerate(words) if (said < other or other < said)
                       and len(said & other) >= ALIKE * len(said | other)), None)
        if at is not None:
            yield number, at


def _same_answer(material: Material) -> Iterator[tuple[int, int]]:
    """Questions whose reference answer is an example's reply, nearly word for word."""
    answers = [without(question.answer, material.fixed) for question in material.questions]
    first = len(material.replies)
    for left, right, _ in overlaps([*material.replies, *answers], ALIKE):
        if left < first <= right:
            yield right - first, left


def _meant(material: Material, near: Near) -> Iterator[tuple[int, int, float]]:
    """(question, example, cosine) of paraphrases and of kindred ones with the same answer, the nearest first."""
    answers = [without(question.answer, material.fixed) for question in material.questions]
    found = sorted(_touching(material, near).items(), key=lambda one: -one[1])
    stated = {pair for pair, _ in found if _states(material.questions[pair[0]], material.replies[pair[1]])}
    judged = [pair for pair, cosine in found if KINDRED <= cosine < TWINS and answers[pair[0]] and pair not in stated]
    texts = sorted({text for number, at in judged for text in (answers[number], material.replies[at] or "-")})
    vectors = dict(zip(texts, near.encoder.encode(texts) if texts else (), strict=True))
    alike = {(number, at): float(vectors[answers[number]] @ vectors[material.replies[at] or "-"])
             for number, at in judged}
    for pair, cosine in found:
        agrees = alike.get(pair, UNLIKE)
        if pair in stated or (cosine >= KINDRED and agrees >= SAME) or (cosine >= MEANS and agrees >= UNLIKE):
            yield *pair, cosine


def _touching(material: Material, near: Near) -> dict[tuple[int, int], float]:
    """The greatest cosine of each (question, example) over the question's wordings, from TOUCHES on."""
    import numpy as np

    asked = [number for number, _ in wordings(material.questions)]
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(asked), BLOCK):
        cosines: Any = near.judging[start:start + BLOCK] @ near.examples.T
        for row, at in np.argwhere(cosines >= TOUCHES).tolist():
            pair = asked[start + row], at
            found[pair] = max(found.get(pair, 0.0), float(cosines[row, at]))
    return found


def _states(question: Question, reply: str) -> bool:
    """Whether the reply says all the question's keyed facts."""
    return question.answerable and bool(question.facts) and all(
        any(places(spelling, reply) for spelling in fact) for fact in question.facts)


def _questions(material: Material, vectors: Vectors | None) -> Iterator[Finding]:
    import numpy as np

    questions = material.questions
    seen: dict[str, Question] = {}
    for question in questions:
        key = plain(question.question)
        if key in seen:
            yield Finding("duplicate question", QUESTIONS, question.line, "warning",
                          f"repeats line {seen[key].line}", "remove one of them", PROOF)
        seen.setdefault(key, question)
    if vectors is None:
        return
    starts = np.cumsum([0, *(1 + len(question.paraphrases) for question in questions)])[:-1]
    for one, other, cosine in _pairs(questions, vectors[starts]):
        yield Finding("kindred questions", QUESTIONS, questions[other].line, "note",
                      f"is similar to line {questions[one].line} (cosine {cosine:.2f}) but is in another "
                      "group, which makes intervals too narrow",
                      f'give both the same "group", for example {questions[one].group!r}', PROOF)


def _pairs(questions: Sequence[Question], vectors: Vectors) -> Iterator[tuple[int, int, float]]:
    """Pairs of questions of different groups that mean the same and aren't the same text."""
    for right in range(1, len(questions)):
        cosines: Any = vectors[:right] @ vectors[right]
        left = int(cosines.argmax())
        one, other = questions[left], questions[right]
        if cosines[left] >= MEANS and one.group != other.group and plain(one.question) != plain(other.question):
            yield left, right, float(cosines[left])


def _alike(one: str, other: str, least: float) -> bool:
    left, right = set(stems(one)), set(stems(other))
    return plain(one) == plain(other) or (bool(left) and len(left & right) >= least * len(left | right))
