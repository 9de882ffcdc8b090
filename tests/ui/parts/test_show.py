import sys

import pytest
from hypothesis import given
from hypothesis import strategies as some
from markdown_it import MarkdownIt

from builder.evaluation.report import Difference
from ui.parts.charts import change, differences_chart, written
from ui.parts.show import counted, local, marked, plain


@given(some.text() | some.text(alphabet="![]()<>*_`$:~#|\\&;@/ .wWhtpsa1\n-+="))
def test_plain_text_shows_as_itself_and_holds_no_link(text):
    tokens = [token for block in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(plain(text))
              for token in block.children or []]
    assert {token.type for token in tokens} <= {"text", "text_special", "softbreak"}
    shown = "".join(token.content for token in tokens).replace("\u200b", "")
    printed = "".join(letter for letter in text if letter.isprintable() or letter.isspace())
    assert shown == " ".join(printed.split())


@pytest.mark.parametrize("address", ["https://evil.example", "HTTP://evil.example/x", "www.evil.example",
                                     "me@evil.example", ":material/delete:", ":streamlit:"])
def test_addresses_and_icons_are_broken_up(address):
    assert "\u200b" in plain(address)


def test_figures_are_written_in_their_unit():
    assert written(None, "share") == "–"
    assert [written(0.714, "share"), written(41.6, "words"), written(1.26, "seconds")] == ["71%", "42", "1.3 s"]
    assert [change(0.03, "share"), change(-1.26, "seconds"), change(None, "share")] == ["+3", "-1.3", "–"]


def test_each_difference_is_named_in_the_chart():
    known = Difference(score="facts", left="hybrid", right="rag-only", value=0.1, low=0.0, high=0.2, p=0.1,
                       adjusted=0.1, detectable=0.1, primary=True)
    chart = differences_chart([known, known.model_copy(update={"left": "interaction", "right": ""})],
                              "share").to_dict()
    names = {row["name"] for rows in chart["datasets"].values() for row in rows if "name" in row} \
        if "datasets" in chart else {row["name"] for layer in chart["layer"] for row in layer["data"]["values"]
                                     if "name" in row}
    assert names == {"hybrid − rag-only", "interaction of the halves"}


@given(some.text(max_size=60), some.integers(0, 60), some.integers(0, 60))
def test_a_marked_text_shows_as_itself_line_by_line(text, one, other):
    start, end = sorted((one, other))
    lines = marked(text, start, end).split("  \n")
    assert len(lines) == text.count("\n") + 1
    assert marked(text, start, start) == "  \n".join(map(plain, text.split("\n")))
    inside = text[start:end].split("\n")
    assert sum(":primary-background[" in line for line in lines) == sum(bool(plain(part)) for part in inside)


def test_counts_are_said_as_people_say_them():
    assert [counted(0, "document"), counted(1, "choice"), counted(1200, "passage")] == [
        "0 documents", "1 choice", "1,200 passages"]


@pytest.mark.parametrize(("message", "shown"), [
    ("{home}/acme/brand.yaml: line 3: no colon", "acme/brand.yaml: line 3: no colon"),
    ("{home}/acme: another build is running here", "acme: another build is running here"),
    ("{home}: no assistant", "shelf: no assistant"),
    ("can't read /var/cache/twofold/bases/a1/model.gguf (damaged)", "can't read model.gguf (damaged)"),
    ("run `twofold build {home}/acme`; see /etc/ssl/x.pem, then", "run `twofold build acme`; see x.pem, then"),
    ("“{home}/acme/logo.png” and '/a/b'", "“acme/logo.png” and 'b'"),
    ("https://example.com/a/b and documents/a/b.md stay", "https://example.com/a/b and documents/a/b.md stay"),
    ("1/2 of 3 / 4 and a/b", "1/2 of 3 / 4 and a/b"), ("", "")])
def test_a_message_names_files_from_the_assistants_folder_on(tmp_path, monkeypatch, message, shown):
    home = tmp_path / "the shelf of" / "shelf"
    home.mkdir(parents=True)
    monkeypatch.setattr(sys, "argv", ["app.py", str(home)])
    assert local(message.replace("{home}", str(home))) == shown
