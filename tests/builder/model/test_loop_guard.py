"""A reply that repeats itself is stopped, others pass unchanged, however the stream was cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.model.loop_guard import LOOP, Guard, whole_sentences

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f"]), max_size=40)


def read(text, size, finish="stop"):
    guard, shown = Guard(), ""
    for start in range(0, len(text), size):
        shown += guard.feed(text[start : start + size])
        if guard.looped:
            break
    final, why = guard.finish(finish)
    return shown, final, why


def loops(words):
    """Slow and obvious: LOOP words in a row that stand earlier without overlap, or a short phrase again at once."""
    return any(words[i : i + LOOP] == words[j : j + LOOP]
               for i in range(len(words) - LOOP + 1) for j in range(i + LOOP, len(words) - LOOP + 1)) or any(
        words[i : i + size] * times == words[i : i + size * times]
        for sizes, times in (((1, 2, 3), 4), ((4, 5, 6, 7), 2)) for size in sizes
        for i in range(len(words) - size * times + 1))


@given(WORDS, st.integers(1, 9))
def test_only_a_reply_that_loops_is_stopped(words, size):
    shown, final, why = read(" ".join(words), size)
    assert (why == "loop") == loops(words)
    assert final.startswith(shown.strip()) and " ".join(words).startswith(final)
    if why == "stop":
        assert final == " ".join(words)


@given(WORDS, st.integers(1, 9), st.integers(1, 9))
def test_the_cut_of_the_stream_does_not_matter(words, one, other):
    assert read(" ".join(words), one)[1:] == read(" ".join(words), other)[1:]


def test_a_loop_is_not_shown():
    shown, final, why = read("Start here. " + "Stay well, your friends at the old harbor. " * 4, 3)
    assert (final, why) == ("Start here. Stay well, your friends at the old harbor.", "loop")
    assert shown.strip() == final


def test_a_reply_cut_by_the_limit_ends_with_a_whole_sentence():
    assert read("One is 1.5 m. Two is", 4, "length")[1:] == ("One is 1.5 m.", "length")
    assert whole_sentences("no end") == "no end"


@pytest.mark.parametrize(("said", "kept"), [
    ("Hello! Keep dry and mind the puddles. Keep dry and mind the puddles. Keep dry", "Hello! Keep dry and mind the "
     "puddles."),
    ("It is a very very very very very big one", "It is a very very"),
    ("no no no, that is fine", "no no no, that is fine")])
def test_a_short_phrase_said_again_at_once_ends_the_reply(said, kept):
    guard = Guard()
    shown = "".join(guard.feed(letter) for letter in said)
    text, finish = guard.finish("stop")
    assert (text, finish) == (kept, "stop" if kept == said else "loop")
    assert text.startswith(shown.strip())
