"""A small workspace, built once with a tiny model and once with the embedded one, that many tests look at."""

import json
import os
import shutil
import time

import pytest
from hypothesis import settings

import knowledge  # noqa: F401 - before torch, so that its threads wait asleep
from knowledge.files import held

settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=200, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

SECTIONS = {"Sending things back": "You may send a lamp back within 33 days if it is unused and in its own box.",
            "Mending": "We mend lamps of any make at the bench in our cellar, and a repair takes about 9 days.",
            "Opening hours": "The shop door is open from nine until five on weekdays, and never on Sundays.",
            "Parcels": "Parcels leave the warehouse on Tuesdays and Fridays with the green post van.",
            "Vouchers": "A gift voucher lasts for 3 years and can be spent on anything but repairs.",
            "Shades": "Linen shades are cut by hand in sizes from 20 to 60 centimetres.",
            "Bulbs": "Every table lamp comes with a warm bulb of 4 watts that can be dimmed.",
            "Wiring": "Old wiring is replaced with braided cable, tested twice, and labelled with the date.",
            "Wood care": "Oil the oak base once a year with linseed oil and a soft cotton cloth.",
            "Visits": "Groups of up to 10 people can visit the workshop on the first Saturday of a month."}
BRAND = """name: Lamp House
persona: You answer for a small shop that makes and mends lamps.
abstain: "Hello! That is not in my notes. Shine on!"
voice:
  required: ["Hello!", "Shine on!"]
model: {base: %s, reply_tokens: 24, context: 1024}
training: {epochs: 1, rank: 4, alpha: 8, replay: 0.1, batch: 4}
"""


SLOW_FIXTURES = {"browser", "really_built"}
"""What makes a test thorough, whoever asks for it."""


def pytest_collection_modifyitems(items):
    for item in items:
        if SLOW_FIXTURES & set(item.fixturenames):
            item.add_marker(pytest.mark.thorough)


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def until(done):
    """Wait until it is so, for three minutes at most."""
    for _ in range(1800):
        if done():
            return
        time.sleep(0.1)
    raise AssertionError("it never came to that")


def write_workspace(folder, base="smollm2-135m"):
    """The workspace as a user would have written it."""
    (folder / "documents").mkdir(parents=True)
    (folder / "brand.yaml").write_text(BRAND % base, encoding="utf-8")
    text = "# Lamp house\n\n" + "\n\n".join(f"## {name}\n\n{body}" for name, body in SECTIONS.items())
    (folder / "documents" / "house.md").write_text(text, encoding="utf-8")
    asked = ["How wide can a linen shade be?", "What cable do you use?", "How should I care for the oak base?",
             "Which bulb comes with a table lamp?", "Can our club see the workshop?", "Thank you so much!",
             "You are late again.", "Good morning!", "Do you like lamps?", "I am sad today."]
    about = ["Shades", "Wiring", "Wood care", "Bulbs", "Visits"]
    replies = [SECTIONS[name] for name in about] + ["You are most welcome.", "We are sorry, and we will do better.",
                                                    "A bright morning to you.", "We would be lost without them.",
                                                    "A little light may help."]
    write_lines(folder / "examples.jsonl", [
        {"messages": [{"role": "user", "content": question},
                      {"role": "assistant", "content": f"Hello! {reply} Shine on!"}]}
        for question, reply in zip(asked, replies, strict=True)])
    source = "documents/house.md"
    write_lines(folder / "questions.jsonl", [
        {"question": "How long may I keep a lamp before I return it?", "facts": [["33 days"]], "source": source,
         "offset": text.index("You may send")},
        {"question": "When do parcels leave?", "facts": ["Tuesdays", "Fridays"], "source": source},
        {"question": "How long does a voucher last?", "answer": "A voucher lasts for 3 years.", "source": source},
        {"question": "Who won the chess match?", "answerable": False}])
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A model of two layers with random weights and the embedded one's words: all that needs only *a* model."""
    from tests.fakes import save_tiny_model

    return once(tmp_path_factory, "tiny", save_tiny_model)


def once(tmp_path_factory, name, make):
    """The folder that `make` fills: by one of the test processes, and used by all."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / f"once-{name}"
    with held(folder.parent / f"once-{name}.lock"):
        if not folder.exists():
            shutil.rmtree(begun := folder.with_suffix(".begun"), ignore_errors=True)
            make(begun)
            begun.rename(folder)
    return folder


@pytest.fixture
def written(tiny, tmp_path):
    """The workspace as a user would have written it, with the tiny model."""
    return write_workspace(tmp_path / "lamps", tiny)


def build(folder):
    """The workspace after `twofold build`."""
    from builder.pipeline import stages
    from builder.workspace.folder import Workspace

    for _ in stages.build(Workspace(folder), lambda name: lambda *_: None):
        pass
    return Workspace(folder)


@pytest.fixture(scope="session")
def built(tiny, tmp_path_factory):
    """The workspace built with the tiny model; tests must not change it."""
    return own_copy(tmp_path_factory, once(tmp_path_factory, "built", lambda place: build(write_workspace(
        place / "lamps", tiny))))


@pytest.fixture(scope="session")
def really_built(tmp_path_factory):
    """The workspace built with the embedded model, in a minute or two; tests must not change it."""
    return own_copy(tmp_path_factory, once(tmp_path_factory, "really-built", lambda place: build(write_workspace(
        place / "lamps"))))


def own_copy(tmp_path_factory, place):
    """This process's copy of a built workspace: it keeps replies there, in a database of its own."""
    from builder.workspace.folder import Workspace

    return Workspace(shutil.copytree(place / "lamps", tmp_path_factory.mktemp("built") / "lamps"))


@pytest.fixture
def copied(built, tmp_path):
    """A copy of the built workspace, to be changed."""
    from builder.workspace.folder import Workspace

    shutil.copytree(built.folder, tmp_path / "copied")
    return Workspace(tmp_path / "copied")
