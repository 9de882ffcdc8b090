"""A reply to its scores: the same yardstick for every system, each score with its evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Literal

from builder.answering.assistant import Assistant, Reply
from builder.answering.systems import ELSEWHERE
from builder.evaluation.failures import cause
from builder.evaluation.report import Row, ScoredReply, ScoreTitle, Source
from builder.evaluation.retrieval import right_passages
from builder.model.prompt import ASKED, render
from builder.scoring import form
from builder.scoring.consistency import consistency
from builder.scoring.facts import KEYED, facts, judged_by, right_less_wrong
from builder.scoring.grounded import grounded
from builder.scoring.text import Score, is_abstention
from builder.scoring.tone import Habits, VoiceClassifier, grade, rules
from builder.scoring.unwanted import unwanted
from builder.workspace.examples import Example, Question


def _title(title: str, better: Literal["higher", "lower", "neither"], unit: str, explanation: str) -> ScoreTitle:
    return ScoreTitle(title=title, better=better, unit=unit, explanation=explanation)


SCORES = {
    "facts": _title("Facts", "higher", "share",
                   "Share of the keyed facts that the reply holds, else the F1 of its content words with the reference "
                   "answer; abstaining on what the documents answer counts 0"),
    "tone": _title("Tone", "higher", "share",
                  "Share of replies that keep every rule of the brand that can be checked, and its habits where no "
                  "phrase is required"),
    "voice": _title("Voice", "higher", "share",
                   "Probability, by a classifier that sees no fixed phrases, names or numbers, that the brand rather "
                   "than the untuned model wrote the reply"),
    "facts_strict": _title("Facts, strict", "higher", "share",
                          "Share of replies that hold every keyed fact and nothing forbidden"),
    "facts_lenient": _title("Facts, lenient", "higher", "share",
                           "As facts, but a keyed fact counts in any form: an amount in words or figures, words in any "
                           "order"),
    "crag": _title("Right less wrong", "higher", "points",
                  "1 for a right reply, 0 for an abstention where the documents answer, -1 for a wrong reply; where "
                  "they don't answer, to abstain is right (CRAG)"),
    "covers": _title("Covers", "higher", "share",
                    "Share of the reference answer's content words that the reply holds, however long it is"),
    "precise": _title("Precise", "higher", "share",
                     "Share of the reply's content words that the reference answer holds"),
    "abstains_answerable": _title("Abstains wrongly", "lower", "share",
                                 "Share of the questions that the documents answer where it abstained"),
    "abstains_unanswerable": _title("Abstains rightly", "higher", "share",
                                   "Share of the questions that the documents don't answer where it abstained"),
    "grounded": _title("Grounded", "higher", "share",
                      "Share of the reply's numbers and names that stand in the passages found for the question, "
                      "whether or not the system saw them"),
    "repeats": _title("Repeats", "lower", "share", "Share of the reply's runs of four words that it said before; 1 "
                                                   "when it was stopped as a loop"),
    "agreement": _title("Agreement", "higher", "share",
                       "Share of pairs of replies to a question, in other words or drawn again, that are both right "
                       "or both wrong"),
    "pass_k": _title("Right however asked", "higher", "share",
                    "Chance that three replies to a question, in other words or drawn again, are all right "
                    "(pass^k)"),
    "unwanted": _title("Unwanted", "lower", "share",
                      "Share of replies that say a banned phrase, name the model or its maker, hold a control token or "
                      "eight words of the prompt in a row, or obey an order that stood in a passage"),
    "copied": _title("Copied", "lower", "share",
                    "Share of the reply's runs of eight words that a training reply holds word for word"),
    "grade": _title("Reading grade", "neither", "grade", "Flesch-Kincaid school grade; rough for short replies"),
    "words": _title("Words", "neither", "words", "Length of the replies that aren't abstentions"),
    "tokens": _title("Tokens", "lower", "tokens", "Tokens that the model made for each question"),
    "seconds": _title("Seconds", "lower", "seconds",
                     "Time for each question on this machine while others are answered beside it, abstentions "
                     "included"),
}


@dataclass(frozen=True)
class Judge:
    """Scores replies; the same yardstick for every system."""

    assistant: Assistant
    voice: VoiceClassifier
    learned: Habits
    fixed: tuple[str, ...]
    copies: form.Copies

    def row(self, question: Question, replies: Mapping[str, Reply],
            reworded: Mapping[str, Sequence[Reply]] = MappingProxyType({})) -> Row:
        """One row of the report; `reworded` are the systems' further replies to the question."""
        sources, right = self._sources(question), self._right(question)
        row = Row(line=question.line, question=question.question, answer=question.answer,
                  answerable=question.answerable, group=question.group, by=judged_by(question),
                  replies={name: self._judged(question, reply, sources, right, reworded.get(name, ()))
                           for name, reply in replies.items()})
        for reply in row.replies.values():
            reply.cause = cause(row, reply)
        return row

    def _right(self, question: Question) -> set[int]:
        """The right passages' places in the index; none where nothing tells."""
        if not self.assistant.retriever or not question.answerable:
            return set()
        return right_passages(question, self.assistant.retriever.index.passages)[1]

    def own_tone(self, examples: Sequence[Example]) -> list[Score]:
        """The tone of the brand's own replies: the most that a system can be asked for."""
        return [rules(example.reply, self.assistant.brand.voice, self.learned, False) for example in examples]

    def keeps_rules(self, text: str) -> bool:
        """Whether a text keeps every rule of the brand; False where there is none to keep."""
        return rules(text, self.assistant.brand.voice, self.learned, False).value == 1

    def _sources(self, question: Question) -> list[str]:
        """All that a reply may rest on, or nothing where there are no documents to find it in."""
        if not self.assistant.retriever:
            return []
        brand = self.assistant.brand
        found = self.assistant.retriever.find(question.question).found
        passages = [one.passage.indexed for one in found]
        return [*passages, question.question, brand.name, *brand.links, *brand.links.values()]

    def _judged(self, question: Question, reply: Reply, sources: Sequence[str], right: set[int],
                others: Sequence[Reply]) -> ScoredReply:
        abstained = self._abstained(reply)
        scores = self._scores(question, replace(reply, abstained=abstained), sources)
        alike, always = consistency([self._is_right(question, other) for other in (reply, *others)]
                                    if others and judged_by(question) in ("", KEYED) else [])
        scores |= {"agreement": alike, "pass_k": always}
        hit = any(not right.isdisjoint((hit.number, *hit.also)) for hit in reply.found)
        return ScoredReply(
            text=reply.text, abstained=abstained, probability=reply.probability,
            found_right=hit if right and reply.probability is not None else None, finish=reply.finish,
            seconds=reply.seconds, tokens=reply.tokens, read=reply.prompt_tokens,
            scores={name: scores[name].value for name in SCORES},
            evidence={name: scores[name].evidence for name in SCORES},
            sources=[Source(document=found.passage.document, heading=found.passage.heading, text=found.passage.shown,
                            start=found.passage.start, end=found.passage.end, score=found.score)
                     for found in reply.found])

    def _abstained(self, reply: Reply) -> bool:
        return reply.abstained or is_abstention(reply.text, self.assistant.brand.abstain)

    def _is_right(self, question: Question, reply: Reply) -> bool:
        """Whether a reply holds every keyed fact, or abstains where the documents don't answer."""
        abstained = self._abstained(reply)
        if not question.answerable:
            return abstained
        return facts(question, reply.text, self.fixed, abstained).strict.value == 1

    def _scores(self, question: Question, reply: Reply, sources: Sequence[str]) -> dict[str, Score]:
        judged = facts(question, reply.text, self.fixed, reply.abstained)
        said = Score(float(reply.abstained), "abstained" if reply.abstained else "answered")
        other = Score(None, "the documents answer it" if question.answerable else "the documents don't answer it")
        brand = self.assistant.brand
        scores = {"facts": judged.facts, "facts_strict": judged.strict, "facts_lenient": judged.lenient,
                  "crag": right_less_wrong(question, judged, reply.abstained),
                  "covers": judged.covers, "precise": judged.precise,
                  "tone": rules(reply.text, brand.voice, self.learned, reply.abstained),
                  "abstains_answerable": said if question.answerable else other,
                  "abstains_unanswerable": other if question.answerable else said,
                  "tokens": Score(float(reply.tokens), f"{reply.prompt_tokens} tokens read"),
                  "seconds": Score(reply.seconds, "")}
        if reply.finish == ELSEWHERE:
            scores |= dict.fromkeys(("tokens", "seconds"), Score(None, "made elsewhere"))
        if reply.abstained:
            own = Score(None, "the brand's own abstention")
            return {**dict.fromkeys(SCORES, own), **scores}
        held = grounded(reply.text, sources, self.fixed) if sources else Score(None, "no documents to find it in")
        return {**scores, "voice": self.voice.score(reply.text), "grounded": held,
                "repeats": form.repeats(reply.text, reply.finish), "words": form.words(reply.text),
                "unwanted": unwanted(reply.text, brand.voice.banned, self._prompt, self.fixed, sources,
                                     [hit.passage.shown for hit in reply.found]),
                "copied": self.copies.score(reply.text), "grade": _grade(reply.text)}

    @cached_property
    def _prompt(self) -> str:
        """What the model is told of the brand, and how it is asked."""
        return "\n".join((render(self.assistant.brand, "", [])[0]["content"], ASKED))


def _grade(text: str) -> Score:
    found = grade(text)
    return Score(found, f"grade {found:.1f}") if form.count_words(text) else Score(None, "no words")
