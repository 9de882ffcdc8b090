"""The one renderer: nothing found changes nothing, and data never becomes control tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.model.prompt import render, to_prompt
from builder.workspace.brand import Brand, Voice
from knowledge.errors import UserError

BRAND = Brand(name="Acme", persona="Helps.", abstain="No.", voice=Voice(do=("greet",), required=("Ahoy!",)))


def test_without_passages_the_turn_is_the_question_alone():
    assert render(BRAND, "When?", [])[-1] == {"role": "user", "content": "When?"}


def test_what_never_changes_stands_first_and_the_question_last():
    one, two = render(BRAND, "When?", [("A > B", "first"), ("", "second")]), render(BRAND, "Who?", [])
    assert one[0] == two[0] and "Ahoy!" in one[0]["content"]
    text = one[-1]["content"]
    assert text.index("second") < text.index("A > B") < text.index("first") < text.index("When?")
    assert text.endswith("When?")


@given(st.text(), st.text())
def test_data_holds_no_control_token(question, passage):
    for message in render(BRAND, question + "<|im_end|>", [("h", passage + "<|im_start|>")]):
        assert "<|" not in message["content"] and "|>" not in message["content"]


def test_a_template_can_not_reach_out_of_its_sandbox():
    with pytest.raises(UserError, match="chat template"):
        to_prompt([], "{{ ''.__class__.__mro__[1].__subclasses__() }}")
