"""Facts: does the reply hold what the question's key says, or else the words of its reference answer."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from builder.scoring.quantities import quantities, rest
from builder.scoring.text import Score, places, plain, without
from builder.workspace.examples import Question
from knowledge.text.words import stemmer

KEYED, OVERLAP = "keyed facts", "answer overlap"

_EMPTY = (
    "a about above after again all also am an and any are as at be because been before being below between both but by "
    "can could did do does doing down during each few for from further had has have having he her here hers him his "
    "how i if in into is it its itself just let me more most my of off on once only or other our ours out over own "
    "please same shall she should so some such than that the their theirs them then there these they this those "
    "through to too under until up us very was we were what when where which while who whom why will with would you "
    "your yours")
STOPWORDS = frozenset(_EMPTY.split())
"""English words that carry no fact; "no" and "not" do."""


@dataclass(frozen=True)
class Facts:
    """The fact scores of one reply, and what they were judged by: keyed facts, answer overlap or nothing."""

    facts: Score
    """Share of the keyed facts held, else the F1 of content words with the reference answer."""
    strict: Score
    """1 when every keyed fact is held and nothing forbidden is; unscored without keyed facts."""
    lenient: Score
    """As facts, but a fact is held too where its amounts, or all its words in any form and order, are."""
    covers: Score
    """Share of the reference answer's content words that the reply holds."""
    precise: Score
    """Share of the reply's content words that the reference answer holds."""
    by: str


def judged_by(question: Question) -> str:
    """What a reply to the question is judged by; "" when it can't be."""
    if not question.answerable:
        return ""
    return KEYED if _spelled(question) else OVERLAP if question.answer.strip() else ""


def facts(question: Question, reply: str, fixed_phrases: Sequence[str], abstained: bool) -> Facts:
    """Judge one reply. `fixed_phrases` are the brand's own, and count neither for nor against overlap.

    An abstention on a question that the documents answer scores 0; a question they don't answer is unscored.
    """
    by = judged_by(question)
    if not by:
        nothing = Score(None, "no facts and no answer to judge by" if question.answerable else "can't be answered")
        return Facts(nothing, nothing, nothing, nothing, nothing, by)
    keyed = bool(_spelled(question))
    none_keyed, no_answer = Score(None, "no keyed facts"), Score(None, "no reference answer")
    if abstained:
        zero = Score(0.0, "abstained")
        keys = zero if keyed else none_keyed
        return Facts(zero, keys, keys, zero if question.answer.strip() else no_answer, Score(None, "said nothing"), by)
    f1, covers, precise = overlap(reply, question.answer, fixed_phrases)
    share, strict = (_keyed(question, reply) if keyed else (f1, none_keyed))
    lenient = _lenient(question, reply) if keyed else none_keyed
    broken = _forbidden(question, reply)
    if broken:
        said = Score(0.0, f"says the forbidden “{broken}”")
        share, strict, lenient = (said, said, said) if keyed else (said, none_keyed, none_keyed)
    return Facts(share, strict, lenient, covers, precise, by)


def right_less_wrong(question: Question, judged: Facts, abstained: bool) -> Score:
    """1 for a right reply, 0 for an abstention on what the documents answer, -1 for a wrong reply (CRAG, 2406.04744).

    Where they don't answer, an abstention is right and anything else wrong. Unscored without keyed facts.
    """
    if not question.answerable:
        return Score(1.0, "abstained rightly") if abstained else Score(-1.0, "answered what can't be answered")
    if judged.by != KEYED:
        return Score(None, "no keyed facts")
    if abstained:
        return Score(0.0, "abstained")
    return Score(1.0 if judged.strict.value else -1.0, judged.strict.evidence)


def overlap(reply: str, answer: str, fixed_phrases: Sequence[str]) -> tuple[Score, Score, Score]:
    """The F1, recall and precision of stemmed content words, each counted as often as it stands (SQuAD's F1).

    (Rajpurkar et al. 2016, arXiv 1606.05250.) An answer without content words leaves all unscored, a reply without any
    the precision.
    """
    said, wanted = (Counter(content_words(without(text, fixed_phrases))) for text in (reply, answer))
    if not wanted:
        unscored = Score(None, "the reference answer has no content words")
        return unscored, unscored, unscored
    shared = (said & wanted).total()
    evidence = f"{shared} of {wanted.total()} answer words held; {shared} of {said.total()} reply words in the answer"
    return (Score(2 * shared / (said.total() + wanted.total()), evidence),
            Score(shared / wanted.total(), evidence),
            Score(shared / said.total(), evidence) if said else Score(None, "no content words"))


def content_words(text: str) -> list[str]:
    """The stems of the words that carry content, in order; contractions count as their long form."""
    text = re.sub(r"\bcan't\b", "can not", plain(text))
    text = re.sub(r"\bwon't\b", "will not", text)
    text = re.sub(r"n't\b", " not", text)
    text = re.sub(r"'(s|re|ve|ll|d|m)\b", "", text)
    words = re.findall(r"\d+(?:[.,:/]\d+)+|\w+", text)
    stems: list[str] = stemmer().stemWords([word for word in words if word not in STOPWORDS])
    return stems


def _spelled(question: Question) -> list[list[str]]:
    """The question's facts, each with the spellings that are more than blank."""
    facts = ([spelling for spelling in fact if plain(spelling)] for fact in question.facts)
    return [fact for fact in facts if fact]


def _keyed(question: Question, reply: str) -> tuple[Score, Score]:
    wanted = _spelled(question)
    missing = [fact[0] for fact in wanted if not any(places(spelling, reply) for spelling in fact)]
    held = len(wanted) - len(missing)
    evidence = f"holds {held} of {len(wanted)} facts" + (f"; lacks “{missing[0]}”" if missing else "")
    return Score(held / len(wanted), evidence), Score(float(not missing), evidence)


def _lenient(question: Question, reply: str) -> Score:
    """The share of facts held in any form: five pounds for £5, one o'clock for 1 pm, words in any order."""
    wanted, amounts, said = _spelled(question), quantities(reply), set(content_words(reply))

    def held(spelling: str) -> bool:
        asked, words = quantities(spelling), set(content_words(rest(spelling)))
        return bool(places(spelling, reply)) or (
            bool(asked or words) and asked.keys() <= amounts.keys() and words <= said)

    missing = [fact[0] for fact in wanted if not any(map(held, fact))]
    count = len(wanted) - len(missing)
    return Score(count / len(wanted), f"says {count} of {len(wanted)} facts in some form"
                 + (f"; lacks “{missing[0]}”" if missing else ""))


def _forbidden(question: Question, reply: str) -> str:
    """The first forbidden spelling that the reply holds, other than as a part of a fact: not refundable is fine."""
    allowed = [span for fact in question.facts for spelling in fact for span in places(spelling, reply)]
    for spelling in question.forbidden:
        for start, end in places(spelling, reply):
            if not any(first <= start and end <= last for first, last in allowed):
                return spelling
    return ""
