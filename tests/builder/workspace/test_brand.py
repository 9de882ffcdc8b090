"""brand.yaml: three keys are enough, and each fault is one line that names its place."""

import pytest

from builder.workspace.brand import read_brand
from knowledge.errors import UserError

COMPLETE = "name: Acme\npersona: Helps.\nabstain: I don't know.\n"


def test_three_keys_are_complete(tmp_path):
    (tmp_path / "brand.yaml").write_text(COMPLETE)
    brand = read_brand(tmp_path / "brand.yaml")
    assert (brand.name, brand.training.epochs, brand.retrieval.found) == ("Acme", 3, 3)


@pytest.mark.parametrize("text, expected", [
    (COMPLETE + "voise: {}\n", ":4: unknown setting voise"),
    (COMPLETE + "voice:\n  do: [greet]\n  tone: nice\n", ":6: unknown setting voice.tone"),
    (COMPLETE + "training:\n  epochs: many\n", ":5: training.epochs"),
    ("name: Acme\nabstain: no\n", ":1: persona is missing"),
    ("name: [Acme\n", "brand.yaml:2: "),
    ("", ":1: has no settings"),
    (COMPLETE + 'voice:\n  required: ["\\ud83d"]\n', "brand.yaml: contains half a character"),
])
def test_a_fault_names_its_line(tmp_path, text, expected):
    (tmp_path / "brand.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        read_brand(tmp_path / "brand.yaml")
    assert expected in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_names_the_next_command(tmp_path):
    with pytest.raises(UserError, match="twofold new"):
        read_brand(tmp_path / "brand.yaml")
