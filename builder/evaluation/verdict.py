"""A report's figures to its verdict: what each half earned, in plain words, by fixed rules."""

from collections.abc import Sequence

from builder.evaluation.report import Difference, HalfOutcome, Report, Verdict

FEWEST = 10
"""Questions, and groups of them; with fewer nothing can be told."""

TOO_COARSE = 0.2
"""Where only a larger difference would have been seen, seeing none says nothing."""

FEW_GROUPS = 20
"""Groups; with fewer the bootstrap's intervals are too narrow."""

WORTH = 0.1
"""A difference that is worth seeing: so many questions more as show it in 80 % of studies are told."""

HALVES = {"retrieval": ("facts", (("hybrid", "fine-tune-only"), ("rag-only", "prompt-only")), "rag-only", "index"),
          "fine-tuning": ("tone", (("hybrid", "rag-only"), ("fine-tune-only", "prompt-only")), "fine-tune-only",
                          "adapter")}
"""For each half: the score it is there for, the pairs that show it, a system that has it, and what it is."""

_EARNED, _NOTHING, _HARMED, _OPEN = HalfOutcome.EARNED, HalfOutcome.NOTHING, HalfOutcome.HARMED, HalfOutcome.CANNOT_TELL
ADVICE = {(_EARNED, _EARNED): "Use both halves: each clearly helps.",
          (_EARNED, _NOTHING): "Use retrieval alone: fine-tuning showed no gain.",
          (_EARNED, _HARMED): "Use retrieval alone: fine-tuning did harm.",
          (_EARNED, _OPEN): "Use retrieval; it is not clear yet whether fine-tuning helps.",
          (_NOTHING, _EARNED): "Use fine-tuning alone: on these questions retrieval showed no gain.",
          (_HARMED, _EARNED): "Use fine-tuning alone: retrieval did harm.",
          (_OPEN, _EARNED): "Use fine-tuning; it is not clear yet whether retrieval helps."}
"""What to do, by what retrieval and fine-tuning did."""
NEITHER = "Use the plain model: neither half showed a gain."
UNTOLD = "It is not clear yet which halves to use."


def verdict(report: Report) -> tuple[str, dict[str, HalfOutcome]]:
    """The verdict in 3 to 8 sentences, and the outcome of each half.

    First what to do, then what it rests on.
    Retrieval is judged on facts, fine-tuning on tone: earned when one of its two differences is better after
    Holm's correction and none is worse. Fine-tuning that makes facts worse has harmed, whatever it did for tone;
    for retrieval a loss of tone is said but is no harm, since a right answer in a flat tone is still right.
    """
    outcomes, sentences = {}, []
    for half in HALVES:
        outcomes[half], sentence = _half(report, half)
        sentences.append(sentence)
    harmed, sentence = _facts_after_tuning(report)
    if harmed:
        outcomes["fine-tuning"] = HalfOutcome.HARMED
    both = (outcomes["retrieval"], outcomes["fine-tuning"])
    advice = ADVICE.get(both, UNTOLD if HalfOutcome.CANNOT_TELL in both else NEITHER)
    sentences += [sentence, _tone_after_retrieval(report), _cost(report), _caution(report), _left_out(report)]
    return " ".join(filter(None, [advice, *sentences])), outcomes


def _half(report: Report, half: str) -> tuple[HalfOutcome, str]:
    score, pairs, system, part = HALVES[half]
    name = half.capitalize()
    if system not in report.systems:
        return HalfOutcome.CANNOT_TELL, f"{name} could not be tested, because there is no {part}."
    found = [difference for pair in pairs if (difference := report.difference(score, *pair))]
    enough = [difference for difference in found if _enough(difference)]
    if not enough:
        n, groups = max(((difference.n, difference.groups) for difference in found), key=min, default=(0, 0))
        return HalfOutcome.CANNOT_TELL, (f"{name} could not be tested on {score}: there are {n} scored questions in "
                                         f"{groups} groups, and at least {FEWEST} of each are needed.")
    figures = "; ".join(map(_figures, enough))
    shown = {difference.verdict for difference in enough}
    if {Verdict.BETTER, Verdict.WORSE} <= shown:
        return HalfOutcome.CANNOT_TELL, f"{name} made {score} better in one pair and worse in the other: {figures}."
    if Verdict.BETTER in shown:
        contradicted, opinion = _second_opinion(report, half)
        if contradicted:
            return HalfOutcome.CANNOT_TELL, (f"It is not clear whether {half} helps {score}. By the brand's rules it "
                                             f"does ({figures}), but fixed phrases alone can satisfy these{opinion}.")
        return HalfOutcome.EARNED, f"{name} clearly helps {score}: {figures}{opinion}."
    if Verdict.WORSE in shown:
        return HalfOutcome.HARMED, f"{name} harmed {score}: {figures}."
    if min(difference.detectable for difference in enough) > TOO_COARSE:
        return HalfOutcome.CANNOT_TELL, f"It is not clear whether {half} helps {score}: {figures}{_unseen(enough)}."
    return HalfOutcome.NOTHING, f"{name} showed no gain on {score}: {figures}{_unseen(enough)}."


def _enough(difference: Difference) -> bool:
    return min(difference.n, difference.groups) >= FEWEST


def _facts_after_tuning(report: Report) -> tuple[bool, str]:
    """Whether the adapter cost facts, and the sentence that says so."""
    left, right = ("hybrid", "rag-only") if "hybrid" in report.systems else ("fine-tune-only", "prompt-only")
    found = report.difference("facts", left, right)
    if not found or not _enough(found):
        return False, ""
    if found.verdict == Verdict.WORSE:
        return True, f"Fine-tuning harmed facts: {_figures(found)}."
    if found.verdict == Verdict.BETTER:
        return False, f"Fine-tuning also made facts better: {_figures(found)}."
    if found.p_worse is not None and found.p_worse < 0.05:
        return False, (f"Facts of {left} are no worse than those of {right}, within a margin of {found.margin:.2f}: "
                       f"{_figures(found)}.")
    return False, (f"Facts of {left} were not shown to be worse than those of {right}: {_figures(found)}"
                   f"{_unseen([found])}.")


def _tone_after_retrieval(report: Report) -> str:
    found = report.difference("tone", "hybrid", "fine-tune-only")
    if not found or found.verdict != Verdict.WORSE or not _enough(found):
        return ""
    return f"Retrieval cost some tone: {_figures(found)}."


def _second_opinion(report: Report, half: str) -> tuple[bool, str]:
    """Whether those families of tone that can't see fixed phrases contradict the rules, which can; and what they say.

    The voice classifier must find a difference too; and the tuned replies must not be told better from the brand's own
    than the untuned ones. That they are told less well is too much to ask of small models, all of whose replies are.
    """
    if half != "fine-tuning":
        return False, ""
    pairs = HALVES[half][1]
    found = [difference for pair in pairs if (difference := report.difference("voice", *pair))]
    systems = report.told_apart.systems
    nearer = [(systems[left], systems[right]) for left, right in pairs if left in systems and right in systems]
    if not found and not nearer:
        return False, "; there is no voice score to check this"
    opinion, contradicted = "", False
    if found:
        verdicts = {difference.verdict for difference in found}
        agrees = Verdict.BETTER in verdicts and Verdict.WORSE not in verdicts
        figures = " and ".join(_signed(difference.value) for difference in found)
        opinion += (f"; the voice score, which ignores fixed phrases, {'agrees' if agrees else 'does not agree'} "
                    f"({figures})")
        contradicted = not agrees
    if nearer:
        figures = " and ".join(f"{left.value:.2f} against {right.value:.2f}" for left, right in nearer)
        opinion += (f"; a classifier tells tuned replies from the brand's own with AUROC {figures} for untuned ones "
                    "(0.50 = it cannot)")
        contradicted = contradicted or any(left.low > right.high for left, right in nearer)
    return contradicted, opinion


def _cost(report: Report) -> str:
    """What a reply of the full assistant costs beside one of the plain model."""
    most, least = report.costs.get("hybrid"), report.costs.get("prompt-only")
    if not most or not least:
        return ""
    return (f"A typical hybrid reply reads {most.read:,.0f} tokens and takes {most.median_seconds:.1f} s on this "
            f"machine; a prompt-only reply reads {least.read:,.0f} tokens and takes {least.median_seconds:.1f} s.")


def _caution(report: Report) -> str:
    fewest = min((difference.groups for difference in report.differences if difference.primary), default=FEW_GROUPS)
    if fewest >= FEW_GROUPS:
        return ""
    return f"There are only {fewest} groups of questions; with fewer than {FEW_GROUPS} the intervals are too narrow."


def _left_out(report: Report) -> str:
    """The questions that did not count."""
    lines = ", ".join(str(left.line) for left in report.left_out)
    if not lines:
        return ""
    several = len(report.left_out) > 1
    return (f"{len(report.left_out)} test question{'s' if several else ''} did not count, because training answers "
            f"{'them' if several else 'it'} (line{'s' if several else ''} {lines} of questions.jsonl).")


def _figures(difference: Difference) -> str:
    interval = f"95 % interval {_signed(difference.low)} to {_signed(difference.high)}"
    doubt = ", not shown" if difference.verdict == Verdict.NOT_SHOWN else ""
    return f"{difference.left} against {difference.right} {_signed(difference.value)} ({interval}{doubt})"


def _unseen(found: Sequence[Difference]) -> str:
    """How large a difference could have stayed hidden, and what would show a smaller one."""
    finest = min(found, key=lambda difference: difference.detectable)
    if not finest.detectable:
        return "; no group of questions scored differently"
    more = f", and {finest.more:,} more questions would show one of {WORTH:.2f}" if finest.more else ""
    return f"; a true difference below {finest.detectable:.2f} would often go unseen{more}"


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}"
