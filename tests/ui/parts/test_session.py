"""What pages share: an assistant is loaded once, whoever asks and however often a page is drawn."""

import re
import sys
from pathlib import Path

import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.ui.fake_assistant import FakeAssistant
from ui.parts import session

APP = Path(__file__).parents[3] / "ui" / "app.py"


def test_no_two_pages_keep_what_a_reader_did_under_the_same_name():
    owners = {}
    for file in sorted(APP.parent.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        for name in {*re.findall(r'key="([^"]+)"', text), *re.findall(r"(?:session_state|held)\.(\w+)\b(?!\()", text),
                     *re.findall(r'session_state(?:\.(?:get|pop|setdefault)\(|\[)"(\w+)"', text)}:
            owners.setdefault(name, set()).add(file.name)
    assert {"asked", "answering", "turns", "rows_before"} <= owners.keys()
    assert {name: files for name, files in owners.items() if len(files) > 1} == {}


def test_no_rerun_page_or_reader_loads_an_assistant_twice(folder, monkeypatch):
    loads = []

    def opens(workspace, slots, release, retriever):
        loads.append(release)
        return FakeAssistant(workspace.brand)

    st.cache_resource.clear()
    monkeypatch.setattr(sys, "argv", ["app.py", str(folder)])
    monkeypatch.setattr(session, "open_assistant", opens)
    for _ in range(2):  # two readers
        test = AppTest.from_file(str(APP), default_timeout=30).run().switch_page("views/chat.py").run()
        for question in ("How long?", "Where to?"):
            test.chat_input[0].set_value(question).run()
        test.switch_page("views/compare.py").run()
        test.switch_page("views/chat.py").run()
        assert not test.exception
    assert loads == [None]
    (folder / "brand.yaml").write_text("name: Lux\npersona: Helps.\nabstain: Not in my notes.\n")
    test.run()
    assert loads == [None, None] and test.title[0].value == "Lux"
