"""The documents page: what is uploaded lies in documents/, what failed is told, and text of documents stays text."""

import os
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest
import streamlit as st
from hypothesis import given
from hypothesis import strategies as st_
from streamlit.testing.v1 import AppTest

from builder.pipeline.index_stage import build_index, unread, waiting
from builder.workspace import releases
from builder.workspace.folder import WATCHING, Workspace
from builder.workspace.progress import recorded
from knowledge.errors import UserError
from knowledge.files import holder, read_json, silent, write_json
from knowledge.reading.documents import FORMATS, LARGEST, add_file, read_documents, remove_file
from tests.conftest import until
from ui.parts import jobs
from ui.parts.jobs import stop

APP = Path(__file__).parents[3] / "ui" / "app.py"


@pytest.fixture
def page(written, monkeypatch):
    """Opens the page on a workspace of which nothing is built; `index` makes its index first."""
    st.cache_resource.clear()
    monkeypatch.setattr(sys, "argv", ["app.py", str(written)])

    def opened(index=False):
        if index:
            build_index(Workspace(written), lambda _: silent)
        test = AppTest.from_file(str(APP), default_timeout=120).run().switch_page("views/documents.py").run()
        assert not test.exception
        return test

    return opened


def button(test, label):
    return next(one for one in test.button if one.label == label)


def said(test):
    return "\n".join(one.value for kind in (test.caption, test.text, test.error, test.markdown) for one in kind)


def test_documents_and_their_passages_are_shown_and_searched(page):
    test = page(index=True)
    assert "1 document in 10 passages." in said(test)
    assert "All documents are indexed." in said(test)
    assert list(test.dataframe[0].value["document"]) == ["documents/house.md"]
    test.selectbox(key="document").select("documents/house.md").run()
    assert "Linen shades are cut by hand in sizes from 20 to 60 centimetres." in said(test)
    test.text_input(key="searched").set_value("When do parcels leave?").run()
    assert not test.exception and "Confidence: high. The assistant would answer." in said(test)
    assert any("Parcels" in one.label for one in test.expander)
    test.text_input(key="searched").set_value("Who won the chess match?").run()
    assert "would not answer" in said(test)


def test_what_could_not_be_read_is_told_with_its_reason_as_text(page, written):
    nasty = {"document": "documents/![x](https:evil.example).md", "reason": "<b>broken</b>"}
    (written / nasty["document"]).write_text("# Text")
    index = page(index=True) and Workspace(written).current().index / "index.json"
    write_json(index, read_json(index) | {"failed": [nasty]})
    test = page()
    told = "\n".join(one.value for kind in (test.caption, test.error, test.markdown) for one in kind)
    assert "broken" in told and "<b>" not in told and "![x](https" not in told


def test_what_could_not_be_read_is_counted_and_can_be_taken_out(page, written):
    for name, data in (("broken.pdf", b"%PDF-1.7 no more"), ("void.md", b"\n")):
        (written / "documents" / name).write_bytes(data)
    test = page(index=True)
    assert "are indexed except 2 documents that could not be read (listed below)." in said(test)
    assert len(test.error) == 2 and all("documents/" in one.value.replace("\\", "") for one in test.error)
    test = button(test, "Remove this document").click().run()
    assert not test.exception and len(test.error) == 1 and "void" in test.error[0].value
    assert [file.name.endswith("-broken.pdf") for file in (written / ".twofold" / "removed").iterdir()] == [True]
    assert [file for _, file in unread(Workspace(written))] == ["documents/void.md"]


def test_a_list_of_addresses_that_fails_in_several_lines_is_taken_out_by_one_button(page, written):
    (written / "documents" / "pages.urls").write_text("no address\nhttps://lamps.example/a\nneither is this\n")
    test = page(index=True)
    assert len(test.error) == 3 and "except 2 documents that could not be read" in said(test)
    test = button(test, "Remove this document").click().run()
    assert not test.exception and "pages" not in "".join(one.value for one in test.error)


def test_nothing_to_index_is_said_and_a_file_that_was_never_indexed_is_taken_out(page, written):
    test = page()
    assert "Waiting to be indexed: documents/house.md" in said(test) and not button(test, "Index").disabled
    test = test.selectbox(key="lying").select("documents/house.md").run()
    test = button(test, "Remove this document").click().run()
    assert "There is nothing to index: add documents above." in said(test) and button(test, "Index").disabled
    assert "is indexed as it is" not in said(test) and not list((written / "documents").iterdir())


def test_a_greyed_index_says_why(page, written):
    with recorded(lambda _: silent, Workspace(written)) as watch:
        watch("train")
        test = page()
        assert button(test, "Index").disabled
        assert "You can't index while a build or another indexing is running" in said(test)
    test = test.run()
    assert not button(test, "Index").disabled and "greyed" not in said(test)


def test_files_are_added_by_the_first_click_and_a_second_one_changes_nothing(page, written):
    test = page()
    test.file_uploader[0].set_value([("new.md", b"# New", "text/markdown"), ("void.md", b"", "text/markdown"),
                                     ("house.md", b"# Other", "text/markdown")])
    test = button(button(test, "Add").click().run(), "Add").click().run().run()
    told = said(test).replace("\\", "")
    assert not test.exception and "1 of 3 files added. Index them" in told
    assert "void.md: is empty; choose a file that holds text" in told and "house.md: already exists" in told
    assert sorted(file.name for file in (written / "documents").iterdir()) == ["house.md", "new.md"]
    test.file_uploader[0].set_value([("house.md", b"# Other", "text/markdown")])
    test.checkbox[0].check()
    test = button(test, "Add").click().run()
    assert "1 of 1 files added." in said(test) and not test.error and not test.checkbox[0].value
    assert (written / "documents" / "house.md").read_text() == "# Other"


def test_a_document_is_taken_out_and_can_be_had_back(page, written):
    text = (written / "documents" / "house.md").read_text()
    (written / "documents" / "cats.md").write_text("# Cats\n\nThe cat of the house is called Ember.\n")
    test = page(index=True)
    test.selectbox(key="document").select("documents/house.md").run()
    button(test, "Remove this document").click().run()
    assert not test.exception and "Waiting to be indexed: documents/house.md" in said(test)
    kept, = (written / ".twofold" / "removed").iterdir()
    assert kept.name.endswith("-house.md") and kept.read_text() == text
    with pytest.raises(UserError, match="not a file of this assistant"):
        remove_file(written, "documents/../brand.yaml")
    remove_file(written, "documents/cats.md")
    told = said(test.run())
    assert "add documents above. What was indexed before answers until then." in told and "is indexed as it" not in told


def test_what_is_new_changed_or_gone_waits_to_be_indexed(written):
    here = Workspace(written)
    for name in ("old.md", "new.md", "page.html"):
        (written / "documents" / name).write_text(f"# {name}")
    assert waiting(here) == [f"documents/{name}" for name in ("house.md", "new.md", "old.md", "page.html")]
    held = {f"documents/{file.name}": {"sha256": sha256(file.read_bytes()).hexdigest()}
            for file in (written / "documents").iterdir() if file.name != "new.md"}
    write_json(here.place("index", "a" * 20) / "index.json", {"documents": held, "failed": []})
    here.use("index", here.place("index", "a" * 20))
    assert waiting(here) == ["documents/new.md"]
    later = time.time() + 60
    for name in ("old.md", "page.html"):
        os.utime(written / "documents" / name, (later, later))
    assert waiting(here) == ["documents/new.md"]  # touched, but the same to the letter
    (written / "documents" / "old.md").write_text("# other")
    os.utime(written / "documents" / "old.md", (later, later))
    (written / "documents" / "house.md").unlink()
    assert waiting(here) == ["documents/house.md", "documents/new.md", "documents/old.md"]


@pytest.mark.thorough
def test_the_watch_switch_keeps_the_folder_indexed_until_it_is_switched_off(written, monkeypatch):
    st.cache_resource.clear()
    monkeypatch.setattr(sys, "argv", ["app.py", str(written)])
    test = AppTest.from_file(str(APP), default_timeout=120).run().switch_page("views/documents.py").run()
    test.toggle[0].set_value(True).run()
    here = Workspace(written)
    try:
        until(lambda: holder(here.built / WATCHING) and here.current().index)
        assert not test.run().exception and test.toggle[0].value
        before = here.current().index
        (written / "documents" / "cats.md").write_text("## The cat\n\nThe cat of the house is called Ember.\n")
        until(lambda: here.current().index != before)
        test = test.run()
        test.toggle[0].set_value(False).run()
        until(lambda: not holder(here.built / WATCHING))
        assert not test.exception
    finally:
        stop(written, WATCHING)


def test_uploaded_files_lie_below_documents_and_take_no_others_place(tmp_path):
    for name in ("a.md", "../../b.md", "C:\\Users\\me\\c.md", "/etc/d.md", "e f.MD"):
        add_file(tmp_path, name, b"# Text\n\nWe open at nine.")
    held = sorted(file.name for file in (tmp_path / "documents").iterdir())
    assert held == ["a.md", "b.md", "c.md", "d.md", "e f.MD"]
    assert len(read_documents(tmp_path)[0]) == 5
    with pytest.raises(UserError, match=r"a\.md: already exists"):
        add_file(tmp_path, "a.md", b"other")
    assert (tmp_path / "documents" / "a.md").read_bytes().startswith(b"# Text")
    add_file(tmp_path, "a.md", b"other", replace_it=True)
    assert (tmp_path / "documents" / "a.md").read_bytes() == b"other"


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden.md", "a.exe", "noending", "a\nb.md", "\u202egnp.md",
                                  "x" * 300 + ".md", "a/", "brand.yaml"])
def test_names_that_are_none_are_one_line_and_write_nothing(tmp_path, name):
    with pytest.raises(UserError) as told:
        add_file(tmp_path, name, b"text")
    assert "\n" not in str(told.value) and not (tmp_path / "documents").exists()


def test_a_file_too_large_is_refused(tmp_path):
    with pytest.raises(UserError, match="is larger than 50 MB; split it"):
        add_file(tmp_path, "a.md", b"x" * (LARGEST + 1))


@given(st_.text(max_size=30), st_.sampled_from(FORMATS))
def test_no_name_leads_out_of_documents(tmp_path_factory, name, ending):
    folder = tmp_path_factory.mktemp("names")
    try:
        made = add_file(folder, name + ending, b"x")
    except UserError:
        return
    assert made.parent == folder / "documents" and made.resolve().parent == (folder / "documents").resolve()


def test_a_live_release_that_lacks_the_changes_says_so_with_what_brings_them(page, written, monkeypatch):
    started = []
    monkeypatch.setattr(jobs, "start", lambda folder, *arguments, **_: started.append(arguments))
    build_index(Workspace(written), lambda _: silent)
    releases.promote(Workspace(written), releases.freeze(Workspace(written)))
    assert not page().warning
    (written / "documents" / "news.md").write_text("# News\n\nOn Mondays a lamp costs 7 euros less than on Fridays.")
    test = page()
    assert "r001 is live. It answers from the documents that it was built with" in test.warning[0].value
    button(test, "Build, and make it live if all checks pass").click().run()
    assert started == [("build", "--promote")]
    build_index(Workspace(written), lambda _: silent, force=True)
    assert releases.freeze(Workspace(written)) == "r002"
    test = page()
    assert test.warning and "Build, and make it live if all checks pass" not in [one.label for one in test.button]
    releases.promote(Workspace(written), "r002")
    assert not page().warning
