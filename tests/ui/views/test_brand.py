"""The brand page: the form changes brand.yaml, what it comes to is seen before, and nobody's change is lost."""

import subprocess
import sys
from pathlib import Path

import pytest
import streamlit as st
from markdown_it import MarkdownIt
from streamlit.testing.v1 import AppTest

from builder.curation.editing import change_brand
from builder.workspace.brand import read_brand
from builder.workspace.folder import Workspace
from tests.conftest import write_lines, write_workspace

APP = Path(__file__).parents[3] / "ui" / "app.py"
HOSTILE = "![x](https://evil.example/p.png) <img src=x> **bold**"


@pytest.fixture
def page(written, monkeypatch):
    st.cache_resource.clear()
    monkeypatch.setattr(sys, "argv", ["app.py", str(written)])

    def opened():
        test = AppTest.from_file(str(APP), default_timeout=60).run().switch_page("views/brand.py").run()
        assert not test.exception
        return test

    return opened


def field(test, name):
    return next(one for kind in (test.text_input, test.text_area, test.number_input, test.color_picker)
                for one in kind if one.key == f"brand {name}")


def fill(test, name, value):
    return field(test, name).set_value(value).run()


def button(test, label):
    return next((one for one in test.button if one.label == label), None)


def press(test, label):
    test = button(test, label).click().run()
    assert not test.exception
    return test


def said(test):
    return "\n".join(one.value for kind in (test.caption, test.text, test.error, test.warning, test.success)
                     for one in kind).replace("\\", "").replace("\u200b", "")


def brand(folder):
    return read_brand(folder / "brand.yaml")


def test_nothing_can_be_saved_before_something_was_changed(page, written):
    before = (written / "brand.yaml").read_bytes()
    test = page()
    assert button(test, "Save").disabled and button(test, "Discard my changes") is None
    assert field(test, "name").value == "Lamp House" and field(test, "required").value == "Hello!\nShine on!"
    assert (written / "brand.yaml").read_bytes() == before


def test_the_preview_shows_the_form_before_it_is_saved(page, written):
    test = page()
    assert "10 of your 10 examples follow all these rules." in said(test)
    test = fill(test, "required", "Hello!\nBless you!")
    test = fill(test, "persona", "You answer for giants.")
    test = fill(test, "abstain", "Nobody knows.")
    told = said(test)
    assert 'You answer for giants.\nEvery reply holds: "Hello!" "Bless you!"' in told and "Nobody knows." in told
    assert "0 of your 10 examples follow all these rules; the first ones that don't:" in told
    assert told.count("lacks “Bless you!”") == 4 and "line 3: lacks" in told  # three examples, and the one tried
    assert brand(written).voice.required == ("Hello!", "Shine on!")
    tried = next(one for one in test.text_area if one.label.startswith("Check a reply"))
    test = tried.set_value("Hello! Bless you!").run()
    assert "keeps every rule" in said(test)


def test_what_was_changed_is_saved_and_what_follows_is_said(page, written):
    test = page()
    for name, value in (("name", "Lux"), ("do", "be kind\n\nsay we"), ("banned", "as an AI"), ("words", 60),
                        ("grade", 9.5), ("links", "Write to us: mailto:a@b.example"), ("accent", "#7a1f2b")):
        test = fill(test, name, value)
    test = press(test, "Save")
    made = brand(written)
    assert (made.name, made.voice.do, made.voice.banned, made.voice.words, made.voice.grade) == (
        "Lux", ("be kind", "say we"), ("as an AI",), 60, 9.5)
    assert made.links == {"Write to us": "mailto:a@b.example"} and made.colours == {"accent": "#7a1f2b"}
    assert made.model.reply_tokens == 24 and "build again" in said(test) and button(test, "Save").disabled
    test = press(fill(test, "words", None), "Save")
    assert brand(written).voice.words is None and "The model's instructions are the same" in said(test)


@pytest.mark.parametrize(("name", "value", "told"), [
    ("name", "", "name: string should have at least 1 character"),
    ("links", "https://a.example", "write Label: address")])
def test_a_bad_value_is_told_at_once_and_can_not_be_saved(page, written, name, value, told):
    before = (written / "brand.yaml").read_bytes()
    test = fill(page(), name, value)
    assert told in said(test) and button(test, "Save").disabled
    test = press(test, "Discard my changes")
    assert not test.error and (written / "brand.yaml").read_bytes() == before
    assert field(test, "name").value == "Lamp House"


def test_changes_wait_while_the_reader_is_on_another_page(page):
    test = fill(page(), "name", "Lux")
    test = test.switch_page("views/questions.py").run().switch_page("views/brand.py").run()
    assert field(test, "name").value == "Lux" and not button(test, "Save").disabled


def test_somebody_elses_change_is_shown_where_nothing_was_changed_here(page, written):
    test = page()
    change_brand(Workspace(written), {"name": "Theirs"})
    test = test.run()
    assert field(test, "name").value == "Theirs" and not test.warning and button(test, "Save").disabled


@pytest.mark.parametrize("choice", ["Use their version", "Reapply mine"])
def test_of_two_who_edit_nobody_loses_anything_unasked(page, written, choice):
    test = fill(fill(page(), "name", "Mine"), "do", "be mine")
    change_brand(Workspace(written), {"name": "Theirs", "persona": "Their persona."})
    theirs = (written / "brand.yaml").read_bytes()
    test = press(test, "Save")
    assert "someone else changed it" in test.error[0].value.replace("\\", "") and test.warning
    assert (written / "brand.yaml").read_bytes() == theirs and field(test, "name").value == "Mine"
    rows = test.dataframe[0].value.set_index("setting")
    assert tuple(rows.loc["name"]) == ("Theirs", "Mine") and tuple(rows.loc["voice.do"]) == ("", "be mine")
    assert rows.loc["persona"]["theirs"] == "Their persona."
    test = press(test, choice)
    assert not test.warning
    if choice == "Use their version":
        assert field(test, "name").value == "Theirs" and button(test, "Save").disabled
        return
    press(test, "Save")
    made = brand(written)
    assert (made.name, made.persona, made.voice.do) == ("Mine", "Their persona.", ("be mine",))


def test_text_is_shown_as_text(page, written):
    change_brand(Workspace(written), {"persona": HOSTILE, "abstain": HOSTILE, "name": HOSTILE})
    write_lines(written / "examples.jsonl", [{"prompt": HOSTILE, "reply": HOSTILE}])
    test = fill(page(), "required", HOSTILE + "!")
    marked = "\n".join(one.value for kind in (test.caption, test.markdown, test.error) for one in kind)
    html = MarkdownIt("commonmark", {"html": True}).render(marked)
    assert "<img" not in html and "<strong>" not in html and HOSTILE in "\n".join(one.value for one in test.text)


def test_the_page_imports_neither_torch_nor_what_trains(tmp_path):
    script = ("import sys; from streamlit.testing.v1 import AppTest; app = sys.argv.pop(1)\n"
              "test = AppTest.from_file(app, default_timeout=60).run()\n"
              "for name in ('views/brand.py', 'views/examples.py'):\n"
              "    assert not test.switch_page(name).run().exception\n"
              "print([name for name in ('torch', 'peft', 'transformers', 'sentence_transformers', 'xllamacpp')"
              " if name in sys.modules])")
    folder = write_workspace(tmp_path / "lamps")
    run = subprocess.run([sys.executable, "-c", script, APP, folder], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0 and run.stdout.strip() == "[]", run


def test_what_was_typed_while_somebody_else_saved_is_not_lost(page, written):
    test = page()
    change_brand(Workspace(written), {"persona": "Their persona."})
    test = fill(test, "name", "Mine")  # the first that the server hears of it
    assert field(test, "name").value == "Mine" and test.warning
    press(press(test, "Reapply mine"), "Save")
    assert (brand(written).name, brand(written).persona) == ("Mine", "Their persona.")
