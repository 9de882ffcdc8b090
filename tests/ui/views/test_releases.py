"""The releases page: what is live, what each release met, and promoting and rolling back as the command line does."""

import re
import sys
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from builder.evaluation.compare_releases import contents
from builder.workspace import releases
from builder.workspace.folder import Workspace
from knowledge.files import read_json, write_json
from tests.ui.reports import evaluate, made_report

APP = Path(__file__).parents[3] / "ui" / "app.py"
HOSTILE = "![x](https://evil.example/p.png) <img src=x> **bold**"


@pytest.fixture
def here(folder):
    """A workspace with three releases, the second of which missed a gate; each of another name."""
    evaluate(folder, made_report())
    adapter = Workspace(folder).place("adapters", "a1b2c3d4e5f6")
    write_json(adapter / "training.json", {"steps": 9})
    Workspace(folder).use("adapter", adapter)
    brand = folder / "brand.yaml"
    for name, met in (("Lamps", True), ("Lamp & Co", False), ("Lamp & Sons", True)):
        text = brand.read_text()
        brand.write_text(text.replace(text.splitlines()[0], f"name: {name}"))
        gate = {"name": "facts", "met": met, "said": f"too low {HOSTILE}", "next": ""}
        releases.freeze(Workspace(folder), [gate])
    return Workspace(folder)


@pytest.fixture
def page(here, monkeypatch):
    st.cache_resource.clear()
    monkeypatch.setattr(sys, "argv", ["app.py", str(here.folder)])

    def opened():
        test = AppTest.from_file(str(APP), default_timeout=60).run().switch_page("views/releases.py").run()
        assert not test.exception
        return test

    return opened


def press(test, key=None, label=None):
    test = next(one for one in test.button if (key and one.key == key) or (label and one.label == label)).click().run()
    assert not test.exception
    return test


def said(test):
    return "\n".join(one.value for kind in (test.caption, test.markdown, test.header, test.error, test.code)
                     for one in kind)


def test_releases_are_promoted_and_rolled_back(page, here):
    test = page()
    assert [one.value for one in test.header][:3] == ["r003", "r002", "r001"]
    assert "No release is live" in test.caption[1].value
    test = press(test, "promote r003")
    assert releases.live_name(here) == "r003" and "r003 answers." in test.caption[1].value
    test.checkbox(key="sure r002").check().run()
    test = press(test, "promote r002")
    assert releases.live_name(here) == "r002"
    test = press(test, label="Roll back")
    assert releases.live_name(here) == "r003"
    assert next(one for one in test.button if one.label == "Roll back").disabled  # nothing was live before it


def test_one_that_missed_a_gate_is_promoted_only_when_that_is_said(page, here):
    disabled = {one.key: one.disabled for one in page().button if (one.key or "").startswith("promote")}
    assert disabled["promote r002"] and not disabled["promote r003"]


def test_gates_and_what_changed_are_shown_as_text(page, here):
    test = page()
    text = said(test)
    assert "too low" in text and not re.search(r"(?<!\\)(?:!\[|<img|\*\*bold)", text)
    assert "-name: Lamp & Co" in text and "+name: Lamp & Sons" in text
    assert "- adapter: the same" in text and "hybrid: facts" in text.replace("\\", "")


def test_each_release_says_what_it_is_made_of_and_leads_to_its_report(page, here):
    test = page()
    for part, sha256 in contents(here, "r002").items():
        assert f"- {'report' if part == 'evaluation' else part} `{sha256}`" in said(test)
    assert sum("Built 20" in one.value for one in test.caption) == 3
    links = [one.proto for one in test.get("page_link")]
    assert [link.query_string for link in links if link.label == "Test report"] == [
        f"assistant={here.folder.name}&of={name}" for name in ("r003", "r002", "r001")]
    (compare,) = [link.query_string for link in links if link.label == "Compare their replies"]
    assert compare == f"assistant={here.folder.name}&part=Two+releases&before=r002&after=r003"


def test_a_release_whose_report_is_of_an_older_version_says_so_and_can_still_be_promoted(page, here):
    place = here.current().evaluation / "report.json"
    write_json(place, {key: value for key, value in read_json(place).items() if key != "systems"})
    test = page()
    assert sum("of an older version" in one.value for one in test.caption) == 3
    assert "of an older version" in test.error[0].value and not any(
        one.disabled for one in test.button if one.key == "promote r003")


def test_files_that_changed_since_are_not_promoted(page, here):
    adapter = here.current().adapter / "training.json"
    write_json(adapter, read_json(adapter) | {"steps": 0})
    test = press(page(), "promote r003")
    assert "missing or were changed after the build" in test.error[0].value and releases.live_name(here) is None


def test_without_a_release_it_says_what_to_run(page, here):
    for name in releases.release_names(here):
        (here.built / "releases" / name / "release.json").unlink()
    test = page()
    assert "There is no release yet" in test.text[0].value and not test.code
