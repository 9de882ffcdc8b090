import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.answering.opening import open_retriever
from builder.answering.support import support
from builder.model.prompt import ASKED, render
from builder.scoring.tone import fixed_phrases
from builder.training.mix import mix
from builder.workspace.brand import Training
from builder.workspace.examples import Example, hold_out


@pytest.fixture(scope="module")
def retriever(built):
    return open_retriever(built.brand, built.current().index)


def mixed(built, retriever, **settings):
    brand = built.brand.model_copy(update={"training": Training(**settings)})
    return mix(brand, built.examples, retriever, lambda asked: ["its own words"] * len(asked))


def test_an_example_rests_on_the_passage_that_holds_its_words(built, retriever):
    fixed = fixed_phrases(built.brand, built.examples)
    found = [support(example, retriever.index, fixed) for example in built.examples]
    headings = [one.passage.heading.split(" > ")[-1] if one else None for one in found]
    assert headings == ["Shades", "Wiring", "Wood care", "Bulbs", "Visits"] + [None] * 5


def test_every_row_is_what_the_renderer_makes(built, retriever):
    rows = mixed(built, retriever, replay=0).rows
    for row in rows:
        question = row.messages[-1]["content"]
        if row.kind in ("tone", "closed"):
            assert row.messages == render(built.brand, question, [])
        else:
            assert ASKED in question and row.messages[0] == render(built.brand, "", [])[0]


def test_a_grounded_row_shows_the_right_passage_among_others(built, retriever):
    mixture = mixed(built, retriever, replay=0)
    assert mixture.counts == {"closed": 5, "grounded": 5, "tone": 5}
    rows = [row for row in mixture.rows if row.kind == "grounded"]
    for row in rows:
        core = row.reply.removeprefix("Hello! ").removesuffix(" Shine on!")
        assert core in row.messages[-1]["content"] and row.messages[-1]["content"].count("Lamp house > ") == 3


def test_abstaining_rows_never_show_what_answers(built, retriever):
    rows = [row for row in mixed(built, retriever, replay=0, abstaining=1.0).rows if row.kind == "abstaining"]
    grounded = {row.messages[-1]["content"].split(ASKED)[-1]: row.reply
                for row in mixed(built, retriever, replay=0).rows if row.kind == "grounded"}
    assert len(rows) == 5
    for row in rows:
        assert row.reply == built.brand.abstain
        core = grounded[row.messages[-1]["content"].split(ASKED)[-1]]
        assert core.removeprefix("Hello! ").removesuffix(" Shine on!") not in row.messages[-1]["content"]


def test_replay_is_the_base_models_own_words_without_the_brand(built, retriever):
    rows = [row for row in mixed(built, retriever, replay=0.5).rows if row.kind == "replay"]
    assert len(rows) == 5
    assert all(row.reply == "its own words" and [turn["role"] for turn in row.messages] == ["user"] for row in rows)


def test_without_an_index_there_are_only_tone_rows(built):
    assert mix(built.brand.model_copy(update={"training": Training(replay=0)}), built.examples, None,
               lambda asked: [""] * len(asked)).counts == {"tone": 10}


def test_the_same_seed_gives_the_same_mix(built, retriever):
    assert mixed(built, retriever, seed=3) == mixed(built, retriever, seed=3)


LINES = st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8)), min_size=40, max_size=90)


def as_examples(pairs):
    return [Example(question, reply, (), line) for line, (question, reply) in enumerate(pairs, 1)]


def test_held_out_examples_are_kept_apart(built):
    assert hold_out(built.examples, 0) == (built.examples, [])
    trained, apart = hold_out(as_examples((f"Question {number}?", "Yes.") for number in range(60)), 0)
    assert (len(trained), len(apart)) == (51, 9)


@given(LINES, st.integers(0, 89), st.integers(0, 5))
def test_a_line_that_goes_moves_at_most_one_other_across_and_no_two_that_say_the_same_are_parted(pairs, gone, seed):
    examples = as_examples(pairs)
    trained, apart = hold_out(examples, seed)
    assert sorted([*trained, *apart], key=lambda example: example.line) == examples
    assert not {example.sha256 for example in trained} & {example.sha256 for example in apart}
    fewer = as_examples(pairs[:gone] + pairs[gone + 1:])
    moved = {example.sha256 for example in hold_out(fewer, seed)[1]} ^ {example.sha256 for example in apart}
    assert len(moved) <= 2 or len(fewer) < 40  # the one that went, and the next in its place or one fewer


@given(LINES, st.data())
def test_what_was_learnt_before_is_never_held_out(pairs, data):
    examples = as_examples(pairs)
    learnt = data.draw(st.sets(st.sampled_from([example.sha256 for example in examples])))
    assert not learnt & {example.sha256 for example in hold_out(examples, 0, learnt)[1]}
