"""The app before real eyes: a browser and an app a module, a tab a test."""

import json
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from builder.workspace.folder import Workspace
from tests.ui import browser as browsing
from tests.ui.fake_assistant import FakeAssistant
from ui.parts import session

APP = Path(__file__).parents[2] / "ui" / "app.py"


@pytest.fixture
def folder(tmp_path):
    """A small workspace of which nothing is built."""
    folder = tmp_path / "lumen"
    folder.mkdir()
    (folder / "brand.yaml").write_text("name: Lumen *lamps*\npersona: Helps.\nabstain: Not in my notes.\n")
    asked = ("How long?", "Where to?", "How long?", "Which?", "Why?")
    rows = [{"prompt": question, "reply": "Hi!"} for question in asked]
    (folder / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def app(folder, monkeypatch):
    """Opens a page of the app, over a fake assistant that may lack a half."""
    def open_app(page="views/chat.py", **halves):
        st.cache_resource.clear()
        monkeypatch.setattr(sys, "argv", ["app.py", str(folder)])
        monkeypatch.setattr(session, "open_assistant", lambda workspace, *_: FakeAssistant(workspace.brand, **halves))
        return AppTest.from_file(str(APP), default_timeout=30).run().switch_page(page).run()

    return open_app


@pytest.fixture(scope="module")
def browser():
    """Real Chromium. Not for the session: Playwright keeps an event loop running, which asynchronous tests forbid."""
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(browsing.chromium())
        except browsing.NoBrowserError as error:
            pytest.skip(str(error))
        yield opened


@pytest.fixture(scope="module")
def lamps(really_built, tmp_path_factory):
    """The module's own copy of the workspace built with the embedded model."""
    return Workspace(shutil.copytree(really_built.folder, tmp_path_factory.mktemp("shop") / "lamps"))


@pytest.fixture(scope="module")
def served(browser, lamps):
    """The real app on it."""
    with browsing.serving(lamps.folder) as app:
        yield app


@pytest.fixture
def tab(browser, served):
    """A wide tab on the app, empty yet."""
    with browsing.tab(browser, served) as made:
        yield made
