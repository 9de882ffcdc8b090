"""What the adapter memorised: facts of the documents that the tuned model states without being shown them."""

import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice

from builder.answering.assistant import Assistant
from builder.answering.support import support
from builder.evaluation.report import Estimate, Memorised, StatedFact
from builder.model.engine import Decoding, at_once
from builder.model.prompt import Message, render
from builder.scoring.grounded import claims
from builder.scoring.statistics import interval
from builder.scoring.text import places, without
from builder.workspace.examples import Example
from knowledge.errors import UserError
from knowledge.files import Tick, silent
from knowledge.search.index import Index
from knowledge.search.passages import Passage
from knowledge.text.sentences import sentences
from knowledge.text.words import stems

MOST = 30
"""Examples, and passages, that are asked about; more are drawn from by the brand's seed."""
TOKENS = 60
"""Of each reply."""
BEGINNING = 4
"""Words of a sentence that say which fact is asked for."""
_SPELT = "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|" \
         "eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|half"
_COUNTED = re.compile(rf"\b(?:(?:{_SPELT})(?:[ -](?:and )?(?:{_SPELT}|one))*|(?<![\d.,:/-])\d)\s([^\W\d_]+)",
                      re.IGNORECASE)
"""A spelt-out number (in English) or a single digit with the word after it: alone it would be met by chance."""


@dataclass(frozen=True)
class _Probe:
    """A question that points at a passage's facts without holding them."""

    question: str
    messages: list[Message]
    passage: Passage
    facts: tuple[str, ...]
    origin: str


def facts(text: str) -> list[str]:
    """What can be checked in a text: its names, addresses and numbers, the small and spelt-out ones with their unit."""
    counted = [" ".join(match.group().split()) for match in _COUNTED.finditer(text) if stems(match[1])]
    return list(dict.fromkeys([claim for claim in claims(text) if len(claim) > 1] + counted))


def memorised(assistant: Assistant, examples: Sequence[Example], index: Index, before: Index | None = None,
              tolerated: float = 0.0, tick: Tick = silent) -> Memorised:
    """Ask the tuned model, without passages, for facts that stand in the documents, and list what it states.

    `before` is the index that the adapter was trained with, where `index` is a newer one: what its passages said and
    the documents no longer say is `stale`, asked for first and listed first. The questions are those of trained
    `examples` whose reply rests on a passage, and passages' sentences to complete. A fact is stated from the weights
    when the reply holds it, and neither the prompt, nor the brand's own phrases, nor the untuned model's reply to the
    same prompt does: how much was `asked`, the number of different `facts`, the `stated` ones, their `share` with its
    95 % interval by passage, `met` where it is at most `tolerated`, and a `sentence` for the user.
    UserError without an adapter.
    """
    if not assistant.adapted:
        raise UserError("this workspace has no adapter, so there is nothing to check; run `twofold build` on it")
    start = time.perf_counter()
    current = _texts(index)
    probes = list(_probes(assistant, examples, before or index, current))
    tuned = _replies(assistant, probes, True, tick)
    told = [(probe, reply, _held(probe.facts, reply)) for probe, reply in zip(probes, tuned, strict=True)]
    told = [(probe, reply, held) for probe, reply, held in told if held]
    untuned = _replies(assistant, [probe for probe, *_ in told], False, tick)
    stated: dict[tuple[str, str, str], StatedFact] = {}
    for (probe, reply, held), other in zip(told, untuned, strict=True):
        for fact in held:
            if not places(fact, other):
                stated.setdefault(_key(probe, fact), StatedFact(
                    question=probe.question, fact=fact, document=probe.passage.document,
                    heading=probe.passage.heading, reply=reply, stale=_gone(fact, probe.passage, current),
                    origin=probe.origin))
    asked = sorted({_key(probe, fact) for probe in probes for fact in probe.facts})
    share = interval([float(key in stated) for key in asked], ["\n".join(key[:2]) for key in asked], share=True)
    listed = sorted(stated.values(), key=lambda fact: not fact.stale)
    return Memorised(asked=len(probes), facts=len(asked), stated=listed, tolerated=tolerated,
                     share=Estimate(**asdict(share), n=len(asked)) if share else None,
                     met=share is None or share.value <= tolerated, sentence=_sentence(listed, len(asked)),
                     seconds=time.perf_counter() - start)


def _probes(assistant: Assistant, examples: Sequence[Example], trained: Index,
            current: Mapping[tuple[str, ...], str]) -> Iterator[_Probe]:
    """The questions of the examples, which were trained on, then those made from passages, stale facts' first."""
    chance = random.Random(assistant.brand.training.seed)
    asked = (probe for example in chance.sample(examples, len(examples))
             if (right := support(example, trained, assistant.fixed))
             for probe in _probe(assistant, example.question, _turns(example), right.passage,
                                 f"example line {example.line}"))
    yield from islice(asked, MOST)
    shuffled = chance.sample(trained.passages, len(trained.passages))
    shuffled.sort(key=lambda passage: not any(_gone(fact, passage, current) for fact in facts(passage.text)))
    asked = (probe for passage in shuffled
             for probe in _probe(assistant, _question(passage, current), [], passage, "passage"))
    yield from islice(asked, MOST)


def _turns(example: Example) -> list[Message]:
    return [{"role": role, "content": content} for role, content in example.history]


def _probe(assistant: Assistant, question: str, history: Sequence[Message], passage: Passage,
           origin: str) -> Iterator[_Probe]:
    """The question with the passage's facts that neither the prompt nor the brand holds; none where all are there."""
    brand = assistant.brand
    messages = render(brand, question, [], history)
    given = "\n".join([*(turn["content"] for turn in messages), brand.abstain, *brand.links.values(), *assistant.fixed])
    asked = tuple(fact for fact in facts(passage.text) if not places(fact, given))
    if asked:
        yield _Probe(question, messages, passage, asked, origin)


def _question(passage: Passage, current: Mapping[tuple[str, ...], str]) -> str:
    """The beginning of a sentence up to its fact, a stale one if there is one; else what the heading is about."""
    begun = []
    for start, end in sentences(passage.text):
        sentence = passage.text[start:end]
        for fact in facts(sentence):
            words = sentence[:max(0, sentence.find(fact))].split()
            if len(words) >= BEGINNING:
                begun.append((not _gone(fact, passage, current), f'Complete the sentence: "{" ".join(words)} …"'))
    if begun:
        return min(begun, key=lambda one: one[0])[1]
    return f"What do your notes say about {passage.heading.split(' > ')[-1].rstrip('?')}?"


def _replies(assistant: Assistant, probes: Sequence[_Probe], tuned: bool, tick: Tick) -> list[str]:
    """Greedy replies without the phrases that all replies share; as many at once as the engine has slots."""
    note = "what it memorised of the examples" if tuned else "the same questions to the base model"
    replies: list[str] = []
    for made in at_once(assistant.engine, [probe.messages for probe in probes], tuned, Decoding(TOKENS)):
        replies.append(without(made.text, assistant.fixed))
        tick(len(replies), len(probes), note)
    return replies


def _held(asked: Sequence[str], reply: str) -> list[str]:
    return [fact for fact in asked if places(fact, reply)]


def _key(probe: _Probe, fact: str) -> tuple[str, str, str]:
    return probe.passage.document, probe.passage.heading, fact


def _texts(index: Index) -> dict[tuple[str, ...], str]:
    """What the documents say now: each section by document and heading, each document, and all of them under ()."""
    parts: dict[tuple[str, ...], list[str]] = {}
    for passage in index.passages:
        for key in ((passage.document, passage.heading), (passage.document,), ()):
            parts.setdefault(key, []).append(passage.shown)
    return {key: "\n".join(texts) for key, texts in parts.items()}


def _gone(fact: str, passage: Passage, current: Mapping[tuple[str, ...], str]) -> bool:
    """Whether the documents no longer say a passage's fact: in its section, else its document, else anywhere."""
    keys = ((passage.document, passage.heading), (passage.document,), ())
    return not places(fact, next((current[key] for key in keys if key in current), ""))


def _sentence(stated: Sequence[StatedFact], asked: int) -> str:
    """What was found, and what to do about it."""
    if not stated:
        return f"without documents, the tuned model stated none of {asked} facts"
    stale = sum(fact.stale for fact in stated)
    lines = sorted({int(fact.origin.split()[-1]) for fact in stated if fact.origin != "passage"})
    found = f"without documents, the tuned model stated {len(stated)} of {asked} facts"
    found += f" ({stale} of them no longer in the documents)" if stale else ""
    where = f"take them out of the replies in examples.jsonl, line {', '.join(map(str, lines))}, or " if lines else ""
    return f"{found}, such as “{stated[0].fact}”; {where}lower training.epochs in brand.yaml, then train again"
