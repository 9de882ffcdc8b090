"""The home page: each assistant with what to do next, a new one made whole or not at all, and a choice that stays."""

import sys
from pathlib import Path
from typing import get_args

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from builder.pipeline.overview import Next
from builder.workspace.folder import Workspace, new, templates

APP = Path(__file__).parents[3] / "ui" / "app.py"
HOSTILE = "![x](https://evil.example/p.png) <img src=x> **bold**"


@pytest.fixture
def shelf(tmp_path):
    """A folder of two workspaces and something else."""
    new(tmp_path / "acme", "blank")
    new(tmp_path / "umbrellas", "support")
    (tmp_path / "notes").mkdir()
    return tmp_path


@pytest.fixture
def opened(shelf, monkeypatch):
    def open_app(folder=shelf, **address):
        st.cache_resource.clear()
        monkeypatch.setattr(sys, "argv", ["app.py", str(folder)])
        test = AppTest.from_file(str(APP), default_timeout=60)
        for name, value in address.items():
            test.query_params[name] = value
        test.run()
        assert not test.exception
        return test

    return open_app


def heads(test):
    return [one.value for one in test.header]


def labels(test):
    return [one.label for one in test.button]


def make(test, **written):
    for label, text in written.items():
        next(one for one in (*test.text_input, *test.text_area) if one.label.startswith(label)).set_value(text)
    next(one for one in test.button if one.label == "Create").click().run()
    return test


def test_each_assistant_has_a_card_with_what_to_do_next(opened):
    test = opened()
    assert heads(test) == ["Assistant", "Drizzle \\& Daughters"]
    assert labels(test) == ["Add documents", "Chat", "Build", "Chat", "Create"]
    assert "0 documents · 0 examples" in test.caption[0].value and "Not built yet" in test.caption[0].value


def test_what_cannot_be_read_is_told_on_its_card_and_the_others_stay(opened, shelf):
    (shelf / "acme" / "brand.yaml").write_text(f"name: [{HOSTILE}\n")
    test = opened()
    assert len(test.error) == 1 and "brand" in test.error[0].value and "<img" not in test.error[0].value
    assert heads(test) == ["acme", "Drizzle \\& Daughters"] and labels(test)[0] == "Fix it"


def test_a_new_assistant_is_made_from_a_template_and_chosen(opened, shelf):
    test = make(opened(), Name="Lämp & House!", Who="Helps <b>all</b>.", Reply="Not in: our notes.")
    assert not test.exception and not test.error
    brand = Workspace(shelf / "lämp-house").brand
    assert (brand.name, brand.persona, brand.abstain) == ("Lämp & House!", "Helps <b>all</b>.", "Not in: our notes.")
    assert test.session_state["assistant"] == "lämp-house" and test.title[0].value == "Documents"
    assert test.query_params["assistant"] == "lämp-house"


@pytest.mark.parametrize(("name", "told"), [("", "no letter or digit"), ("../..", "no letter or digit"),
                                            ("Acme", "choose another name"), ("notes", ""),
                                            ("a" * 101, "101 characters")])
def test_a_name_that_will_not_do_is_one_line_and_makes_nothing(opened, shelf, name, told):
    before = sorted(one.name for one in shelf.rglob("*"))
    test = make(opened(), Name=name)
    assert not test.exception
    if told:
        assert told in test.error[0].value.replace("\\", "")
        assert sorted(one.name for one in shelf.rglob("*")) == before
    else:  # an empty folder is as good as none
        assert (shelf / "notes" / "brand.yaml").is_file()


def test_the_address_keeps_the_choice_but_leads_nowhere_else(opened, shelf):
    test = opened(assistant="umbrellas").switch_page("views/documents.py").run()
    assert test.caption[0].value == "Drizzle \\& Daughters" and not test.exception
    new(shelf.parent / f"{shelf.name}-other", "blank")
    for name in (f"../{shelf.name}-other", "notes", "..", HOSTILE):
        test = opened(assistant=name)
        assert "assistant" not in test.session_state and heads(test)[0] == "Assistant"


def test_naming_a_workspace_opens_it_with_its_neighbours_on_the_home_page(opened, shelf):
    test = opened(shelf / "umbrellas")
    assert heads(test) == ["Assistant", "Drizzle \\& Daughters"]
    test.switch_page("views/documents.py").run()
    assert test.caption[0].value == "Drizzle \\& Daughters"


def test_another_choice_begins_with_an_empty_chat(opened):
    test = opened(assistant="umbrellas")
    test.session_state["turns"] = ["of the other"]
    test.button(key="next acme").click().run()
    assert test.session_state["assistant"] == "acme" and "turns" not in test.session_state


def test_every_template_and_every_next_step_has_its_words():
    source = (APP.parent / "views" / "home.py").read_text()
    assert [name for name in (*get_args(Next), *templates()) if f'"{name}": ' not in source] == []


@pytest.mark.parametrize("name", ["chat", "compare", "brand", "documents", "report"])
def test_a_page_without_an_assistant_leads_home(opened, shelf, name):
    for folder in ("acme", "umbrellas"):
        (shelf / folder / "brand.yaml").unlink()
    test = opened().switch_page(f"views/{name}.py").run()
    assert not test.exception and test.title[0].value == "Assistants" and not test.error


def test_no_message_tells_where_the_server_keeps_its_files(opened, shelf):
    (shelf / "acme" / "questions.jsonl").write_text("{broken\n")
    told = opened().error[0].value.replace("\\", "").replace("\u200b", "")
    assert told.startswith("acme/questions.jsonl:1: ") and str(shelf.parent) not in told
