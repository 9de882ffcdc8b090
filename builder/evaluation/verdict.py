"""A report's figures to its verdict: what each half earned, in plain words, by fixed rules."""

from typing import Any

Report = dict[str, Any]
"""The evaluation's report, or a part of it that holds systems, differences and groups."""

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


ADVICE = {("earned", "earned"): "Use both halves: each earned its place.",
          ("earned", "nothing"): "Retrieval is enough: don't tune.",
          ("earned", "harmed"): "Retrieval is enough: tuning did harm.",
          ("earned", "cannot tell"): "Use retrieval; whether to tune cannot be told yet.",
          ("nothing", "earned"): "Tuning is enough: on these questions retrieval earned nothing.",
          ("harmed", "earned"): "Tuning is enough: retrieval did harm.",
          ("cannot tell", "earned"): "Use the tuned model; whether to retrieve cannot be told yet."}
"""What to do, by what retrieval and fine-tuning did."""
NEITHER = "Neither half earned its place: the prompt alone is enough."
UNTOLD = "What to use cannot be told yet."


def verdict(report: Report) -> tuple[str, dict[str, str]]:
    """The verdict in 3 to 7 sentences, and for each half: earned, nothing, harmed or cannot tell.

    First what to do, then what it rests on.
    Retrieval is judged on facts, fine-tuning on tone: earned when one of its two differences is better after
    Holm's correction and none is worse. Fine-tuning that makes facts worse has harmed, whatever it did for tone;
    for retrieval a loss of tone is said but is no harm, since a right answer in a flat tone is still right.
    """
    states, sentences = {}, []
    for half in HALVES:
        states[half], sentence = _half(report, half)
        sentences.append(sentence)
    harmed, sentence = _facts_after_tuning(report)
    if harmed:
        states["fine-tuning"] = "harmed"
    done = (states["retrieval"], states["fine-tuning"])
    advice = ADVICE.get(done, UNTOLD if "cannot tell" in done else NEITHER)
    sentences += [sentence, _tone_after_retrieval(report), _cost(report), _caution(report)]
    return " ".join(filter(None, [advice, *sentences])), states


def _half(report: Report, half: str) -> tuple[str, str]:
    score, pairs, system, part = HALVES[half]
    name = half.capitalize()
    if system not in report["systems"]:
        return "cannot tell", f"{name} cannot be judged, since there is no {part}."
    found = [one for pair in pairs if (one := _difference(report, score, *pair))]
    enough = [one for one in found if min(one["n"], one["groups"]) >= FEWEST]
    if not enough:
        most = max(found, key=lambda one: min(one["n"], one["groups"]), default={"n": 0, "groups": 0})
        return "cannot tell", (f"{name} cannot be judged on {score}: {most['n']} scored questions in "
                               f"{most['groups']} groups are too few, {FEWEST} of each are needed.")
    said = "; ".join(map(_told, enough))
    shown = {one["verdict"] for one in enough}
    if {"better", "worse"} <= shown:
        return "cannot tell", f"{name} made {score} better in one pair and worse in the other: {said}."
    if "better" in shown:
        contradicted, opinion = _second_opinion(report, half)
        if contradicted:
            return "cannot tell", (f"Whether {half} earned its place on {score} cannot be told: by the rules, which "
                                   f"fixed phrases alone can satisfy, it did: {said}{opinion}.")
        return "earned", f"{name} earned its place on {score}: {said}{opinion}."
    if "worse" in shown:
        return "harmed", f"{name} harmed {score}: {said}."
    if min(one["detectable"] for one in enough) > TOO_COARSE:
        return "cannot tell", f"Whether {half} earned anything on {score} cannot be told: {said}{_unseen(enough)}."
    return "nothing", f"{name} earned nothing on {score} that could be shown: {said}{_unseen(enough)}."


def _facts_after_tuning(report: Report) -> tuple[bool, str]:
    """Whether the adapter cost facts, and the sentence that says so."""
    pair = ("hybrid", "rag-only") if "hybrid" in report["systems"] else ("fine-tune-only", "prompt-only")
    one = _difference(report, "facts", *pair)
    if not one or min(one["n"], one["groups"]) < FEWEST:
        return False, ""
    left, right = pair
    if one["verdict"] == "worse":
        return True, f"Fine-tuning harmed facts: {_told(one)}."
    if one["verdict"] == "better":
        return False, f"Fine-tuning also made facts better: {_told(one)}."
    if one.get("p_worse", 1.0) < 0.05:
        return False, (f"Facts of {left} are no worse than those of {right}, by a margin of {one['margin']:.2f}: "
                       f"{_told(one)}.")
    return False, f"Facts of {left} could not be shown to be worse than those of {right}: {_told(one)}{_unseen([one])}."


def _tone_after_retrieval(report: Report) -> str:
    one = _difference(report, "tone", "hybrid", "fine-tune-only")
    if not one or one["verdict"] != "worse" or min(one["n"], one["groups"]) < FEWEST:
        return ""
    return f"Retrieval cost some tone: {_told(one)}."


def _second_opinion(report: Report, half: str) -> tuple[bool, str]:
    """Whether those families of tone that can't see fixed phrases contradict the rules, which can; and what they say.

    The voice classifier must find a difference too; and the tuned replies must not be told better from the brand's own
    than the untuned ones. That they are told less well is too much to ask of small models, all of whose replies are.
    """
    if half != "fine-tuning":
        return False, ""
    found = [one for pair in HALVES[half][1] if (one := _difference(report, "voice", *pair))]
    apart = report.get("told_apart", {}).get("systems", {})
    nearer = [(apart[left], apart[right]) for left, right in HALVES[half][1] if left in apart and right in apart]
    if not found and not nearer:
        return False, "; there is no voice score to check it by"
    said, contradicted = "", False
    if found:
        agrees = any(one["verdict"] == "better" for one in found) and all(one["verdict"] != "worse" for one in found)
        figures = " and ".join(_signed(one["value"]) for one in found)
        says = "agrees" if agrees else "does not agree"
        said += f"; the voice score, which ignores fixed phrases, {says} ({figures})"
        contradicted = not agrees
    if nearer:
        worse = any(left["low"] > right["high"] for left, right in nearer)
        figures = " and ".join(f"{left['value']:.2f} against {right['value']:.2f}" for left, right in nearer)
        said += (f"; told from the brand's own replies, where 0.50 would be not at all, tuned and untuned ones are at "
                 f"{figures}")
        contradicted = contradicted or worse
    return contradicted, said


def _cost(report: Report) -> str:
    """What a reply of the dearest system costs beside one of the cheapest."""
    costs = report.get("costs") or {}
    if not {"hybrid", "prompt-only"} <= costs.keys():
        return ""
    (seconds, read), (least, fewest) = ((costs[name]["median_seconds"], costs[name]["read"])
                                        for name in ("hybrid", "prompt-only"))
    return (f"A reply of hybrid reads {read:,.0f} tokens and takes {seconds:.1f} s here at the median, one of "
            f"prompt-only {fewest:,.0f} and {least:.1f} s.")


def _caution(report: Report) -> str:
    fewest = min((one["groups"] for one in report["differences"] if one["primary"]), default=FEW_GROUPS)
    if fewest >= FEW_GROUPS:
        return ""
    return f"With {fewest} groups of questions, fewer than {FEW_GROUPS}, the intervals are too narrow."


def _difference(report: Report, score: str, left: str, right: str) -> dict[str, Any] | None:
    found = [one for one in report["differences"] if (one["score"], one["left"], one["right"]) == (score, left, right)]
    return found[0] if found else None


def _told(one: dict[str, Any]) -> str:
    interval = f"95 % interval {_signed(one['low'])} to {_signed(one['high'])}"
    doubt = ", not shown" if one["verdict"] == "no difference shown" else ""
    return f"{one['left']} against {one['right']} {_signed(one['value'])} ({interval}{doubt})"


def _unseen(found: list[dict[str, Any]]) -> str:
    """How large a difference could have stayed hidden, and what would show a smaller one."""
    finest = min(found, key=lambda one: float(one["detectable"]))
    if not finest["detectable"]:
        return "; no group of questions scored differently"
    more = f", and {finest['more']:,} more questions would show one of {WORTH:.2f}" if finest.get("more") else ""
    return f"; a true difference below {finest['detectable']:.2f} would often go unseen{more}"


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}"
