"""Systems times questions to a report: the same questions, the same decoding, every difference with its doubt."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from builder.assistant import Assistant, Reply, System
from builder.examples import Example, Question
from builder.scoring import Score, form, is_abstention
from builder.scoring.facts import KEYED, OVERLAP, facts, judged_by
from builder.scoring.grounded import grounded
from builder.scoring.tone import FEWEST_REPLIES, Habits, VoiceClassifier, fit_voice, habits, rules
from builder.statistics import (
    Difference,
    difference,
    equivalent,
    holm,
    interaction,
    interval,
    no_worse,
    questions_needed,
)
from builder.verdict import WORTH, verdict
from knowledge.errors import UserError
from knowledge.files import Tick

Row = dict[str, Any]
"""One question of the report with every system's reply and scores."""


@dataclass(frozen=True)
class Title:
    """What a score is called, which way is better (higher, lower, neither), its unit, and what it means."""

    title: str
    better: str
    unit: str
    explanation: str


SCORES = {
    "facts": Title("Facts", "higher", "share",
                   "Share of the keyed facts that the reply holds, else the F1 of its content words with the reference "
                   "answer; abstaining on what the documents answer counts 0"),
    "tone": Title("Tone", "higher", "share",
                  "Share of replies that keep every rule of the brand that can be checked, and its habits where no "
                  "phrase is required"),
    "voice": Title("Voice", "higher", "share",
                   "Probability, by a classifier that sees no fixed phrases, names or numbers, that the brand rather "
                   "than the untuned model wrote the reply"),
    "facts_strict": Title("Facts, strict", "higher", "share",
                          "Share of replies that hold every keyed fact and nothing forbidden"),
    "covers": Title("Covers", "higher", "share",
                    "Share of the reference answer's content words that the reply holds, however long it is"),
    "abstains_answerable": Title("Abstains wrongly", "lower", "share",
                                 "Share of the questions that the documents answer where it abstained"),
    "abstains_unanswerable": Title("Abstains rightly", "higher", "share",
                                   "Share of the questions that the documents don't answer where it abstained"),
    "grounded": Title("Grounded", "higher", "share",
                      "Share of the reply's numbers and names that stand in the passages found for the question, "
                      "whether or not the system saw them"),
    "repeats": Title("Repeats", "lower", "share", "Share of the reply's runs of four words that it said before; 1 when "
                                                  "it was stopped as a loop"),
    "words": Title("Words", "neither", "words", "Length of the replies that aren't abstentions"),
    "tokens": Title("Tokens", "lower", "tokens", "Tokens that the model made for each question"),
    "seconds": Title("Seconds", "lower", "seconds",
                     "Time for each question on this machine while others are answered beside it, abstentions "
                     "included"),
}

PRIMARY = ("facts", "tone")
"""The scores whose differences were chosen before any was seen; all others are exploratory."""

CONTRASTS = (("rag-only", "prompt-only"), ("fine-tune-only", "prompt-only"), ("hybrid", "rag-only"),
             ("hybrid", "fine-tune-only"))


def evaluate(assistant: Assistant, questions: list[Question], voice_examples: list[Example],
             fixed_from: list[Example], tick: Tick) -> dict[str, Any]:
    """Ask every available system every question and return the report, ready for JSON.

    `voice_examples` are examples that no adapter was trained on; their replies teach the voice classifier.
    `fixed_from` are all examples, from which the brand's opening and closing are learned. Systems without the
    adapter answer first, since requests with and without it share no work. UserError without questions.
    """
    if not questions:
        raise UserError("questions.jsonl: holds no questions, so there is nothing to judge by; write a few")
    start = time.perf_counter()
    learned = habits(fixed_from)
    fixed = tuple(dict.fromkeys((*assistant.brand.voice.required, *learned.phrases)))
    taught = voice_examples if len(voice_examples) >= FEWEST_REPLIES else []
    asking = Asking(assistant, tick, len(taught) + len(questions) * len(assistant.systems))
    base = next(system for system in assistant.systems if not system.tuned and not system.retrieves)
    untuned = asking.ask(base, [(example.question, example.history) for example in taught], "voice")
    voice = fit_voice([example.reply for example in taught], [reply.text for reply in untuned], fixed,
                      assistant.brand.training.seed)
    replies: dict[str, list[Reply]] = {system.name: [] for system in assistant.systems}
    for system in sorted(assistant.systems, key=lambda system: system.tuned):
        replies[system.name] = asking.ask(system, [(question.question, ()) for question in questions], system.name)
    judge = Judge(assistant, voice, learned, fixed)
    rows = [judge.row(question, {name: made[place] for name, made in replies.items()})
            for place, question in enumerate(questions)]
    answerable = sum(question.answerable for question in questions)
    report: dict[str, Any] = {
        "name": assistant.brand.name, "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "questions": len(questions), "answerable": answerable, "unanswerable": len(questions) - answerable,
        "groups": len({question.group for question in questions}),
        "systems": {name: _summary(rows, name) for name in replies},
        "scores": {name: asdict(title) for name, title in _explained(questions, taught, judge).items()},
        "differences": _differences(rows, tuple(replies), assistant.brand.gates.margin),
    }
    report["verdict"], report["halves"] = verdict(report)
    return {**report, "rows": rows, "seconds": time.perf_counter() - start}


class Asking:
    """Asks the assistant, as many questions at once as its engine has slots, and counts them."""

    def __init__(self, assistant: Assistant, tick: Tick, total: int) -> None:
        """`total` replies will be asked for."""
        self._assistant, self._tick, self._done, self._total = assistant, tick, 0, total

    def ask(self, system: System, asked: Sequence[tuple[str, Sequence[tuple[str, str]]]], note: str) -> list[Reply]:
        """The replies of one system, in order; each question comes with its earlier turns."""
        def one(question: str, history: Sequence[tuple[str, str]]) -> Reply:
            turns = [{"role": role, "content": content} for role, content in history]
            return self._assistant.answer(question, system, history=turns)

        replies = []
        pool = ThreadPoolExecutor(self._assistant.engine.slots)
        try:
            for place, reply in enumerate(pool.map(one, *zip(*asked, strict=True)) if asked else (), 1):
                replies.append(reply)
                self._done += 1
                self._tick(self._done, self._total, f"{note}: {place} of {len(asked)}")
        finally:
            pool.shutdown(cancel_futures=True)
        return replies


@dataclass(frozen=True)
class Judge:
    """Scores replies; the same yardstick for every system."""

    assistant: Assistant
    voice: VoiceClassifier
    learned: Habits
    fixed: tuple[str, ...]

    def row(self, question: Question, replies: dict[str, Reply]) -> Row:
        """One row of the report."""
        sources = self._sources(question)
        return {"line": question.line, "question": question.question, "answer": question.answer,
                "answerable": question.answerable, "group": question.group, "by": judged_by(question),
                "replies": {name: self._judged(question, reply, sources) for name, reply in replies.items()}}

    def own_tone(self, examples: Sequence[Example]) -> list[Score]:
        """The tone of the brand's own replies: the most that a system can be asked for."""
        return [rules(example.reply, self.assistant.brand.voice, self.learned, False) for example in examples]

    def _sources(self, question: Question) -> list[str]:
        """All that a reply may rest on, or nothing where there are no documents to find it in."""
        if not self.assistant.retriever:
            return []
        brand = self.assistant.brand
        found = self.assistant.retriever.find(question.question).found
        passages = [one.passage.indexed for one in found]
        return [*passages, question.question, brand.name, *brand.links, *brand.links.values()]

    def _judged(self, question: Question, reply: Reply, sources: Sequence[str]) -> dict[str, Any]:
        abstained = reply.abstained or is_abstention(reply.text, self.assistant.brand.abstain)
        scores = self._scores(question, replace(reply, abstained=abstained), sources)
        return {"text": reply.text, "abstained": abstained, "probability": reply.probability,
                "finish": reply.finish, "seconds": reply.seconds, "tokens": reply.tokens,
                "scores": {name: scores[name].value for name in SCORES},
                "evidence": {name: scores[name].evidence for name in SCORES},
                "sources": [{"document": one.passage.document, "heading": one.passage.heading,
                             "start": one.passage.start, "end": one.passage.end, "score": one.score}
                            for one in reply.found]}

    def _scores(self, question: Question, reply: Reply, sources: Sequence[str]) -> dict[str, Score]:
        judged = facts(question, reply.text, self.fixed, reply.abstained)
        said = Score(float(reply.abstained), "abstained" if reply.abstained else "answered")
        other = Score(None, "the documents answer it" if question.answerable else "the documents don't answer it")
        scores = {"facts": judged.facts, "facts_strict": judged.strict, "covers": judged.covers,
                  "tone": rules(reply.text, self.assistant.brand.voice, self.learned, reply.abstained),
                  "abstains_answerable": said if question.answerable else other,
                  "abstains_unanswerable": other if question.answerable else said,
                  "tokens": Score(float(reply.tokens), f"{reply.prompt_tokens} tokens read"),
                  "seconds": Score(reply.seconds, "")}
        if reply.abstained:
            own = Score(None, "the brand's own abstention")
            return {**scores, "voice": own, "grounded": own, "repeats": own, "words": own}
        held = grounded(reply.text, sources, self.fixed) if sources else Score(None, "no documents to find it in")
        return {**scores, "voice": self.voice.score(reply.text), "grounded": held,
                "repeats": form.repeats(reply.text, reply.finish), "words": form.words(reply.text)}


def _summary(rows: Sequence[Row], system: str) -> dict[str, dict[str, float | int | None]]:
    """A system's mean of every score over the questions where it is scored."""
    summary: dict[str, dict[str, float | int | None]] = {}
    for score, title in SCORES.items():
        values, groups = scored(rows, score, (system,))
        found = interval(values[0], groups, share=title.unit == "share")
        summary[score] = {**(asdict(found) if found else {"value": None, "low": None, "high": None}),
                          "n": len(groups)}
    return summary


def scored(rows: Sequence[Row], score: str, systems: Sequence[str]) -> tuple[list[list[float]], list[str]]:
    """Each system's values and the groups, over the questions where all of the systems are scored."""
    kept = [row for row in rows
            if all(row["replies"][system]["scores"][score] is not None for system in systems)]
    return ([[row["replies"][system]["scores"][score] for row in kept] for system in systems],
            [row["group"] for row in kept])


def _differences(rows: Sequence[Row], systems: tuple[str, ...], margin: float) -> list[dict[str, Any]]:
    """Every difference that two groups or more allow; Holm's correction over the primary ones.

    Of each primary one also the p that it is worse than -`margin`, the p that it lies outside ±`margin`, and how many
    questions more would show a difference worth seeing.
    """
    found = list(_contrasts(rows, systems, margin))
    primary = [one for one in found if one["primary"]]
    for one, adjusted in zip(primary, holm([one["p"] for one in primary]), strict=True):
        one["adjusted"] = adjusted
    for one in found:
        better = one["value"] if SCORES[one["score"]].better == "higher" else -one["value"]
        shown = one["adjusted"] < 0.05 and better
        one["verdict"] = "no difference shown" if not shown else "better" if better > 0 else "worse"
    return found


def _contrasts(rows: Sequence[Row], systems: tuple[str, ...], margin: float) -> Iterator[dict[str, Any]]:
    """The differences without their correction, primary scores first."""
    for score, title in SCORES.items():
        if title.better == "neither":
            continue
        for left, right in CONTRASTS:
            if left in systems and right in systems:
                yield from _contrast(rows, score, (left, right), difference, (left, right), margin)
        if score in PRIMARY and len(systems) == 4:
            yield from _contrast(rows, score, ("hybrid", "rag-only", "fine-tune-only", "prompt-only"), interaction,
                                 ("interaction", ""), margin)


def _contrast(rows: Sequence[Row], score: str, systems: Sequence[str], test: Callable[..., Difference | None],
              names: tuple[str, str], margin: float) -> Iterator[dict[str, Any]]:
    values, groups = scored(rows, score, systems)
    found = test(*values, groups)
    if not found:
        return
    more = {"margin": margin, "p_worse": no_worse(found, margin), "p_apart": equivalent(found, margin),
            "more": max(0, questions_needed(found.detectable, len(groups), WORTH) - len(groups))}
    yield {"score": score, "left": names[0], "right": names[1], **asdict(found), "adjusted": found.p,
           "primary": score in PRIMARY, "n": len(groups), **(more if score in PRIMARY else {})}


def _explained(questions: Sequence[Question], taught: Sequence[Example], judge: Judge) -> dict[str, Title]:
    """The scores' titles, with what this evaluation found out about facts, tone and voice."""
    by = [judged_by(question) for question in questions]
    notes = {"facts": f" ({by.count(KEYED)} questions by keyed facts, {by.count(OVERLAP)} by overlap)"}
    own = [score.value for score in judge.own_tone(taught) if score.value is not None]
    if judge.learned.phrases and not judge.assistant.brand.voice.required:
        notes["tone"] = f" ({', '.join(f'“{phrase}”' for phrase in judge.learned.phrases)})"
    if own:
        notes["tone"] = notes.get("tone", "") + f"; the brand's own held-out replies score {sum(own) / len(own):.2f}"
    notes["voice"] = f"; unscored, since fewer than {FEWEST_REPLIES} examples were held out"
    if judge.voice.auroc is not None:
        notes["voice"] = (f"; on {len(taught)} held-out replies of each it tells them apart with AUROC "
                          f"{judge.voice.auroc:.2f}, where 0.5 is chance")
    return {name: replace(title, explanation=f"{title.explanation}{notes.get(name, '')}.")
            for name, title in SCORES.items()}
