"""What the app starts: a process of its own that does what the command does, and whose fault is told on the page."""

import fcntl
import os
import sys
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from builder.evaluation.report import last_report
from builder.pipeline.stages import building
from builder.workspace import releases
from builder.workspace.folder import Workspace
from builder.workspace.progress import read_progress
from tests.conftest import until, write_lines
from ui.parts.jobs import fault_of, start, stop

APP = Path(__file__).parents[3] / "ui" / "app.py"


def test_a_command_that_can_not_be_done_leaves_its_one_line(written):
    (written / "questions.jsonl").unlink()
    start(written, "evaluate")
    until(lambda: fault_of(written))
    assert "questions.jsonl: has no test questions" in fault_of(written)
    start(written, "releases")
    assert fault_of(written) == ""  # of the one before nothing is left


def test_a_second_click_leaves_what_runs_and_its_log_alone(written):
    log = written / ".twofold" / "work.log"
    log.parent.mkdir()
    with log.open("ab") as said:  # as the process that runs has it
        fcntl.flock(said, fcntl.LOCK_EX)
        said.write(b"half a line of a command that runs\n")
        said.flush()
        start(written, "evaluate")
        assert log.read_text() == "half a line of a command that runs\n"
    (written / "questions.jsonl").unlink()
    start(written, "evaluate")
    until(lambda: fault_of(written))
    assert "half a line" not in log.read_text()


def test_a_folder_that_looks_like_an_option_is_a_folder(written):
    odd = written.rename(written.parent / "--help")
    (odd / "questions.jsonl").unlink()
    start(odd, "evaluate")
    until(lambda: fault_of(odd))
    assert "has no test questions" in fault_of(odd)


@pytest.fixture
def page(copied, monkeypatch):
    st.cache_resource.clear()
    monkeypatch.setattr(sys, "argv", ["app.py", str(copied.folder)])
    return lambda name: AppTest.from_file(str(APP), default_timeout=60).run().switch_page(name).run()


@pytest.mark.thorough
def test_arms_chosen_on_the_page_are_rows_of_the_next_report(page, copied):
    before = last_report(copied)
    test = page("views/report.py")
    test.multiselect(key="arms").set_value(["few-shot", "stuffed"])
    test = test.run()
    assert any("with 5 examples in its prompt" in one.value.replace("\\", "") for one in test.caption)
    next(one for one in test.button if one.label == "Evaluate").click().run()

    def ended():
        progress = read_progress(Workspace(copied.folder))
        return progress is not None and progress.state != "running" and last_report(Workspace(copied.folder)) != before

    until(ended)
    made = last_report(Workspace(copied.folder))
    assert list(made.arms) == ["few-shot", "stuffed"] and made.estimate("stuffed", "tone").value is not None
    assert made.estimate("hybrid", "facts") == before.estimate("hybrid", "facts")


def test_the_training_page_tells_what_went_wrong(page, copied):
    write_lines(copied.folder / "questions.jsonl", [])
    start(copied.folder, "evaluate")
    until(lambda: fault_of(copied.folder))
    assert any("has no test questions" in one.value for one in page("views/build.py").error)


@pytest.mark.thorough
def test_a_build_started_on_the_page_is_stopped_on_the_page_and_carries_on(written, monkeypatch):
    st.cache_resource.clear()
    monkeypatch.setattr(sys, "argv", ["app.py", str(written)])
    test = AppTest.from_file(str(APP), default_timeout=120).run().switch_page("views/build.py").run()
    next(one for one in test.button if one.label == "Build").click().run()

    def state():
        progress = read_progress(Workspace(written))
        return progress and progress.state

    until(lambda: state() == "running")
    test = test.run()
    next(one for one in test.button if one.label == "Stop").click().run()
    until(lambda: state() == "stopped")
    with building(Workspace(written)):  # nothing holds the workspace any more
        pass
    start(written, "build")
    until(lambda: state() == "running")
    until(lambda: state() == "finished")
    assert releases.release_names(Workspace(written)) == ["r001"]


def test_nobody_is_ended_where_no_build_works(written):
    stop(written)
    (written / ".twofold").mkdir(exist_ok=True)
    for held in (str(os.getpid()), "", "nonsense"):
        (written / ".twofold" / "building").write_text(held)
        stop(written)
