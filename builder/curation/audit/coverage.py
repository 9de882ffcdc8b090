"""Too little, or too much of one kind: numbers of examples, questions and steps; topics and lengths out of balance."""

import math
from collections import Counter
from collections.abc import Iterator
from functools import partial

from builder.curation.audit.finding import INVENTS, KNOW, PROOF, QUESTIONS, RUN, STOPS, VOICE, Finding, Material
from builder.curation.audit.token_limits import FEWEST_EXAMPLES, FEWEST_STEPS, enough, steps
from builder.scoring.form import count_words
from builder.scoring.statistics import visible
from builder.workspace.examples import Fault
from knowledge.search.encoder import Vectors

FEW_QUESTIONS = 50
"""Questions: with so many a paired difference of 0.28 is seen four times in five, see `visible`."""
FEW_UNANSWERABLE = 10
MOST = 0.5
"""The share of one topic from which the others are crowded out."""
ONE_TOPIC = 0.5
"""The centred cosine from which two questions are of one topic; of the support template's questions about one shop
no one has more than 7 % of the others so near."""
ENOUGH_TO_TELL = 20
"""Examples or questions; shares of fewer say little."""


def check(material: Material, vectors: Vectors | None) -> Iterator[Finding]:
    """What is missing, and what outweighs the rest; `vectors` are those of the examples' questions."""
    yield from map(partial(_fault, material.file), material.faults)
    yield from _missing(material)
    yield from _questions(material)
    yield from _support(material)
    yield from _topics(material, vectors)
    yield from _lengths(material)


def _fault(file: str, fault: Fault) -> Finding:
    """A line that holds no example."""
    message, _, advice = fault.reason.rpartition("; ")
    return Finding("no example", file, fault.line, "error", message or advice,
                   advice if message else "correct the line", STOPS)


def _missing(material: Material) -> Iterator[Finding]:
    documents, examples = material.documents, material.examples
    if not documents and not examples:
        yield Finding("nothing to build", "documents/", None, "error", "there are no documents and no examples",
                      "add files to documents/ or lines to examples.jsonl", STOPS)
    elif not documents:
        yield Finding("no documents", "documents/", None, "warning",
                      "there is nothing to retrieve, so the assistant will make things up",
                      "add what it should know to documents/", INVENTS)
    if not examples and documents:
        yield Finding("no examples", material.file, None, "warning", "there is nothing to learn a voice from",
                      f"add at least {FEWEST_EXAMPLES} questions with replies in the brand's voice", VOICE)
    if not examples:
        return
    rows, made = steps(material)
    if len(examples) < FEWEST_EXAMPLES:
        yield Finding("few examples", material.file, None, "warning",
                      f"{len(examples)} examples are few: about {rows} rows give {made} optimiser steps",
                      f"add examples, to at least {enough(material)}", RUN)
    elif made < FEWEST_STEPS:
        epochs = math.ceil(FEWEST_STEPS / max(1, made // material.brand.training.epochs))
        yield Finding("few optimiser steps", "brand.yaml", None, "warning",
                      f"about {rows} rows in batches of {material.brand.training.batch} give {made} optimiser steps, "
                      f"and fewer than {FEWEST_STEPS} change the model very little",
                      f"add examples, to at least {enough(material)}, or set training.epochs to {epochs}", RUN)


def _questions(material: Material) -> Iterator[Finding]:
    questions = material.questions
    silent = [question for question in questions if not question.answerable]
    if len(questions) < FEW_QUESTIONS:
        yield Finding("few questions", QUESTIONS, None, "warning" if questions else "note",
                      f"{len(questions)} test questions detect only large differences"
                      + (f" ({visible(len(questions)):.0%} or more)" if len(questions) > 8 else ""),
                      f"write at least {FEW_QUESTIONS}, which detect {visible(FEW_QUESTIONS):.0%}, including some "
                      "that the documents can't answer", PROOF)
    elif not silent:
        yield Finding("no unanswerable question", QUESTIONS, None, "warning",
                      "nothing tests whether it says that it doesn't know",
                      'add questions that the documents can\'t answer, with "answerable": false', PROOF)
    elif len(silent) < FEW_UNANSWERABLE:
        yield Finding("few unanswerable questions", QUESTIONS, None, "note",
                      f"with only {len(silent)}, the share that it rightly refuses is known to ±"
                      f"{1.96 * math.sqrt(0.25 / len(silent)):.2f}",
                      f"write at least {FEW_UNANSWERABLE}", PROOF)
    sources = Counter(question.source for question in questions if question.source)
    if len(material.documents) > 2 and sources.total() >= ENOUGH_TO_TELL:
        (source, count), = sources.most_common(1)
        if count > MOST * sources.total():
            yield Finding("one-sided questions", QUESTIONS, None, "note", f"{count} of {sources.total()} are about "
                          f"{source}", "also ask about the other documents", PROOF)


def _support(material: Material) -> Iterator[Finding]:
    """Whether some replies rest on passages and some don't: the adapter must learn both."""
    count, resting = len(material.examples), sum(material.rests)
    if not material.documents or count < 8:
        return
    if not resting:
        yield Finding("no example rests on a document", material.file, None, "warning",
                      "so training never shows how to answer from passages",
                      "add examples whose replies use a passage", INVENTS)
    elif resting == count >= ENOUGH_TO_TELL:
        yield Finding("every example rests on a document", material.file, None, "note",
                      "so training never shows small talk, thanks or complaints", "add examples of these", VOICE)


def _topics(material: Material, vectors: Vectors | None) -> Iterator[Finding]:
    """A topic that most of the examples are about."""
    import numpy as np

    count = len(material.examples)
    if vectors is None or count < ENOUGH_TO_TELL:
        return
    near = np.concatenate([(vectors[start:start + 1000] @ vectors.T >= ONE_TOPIC).sum(1)
                           for start in range(0, count, 1000)])
    central = int(near.argmax())
    if near[central] > MOST / 2 * count:
        yield Finding("one-sided topics", material.file, material.examples[central].line, "note",
                      f"{near[central]} of {count} examples are similar to “{material.examples[central].question}”",
                      "add examples about other topics, or remove some of these", VOICE)


def _lengths(material: Material) -> Iterator[Finding]:
    """A few long replies that outweigh the others: the loss counts tokens, not replies."""
    lengths = sorted(map(count_words, (example.reply for example in material.examples)), reverse=True)
    tenth = len(lengths) // 10
    if len(lengths) >= ENOUGH_TO_TELL and sum(lengths[:tenth]) > MOST * sum(lengths):
        yield Finding("long replies outweigh the rest", material.file, None, "note",
                      f"the longest {tenth} of {len(lengths)} replies have {sum(lengths[:tenth]) / sum(lengths):.0%} "
                      "of all words, and every word counts the same in training",
                      "shorten them, or leave some out", KNOW)
