"""Single replies: those asked for are exactly those that meet every part, by a slow reference."""

from hypothesis import given
from hypothesis import strategies as some

from builder.evaluation.failures import CAUSES
from builder.report.single_replies import NO_FAULT, Wanted, counts, meeting, singles
from tests.reports import report

SYSTEMS, GROUPS = ("prompt-only", "hybrid", "few-shot"), ("Hours", "Prices")
CAUSE_NAMES = ("", *list(CAUSES)[:2])
SHARES = some.sampled_from((None, 0.0, 0.325, 0.5, 1.0))


@some.composite
def reports(draw):
    rows = [{"line": line, "question": draw(some.sampled_from(("When are you open?", "Straße?"))),
             "answer": draw(some.sampled_from(("", "From Nine."))), "answerable": draw(some.booleans()),
             "group": draw(some.sampled_from(GROUPS)),
             "replies": {system: {"text": draw(some.sampled_from(("At nine", "No"))),
                                  "scores": {"facts": draw(SHARES)}, "cause": draw(some.sampled_from(CAUSE_NAMES))}
                         for system in draw(some.lists(some.sampled_from(SYSTEMS), unique=True))}}
            for line in range(1, draw(some.integers(0, 4)) + 1)]
    return report(rows)


WANTED = some.builds(
    Wanted, systems=some.lists(some.sampled_from(SYSTEMS)), causes=some.lists(some.sampled_from((*CAUSES, NO_FAULT))),
    groups=some.lists(some.sampled_from(GROUPS)), answerable=some.sampled_from((None, True, False)),
    disagree=some.booleans(), score=some.sampled_from(("", "facts", "unheard of")),
    low=some.sampled_from((0.0, 0.325)), high=some.sampled_from((0.4, 1.0)),
    words=some.sampled_from(("", "nine", "NINE open", "strasse", "absent", "  ")))


def slow(report, wanted):
    """The keys of the replies that meet every part: all of them, less those that one part after the other refuses."""
    every = [(row, system, reply) for row in report.rows for system, reply in row.replies.items()]
    refused = set()
    for number, (row, system, reply) in enumerate(every):
        text = " ".join((row.question, row.answer, reply.text)).casefold()
        value = reply.scores.get(wanted.score)
        for asked, fits in (
                (wanted.systems, system in wanted.systems),
                (wanted.causes, (reply.cause or NO_FAULT) in wanted.causes),
                (wanted.groups, row.group in wanted.groups),
                (wanted.answerable is not None, row.answerable == wanted.answerable),
                (wanted.disagree, any(other.scores != reply.scores for other in row.replies.values())),
                (wanted.score, value is not None and value >= wanted.low and value <= wanted.high),
                (wanted.words, not [word for word in wanted.words.casefold().split() if word not in text])):
            if asked and not fits:
                refused.add(number)
    return [f"{row.line} {system}" for number, (row, system, _) in enumerate(every) if number not in refused]


@given(reports(), WANTED)
def test_the_replies_asked_for_are_those_that_a_slow_reference_finds(report, wanted):
    assert [one.key for one in meeting(singles(report), wanted)] == slow(report, wanted)


@given(reports())
def test_asking_for_nothing_leaves_all_and_every_reply_is_counted_once(report):
    every = singles(report)
    assert meeting(every, Wanted()) == every and len({one.key for one in every}) == len(every)
    counted = counts(every)
    assert sum(count for *_, count in counted) == len(every)
    for cause, system, count in counted:
        assert count == sum((single.cause, single.system) == (cause, system) for single in every)


def test_a_report_that_names_no_causes_found_no_fault():
    (one,) = singles(report([{"line": 3, "replies": {"hybrid": {"text": "x"}}}]))
    assert (one.cause, one.key, one.score("facts")) == (NO_FAULT, "3 hybrid", None)
